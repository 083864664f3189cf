-- Permanents: values that are stored by name, because they are part of the system and not of the data.
--
-- The globals table is "_G", a standard library is "string", a function of it "string.format", a base function "print".
-- A session may register more (native functions, classes that come with a program).
-- Promises: a name stands for one value, and that value is saved under one name; registering a name again for
-- another value is an error.
-- Relies on: the environment as it is before any program has run in it.

local wrappers <const> = require "fs.wrappers"

local next <const> = next
local rawget <const> = rawget
local type <const> = type

local permanents = {}

local BASE <const> = {
  "assert", "collectgarbage", "dofile", "error", "getmetatable", "ipairs", "load", "loadfile", "next", "pairs", "pcall",
  "print", "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "tonumber", "tostring", "type",
  "warn", "xpcall",
}
local LIBRARIES <const> = { "coroutine", "debug", "io", "math", "os", "string", "table", "utf8" }

-- -> registry { values = name -> value, names = value -> name }, names being the given table.
function permanents.new(names)
  return { values = {}, names = names }
end

-- value may be a table, a function or a userdata. Raises when the name stands for another value.
function permanents.register(registry, name, value)
  local known = registry.values[name]
  if type(name) ~= "string" or name == "" or not utf8.len(name) then
    error("a permanent's name must be UTF-8 text", 2)
  elseif known ~= nil and known ~= value then
    error(string.format("the name %q is registered for another value", name), 2)
  end
  local kind <const> = type(value)
  if kind ~= "table" and kind ~= "function" and kind ~= "userdata" then
    error("only tables, functions and userdata are registered by name, not a " .. kind, 2)
  end
  registry.values[name] = value
  if registry.names[value] == nil then
    registry.names[value] = name
  end
end

-- Registers the functions of a library, in Lua or in C: some of the system's stand in for Lua's own.
local function register_library(registry, name, library)
  permanents.register(registry, name, library)
  local names = {}
  for field, value in next, library do
    if type(field) == "string" and type(value) == "function" then
      names[#names + 1] = field
    end
  end
  table.sort(names)
  for _, field in ipairs(names) do
    permanents.register(registry, name .. "." .. field, library[field])
  end
end

-- Registers everything standard that `environment` holds, and the environment itself.
function permanents.register_environment(registry, environment)
  permanents.register(registry, "_G", environment)
  for _, name in ipairs(LIBRARIES) do
    local library = rawget(environment, name)
    if type(library) == "table" then
      register_library(registry, name, library)
    end
  end
  for _, name in ipairs(BASE) do
    local value = rawget(environment, name)
    if type(value) == "function" then
      permanents.register(registry, name, value)
    end
  end
  for name, original in next, wrappers.originals do
    if registry.values[name] ~= nil and registry.names[original] == nil then
      registry.names[original] = name
    end
  end
end

return permanents
