-- Shapes: which keys a table has beside its array part, found by following its keys in the order in which `next` gives
-- them. The node that ends a walk knows the keys in canonical order, so that records are not sorted again and again;
-- after a few tables of that shape it has a function written for it, which makes the payload in one concatenation.
-- Only string keys lead on. The number of nodes is bounded; beyond it the cache starts afresh.
-- Relies on: fs.order, fs.value_encoder.

local messagepack <const> = require "fs.messagepack"
local order <const> = require "fs.order"
local value_encoder <const> = require "fs.value_encoder"

local load <const> = load
local math_type <const> = math.type
local next <const> = next
local string_format <const> = string.format
local table_concat <const> = table.concat
local type <const> = type
local utf8_len <const> = utf8.len

local shapes = {}

local FIXMAP <const> = messagepack.FIXMAP
local MAP16 <const> = messagepack.MAP16
local MAP32 <const> = messagepack.MAP32

local SHAPE_NODES_MAX <const> = 4096
local SHAPE_KEYS_MAX <const> = 40 -- a Lua function has 250 registers or so; a field takes five
local SHAPE_USES <const> = 4
local shape_root, shape_nodes = {}, 0
local SHAPE <const> = {} -- key under which a node keeps { uses =, keys =, encode = }; no string, so no table's key

local function shape_step(node, key)
  shape_nodes = shape_nodes + 1
  if shape_nodes > SHAPE_NODES_MAX then
    shape_root, shape_nodes = {}, 0
    return {}
  end
  local child = {}
  node[key] = child
  return child
end

local FIELD <const> = [[
  local head_N, value_N = "", t[KEY]
  if type(value_N) == "string" and #value_N <= 31 and utf8_len(value_N) then
    head_N = FIXSTR_HEAD[#value_N]
  else
    local bytes = encode_value(value_N, names, miss, KEY)
    if not bytes then return nil, KEY, value_N, "value" end
    value_N = bytes
  end
]]

-- keys: sorted list of strings -> function(array, t, names, miss) -> payload without metatable | nil, key, value, role
-- array: the encoded array part.
local function compile_shape(keys)
  local body, parts = {}, {}
  for i = 1, #keys do
    local quoted = string_format("%q", keys[i]):gsub("%%", "%%%%")
    body[i] = FIELD:gsub("_N", "_" .. i):gsub("KEY", quoted)
    local before = value_encoder.string(keys[i])
    if i == 1 then
      before = value_encoder.count(#keys, FIXMAP, MAP16, MAP32) .. before
    end
    parts[i] = string_format("%q .. head_%d .. value_%d", before, i, i)
  end
  local text = "local type, utf8_len, FIXSTR_HEAD, encode_value = ...\nreturn function(array, t, names, miss)\n"
    .. table_concat(body) .. "  return array .. " .. table_concat(parts, " .. ") .. "\nend"
  return load(text, "=codec of a shape", "t", {})(type, utf8_len, value_encoder.FIXSTR_HEAD, value_encoder.value)
end

-- The shape of a table that has string keys, and no others beside its array part.
local function new_shape(t)
  local keys = {}
  for key in next, t do
    if type(key) == "string" then
      keys[#keys + 1] = key
    end
  end
  order.sort_strings(keys)
  return { uses = 0, keys = keys }
end

-- -> the shape of t, whose array part is t[1..n] | false: it has no other keys | nil: it has other than string keys
function shapes.of(t, n)
  local node, count = shape_root, 0
  for key in next, t do
    local following = node[key]
    if following then
      node = following
      count = count + 1
    elseif n == 0 or math_type(key) ~= "integer" or key < 1 or key > n then
      count = count + 1
      if type(key) ~= "string" or count > SHAPE_KEYS_MAX then
        return nil
      end
      node = shape_step(node, key)
    end
  end
  if count == 0 then
    return false
  end
  local shape = node[SHAPE]
  if not shape then
    shape = new_shape(t)
    node[SHAPE] = shape
  end
  return shape
end

-- The payload of t, without metatable, by its shape's own function | false when the shape has not got one yet.
-- -> payload | nil, key, value, role | false
function shapes.encode(shape, array, t, names, miss)
  if shape.encode then
    return shape.encode(array, t, names, miss)
  end
  shape.uses = shape.uses + 1
  if shape.uses >= SHAPE_USES then
    shape.encode = compile_shape(shape.keys)
  end
  return false
end

return shapes
