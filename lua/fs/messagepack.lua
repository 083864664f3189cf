-- What MessagePack and the format's packed arrays look like: first bytes, element codes, the one NaN.
--
-- Both directions of the codec take their numbers from here; those of extension types and element codes are fs.layout's.
-- Relies on: fs.layout.

local layout <const> = require "fs.layout"

local math_type <const> = math.type
local next <const> = next
local string_rep <const> = string.rep

local messagepack = {}

-- First bytes. A fixed form holds a small number in its low bits.
messagepack.FIXMAP = 0x80
messagepack.FIXARRAY = 0x90
messagepack.FIXSTR = 0xa0
messagepack.NIL = 0xc0
messagepack.FALSE = 0xc2
messagepack.TRUE = 0xc3
messagepack.BIN8 = 0xc4
messagepack.BIN16 = 0xc5
messagepack.BIN32 = 0xc6
messagepack.EXT8 = 0xc7
messagepack.EXT16 = 0xc8
messagepack.EXT32 = 0xc9
messagepack.FLOAT32 = 0xca
messagepack.FLOAT64 = 0xcb
messagepack.UINT8 = 0xcc
messagepack.UINT16 = 0xcd
messagepack.UINT32 = 0xce
messagepack.UINT64 = 0xcf
messagepack.INT8 = 0xd0
messagepack.INT16 = 0xd1
messagepack.INT32 = 0xd2
messagepack.INT64 = 0xd3
messagepack.FIXEXT1 = 0xd4
messagepack.FIXEXT2 = 0xd5
messagepack.FIXEXT4 = 0xd6
messagepack.FIXEXT8 = 0xd7
messagepack.FIXEXT16 = 0xd8
messagepack.STR8 = 0xd9
messagepack.STR16 = 0xda
messagepack.STR32 = 0xdb
messagepack.ARRAY16 = 0xdc
messagepack.ARRAY32 = 0xdd
messagepack.MAP16 = 0xde
messagepack.MAP32 = 0xdf

-- Bytes of an extension's content -> first byte, where it has a fixed one.
messagepack.FIXEXT = {
  [1] = messagepack.FIXEXT1, [2] = messagepack.FIXEXT2, [4] = messagepack.FIXEXT4, [8] = messagepack.FIXEXT8,
  [16] = messagepack.FIXEXT16,
}

-- The one NaN of the format.
messagepack.NAN_BYTES = "\x7f\xf8\0\0\0\0\0\0"
messagepack.NAN = string.unpack(">d", messagepack.NAN_BYTES)

-- Elements of packed arrays, by code: pack letter, bytes, least and greatest value, pack formats of 1, 8, BATCH elements.
messagepack.PACKED = {
  [layout.PACKED_I8] = { letter = "b", bytes = 1, min = -0x80, max = 0x7f },
  [layout.PACKED_I16] = { letter = "h", bytes = 2, min = -0x8000, max = 0x7fff },
  [layout.PACKED_I32] = { letter = "i4", bytes = 4, min = -0x80000000, max = 0x7fffffff },
  [layout.PACKED_I64] = { letter = "i8", bytes = 8, min = math.mininteger, max = math.maxinteger },
  [layout.PACKED_F64] = { letter = "d", bytes = 8 },
}
messagepack.BATCH = 128
for _, element in next, messagepack.PACKED do
  element.one = "<" .. element.letter
  element.eight = "<" .. string_rep(element.letter, 8)
  element.batch = "<" .. string_rep(element.letter, messagepack.BATCH)
end

-- Are t[1..n] all integers or all floats? -> code of the packed element | nil
function messagepack.packed_code(t, n)
  local kind <const> = math_type(t[1])
  if not kind then
    return nil
  end
  if kind == "float" then
    for i = 2, n do
      if math_type(t[i]) ~= "float" then return nil end
    end
    return layout.PACKED_F64
  end
  local least, greatest = t[1], t[1]
  for i = 2, n do
    local v = t[i]
    if math_type(v) ~= "integer" then return nil end
    if v < least then least = v elseif v > greatest then greatest = v end
  end
  for code = layout.PACKED_I8, layout.PACKED_I64 do
    if messagepack.PACKED[code].min <= least and greatest <= messagepack.PACKED[code].max then
      return code
    end
  end
end

return messagepack
