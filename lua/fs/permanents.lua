-- Permanents: values that are stored by name, because they are part of the system and not of the data.
--
-- The globals table is "_G", a standard library is "string", a function of it "string.format", a base function "print".
-- A session may register more (native functions, classes that come with a program).
--
-- A class, a table that is used as a metatable, may have a version: an integer in its field __version when it is registered. Objects
-- are saved with it ("Ship:2"). What was saved with an earlier one, or without any, counts as 0, is told apart when it is read
-- (`older`), so that the class's __migrate can be asked to change it (fs.loading); a later one is unknown.
-- Promises: a name stands for one value, and that value is saved under one name; registering a name again for
-- another value is an error.
-- Relies on: the environment as it is before any program has run in it.

local wrappers <const> = require "fs.wrappers"

local next <const> = next
local rawget <const> = rawget
local setmetatable <const> = setmetatable
local string_match <const> = string.match
local type <const> = type

local permanents = {}

local BASE <const> = {
  "assert", "collectgarbage", "dofile", "error", "getmetatable", "ipairs", "load", "loadfile", "next", "pairs", "pcall",
  "print", "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "tonumber", "tostring", "type",
  "warn", "xpcall",
}
local LIBRARIES <const> = { "coroutine", "debug", "io", "math", "os", "string", "table", "utf8" }

-- What a name of a version of a class stands for, in values[name].
local function find_class(registry, name)
  local base, digits = string_match(name, "^(.*):(%d+)$")
  local class = registry.classes[base or name]
  if not class then
    return nil
  end
  local version = base and math.tointeger(tonumber(digits)) or 0
  if version > class.version then
    return nil
  elseif version < class.version then
    registry.older[class.value] = version
  end
  return class.value
end

-- -> registry { values = name -> value, names = value -> name }, names being the given table.
function permanents.new(names)
  local registry = { names = names, classes = {}, older = {} } -- classes: name -> { value =, version = }
  registry.values = setmetatable({}, { __index = function(_, name) return find_class(registry, name) end })
  return registry
end

-- Begins to note what is read of earlier versions.
function permanents.begin(registry)
  if next(registry.older) ~= nil then
    registry.older = {}
  end
end

-- -> the version of the class as which it was read since, if that is not its version now | nil
function permanents.older(registry, class)
  return registry.older[class]
end

-- Calls visit(name, value) for everything that is registered.
function permanents.each(registry, visit)
  for name, value in next, registry.values do
    visit(name, value)
  end
  for name, class in next, registry.classes do
    visit(name, class.value)
  end
end

local function version_of(value)
  local version <const> = type(value) == "table" and rawget(value, "__version") or nil
  if version ~= nil and (math.type(version) ~= "integer" or version < 0) then
    error("the __version of a class is an integer, from 0 on", 3)
  end
  return version
end

-- The class has a version now, or another one than it had.
local function register_class(registry, name, value, version)
  if registry.names[value] == name then
    registry.names[value] = nil
  end
  registry.values[name], registry.classes[name] = nil, { value = value, version = version }
  local before <const> = registry.names[value]
  if before == nil or type(before) == "string" and string_match(before, "^(.*):%d+$") == name then
    registry.names[value] = string.format("%s:%d", name, version)
  end
end

-- value may be a table, a function or a userdata. Raises when the name stands for another value.
function permanents.register(registry, name, value)
  if type(name) ~= "string" or name == "" or not utf8.len(name) then
    error("a permanent's name must be UTF-8 text", 2)
  elseif string_match(name, ":%d+$") then
    error("a permanent's name does not end in a colon and a number: so the versions of classes are called", 2)
  end
  local class <const> = registry.classes[name]
  local known = rawget(registry.values, name)
  if class then
    known = class.value
  end
  if known ~= nil and known ~= value then
    error(string.format("the name %q is registered for another value", name), 2)
  end
  local kind <const> = type(value)
  if kind ~= "table" and kind ~= "function" and kind ~= "userdata" then
    error("only tables, functions and userdata are registered by name, not a " .. kind, 2)
  end
  local version <const> = version_of(value)
  if version then
    return register_class(registry, name, value, version)
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
