-- Programs: Lua texts with a name, under root.programs, where people read and change them; and those that come with the system.
--
--     programs.new(text, name) → program {name =, text =}: shown as one row, called like a function it runs
--     programs.find(environment, source_of, what) → name, text or function          what: a name, a program, a function
--     programs.list(environment, source_of) → rows {name =, where =, summary =}
--     programs.install(environment, source_of, name or nil) → names of those that were put under root.programs
--     programs.place(environment, source_of, what) → {title =, load = function() → text, row, save = function(text)}, for an editor
--     programs.set_runner(run)                    what calling a program does in this process
-- source_of(module) → text | nil, why: the texts that the system carries (lua/programs).
-- Promise: what is under root.programs comes before what comes with the system, and is never overwritten.

local programs <const> = {}

-- The texts of lua/programs; a test compares.
programs.DELIVERED = {"clock", "life", "notes", "snake"}

local NEW_TEXT <const> = "-- %s: what it does, in one row\n\n"

local runner

local PROGRAM <const> = {__name = "program"}

-- The class by whose name they are stored.
programs.CLASS, programs.CLASS_NAME = PROGRAM, "khoros.program"

function PROGRAM.__call(program, ...)
  return runner(program, ...)
end

-- What the first row says, if it is a remark: "-- clock: the time".
local function summary_of(text)
  local remark <const> = type(text) == "string" and text:match("^%-%-%s*([^\n]*)") or ""
  return (remark:gsub("^[%w_]+:%s*", ""))
end

function PROGRAM.__tostring(program)
  local text <const> = type(program.text) == "string" and program.text or ""
  local _, rows <const> = text:gsub("\n", "")
  local said <const> = summary_of(text)
  return ("program %s, %d row%s%s"):format(tostring(program.name), rows, rows == 1 and "" or "s", said ~= "" and ": " .. said or "")
end

function programs.set_runner(run)
  runner = run
end

function programs.new(text, name)
  if type(text) ~= "string" then error("a program is made of Lua text", 3) end
  return setmetatable({name = name or "program", text = text}, PROGRAM)
end

local function is_program(value)
  return type(value) == "table" and getmetatable(value) == PROGRAM
end

local function is_delivered(name)
  for _, delivered in ipairs(programs.DELIVERED) do
    if delivered == name then return true end
  end
  return false
end

local function kept(environment)
  local root <const> = environment.root
  local found <const> = type(root) == "table" and root.programs
  return type(found) == "table" and found or nil
end

local function delivered_text(source_of, name)
  if not is_delivered(name) then return nil end
  return (source_of("programs." .. name))
end

local function kept_program(environment, name)
  local found <const> = kept(environment)
  local value = found and found[name]
  if is_program(value) then return value.text, value end
  if type(value) == "string" or type(value) == "function" then return value end
  return nil
end

function programs.find(environment, source_of, what)
  if is_program(what) then return tostring(what.name), what.text end
  if type(what) == "function" then return "function", what end
  if type(what) ~= "string" then error('what shall run? run "clock"; programs() lists what there is', 0) end
  local found <const> = kept_program(environment, what) or delivered_text(source_of, what)
  if not found then error(("there is no program %q: programs() lists them, edit %q writes it"):format(what, what), 0) end
  return what, found
end

function programs.list(environment, source_of)
  local rows <const>, seen <const> = {}, {}
  for name in pairs(kept(environment) or {}) do
    local text <const> = kept_program(environment, name)
    if text and type(name) == "string" then
      local changed <const> = delivered_text(source_of, name)
      seen[name] = true
      rows[#rows + 1] = {
        name = name, summary = summary_of(text), where = changed and changed ~= text and "changed" or "root.programs",
      }
    end
  end
  for _, name in ipairs(programs.DELIVERED) do
    local text <const> = not seen[name] and delivered_text(source_of, name)
    if text then rows[#rows + 1] = {name = name, summary = summary_of(text), where = "built in"} end
  end
  table.sort(rows, function(one, other) return one.name < other.name end)
  return rows
end

local function put(environment, name, text)
  local root <const> = environment.root
  root.programs = root.programs or {}
  local there <const> = root.programs[name]
  if is_program(there) then there.text = text else root.programs[name] = programs.new(text, name) end
end

function programs.install(environment, source_of, name)
  local installed <const> = {}
  if name ~= nil and not (type(name) == "string" and is_delivered(name)) then
    error("no such program comes with the system: " .. table.concat(programs.DELIVERED, ", "), 0)
  end
  for _, each in ipairs(name and {name} or programs.DELIVERED) do
    local there <const> = kept(environment)
    if not (there and there[each] ~= nil) then
      put(environment, each, assert(source_of("programs." .. each)))
      installed[#installed + 1] = each
    end
  end
  return installed
end

-- The table that a path leads to, and the last step: "root.ship.log" → root.ship, "log".
local function walk(environment, path)
  local holder, key = environment, nil
  for step in path:gmatch("[^.]+") do
    if key ~= nil then holder = holder[key] end
    if type(holder) ~= "table" then error(("edit: there is no table for %s"):format(path), 0) end
    key = math.tointeger(tonumber(step)) or step
  end
  return holder, key
end

local function place_of_path(environment, path)
  local holder <const>, key <const> = walk(environment, path)
  local value <const> = holder[key]
  if value ~= nil and type(value) ~= "string" and not is_program(value) then
    error(("edit: %s is a %s, not text"):format(path, type(value)), 0)
  end
  return {
    title = path,
    load = function() return is_program(holder[key]) and holder[key].text or holder[key] or "" end,
    save = function(text)
      if is_program(holder[key]) then holder[key].text = text else holder[key] = text end
    end,
  }
end

function programs.place(environment, source_of, what)
  if is_program(what) then
    return {title = tostring(what.name), load = function() return what.text end, save = function(text) what.text = text end}
  end
  if type(what) ~= "string" or not what:find("%S") then error('edit what? edit "clock", edit "root.ship.log"', 0) end
  if what:find("^root%.") then return place_of_path(environment, what) end
  local function load_text()
    local text <const> = kept_program(environment, what) or delivered_text(source_of, what)
    if not text then return NEW_TEXT:format(what), 2 end
    if type(text) == "function" then error(("edit: root.programs.%s is a function; its text is in no object"):format(what), 0) end
    return text
  end
  return {title = what, load = load_text, save = function(text) put(environment, what, text) end, runs = true}
end

return programs
