-- The session side of the state machine (test_machine.py): tables that carry their own number, changed by commands.
--
-- machine.new(store) → a machine over a session of its own; machine.look(store, view) → one that sees a view and cannot commit.
-- Every table but the root holds its number at "id", so that the whole graph can be listed and compared with a model:
-- list() → lines "number|key=value|…" of everything reachable, sorted. Values that are tables are written "@number", large
-- strings "size x tag"; meeting two tables of one number is an error.
-- Relies on C's collation, as the sorting of the model does.

local objects <const> = require "fs.objects"

local machine = {}

local LARGE <const>, TAG <const> = 1000, 8

--- The store as a session has it over IPC: what raises in the store is a refusal there.
local function guarded(store, commit)
  return setmetatable({
    commit = function(request)
      local ok, result, err = pcall(commit or store.commit, request)
      if ok then return result, err end
      return nil, {code = "failed", message = tostring(result)}
    end,
  }, {__index = store})
end

local function session_over(store)
  local session <const> = objects.open {store = store, environment = _G}
  local self <const> = {}

  local function number_of(t) return t == session.root and 1 or t.id end

  local function find(number)
    local seen, queue, first = {[session.root] = true}, {session.root}, 1
    while queue[first] do
      local t <const> = queue[first]
      first = first + 1
      if number_of(t) == number then return t end
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
    local kind <const> = type(value)
    if kind == "table" then return "@" .. number_of(value) end
    if kind == "string" then
      if #value < LARGE then return '"' .. value .. '"' end
      local tag <const> = value:sub(1, TAG)
      if value ~= tag:rep(#value // TAG) then error("a large string is not what it was") end
      return #value .. " x " .. tag
    end
    return math.type(value) == "float" and ("%a"):format(value) or tostring(value)
  end

  function self.list()
    local seen, queue, first, lines = {session.root}, {session.root}, 1, {}
    while queue[first] do
      local t <const> = queue[first]
      first = first + 1
      local fields = {}
      for key, value in pairs(t) do
        fields[#fields + 1] = text(key) .. "=" .. text(value)
        if type(value) == "table" then
          local number <const> = number_of(value)
          if seen[number] == nil then
            seen[number] = value
            queue[#queue + 1] = value
          elseif seen[number] ~= value then
            error("two tables with number " .. number)
          end
        end
      end
      table.sort(fields)
      lines[first - 1] = number_of(t) .. "|" .. table.concat(fields, "|")
    end
    table.sort(lines)
    return table.concat(lines, "\n")
  end

  function self.set(number, key, value) find(number)[key] = value end
  function self.link(number, key, target) find(number)[key] = find(target) end
  function self.make(number, key, new) find(number)[key] = {id = new} end
  function self.forget(number) session.forget(find(number)) end

  -- → true | false, message
  function self.commit(message)
    local ok, result = pcall(session.commit, message)
    if ok then return true, tostring(result) end
    return false, tostring(result)
  end

  function self.abort() session.abort() end
  function self.refresh() return #session.refresh() end
  function self.changed() return #session.changes() > 0 end
  return self
end

function machine.new(store)
  return session_over(guarded(store))
end

function machine.look(store, view)
  return session_over(setmetatable({
    read = function(ids) return store.read(ids, view) end,
  }, {__index = store}))
end

return machine
