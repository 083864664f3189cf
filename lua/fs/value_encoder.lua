-- Values, one at a time, as canonical MessagePack (formats/SPEC.md, section 7).
--
-- A string of more than CHUNK_BYTES is an object of its own where it is a value: `miss` is asked for its id. As a key it
-- stands in full.
-- Promises: the shortest form of everything; equal values give equal bytes.
-- Relies on: fs.layout, fs.messagepack.

local layout <const> = require "fs.layout"
local messagepack <const> = require "fs.messagepack"

local math_type <const> = math.type
local string_char <const> = string.char
local string_pack <const> = string.pack
local string_rep <const> = string.rep
local table_concat <const> = table.concat
local table_unpack <const> = table.unpack
local type <const> = type
local utf8_len <const> = utf8.len

local value_encoder = {}

local EXT_REFERENCE <const> = layout.EXT_REFERENCE
local EXT_PERMANENT <const> = layout.EXT_PERMANENT
local EXT_PACKED <const> = layout.EXT_PACKED
local EXT_STRING <const> = layout.EXT_STRING
local EXT_FUNCTION <const> = layout.EXT_FUNCTION
local CHUNK_BYTES <const> = layout.CHUNK_BYTES
local PACKED_F64 <const> = layout.PACKED_F64
local FIXSTR <const> = messagepack.FIXSTR
local FALSE <const> = messagepack.FALSE
local TRUE <const> = messagepack.TRUE
local BIN8 <const> = messagepack.BIN8
local BIN16 <const> = messagepack.BIN16
local BIN32 <const> = messagepack.BIN32
local EXT8 <const> = messagepack.EXT8
local EXT16 <const> = messagepack.EXT16
local EXT32 <const> = messagepack.EXT32
local FLOAT64 <const> = messagepack.FLOAT64
local UINT8 <const> = messagepack.UINT8
local UINT16 <const> = messagepack.UINT16
local UINT32 <const> = messagepack.UINT32
local UINT64 <const> = messagepack.UINT64
local INT8 <const> = messagepack.INT8
local INT16 <const> = messagepack.INT16
local INT32 <const> = messagepack.INT32
local INT64 <const> = messagepack.INT64
local FIXEXT1 <const> = messagepack.FIXEXT1
local FIXEXT2 <const> = messagepack.FIXEXT2
local FIXEXT4 <const> = messagepack.FIXEXT4
local FIXEXT8 <const> = messagepack.FIXEXT8
local STR8 <const> = messagepack.STR8
local STR16 <const> = messagepack.STR16
local STR32 <const> = messagepack.STR32
local FIXEXT <const> = messagepack.FIXEXT
local PACKED <const>, BATCH <const> = messagepack.PACKED, messagepack.BATCH

local SMALL <const> = {} -- integers of one byte -> their encoding
for i = -32, 127 do
  SMALL[i] = string_char(i & 0xff)
end
local FIXSTR_HEAD <const> = {} -- length -> first byte
for i = 0, 31 do
  FIXSTR_HEAD[i] = string_char(FIXSTR + i)
end
local BOOLEAN <const> = { [false] = string_char(FALSE), [true] = string_char(TRUE) }
local FLOAT_NAN <const> = string_char(FLOAT64) .. messagepack.NAN_BYTES

local function encode_integer(v)
  local small = SMALL[v]
  if small then
    return small
  elseif v >= 0 then
    if v <= 0xff then return string_pack(">BB", UINT8, v) end
    if v <= 0xffff then return string_pack(">BI2", UINT16, v) end
    if v <= 0xffffffff then return string_pack(">BI4", UINT32, v) end
    return string_pack(">Bi8", UINT64, v)
  end
  if v >= -0x80 then return string_pack(">Bb", INT8, v) end
  if v >= -0x8000 then return string_pack(">Bi2", INT16, v) end
  if v >= -0x80000000 then return string_pack(">Bi4", INT32, v) end
  return string_pack(">Bi8", INT64, v)
end

local function encode_float(v)
  if v ~= v then
    return FLOAT_NAN
  end
  return string_pack(">Bd", FLOAT64, v)
end

local function encode_string(v)
  local n = #v
  if utf8_len(v) then
    if n <= 31 then return FIXSTR_HEAD[n] .. v end
    if n <= 0xff then return string_pack(">Bs1", STR8, v) end
    if n <= 0xffff then return string_pack(">Bs2", STR16, v) end
    return string_pack(">Bs4", STR32, v)
  end
  if n <= 0xff then return string_pack(">Bs1", BIN8, v) end
  if n <= 0xffff then return string_pack(">Bs2", BIN16, v) end
  return string_pack(">Bs4", BIN32, v)
end

-- First bytes of an extension with n bytes of content.
local function extension_head(kind, n)
  local fixed = FIXEXT[n]
  if fixed then return string_char(fixed, kind) end
  if n <= 0xff then return string_char(EXT8, n, kind) end
  if n <= 0xffff then return string_pack(">BI2B", EXT16, n, kind) end
  return string_pack(">BI4B", EXT32, n, kind)
end

-- First two bytes of a reference, above its id.
local REFERENCE2 <const> = (FIXEXT2 << 8 | EXT_REFERENCE) << 16
local REFERENCE4 <const> = (FIXEXT4 << 8 | EXT_REFERENCE) << 32

-- name: an object's id (integer) or a permanent's name (string).
local function encode_name(name)
  if math_type(name) then
    if name <= 0xff then return string_char(FIXEXT1, EXT_REFERENCE, name) end
    if name <= 0xffff then return string_pack(">I4", REFERENCE2 | name) end
    if name <= 0xffffffff then return string_pack(">I6", REFERENCE4 | name) end
    return string_pack(">BBI8", FIXEXT8, EXT_REFERENCE, name)
  end
  return extension_head(EXT_PERMANENT, #name) .. name
end

-- The reference of a long string, by the id of its tree, or of a function.
local function encode_other_id(extension, id)
  if id <= 0xff then return string_char(FIXEXT1, extension, id) end
  if id <= 0xffff then return string_pack(">BBI2", FIXEXT2, extension, id) end
  if id <= 0xffffffff then return string_pack(">BBI4", FIXEXT4, extension, id) end
  return string_pack(">BBI8", FIXEXT8, extension, id)
end

local function encode_count(n, fixed, two, four)
  if n <= 15 then return string_char(fixed + n) end
  if n <= 0xffff then return string_pack(">BI2", two, n) end
  return string_pack(">BI4", four, n)
end

-- A copy of t[1..n] in which every NaN is the format's own | nil when there is none.
local function without_foreign_nans(t, n)
  for i = 1, n do
    local v = t[i]
    if v ~= v then
      local copy = {}
      for j = 1, n do
        local w = t[j]
        copy[j] = w == w and w or messagepack.NAN
      end
      return copy
    end
  end
end

local function encode_packed(t, n, code)
  local element <const> = PACKED[code]
  if code == PACKED_F64 then
    t = without_foreign_nans(t, n) or t
  end
  local out = { extension_head(EXT_PACKED, 1 + n * element.bytes), string_char(code) }
  local count = 2
  local i = 1
  while i + BATCH - 1 <= n do
    count = count + 1
    out[count] = string_pack(element.batch, table_unpack(t, i, i + BATCH - 1))
    i = i + BATCH
  end
  if i <= n then
    out[count + 1] = string_pack("<" .. string_rep(element.letter, n - i + 1), table_unpack(t, i, n))
  end
  return table_concat(out)
end

-- -> bytes | nil
local function encode_value(v, names, miss, key)
  local kind <const> = type(v)
  if kind == "string" then
    if #v > CHUNK_BYTES then
      local id = miss and miss(v, key)
      return id and encode_other_id(EXT_STRING, id) or nil
    end
    return encode_string(v)
  elseif kind == "number" then
    if math_type(v) == "integer" then
      return SMALL[v] or encode_integer(v)
    end
    return encode_float(v)
  elseif kind == "boolean" then
    return BOOLEAN[v]
  end
  local name = names[v]
  if name == nil and miss then
    name = miss(v, key)
  end
  if kind == "function" and math_type(name) then
    return encode_other_id(EXT_FUNCTION, name)
  end
  return name ~= nil and encode_name(name) or nil
end

-- A key. -> bytes | nil
local function encode_key(key, names)
  if type(key) == "string" then
    return encode_string(key)
  end
  return encode_value(key, names)
end

value_encoder.integer = encode_integer
value_encoder.string = encode_string
value_encoder.count = encode_count
value_encoder.packed = encode_packed
value_encoder.value = encode_value
value_encoder.key = encode_key
value_encoder.name = encode_name
-- Length of a short string -> its first byte.
value_encoder.FIXSTR_HEAD = FIXSTR_HEAD

return value_encoder
