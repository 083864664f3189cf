-- What a KIND_TREE and the nodes above its leaves look like (formats/SPEC.md, section 7).
--
--   a long string   [TREE_STRING, bytes, levels, [child, …]]
--   a large table   [TREE_TABLE, metatable or nil, levels, [child, …], levels, [child, …]]
--   a node          [child, …]
--
-- Promises: reads exactly what is canonical; a count is not believed before the bytes are there.
-- Relies on: fs.layout, fs.messagepack, fs.value_decoder, fs.value_encoder.

local layout <const> = require "fs.layout"
local messagepack <const> = require "fs.messagepack"
local value_decoder <const> = require "fs.value_decoder"
local value_encoder <const> = require "fs.value_encoder"

local math_type <const> = math.type
local string_byte <const> = string.byte
local string_char <const> = string.char
local string_format <const> = string.format
local table_concat <const> = table.concat

local tree_forms = {}

local FIXARRAY <const>, ARRAY16 <const>, ARRAY32 <const> = messagepack.FIXARRAY, messagepack.ARRAY16, messagepack.ARRAY32
-- First bytes of a bin: bytes of its head, form and least value of its length.
local BIN <const> = {
  [messagepack.BIN8] = { size = 2, format = ">B", least = 0 },
  [messagepack.BIN16] = { size = 3, format = ">I2", least = 0x100 },
  [messagepack.BIN32] = { size = 5, format = ">I4", least = 0x10000 },
}
local STRING_FIELDS <const>, TABLE_FIELDS <const> = 4, 6
local malformed <const> = value_decoder.malformed
local encode_name <const> = value_encoder.name

-- ids: list of object ids. -> payload of a node, and what stands for children in a root
local function encode_children(ids)
  local out = { value_encoder.count(#ids, FIXARRAY, ARRAY16, ARRAY32) }
  for i = 1, #ids do
    out[i + 1] = encode_name(ids[i])
  end
  return table_concat(out)
end
tree_forms.encode_children = encode_children

-- part: { levels =, children = list of ids }.
local function encode_part(part)
  return value_encoder.integer(part.levels) .. encode_children(part.children)
end

function tree_forms.encode_string(bytes, part)
  return string_char(FIXARRAY + STRING_FIELDS, layout.TREE_STRING) .. value_encoder.integer(bytes) .. encode_part(part)
end

-- metatable: id, permanent's name or nil.
function tree_forms.encode_table(metatable, array, map)
  return string_char(FIXARRAY + TABLE_FIELDS, layout.TREE_TABLE)
    .. (metatable and encode_name(metatable) or string_char(messagepack.NIL)) .. encode_part(array) .. encode_part(map)
end

-- Readers give value, position after it | error, as those of fs.value_decoder.

-- An integer that is not negative.
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

local function read_children(s, at)
  local count, p = value_decoder.count(s, at, FIXARRAY, ARRAY16, ARRAY32, "an array of references")
  if not p then
    return count
  end
  local ids = {}
  for i = 1, count do
    local head <const> = string_byte(s, p)
    if not head or not value_decoder.is_extension(head) then
      return malformed(p, "a reference", head and string_format("the byte %02x", head) or "the end")
    end
    local id, after = value_decoder.name(s, p)
    if not after then
      return id
    elseif not math_type(id) then
      return malformed(p, "a reference", "a permanent")
    end
    ids[i], p = id, after
  end
  return ids, p
end

local function read_part(s, at)
  local levels, p = read_integer(s, at, "how many levels")
  if not p then
    return levels
  elseif levels > layout.LEVELS_MAX then
    return malformed(at, string_format("at most %d levels", layout.LEVELS_MAX), string_format("%d", levels))
  end
  local children, after = read_children(s, p)
  if not after then
    return children
  elseif (levels == 0) ~= (#children == 0) then
    return malformed(at, "children, or neither levels nor children", string_format("%d levels, %d children", levels, #children))
  end
  return { levels = levels, children = children }, after
end

local function read_metatable(s, at)
  local head <const> = string_byte(s, at)
  if head == messagepack.NIL then
    return false, at + 1
  elseif not head or not value_decoder.is_extension(head) then
    return malformed(at, "a metatable or nil", "something else")
  end
  return value_decoder.name(s, at)
end

local function read_string(s, at)
  local bytes, p = read_integer(s, at, "how many bytes")
  if not p then
    return bytes
  end
  local part, after = read_part(s, p)
  if not after then
    return part
  elseif part.levels == 0 then
    return malformed(p, "children", "none")
  end
  return { form = layout.TREE_STRING, bytes = bytes, part = part }, after
end

local function read_table(s, at)
  local metatable, p = read_metatable(s, at)
  if not p then
    return metatable
  end
  local array, map
  array, p = read_part(s, p)
  if not p then
    return array
  end
  map, p = read_part(s, p)
  if not p then
    return map
  end
  return { form = layout.TREE_TABLE, metatable = metatable or nil, array = array, map = map }, p
end

-- The payload of a KIND_TREE. -> { form =, and bytes, part | metatable (id, name or nil), array, map } | nil, err
function tree_forms.decode(payload)
  local count, at = value_decoder.count(payload, 1, FIXARRAY, ARRAY16, ARRAY32, "a tree")
  if not at then
    return nil, count
  end
  local form <const>, p = read_integer(payload, at, "a string or a table")
  if not p then
    return nil, form
  end
  local found, after
  if form == layout.TREE_STRING and count == STRING_FIELDS then
    found, after = read_string(payload, p)
  elseif form == layout.TREE_TABLE and count == TABLE_FIELDS then
    found, after = read_table(payload, p)
  else
    found = malformed(1, "a string of 4 elements or a table of 6", string_format("form %d of %d", form, count))
  end
  if not after then
    return nil, found
  elseif after <= #payload then
    return nil, malformed(after, "the end", string_format("%d more bytes", #payload - after + 1))
  end
  return found
end

-- The payload of a node above the leaves. -> list of ids | nil, err
function tree_forms.decode_node(payload)
  local ids, after = read_children(payload, 1)
  if not after then
    return nil, ids
  elseif #ids == 0 then
    return nil, malformed(1, "children", "none")
  elseif after <= #payload then
    return nil, malformed(after, "the end", string_format("%d more bytes", #payload - after + 1))
  end
  return ids
end

-- The payload of a piece of a string: a bin. -> its bytes | nil, err
function tree_forms.decode_string_piece(payload)
  local head <const> = string_byte(payload, 1)
  local form <const> = head and BIN[head]
  if form and #payload >= form.size then
    local n = string.unpack(form.format, payload, 2)
    if n >= form.least and n > 0 and #payload == form.size + n then
      return payload:sub(form.size + 1)
    end
  end
  return nil, malformed(1, "a piece of a string, a bin that is not empty", string_format("%d bytes", #payload))
end

return tree_forms
