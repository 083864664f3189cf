-- Where the elements of a payload end, found from their first bytes alone.
--
-- Promises nothing about payloads that were not checked before: it is for those that this program encoded or decoded.
-- Relies on: fs.messagepack.

local messagepack <const> = require "fs.messagepack"

local string_byte <const> = string.byte
local string_unpack <const> = string.unpack

local extents = {}

-- First byte -> bytes of the element, or of its head where a length in `FORMAT` follows the first byte.
local SIZE <const>, FORMAT <const> = {}, {}

for head = 0x00, 0x7f do SIZE[head] = 1 end
for head = 0xe0, 0xff do SIZE[head] = 1 end
for head = messagepack.FIXSTR, messagepack.FIXSTR + 31 do SIZE[head] = 1 + head - messagepack.FIXSTR end
for head, size in next, {
  [messagepack.NIL] = 1, [messagepack.FALSE] = 1, [messagepack.TRUE] = 1, [messagepack.FLOAT64] = 9,
  [messagepack.UINT8] = 2, [messagepack.UINT16] = 3, [messagepack.UINT32] = 5, [messagepack.UINT64] = 9,
  [messagepack.INT8] = 2, [messagepack.INT16] = 3, [messagepack.INT32] = 5, [messagepack.INT64] = 9,
  [messagepack.FIXEXT1] = 3, [messagepack.FIXEXT2] = 4, [messagepack.FIXEXT4] = 6, [messagepack.FIXEXT8] = 10,
  [messagepack.FIXEXT16] = 18,
} do
  SIZE[head] = size
end
for head, form in next, {
  [messagepack.STR8] = { ">B", 2 }, [messagepack.STR16] = { ">I2", 3 }, [messagepack.STR32] = { ">I4", 5 },
  [messagepack.BIN8] = { ">B", 2 }, [messagepack.BIN16] = { ">I2", 3 }, [messagepack.BIN32] = { ">I4", 5 },
  [messagepack.EXT8] = { ">B", 3 }, [messagepack.EXT16] = { ">I2", 4 }, [messagepack.EXT32] = { ">I4", 6 },
} do
  FORMAT[head], SIZE[head] = form[1], form[2]
end

-- -> position after the scalar, string or extension at `at`
function extents.after(s, at)
  local head <const> = string_byte(s, at)
  local format <const> = FORMAT[head]
  if format then
    return at + SIZE[head] + string_unpack(format, s, at + 1)
  end
  return at + SIZE[head]
end

-- -> the count of the array (not a packed one) or map whose head is at `at`, position of its first element
function extents.count(s, at)
  local head <const> = string_byte(s, at)
  if head < messagepack.FIXSTR then
    return head & 15, at + 1
  elseif head == messagepack.ARRAY16 or head == messagepack.MAP16 then
    return string_unpack(">I2", s, at + 1), at + 3
  end
  return string_unpack(">I4", s, at + 1), at + 5
end

-- -> position after an array part, packed or not
function extents.after_array(s, at)
  if SIZE[string_byte(s, at)] then
    return extents.after(s, at)
  end
  local count, p = extents.count(s, at)
  for _ = 1, count do
    p = extents.after(s, p)
  end
  return p
end

return extents
