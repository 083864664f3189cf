-- Values, one at a time, out of canonical MessagePack (formats/SPEC.md, section 7); everything else is refused.
--
-- Promises: what is accepted is what fs.value_encoder makes; no length is believed before the bytes are there.
-- Relies on: fs.layout, fs.messagepack.
--
-- Readers take the payload and a position (1-based) and give value, position after it; or an error and no position.

local layout <const> = require "fs.layout"
local messagepack <const> = require "fs.messagepack"

local math_type <const> = math.type
local string_byte <const> = string.byte
local string_format <const> = string.format
local string_sub <const> = string.sub
local string_unpack <const> = string.unpack
local type <const> = type
local utf8_len <const> = utf8.len

local value_decoder = {}

local EXT_REFERENCE <const> = layout.EXT_REFERENCE
local EXT_PERMANENT <const> = layout.EXT_PERMANENT
local EXT_STRING <const> = layout.EXT_STRING
local EXT_FUNCTION <const> = layout.EXT_FUNCTION
local CHUNK_BYTES <const> = layout.CHUNK_BYTES
local ID_MASK <const> = layout.ID_MASK
local FIXSTR <const> = messagepack.FIXSTR
local NIL <const> = messagepack.NIL
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
local FIXEXT16 <const> = messagepack.FIXEXT16
local STR8 <const> = messagepack.STR8
local STR16 <const> = messagepack.STR16
local STR32 <const> = messagepack.STR32

local function hexadecimal(s)
  return (s:gsub(".", function(c) return string_format("%02x", string_byte(c)) end))
end

-- at: 1-based position of what is wrong.
local function malformed(at, expected, found)
  return {
    code = "malformed", offset = at - 1, expected = expected, found = found,
    message = string_format("offset %d: expected %s, found %s", at - 1, expected, found),
  }
end

local function truncated(s, at, what)
  return malformed(at, what, string_format("the end after %d bytes", #s - at + 1))
end

-- First byte -> reader. Those of single-byte values are answered by decode_value itself.
local READ <const> = {}

local function number_reader(head, format, size, accepts, expected)
  READ[head] = function(s, at)
    if #s - at < size then
      return truncated(s, at, expected)
    end
    local v = string_unpack(format, s, at + 1)
    if not accepts(v) then
      return malformed(at, expected .. " in its shortest form", hexadecimal(string_sub(s, at, at + size)))
    end
    return v, at + size + 1
  end
end
number_reader(UINT8, ">B", 1, function(v) return v > 0x7f end, "an integer")
number_reader(UINT16, ">I2", 2, function(v) return v > 0xff end, "an integer")
number_reader(UINT32, ">I4", 4, function(v) return v > 0xffff end, "an integer")
number_reader(UINT64, ">i8", 8, function(v) return v > 0xffffffff end, "an integer up to 2^63-1")
number_reader(INT8, ">b", 1, function(v) return v < -32 end, "an integer")
number_reader(INT16, ">i2", 2, function(v) return v < -0x80 end, "an integer")
number_reader(INT32, ">i4", 4, function(v) return v < -0x8000 end, "an integer")
number_reader(INT64, ">i8", 8, function(v) return v < -0x80000000 end, "an integer")

READ[FLOAT64] = function(s, at)
  if #s - at < 8 then
    return truncated(s, at, "a float of 64 bits")
  end
  local v = string_unpack(">d", s, at + 1)
  if v ~= v and string_sub(s, at + 1, at + 8) ~= messagepack.NAN_BYTES then
    return malformed(at, "the NaN 7ff8000000000000", hexadecimal(string_sub(s, at + 1, at + 8)))
  end
  return v, at + 9
end

-- String of n bytes whose bytes begin at `start`; at: where its first byte is. is_text: a str, not a bin.
local function read_string(s, at, start, n, is_text)
  local v = string_sub(s, start, start + n - 1)
  if #v ~= n then
    return truncated(s, at, string_format("a string of %d bytes", n))
  end
  if (utf8_len(v) ~= nil) ~= is_text then
    return malformed(at, is_text and "str to be valid UTF-8" or "bin to hold other than valid UTF-8",
      string_format("%d bytes", n))
  end
  return v, start + n
end

local function string_reader(head, format, size, least, is_text)
  READ[head] = function(s, at)
    if #s - at < size then
      return truncated(s, at, "the length of a string")
    end
    local n = string_unpack(format, s, at + 1)
    if n < least then
      return malformed(at, "the length of a string in its shortest form", hexadecimal(string_sub(s, at, at + size)))
    end
    return read_string(s, at, at + 1 + size, n, is_text)
  end
end
string_reader(STR8, ">B", 1, 32, true)
string_reader(STR16, ">I2", 2, 0x100, true)
string_reader(STR32, ">I4", 4, 0x10000, true)
string_reader(BIN8, ">B", 1, 0, false)
string_reader(BIN16, ">I2", 2, 0x100, false)
string_reader(BIN32, ">I4", 4, 0x10000, false)

-- Extension first bytes -> { format of the length, bytes of it, least length | fixed length }.
local EXTENSION <const> = {
  [FIXEXT1] = { fixed = 1 }, [FIXEXT2] = { fixed = 2 }, [FIXEXT4] = { fixed = 4 }, [FIXEXT8] = { fixed = 8 },
  [FIXEXT16] = { fixed = 16 },
  [EXT8] = { format = ">B", size = 1, least = 0 },
  [EXT16] = { format = ">I2", size = 2, least = 0x100 },
  [EXT32] = { format = ">I4", size = 4, least = 0x10000 },
}

-- -> kind, first position of the content, its length | error
local function read_extension(s, at)
  local form <const> = EXTENSION[string_byte(s, at)]
  local n, size = form.fixed, 0
  if not n then
    size = form.size
    if #s - at < size then
      return truncated(s, at, "the length of an extension")
    end
    n = string_unpack(form.format, s, at + 1)
    if n < form.least or messagepack.FIXEXT[n] then
      return malformed(at, "the length of an extension in its shortest form",
        hexadecimal(string_sub(s, at, at + size)))
    end
  end
  local start <const> = at + size + 2
  if #s - start + 1 < n then
    return truncated(s, at, string_format("an extension of %d bytes", n))
  end
  return string_byte(s, at + size + 1), start, n
end

local ID_LEAST <const> = { [1] = 1, [2] = 0x100, [4] = 0x10000, [8] = 0x100000000 }
local ID_FORMAT <const> = { [1] = ">I1", [2] = ">I2", [4] = ">I4", [8] = ">i8" }

-- An id that is an extension's content of n bytes from `start` on -> id, position after it | error
local function read_id(s, at, start, n)
  local least = ID_LEAST[n]
  local id = least and string_unpack(ID_FORMAT[n], s, start)
  if not id or id < least or id > ID_MASK then
    return malformed(at, "an object id in the fewest bytes", hexadecimal(string_sub(s, start, start + n - 1)))
  end
  return id, start + n
end

-- A reference or a permanent, with `functions` also the reference of a function
-- -> id (integer) or name (string), position after it, is it a function? | error
local function read_name(s, at, functions)
  local kind <const>, start, n = read_extension(s, at)
  if not start then
    return kind
  end
  if kind == EXT_REFERENCE or functions and kind == EXT_FUNCTION then
    local id, after = read_id(s, at, start, n)
    return id, after, kind == EXT_FUNCTION
  elseif kind == EXT_PERMANENT then
    local name = string_sub(s, start, start + n - 1)
    if not utf8_len(name) then
      return malformed(at, "a name in UTF-8", string_format("%d bytes", n))
    end
    return name, start + n
  end
  return malformed(at, "a reference or a permanent", string_format("extension type %d", kind))
end

local function is_extension(head)
  return EXTENSION[head] ~= nil
end

-- Turns a name into what it stands for. links: { objects =, make =, permanents =, string =, callable = }. at: 1-based, for errors.
local function follow(name, links, at)
  if math_type(name) then
    return links.objects[name] or links.make(name)
  end
  local value = links.permanents[name]
  if value == nil then
    return nil, {
      code = "unknown_permanent", name = name, offset = at - 1, expected = "a value registered under this name",
      found = name, message = string_format("offset %d: nothing is registered under the name %q", at - 1, name),
    }
  end
  return value
end

-- An extension that is a value -> value, position after it | error
local function decode_extension(s, at, links)
  local kind <const>, start, n = read_extension(s, at)
  if start and (kind == EXT_STRING or kind == EXT_FUNCTION) then
    local id, after = read_id(s, at, start, n)
    if not after then
      return id
    end
    return (kind == EXT_STRING and links.string or links.callable)(id), after
  end
  local name, after = read_name(s, at)
  if not after then
    return name
  end
  local value, err = follow(name, links, at)
  if value == nil then
    return err
  end
  return value, after
end

-- -> value, position after it | error
local function decode_value(s, at, links)
  local head <const>, second = string_byte(s, at, at + 1)
  if not head then
    return truncated(s, at, "a value")
  elseif head <= 0x7f then
    return head, at + 1
  elseif head >= FIXSTR and head <= 0xbf then
    local after = at + head - (FIXSTR - 1)
    local v = string_sub(s, at + 1, after - 1)
    if #v == head - FIXSTR and utf8_len(v) then
      return v, after
    end
    return read_string(s, at, at + 1, head - FIXSTR, true) -- says what is wrong
  elseif head >= 0xe0 then
    return head - 0x100, at + 1
  elseif second == EXT_REFERENCE and (head == FIXEXT2 or head == FIXEXT4) and #s - at >= (head == FIXEXT2 and 3 or 5) then
    local id, after = string_unpack(head == FIXEXT2 and ">I2" or ">I4", s, at + 2)
    if id >= (head == FIXEXT2 and 0x100 or 0x10000) then
      return links.objects[id] or links.make(id), after
    end
    return read_name(s, at) -- says what is wrong
  elseif head == FALSE then
    return false, at + 1
  elseif head == TRUE then
    return true, at + 1
  end
  local read = READ[head]
  if read then
    local value, after = read(s, at)
    if (head == STR32 or head == BIN32) and after and #value > CHUNK_BYTES then
      return malformed(at, "a string of that length to be an object of its own", string_format("%d bytes", #value))
    end
    return value, after
  elseif is_extension(head) then
    return decode_extension(s, at, links)
  end
  return malformed(at, "a value", head == NIL and "nil" or string_format("the byte %02x", head))
end

-- A key that is neither a reference nor a permanent: a string stands in full, whatever its length.
-- -> key, position after it | error
local function decode_key(s, at)
  local head <const> = string_byte(s, at)
  if head == STR32 or head == BIN32 then
    return READ[head](s, at)
  end
  return decode_value(s, at)
end

-- The count that an array or a map begins with -> count, position after it | error
local function read_count(s, at, fixed, two, four, what)
  local head <const> = string_byte(s, at)
  if head and head >= fixed and head <= fixed + 15 then
    return head - fixed, at + 1
  elseif head == two or head == four then
    local size <const> = head == two and 2 or 4
    if #s - at < size then
      return truncated(s, at, "the length of " .. what)
    end
    local n = string_unpack(head == two and ">I2" or ">I4", s, at + 1)
    if n < (head == two and 16 or 0x10000) then
      return malformed(at, "the length of " .. what .. " in its shortest form",
        hexadecimal(string_sub(s, at, at + size)))
    end
    return n, at + size + 1
  end
  if not head then
    return truncated(s, at, what)
  end
  return malformed(at, what, string_format("the byte %02x", head))
end

value_decoder.malformed = malformed
value_decoder.truncated = truncated
value_decoder.extension = read_extension
value_decoder.name = read_name
value_decoder.is_extension = is_extension
value_decoder.follow = follow
value_decoder.value = decode_value
value_decoder.key = decode_key
value_decoder.count = read_count

return value_decoder
