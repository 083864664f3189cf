-- The nodes of ordered maps and their roots (formats/SPEC.md, section 7, KIND_MAP), out of payloads and into them.
--
--   root   [count, levels, root]
--   leaf   a map: { payload =, keys =, at =, values = }: keys in order; where each pair and each value begins, and in at[#keys + 1] where
--          the last ends. Values are checked, and decoded when they are asked for.
--   node   [child, key, child, key, …, child]: { keys =, children = ids }, keys[i] standing between children[i] and [i + 1]
--
-- Promises: accepts exactly what is canonical; no count is believed before the bytes are there.
-- Relies on: fs.codec, fs.layout, fs.messagepack, fs.value_decoder, fs.value_encoder.

local codec <const> = require "fs.codec"
local layout <const> = require "fs.layout"
local messagepack <const> = require "fs.messagepack"
local order <const> = require "fs.order"
local value_decoder <const> = require "fs.value_decoder"
local value_encoder <const> = require "fs.value_encoder"

local math_type <const> = math.type
local string_byte <const> = string.byte
local string_char <const> = string.char
local string_format <const> = string.format
local string_sub <const> = string.sub
local table_concat <const> = table.concat

local map_nodes = {}

local FIXARRAY <const>, ARRAY16 <const>, ARRAY32 <const> = messagepack.FIXARRAY, messagepack.ARRAY16, messagepack.ARRAY32
local FIXMAP <const>, MAP16 <const>, MAP32 <const> = messagepack.FIXMAP, messagepack.MAP16, messagepack.MAP32
local NIL <const> = messagepack.NIL
local ROOT_FIELDS <const> = 3
local LEVELS_MAX <const> = layout.MAP_LEVELS_MAX
local malformed <const> = value_decoder.malformed
local before <const> = order.before

-- Links for values that are looked at, and not taken: everything that they name is there.
local THERE <const> = setmetatable({}, { __index = function() return true end })
local CHECKING <const> = {
  objects = THERE, permanents = THERE, string = function() return "" end, callable = function() return true end,
}

-- -> position after the value at `at` | error
local function check_value(s, at)
  local value, after = value_decoder.value(s, at, CHECKING)
  return after or value
end

-- A key of an ordered map -> key, position after it | error. n = -1: every integer may be one.
local function read_key(s, at)
  local head <const> = string_byte(s, at)
  if head and value_decoder.is_extension(head) then
    return malformed(at, "a boolean, number or string", "an extension")
  end
  return codec.decode_key(s, at, -1)
end

-- A key above the one before. -> key, position after it | error
local function read_next_key(s, at, last, is_first)
  local key, after = read_key(s, at)
  if not after then
    return key
  elseif not is_first and not before(last, key) then
    return malformed(at, "keys in ascending order", "one that is not above the key before")
  end
  return key, after
end

-- How many pairs or elements the head of a payload says there are, as far as there may be so many.
function map_nodes.count(payload)
  local count = value_decoder.count(payload, 1, FIXMAP, MAP16, MAP32, "")
  if not math_type(count) then
    count = value_decoder.count(payload, 1, FIXARRAY, ARRAY16, ARRAY32, "")
  end
  return math_type(count) and math.min(count, #payload) or 0
end

-- -> leaf | nil, err
function map_nodes.decode_leaf(payload)
  local count, p = value_decoder.count(payload, 1, FIXMAP, MAP16, MAP32, "a leaf of a map")
  if not p then
    return nil, count
  elseif count == 0 then
    return nil, malformed(1, "pairs", "none")
  end
  local keys, at, values = {}, {}, {}
  for i = 1, count do
    local key, value_at = read_next_key(payload, p, keys[i - 1], i == 1)
    if not value_at then
      return nil, key
    end
    local after = check_value(payload, value_at)
    if not math_type(after) then
      return nil, after
    end
    keys[i], at[i], values[i] = key, p, value_at
    p = after
  end
  at[count + 1] = p
  if p <= #payload then
    return nil, malformed(p, "the end", string_format("%d more bytes", #payload - p + 1))
  end
  return { payload = payload, keys = keys, at = at, values = values }
end

local function read_child(s, at)
  local head <const> = string_byte(s, at)
  if not head or not value_decoder.is_extension(head) then
    return malformed(at, "the reference of a node", head and string_format("the byte %02x", head) or "the end")
  end
  local id, after = value_decoder.name(s, at)
  if after and not math_type(id) then
    return malformed(at, "the reference of a node", "a permanent")
  end
  return id, after
end

-- A node above the leaves. -> { keys =, children = } | nil, err
function map_nodes.decode_node(payload)
  local count, p = value_decoder.count(payload, 1, FIXARRAY, ARRAY16, ARRAY32, "a node of a map")
  if not p then
    return nil, count
  elseif count % 2 == 0 then
    return nil, malformed(1, "one child more than keys", string_format("%d elements", count))
  end
  local keys, children = {}, {}
  for i = 1, (count + 1) // 2 do
    if i > 1 then
      local key, after = read_next_key(payload, p, keys[i - 2], i == 2)
      if not after then
        return nil, key
      end
      keys[i - 1], p = key, after
    end
    local id, after = read_child(payload, p)
    if not after then
      return nil, id
    end
    children[i], p = id, after
  end
  if p <= #payload then
    return nil, malformed(p, "the end", string_format("%d more bytes", #payload - p + 1))
  end
  return { keys = keys, children = children }
end

-- Does a leaf or node with these keys, which is not empty, lie between the keys around it?
function map_nodes.lies_between(keys, low, high)
  local first <const>, last <const> = keys[1], keys[#keys]
  return (low == nil or first == nil or not before(first, low)) and (high == nil or last == nil or before(last, high))
end

-- An integer that is not negative. -> integer, position after it | error
local function read_integer(s, at, what)
  local head <const> = string_byte(s, at)
  if head and value_decoder.is_extension(head) then
    return malformed(at, what, "an extension")
  end
  local value, after = value_decoder.key(s, at)
  if not after then
    return value
  elseif math_type(value) ~= "integer" or value < 0 then
    return malformed(at, what, "something else")
  end
  return value, after
end

-- -> { count =, levels =, root = id or nil } | nil, err
function map_nodes.decode_root(payload)
  if string_byte(payload, 1) ~= FIXARRAY + ROOT_FIELDS then
    return nil, malformed(1, "an ordered map, of 3 elements", "something else")
  end
  local count, levels, root, p
  count, p = read_integer(payload, 2, "how many pairs")
  if not p then
    return nil, count
  end
  levels, p = read_integer(payload, p, "how many levels")
  if not p then
    return nil, levels
  end
  if string_byte(payload, p) == NIL then
    p = p + 1
  else
    local after
    root, after = read_child(payload, p)
    if not after then
      return nil, root
    end
    p = after
  end
  if p <= #payload then
    return nil, malformed(p, "the end", string_format("%d more bytes", #payload - p + 1))
  elseif levels > LEVELS_MAX then
    return nil, malformed(1, string_format("at most %d levels", LEVELS_MAX), string_format("%d", levels))
  elseif (count == 0) ~= (root == nil) or (levels == 0) ~= (root == nil) then
    return nil, malformed(1, "a root if there are pairs, and levels if there is a root",
      string_format("%d pairs, %d levels", count, levels))
  end
  return { count = count, levels = levels, root = root }
end

function map_nodes.encode_root(count, levels, root)
  return string_char(FIXARRAY + ROOT_FIELDS) .. value_encoder.integer(count) .. value_encoder.integer(levels)
    .. (root and value_encoder.name(root) or string_char(NIL))
end

-- parts: encoded pairs. -> payload
function map_nodes.encode_leaf(parts)
  return value_encoder.count(#parts, FIXMAP, MAP16, MAP32) .. table_concat(parts)
end

-- -> payload
function map_nodes.encode_node(children, keys)
  local out = { value_encoder.count(2 * #children - 1, FIXARRAY, ARRAY16, ARRAY32), value_encoder.name(children[1]) }
  for i = 2, #children do
    out[#out + 1] = value_encoder.key(keys[i - 1])
    out[#out + 1] = value_encoder.name(children[i])
  end
  return table_concat(out)
end

-- -> the encoded pair, the encoded value of a leaf's pair
function map_nodes.pair(leaf, i)
  return string_sub(leaf.payload, leaf.at[i], leaf.at[i + 1] - 1)
end

function map_nodes.value(leaf, i)
  return string_sub(leaf.payload, leaf.values[i], leaf.at[i + 1] - 1)
end

-- The key that is given to an ordered map, as it keeps it. -> key | nil, what it is instead
function map_nodes.normal_key(key)
  local kind <const> = math_type(key)
  if kind == "float" then
    if key ~= key then
      return nil, "NaN"
    end
    return math.tointeger(key) or key
  elseif kind or type(key) == "string" or type(key) == "boolean" then
    return key
  end
  return nil, type(key)
end

return map_nodes
