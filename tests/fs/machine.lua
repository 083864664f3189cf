-- The session side of the state machine (test_machine.py): tables that carry their own number, changed by commands.
--
-- new(store) → a machine over a session of its own. Every table but the root holds its number at "id", so that the
-- whole graph can be listed and compared with a model: list() → lines "number|key=value|…" of everything reachable, sorted.
-- Values that are tables are written "@number"; meeting two tables of one number is an error.

local objects <const> = require "fs.objects"

local machine = {}

function machine.new(store)
  local session <const> = objects.open { store = store, environment = _G }
  local self <const> = {}

  local function find(number)
    local seen, queue, first = { [session.root] = true }, { session.root }, 1
    while queue[first] do
      local t <const> = queue[first]
      first = first + 1
      if (t == session.root and 1 or t.id) == number then return t end
      for _, value in pairs(t) do
        if type(value) == "table" and not seen[value] then
          seen[value] = true
          queue[#queue + 1] = value
        end
      end
    end
    error("no table " .. number)
  end

  local function text(value)
    if type(value) == "table" then return "@" .. (value == session.root and 1 or value.id) end
    return math.type(value) == "float" and ("%a"):format(value) or ("%q"):format(value)
  end

  function self.list()
    local seen, queue, first, lines = { [1] = session.root }, { session.root }, 1, {}
    while queue[first] do
      local t <const> = queue[first]
      first = first + 1
      local fields = {}
      for key, value in pairs(t) do
        fields[#fields + 1] = text(key) .. "=" .. text(value)
        if type(value) == "table" then
          local number <const> = value == session.root and 1 or value.id
          if seen[number] == nil then
            seen[number] = value
            queue[#queue + 1] = value
          elseif seen[number] ~= value then
            error("two tables with number " .. number)
          end
        end
      end
      table.sort(fields)
      lines[#lines + 1] = (t == session.root and 1 or t.id) .. "|" .. table.concat(fields, "|")
    end
    table.sort(lines)
    return table.concat(lines, "\n")
  end

  function self.set(number, key, value) find(number)[key] = value end
  function self.link(number, key, target) find(number)[key] = find(target) end
  function self.make(number, key, new) find(number)[key] = { id = new } end
  function self.forget(number) session.forget(find(number)) end

  -- → true | false, message
  function self.commit(message)
    local ok, result = pcall(session.commit, message)
    if ok then return true, result.transaction end
    return false, type(result) == "table" and result.message or tostring(result)
  end

  function self.abort() session.abort() end
  function self.refresh() return #session.refresh() end
  function self.changed() return #session.changes() > 0 end
  return self
end

return machine
