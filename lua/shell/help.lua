-- help(): the list of what there is; help "name" and help(value): one thing with examples to try.
--
-- Promises: only names that exist in the environment are listed; help(value) finds a function by identity.
-- Relies on: shell.help_texts (our commands and topics) and shell.help_lua (Lua's own functions), loaded when needed.

local help <const> = {}

local WIDTH <const> = 77

local function texts() return require "shell.help_texts" end
local function lua_texts() return require "shell.help_lua" end

-- "string.format" → environment.string.format
local function lookup(environment, name)
  local value = environment
  for part in name:gmatch("[^.]+") do
    if type(value) ~= "table" then return nil end
    value = rawget(value, part)
  end
  return value
end

local function exists(environment, entry)
  return entry.topic or lookup(environment, entry.name) ~= nil
end

-- Every name help "…" answers to, sorted: for completion and for the reference.
function help.names(environment)
  local names = {}
  for _, list in ipairs { texts().entries, lua_texts().entries } do
    for _, entry in ipairs(list) do
      if exists(environment, entry) then names[#names + 1] = entry.name end
    end
  end
  table.sort(names)
  return names
end

-- entries() → all entries {name, usage, summary, description, example, group, topic}: for generated documents.
function help.entries()
  local all = {}
  table.move(texts().entries, 1, #texts().entries, 1, all)
  return table.move(lua_texts().entries, 1, #lua_texts().entries, #all + 1, all)
end

local function group_rows(group, environment, rows, all)
  local shown, widest = {}, 0
  for _, entry in ipairs(texts().entries) do
    if entry.group == group and (all or not entry.rare) and exists(environment, entry) then
      shown[#shown + 1] = entry
      widest = math.max(widest, #entry.usage)
    end
  end
  if #shown == 0 then return end
  rows[#rows + 1] = group
  for _, entry in ipairs(shown) do
    rows[#rows + 1] = ("  %s  %s"):format(entry.usage .. (" "):rep(widest - #entry.usage), entry.summary)
  end
end

-- The list of commands: those for every day, which fit a screen of 25 rows, or all of them.
function help.overview(environment, all)
  local rows = {}
  for _, group in ipairs(texts().groups) do group_rows(group, environment, rows, all) end
  rows[#rows + 1] = 'help "commit" tells more; help "all" and help "lua" list the rest.'
  return table.concat(rows, "\n")
end

-- Words in rows of WIDTH; the rows of a description are only how it is written.
local function flow(text, rows)
  local row = " "
  for word in text:gmatch("%S+") do
    if #row + 1 + #word > WIDTH then
      rows[#rows + 1] = row
      row = " "
    end
    row = row .. " " .. word
  end
  rows[#rows + 1] = row
end

local function entry_text(entry)
  local rows = { entry.usage }
  if entry.arranged then
    for row in (entry.description .. "\n"):gmatch("([^\n]*)\n") do rows[#rows + 1] = "  " .. row end
  else
    flow(entry.description or entry.summary, rows)
  end
  if entry.example then
    rows[#rows + 1] = "Example:"
    for row in (entry.example .. "\n"):gmatch("([^\n]*)\n") do rows[#rows + 1] = "  > " .. row end
  end
  return table.concat(rows, "\n")
end

local function find_entry(name)
  for _, entry in ipairs(help.entries()) do
    if entry.name == name then return entry end
  end
end

-- The list of Lua's own functions, one library a row.
local function lua_overview(environment)
  local rows = { "Lua's own functions (help \"name\" for each):" }
  local by_library, order = {}, {}
  for _, entry in ipairs(lua_texts().entries) do
    if exists(environment, entry) then
      local library = entry.name:match("^(.-)%.") or "basic"
      if not by_library[library] then
        by_library[library] = {}
        order[#order + 1] = library
      end
      table.insert(by_library[library], entry.name:match("[^.]+$"))
    end
  end
  for _, library in ipairs(order) do
    local row = "  " .. library .. ":"
    for _, name in ipairs(by_library[library]) do
      if #row + #name + 1 > 78 then
        rows[#rows + 1] = row
        row = "   "
      end
      row = row .. " " .. name
    end
    rows[#rows + 1] = row
  end
  return table.concat(rows, "\n")
end

local function near_names(name, environment)
  local near = {}
  local wanted = name:lower()
  for _, candidate in ipairs(help.names(environment)) do
    if candidate:lower():find(wanted, 1, true) or wanted:find(candidate:lower(), 1, true) then
      near[#near + 1] = candidate
    end
  end
  return near
end

local function about_name(name, environment)
  local entry = find_entry(name)
  if entry and exists(environment, entry) then return entry_text(entry) end
  if name == "lua" then return lua_overview(environment) end
  if name == "all" then return help.overview(environment, true) end
  local near = name ~= "" and near_names(name, environment) or {}
  local hint = #near > 0 and "; there is " .. table.concat(near, ", ", 1, math.min(#near, 8)) or ""
  return ("no help for %q%s. help() lists what there is"):format(name, hint)
end

local function about_function(value, environment)
  for _, entry in ipairs(help.entries()) do
    if not entry.topic and lookup(environment, entry.name) == value then return entry_text(entry) end
  end
  return "a function without help of its own; help() lists what there is"
end

local function about_table(value, environment)
  for _, entry in ipairs(texts().entries) do
    if not entry.topic and lookup(environment, entry.name) == value then return entry_text(entry) end
  end
  for _, library in ipairs { "string", "table", "math", "utf8", "coroutine", "os", "io", "debug" } do
    if environment[library] == value then return lua_overview(environment) end
  end
  return "a table:\n" .. require("shell.printer").format(value, { depth = 1, length = 20 })
end

function help.about(value, environment)
  local kind = type(value)
  if kind == "string" then return about_name(value, environment) end
  if kind == "function" then return about_function(value, environment) end
  if kind == "table" then return about_table(value, environment) end
  if kind == "nil" then return "nil: the name is not set (is it quoted? help \"commit\"). help() lists what there is" end
  if kind == "number" then
    return ("%s: %s; help \"lua\" lists math.*"):format(require("shell.printer").format(value),
      math.type(value) == "integer" and "an integer of 64 bits" or "a float of 64 bits")
  end
  return ("a %s: %s"):format(kind, require("shell.printer").format(value))
end

return help
