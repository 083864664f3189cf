-- What payloads are made of, passed over without being built: values, names, counts, packed arrays (SPEC.md, section 7).
--
-- Readers take the payload and a position (1-based) and give the position after what they read, then what the caller needs to
-- judge it; or nil, err (code "malformed"). Where ids can occur, `into` collects them: {count = n, id, …}; nil: none may.
-- Relies on: fs.value_decoder for the canonical forms of numbers, strings and lengths.

local layout <const> = require "fs.layout"
local messagepack <const> = require "fs.messagepack"
local value_decoder <const> = require "fs.value_decoder"

local math_type <const> = math.type
local string_byte <const> = string.byte
local string_sub <const> = string.sub
local string_unpack <const> = string.unpack
local utf8_len <const> = utf8.len

local scalars <const> = {}

--- Classes of values.
scalars.INTEGER, scalars.FLOAT, scalars.OTHER = 1, 2, 3
local INTEGER <const>, FLOAT <const>, OTHER <const> = scalars.INTEGER, scalars.FLOAT, scalars.OTHER

local EXT_REFERENCE <const>, EXT_PERMANENT <const> = layout.EXT_REFERENCE, layout.EXT_PERMANENT
local EXT_STRING <const>, EXT_FUNCTION <const> = layout.EXT_STRING, layout.EXT_FUNCTION
--- The extensions with an id that can stand in a place, and what is said to be expected there.
local VALUE <const> = {[EXT_REFERENCE] = true, [EXT_STRING] = true, [EXT_FUNCTION] = true, what = "a value"}
local KEY <const> = {[EXT_REFERENCE] = true, [EXT_FUNCTION] = true, what = "a reference or a permanent"}
local NAME <const> = {[EXT_REFERENCE] = true, what = "a reference or a permanent"}
local REFERENCE <const> = {[EXT_REFERENCE] = true, what = "a reference", alone = true}
local FIXSTR <const>, FIXSTR_LAST <const> = messagepack.FIXSTR, messagepack.FIXSTR + 31
local FALSE <const>, TRUE <const> = messagepack.FALSE, messagepack.TRUE
local FIXEXT2 <const>, FIXEXT4 <const> = messagepack.FIXEXT2, messagepack.FIXEXT4
local malformed <const> = value_decoder.malformed
local is_extension <const> = value_decoder.is_extension
scalars.malformed, scalars.is_extension = malformed, is_extension

local ID_FORMAT <const> = {[1] = ">I1", [2] = ">I2", [4] = ">I4", [8] = ">i8"}
local ID_LEAST <const> = {[1] = 1, [2] = 0x100, [4] = 0x10000, [8] = 0x100000000}

--- An id in an extension's content.
local function id_at(s, at, start, n, into)
  local id <const> = ID_LEAST[n] and string_unpack(ID_FORMAT[n], s, start)
  if not id or id < ID_LEAST[n] or id > layout.ID_MASK then
    return nil, malformed(at, "an object id in the fewest bytes", ("%d bytes"):format(n))
  end
  if not into then return nil, malformed(at, "no reference", "one") end
  local count <const> = into.count + 1
  into.count, into[count] = count, id
  return start + n, id
end

--- A name of the expected sort. Returns position after, id or name of a permanent | nil, err.
local function extension(s, at, into, sort)
  local head <const> = string_byte(s, at)
  if not head or not is_extension(head) then
    return nil, malformed(at, sort.what, head and ("the byte %02x"):format(head) or "the end")
  end
  local kind <const>, start, n = value_decoder.extension(s, at)
  if not start then return nil, kind end
  if sort[kind] then return id_at(s, at, start, n, into) end
  if kind == EXT_PERMANENT and not sort.alone then
    local name <const> = string_sub(s, start, start + n - 1)
    if not utf8_len(name) then return nil, malformed(at, "a name in UTF-8", ("%d bytes"):format(n)) end
    return start + n, name
  end
  return nil, malformed(at, sort.what, ("extension type %d"):format(kind))
end

--- Something that value_decoder knows: a number or a string, not among the short forms. Returns position after, class,
--- number or nil | nil, err.
local function decoded(s, at)
  local one <const>, after <const> = value_decoder.value(s, at, nil)
  if not after then return nil, one end
  local class <const> = math_type(one)
  if class == "integer" then return after, INTEGER, one end
  if class == "float" then return after, FLOAT, one end
  return after, OTHER
end

--- Any value but nil. Returns position after, class, the value if it is a number or a boolean | nil, err.
function scalars.value(s, at, into)
  local head <const>, second <const> = string_byte(s, at, at + 1)
  if not head then
    return decoded(s, at)
  elseif head <= 0x7f then
    return at + 1, INTEGER, head
  elseif head >= FIXSTR and head <= FIXSTR_LAST then
    local last <const> = at + head - FIXSTR
    -- A character that begins before `last` ends there only if its last byte is no beginning of one that goes on.
    local ending <const> = string_byte(s, last)
    if ending and (ending < 0x80 or last == at) and utf8_len(s, at + 1, last) then return last + 1, OTHER end
    return decoded(s, at)
  elseif head >= 0xe0 then
    return at + 1, INTEGER, head - 0x100
  elseif second == EXT_REFERENCE and into and (head == FIXEXT2 or head == FIXEXT4) then
    local n <const> = head == FIXEXT2 and 2 or 4
    if #s >= at + 1 + n then return id_at(s, at, at + 2, n, into) end
    return extension(s, at, into, VALUE)
  elseif head == FALSE or head == TRUE then
    return at + 1, OTHER, head == TRUE
  elseif is_extension(head) then
    local after <const>, name <const> = extension(s, at, into, VALUE)
    if not after then return nil, name end
    return after, OTHER
  end
  return decoded(s, at)
end

--- A reference or a permanent. Returns position after, id or name | nil, err.
function scalars.name(s, at, into)
  return extension(s, at, into, NAME)
end

--- A reference, a function or a permanent, as a key. Returns position after, id or name | nil, err.
function scalars.key_name(s, at, into)
  return extension(s, at, into, KEY)
end

--- A reference. Returns position after, id | nil, err.
function scalars.reference(s, at, into)
  return extension(s, at, into, REFERENCE)
end

--- A key that is a string, a number or a boolean, strings of any length. Returns position after, class, the key | nil, err.
function scalars.key(s, at)
  local one <const>, after <const> = value_decoder.key(s, at)
  if not after then return nil, one end
  local class <const> = math_type(one)
  return after, class == "integer" and INTEGER or class == "float" and FLOAT or OTHER, one
end

--- A string, or with `into` one that is an object of its own. Returns position after | nil, err.
function scalars.text(s, at, into)
  local head <const> = string_byte(s, at)
  if head and is_extension(head) then
    local kind <const>, start, n = value_decoder.extension(s, at)
    if not start then return nil, kind end
    if kind == EXT_STRING and into then return id_at(s, at, start, n, into) end
    return nil, malformed(at, "a string", ("extension type %d"):format(kind))
  end
  local after <const>, class <const>, boolean <const> = scalars.value(s, at, nil)
  if not after then return nil, class end
  if class ~= OTHER or boolean ~= nil then return nil, malformed(at, "a string", "another value") end
  return after
end

--- An integer of a range. Returns position after, integer | nil, err.
function scalars.integer(s, at, least, most, what)
  local after <const>, class <const>, number <const> = scalars.value(s, at, nil)
  if not after then return nil, class end
  if class ~= INTEGER or number < least or number > most then
    return nil, malformed(at, ("%s, from %d to %d"):format(what, least, most), tostring(number))
  end
  return after, number
end

--- The count that an array or a map begins with. Returns position after, count | nil, err.
function scalars.count(s, at, fixed, two, four, what)
  local n <const>, after <const> = value_decoder.count(s, at, fixed, two, four, what)
  if not after then return nil, n end
  -- Each element has a byte at least; a length beyond that would only be found out after a long time.
  if n > #s - after + 1 then return nil, malformed(at, what, ("%d elements in %d bytes"):format(n, #s - after + 1)) end
  return after, n
end

function scalars.is_bin(head)
  return head == messagepack.BIN8 or head == messagepack.BIN16 or head == messagepack.BIN32
end

local BIN <const> = {
  [messagepack.BIN8] = {">I1", 1, 0}, [messagepack.BIN16] = {">I2", 2, 0x100}, [messagepack.BIN32] = {">I4", 4, 0x10000},
}

--- A piece of a string: a bin, whatever is in it. Returns position after, length | nil, err.
function scalars.bin(s, at)
  local form <const> = BIN[string_byte(s, at)]
  if #s - at < form[2] then return nil, malformed(at, "the length of a bin", "the end") end
  local n <const> = string_unpack(form[1], s, at + 1)
  if n < form[3] then return nil, malformed(at, "the length of a bin in its shortest form", tostring(n)) end
  local start <const> = at + 1 + form[2]
  if #s - start + 1 < n then return nil, malformed(at, ("a bin of %d bytes"):format(n), "the end") end
  return start + n, n
end

local NAN <const> = messagepack.NAN_BYTES:reverse()

--- Whether the elements of a packed array have their canonical form: true | nil, err.
local function check_elements(s, at, start, count, code)
  local element <const> = messagepack.PACKED[code]
  if code == layout.PACKED_I8 then return true end
  local narrower <const> = messagepack.PACKED[code - 1]
  for position = 0, count - 1 do
    local p <const> = start + position * element.bytes
    local v <const> = string_unpack(element.one, s, p)
    if code == layout.PACKED_F64 then
      if v ~= v and string_sub(s, p, p + 7) ~= NAN then return nil, malformed(p, "the NaN 7ff8000000000000", "another") end
    elseif v < narrower.min or v > narrower.max then
      return true
    end
  end
  if code == layout.PACKED_F64 then return true end
  return nil, malformed(at, "integers packed in the narrowest element", ("%d bytes each"):format(element.bytes))
end

--- A packed array. Returns position after, count | nil, err.
function scalars.packed(s, at)
  local kind <const>, start, n = value_decoder.extension(s, at)
  if not start then return nil, kind end
  if kind ~= layout.EXT_PACKED then return nil, malformed(at, "an array part", ("extension type %d"):format(kind)) end
  local code <const> = n >= 1 and string_byte(s, start) or 0
  local element <const> = messagepack.PACKED[code]
  if not element then return nil, malformed(at, "a packed array with a known element", ("element code %d"):format(code)) end
  local count <const> = (n - 1) // element.bytes
  if (n - 1) % element.bytes ~= 0 or count < layout.PACKED_MIN then
    return nil, malformed(at, ("at least %d elements of %d bytes"):format(layout.PACKED_MIN, element.bytes),
      ("%d bytes"):format(n - 1))
  end
  local sound <const>, err = check_elements(s, at, start + 1, count, code)
  if not sound then return nil, err end
  return start + n, count
end

return scalars
