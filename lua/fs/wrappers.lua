-- The functions of Lua's base library that go past metamethods, in versions that load a stub first; and `load`, which keeps
-- the text that it compiles (fs.chunk_texts), so that its functions can be saved.
--
-- install(environment) replaces them in an environment (a process's globals). Everything else of the standard
-- library reaches a table's content through metamethods and needs nothing: a test runs all of it on stubs.
-- Promises: on tables that are not stubs, and on anything else, they do what Lua's own do; installing twice changes
-- nothing.
-- Relies on: fs.chunk_texts, fs.stubs.

local chunk_texts <const> = require "fs.chunk_texts"
local stubs <const> = require "fs.stubs"

local raw_next <const> = next
local raw_get <const> = rawget
local raw_set <const> = rawset
local raw_len <const> = rawlen
local raw_getmetatable <const> = getmetatable
local raw_setmetatable <const> = setmetatable
local raw_load <const> = load
local string_byte <const> = string.byte
local table_concat <const> = table.concat
local tostring <const> = tostring
local type <const> = type
local is_stub <const> = stubs.is
local touch <const> = stubs.touch
local note_metatable <const> = stubs.note_metatable

local wrappers = {}

local function touched(t)
  if t ~= nil and is_stub(t) then
    touch(t, 3)
  end
end

local BINARY <const> = 0x1b -- a compiled chunk begins with it

-- Passes on what load has returned; the text that it compiled, a string or a list of its pieces, is kept.
local function compiled(text, name, f, ...)
  if f then
    text = type(text) == "table" and table_concat(text) or text
    if string_byte(text) ~= BINARY then
      chunk_texts.remember(name and tostring(name), text)
    end
  end
  return f, ...
end

local function load_pieces(read, ...)
  local pieces <const> = {}
  local function piece()
    local text <const> = read()
    if text then
      pieces[#pieces + 1] = type(text) == "number" and tostring(text) or text
    end
    return text
  end
  return compiled(pieces, (...) or "=(load)", raw_load(piece, ...))
end

wrappers.functions = {
  load = function(text, ...)
    if type(text) == "function" then
      return load_pieces(text, ...)
    elseif type(text) ~= "string" then
      return raw_load(text, ...)
    end
    return compiled(text, (...), raw_load(text, ...))
  end,
  next = function(t, ...)
    touched(t)
    return raw_next(t, ...)
  end,
  rawget = function(t, ...)
    touched(t)
    return raw_get(t, ...)
  end,
  rawset = function(t, ...)
    touched(t)
    return raw_set(t, ...)
  end,
  rawlen = function(t, ...)
    touched(t)
    return raw_len(t, ...)
  end,
  getmetatable = function(t, ...)
    touched(t)
    return raw_getmetatable(t, ...)
  end,
  setmetatable = function(t, ...)
    local metatable <const> = ...
    touched(t)
    touched(metatable)
    if metatable ~= nil then
      note_metatable(metatable)
    end
    return raw_setmetatable(t, ...)
  end,
}

-- Lua's own, by name: what the wrapped ones stand for.
wrappers.originals = {
  load = raw_load, next = raw_next, rawget = raw_get, rawset = raw_set, rawlen = raw_len, getmetatable = raw_getmetatable,
  setmetatable = raw_setmetatable,
}

-- Replaces in environment those of the functions that it has. -> environment
function wrappers.install(environment)
  for name, wrapped in raw_next, wrappers.functions do
    if raw_get(environment, name) == wrappers.originals[name] then
      raw_set(environment, name, wrapped)
    end
  end
  return environment
end

return wrappers
