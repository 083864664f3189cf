-- How places in the object graph are written: as Lua would write them.
--
-- root.ship.crew[3], root["odd key"], root[true], root[0.5]. A key that is a table is named by its own path or its id.
-- Relies on: nothing.

local math_type <const> = math.type
local string_format <const> = string.format
local type <const> = type

local paths = {}

local RESERVED <const> = {}
for word in ([[and break do else elseif end false for function global goto if in local nil not or repeat return then
  true until while]]):gmatch("%a+") do
  RESERVED[word] = true
end

local ESCAPES <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

local function escape(c)
  return ESCAPES[c] or string_format("\\x%02x", c:byte())
end

-- A string as a literal on one line; valid UTF-8 stays readable.
function paths.quote(s)
  local pattern = utf8.len(s) and '[%c\\"]' or '[%c\\"\x80-\xff]'
  return '"' .. s:gsub(pattern, escape) .. '"'
end

local function number(v)
  if math_type(v) == "integer" then
    return string_format("%d", v)
  elseif v ~= v then
    return "0/0"
  elseif v == math.huge or v == -math.huge then
    return v > 0 and "math.huge" or "-math.huge"
  end
  local text = string_format("%.14g", v)
  if tonumber(text) ~= v then
    text = string_format("%.17g", v)
  end
  return text:find("[.e]") and text or text .. ".0"
end

-- The part of a path that leads from a table to its field `key`. name_of(v) writes what is no boolean, number or string.
function paths.step(key, name_of)
  local kind <const> = type(key)
  if kind == "string" then
    if key:find("^[%a_][%w_]*$") and not RESERVED[key] then
      return "." .. key
    end
    return "[" .. paths.quote(key) .. "]"
  elseif kind == "number" then
    return "[" .. number(key) .. "]"
  elseif kind == "boolean" then
    return key and "[true]" or "[false]"
  end
  return "[" .. name_of(key) .. "]"
end

-- The part of a path that leads from an ordered map to the value under a key: as a table's, but never with a dot.
function paths.item(key)
  return type(key) == "string" and "[" .. paths.quote(key) .. "]" or paths.step(key)
end

return paths
