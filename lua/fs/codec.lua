-- The value codec: Lua tables <-> canonical MessagePack (formats/SPEC.md, section 7), the reference in plain Lua.
--
-- A payload is one table: array part, map part and, if the table has one, its metatable. Nothing nests: a table inside
-- a table is a reference, a function or library table is a permanent, known by its name.
--
-- Promises: equal tables give equal bytes; decode accepts exactly what encode makes and refuses everything else with
-- offset, expected and found; work and memory are linear in the payload's length, no length in it is believed.
-- Relies on: fs.layout for the format's numbers, fs.order for the order of keys; raw tables: the caller hands over
-- tables that are loaded, and metatables by hand. An accelerator in C can stand behind encode and decode.

local layout <const> = require "fs.layout"
local messagepack <const> = require "fs.messagepack"
local order <const> = require "fs.order"
local shapes <const> = require "fs.shapes"
local value_decoder <const> = require "fs.value_decoder"
local value_encoder <const> = require "fs.value_encoder"

local math_type <const> = math.type
local next <const> = next
local rawget <const> = rawget
local string_byte <const> = string.byte
local string_format <const> = string.format
local string_sub <const> = string.sub
local string_unpack <const> = string.unpack
local table_concat <const> = table.concat
local type <const> = type

local codec = {}

local EXT_PACKED <const> = layout.EXT_PACKED
local PACKED_MIN <const> = layout.PACKED_MIN
local PACKED_F64 <const> = layout.PACKED_F64
local FIXMAP <const> = messagepack.FIXMAP
local FIXARRAY <const> = messagepack.FIXARRAY
local ARRAY16 <const> = messagepack.ARRAY16
local ARRAY32 <const> = messagepack.ARRAY32
local MAP16 <const> = messagepack.MAP16
local MAP32 <const> = messagepack.MAP32
local PACKED <const> = messagepack.PACKED
local malformed <const> = value_decoder.malformed
local NAN_BYTES_LITTLE <const> = messagepack.NAN_BYTES:reverse()
local EMPTY_ARRAY <const> = string.char(FIXARRAY)
local EMPTY_MAP <const> = string.char(FIXMAP)

-- Encoding ---------------------------------------------------------------------------------------------------

-- Appends the pairs of t whose keys are `keys`, any kinds of keys, to out. -> count | nil, key, value, role
local function encode_pairs(t, keys, out, count, names, miss)
  local sorted, bad = order.sorted(keys, function(key)
    local name = names[key]
    if name == nil and miss then
      name = miss(key, key)
    end
    return name
  end)
  if not sorted then
    return nil, bad, bad, "key"
  end
  out[count + 1] = value_encoder.count(#sorted, FIXMAP, MAP16, MAP32)
  count = count + 1
  for i = 1, #sorted do
    local key = sorted[i]
    local v = t[key] -- it is there, so no metamethod is asked
    local bytes = value_encoder.value(v, names, miss, key)
    if not bytes then
      return nil, key, v, "value"
    end
    out[count + 1] = value_encoder.key(key, names)
    out[count + 2] = bytes
    count = count + 2
  end
  return count
end

-- -> the encoded array part t[1..n] | nil, key, value, role
local function encode_array(t, n, names, miss)
  local code = n >= PACKED_MIN and messagepack.packed_code(t, n)
  if code then
    return value_encoder.packed(t, n, code)
  end
  local out = { value_encoder.count(n, FIXARRAY, ARRAY16, ARRAY32) }
  for i = 1, n do
    local v = t[i]
    local bytes = value_encoder.value(v, names, miss, i)
    if not bytes then
      return nil, i, v, "value"
    end
    out[i + 1] = bytes
  end
  return table_concat(out)
end

-- The keys of t that are not 1 … n.
local function map_keys(t, n)
  local keys, count = {}, 0
  for key in next, t do
    if math_type(key) ~= "integer" or key < 1 or key > n then
      count = count + 1
      keys[count] = key
    end
  end
  return keys
end

-- The payload without metatable, array being the encoded array part t[1..n]. -> payload | nil, key, value, role
local function encode_map(array, t, n, names, miss)
  local shape <const> = shapes.of(t, n)
  if shape == false then
    return array .. EMPTY_MAP
  elseif shape then
    local payload, key, value, role = shapes.encode(shape, array, t, names, miss)
    if payload ~= false then
      return payload, key, value, role
    end
  end
  local out = { array }
  local count, key, value, role = encode_pairs(t, shape and shape.keys or map_keys(t, n), out, 1, names, miss)
  if not count then
    return nil, key, value, role
  end
  return table_concat(out)
end

-- Encodes the table t, read raw.
-- names[v]: id (integer) or permanent name (string) of a table, function … v; where it has none, miss(v, key) is asked
-- (may be nil). A string value of more than CHUNK_BYTES has no name: miss(v, key) gives the id of its tree, nil for none.
-- metatable: the table's metatable or nil.
-- -> payload | nil, key, value, role: what cannot be saved; role "value", "key" or "metatable".
function codec.encode(t, names, metatable, miss)
  local n = 0
  if metatable == nil then
    while t[n + 1] ~= nil do n = n + 1 end
  else
    while rawget(t, n + 1) ~= nil do n = n + 1 end
  end
  local payload, key, value, role = EMPTY_ARRAY, nil, nil, nil
  if n > 0 then
    payload, key, value, role = encode_array(t, n, names, miss)
  end
  if payload then
    payload, key, value, role = encode_map(payload, t, n, names, miss)
  end
  if not payload then
    return nil, key, value, role
  elseif metatable ~= nil then
    local bytes = value_encoder.value(metatable, names, miss)
    if not bytes then
      return nil, nil, metatable, "metatable"
    end
    payload = payload .. bytes
  end
  return payload
end

-- Decoding ---------------------------------------------------------------------------------------------------

-- Elements of a packed array of n whose bytes begin at `start`, checked to be canonical. -> true | error
local function check_packed(s, start, n, code, into)
  local element <const> = PACKED[code]
  if code == PACKED_F64 then
    for i = 1, n do
      local v = into[i]
      if v ~= v and string_sub(s, start + 8 * (i - 1), start + 8 * i - 1) ~= NAN_BYTES_LITTLE then
        return malformed(start + 8 * (i - 1), "the NaN 7ff8000000000000", "another")
      end
    end
    return true
  end
  if code == layout.PACKED_I8 then
    return true
  end
  local narrower <const> = PACKED[code - 1]
  for i = 1, n do
    local v = into[i]
    if v < narrower.min or v > narrower.max then
      return true
    end
  end
  return malformed(start - 1, "integers packed in the narrowest element",
    string_format("%d bytes each", element.bytes))
end

-- -> count of elements, position after them | error
local function decode_packed(s, at, into)
  local kind <const>, start, n = value_decoder.extension(s, at)
  if not start then
    return kind
  elseif kind ~= EXT_PACKED then
    return malformed(at, "an array part", string_format("extension type %d", kind))
  end
  local code = n >= 1 and string_byte(s, start) or 0
  local element <const> = PACKED[code]
  if not element then
    return malformed(at, "a packed array with a known element", string_format("element code %d", code))
  end
  local count <const> = (n - 1) // element.bytes
  if (n - 1) % element.bytes ~= 0 or count < PACKED_MIN then
    return malformed(at, string_format("at least %d elements of %d bytes", PACKED_MIN, element.bytes),
      string_format("%d bytes", n - 1))
  end
  local p, i = start + 1, 1
  while i + 7 <= count do
    into[i], into[i + 1], into[i + 2], into[i + 3], into[i + 4], into[i + 5], into[i + 6], into[i + 7], p =
      string_unpack(element.eight, s, p)
    i = i + 8
  end
  while i <= count do
    into[i], p = string_unpack(element.one, s, p)
    i = i + 1
  end
  local ok = check_packed(s, start + 1, count, code, into)
  if ok ~= true then
    return ok
  end
  return count, start + n
end

-- -> count of elements, position after them | error
local function decode_array(s, at, into, links)
  local head <const> = string_byte(s, at)
  if head and value_decoder.is_extension(head) then
    return decode_packed(s, at, into)
  end
  local n, after = value_decoder.count(s, at, FIXARRAY, ARRAY16, ARRAY32, "an array part")
  if not after then
    return n
  end
  local p = after
  for i = 1, n do
    local v, beyond = value_decoder.value(s, p, links)
    if not beyond then
      return v
    end
    into[i] = v
    p = beyond
  end
  if n >= PACKED_MIN and messagepack.packed_code(into, n) then
    return malformed(at, "a packed array", string_format("an array of %d numbers", n))
  end
  return n, p
end

-- A key that is neither a string nor a reference or permanent: its rank in the order of keys.
local function plain_rank(key)
  if key == false then return order.FALSE end
  if key == true then return order.TRUE end
  return math_type(key) == "integer" and order.INTEGER or order.FLOAT
end

-- Reads a key: -> key, position after it, rank, what it is ordered by | error. n: length of the array part; -1 where every
-- integer is a key.
local function decode_key(s, at, n, links)
  local head <const> = string_byte(s, at)
  if head and value_decoder.is_extension(head) then
    local name, after, is_function = value_decoder.name(s, at, true)
    if not after then
      return name
    end
    local key, err
    if is_function then
      key = links.callable(name)
    else
      key, err = value_decoder.follow(name, links, at)
    end
    if key == nil then
      return err
    end
    return key, after, math_type(name) and order.REFERENCE or order.PERMANENT, name
  end
  local key, after = value_decoder.key(s, at)
  if not after then
    return key
  elseif type(key) == "string" then
    return key, after, order.STRING, key
  end
  local rank <const> = plain_rank(key)
  if rank == order.INTEGER and key >= 1 and key - 1 <= n then
    return malformed(at, "a key outside the array part", string_format("%d", key))
  elseif rank == order.FLOAT and (key ~= key or math.tointeger(key)) then
    return malformed(at, "a float key without an integer's value", string_format("%.17g", key))
  end
  return key, after, rank, key
end

local string_less <const> = order.string_less

local function in_order(rank, by, last_rank, last_by)
  if rank ~= last_rank then
    return rank > last_rank
  elseif rank == order.STRING or rank == order.PERMANENT then
    return string_less(last_by, by)
  elseif rank <= order.TRUE then
    return false
  end
  return last_by < by
end

-- For the nodes of ordered maps (fs.map_nodes).
codec.decode_key = decode_key
codec.in_order = in_order

-- Keys come in the same succession in record after record. A link knows the bytes of a key, the key, and the link that
-- followed it last; when the payload goes on with those bytes, the key is known to be valid and in order. A chain ends at
-- the first key that is no short string. Bounded: beyond that many links they start afresh.
local LINKS_MAX <const>, LINK_BYTES_MAX <const> = 4096, 41
local first_links, link_count = {}, 0

local function new_link(s, at, after, key)
  link_count = link_count + 1
  if link_count > LINKS_MAX then
    first_links, link_count = {}, 0
  end
  return { bytes = string_sub(s, at, after - 1), last = after - at - 1, key = key, following = nil }
end

-- -> position after the map part | nil, error
local function decode_map(s, at, n, into, links)
  local count, p = value_decoder.count(s, at, FIXMAP, MAP16, MAP32, "a map part")
  if not p then
    return nil, count
  end
  local last_rank, last_by = 0, nil
  local link = first_links[count]
  if not link then
    link = {}
    first_links[count] = link
  end
  for _ = 1, count do
    local following = link and link.following
    local key, after, rank, by
    if following and string_sub(s, p, p + following.last) == following.bytes then
      key, after = following.key, p + following.last + 1
      rank, by = order.STRING, key
      link = following
    else
      key, after, rank, by = decode_key(s, p, n, links)
      if not after then
        return nil, key
      elseif not in_order(rank, by, last_rank, last_by) then
        return nil, malformed(p, "keys in ascending order", "one that is not above the key before")
      end
      if link and rank == order.STRING and after - p <= LINK_BYTES_MAX then
        following = new_link(s, p, after, key)
        link.following = following
        link = following
      else
        link = nil
      end
    end
    last_rank, last_by = rank, by
    local value, beyond = value_decoder.value(s, after, links)
    if not beyond then
      return nil, value
    end
    into[key] = value
    p = beyond
  end
  return p
end

-- Decodes a payload into the empty table `into`, which must have no metatable.
-- links.objects[id] -> table, where nil links.make(id) is called; links.permanents[name] -> value; links.string(id) -> the
-- long string whose tree has that id, or any string while it is not known (it then decodes again); links.callable(id) -> the
-- function with that id, likewise.
-- -> true, metatable or nil | nil, err with code "malformed" or "unknown_permanent", offset, expected, found, message;
-- `into` then holds some part.
function codec.decode(payload, into, links)
  local n, at = decode_array(payload, 1, into, links)
  if not at then
    return nil, n
  end
  local p, err = decode_map(payload, at, n, into, links)
  if not p then
    return nil, err
  end
  if p > #payload then
    return true, nil
  end
  if not value_decoder.is_extension(string_byte(payload, p)) then
    return nil, malformed(p, "the end or a metatable", string_format("the byte %02x", string_byte(payload, p)))
  end
  local name, after = value_decoder.name(payload, p)
  if not after then
    return nil, name
  elseif after <= #payload then
    return nil, malformed(after, "the end", string_format("%d more bytes", #payload - after + 1))
  end
  local metatable, problem = value_decoder.follow(name, links, p)
  if metatable == nil then
    return nil, problem
  end
  return true, metatable
end

-- One value by itself, for payloads of other kinds than tables.
-- encode_value(v, names, miss, key) -> bytes | nil: it cannot be saved
-- decode_value(payload, at, links) -> value, position after it | err. Positions count from 1.
codec.encode_value = value_encoder.value
codec.decode_value = value_decoder.value

return codec
