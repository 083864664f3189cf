-- Entries and pointers: one record of the log, and what points to it.
--
-- An entry is a header (tag, payload_bytes, crc), the payload, and zeros up to 8 bytes. A pointer has the same shape
-- with the entry's place instead of its id. Pointers are kept as the 16 bytes that stand on disk: they are compared,
-- copied into index pages and stored in Lua tables without being taken apart.
--
-- Promise: `verify` accepts bytes only if id, kind, length and CRC are the pointer's and the CRC is right.

local layout <const> = require "fs.layout"

local table_concat <const> = table.concat
local string_pack <const>, string_unpack <const>, string_sub <const> = string.pack, string.unpack, string.sub

local entry <const> = {}

local HEADER_BYTES <const> = layout.entry_header.size
local HEADER_FORMAT <const> = layout.entry_header.format
local POINTER_FORMAT <const> = layout.pointer.format
local UNIT <const> = layout.PLACE_UNIT_BYTES
local CRC_OFFSET <const> = layout.entry_header.offsets.crc
local ID_BITS <const>, ID_MASK <const> = layout.ID_BITS, layout.ID_MASK
local KIND_MAX <const> = (1 << (63 - ID_BITS)) - 1

--- What the crc of a header covers before the payload: the fields that come before it.
local COVERED_FORMAT <const> = HEADER_FORMAT:match("^(.*)I4$")
assert(UNIT == 8, "an entry is padded to whole places")
assert(string.packsize(COVERED_FORMAT) == CRC_OFFSET, "crc is the last field of an entry header")

entry.HEADER_BYTES = HEADER_BYTES
entry.POINTER_BYTES = layout.pointer.size
--- The pointer that points to nothing.
entry.NOTHING = ("\0"):rep(layout.pointer.size)

local PADDING <const> = {[0] = ""}
for count = 1, 7 do PADDING[count] = ("\0"):rep(count) end

--- Bytes that an entry with that payload occupies in a frame.
function entry.size(payload_bytes)
  return (HEADER_BYTES + payload_bytes + 7) & ~7
end

--- The zeros that follow a payload of that length.
function entry.padding(payload_bytes)
  return PADDING[-payload_bytes & 7]
end

--- Payloads up to this length are put behind what the crc covers before them: one call instead of two.
local JOINED_BYTES <const> = 4096

--- The crc of an entry, from what it covers of the header and the payload.
local function crc_of(crc32c, covered, payload)
  if #payload <= JOINED_BYTES then return crc32c(covered .. payload) end
  return crc32c(payload, crc32c(covered))
end

--- entry.header(crc32c, id, kind, payload) → the 16 bytes of the header, crc.
function entry.header(crc32c, id, kind, payload)
  local tag <const>, length <const> = id | kind << ID_BITS, #payload
  local crc <const> = crc_of(crc32c, string_pack(COVERED_FORMAT, tag, length), payload)
  return string_pack(HEADER_FORMAT, tag, length, crc), crc
end

--- entry.builder(primitives) → build(ids, kinds, payloads, first, last, place, pointers, crc) → bytes, crc: the entries `first` to `last`
--- of the columns of a commit as they stand one behind the other from `place` on. Their pointers go into the list `pointers`, at the
--- same positions; crc goes on over their headers. `primitives.entries`, if the system has it, is that function.
function entry.builder(primitives)
  if primitives.entries then return primitives.entries end
  local crc32c <const> = primitives.crc32c
  return function(ids, kinds, payloads, first, last, place, pointers, crc)
    local pieces <const>, headers <const>, count = {}, {}, 0
    for position = first, last do
      local payload <const>, kind <const> = payloads[position], kinds[position] << ID_BITS
      local tag <const>, length <const> = ids[position] | kind, #payload
      local covered <const> = string_pack(COVERED_FORMAT, tag, length)
      local own <const> = crc_of(crc32c, covered, payload)
      local header <const> = string_pack(HEADER_FORMAT, tag, length, own)
      headers[#headers + 1] = header
      pieces[count + 1], pieces[count + 2], pieces[count + 3] = header, payload, PADDING[-length & 7]
      count = count + 3
      pointers[position] = string_pack(POINTER_FORMAT, place | kind, length, own)
      place = place + (HEADER_BYTES + length + 7) // UNIT
    end
    return table_concat(pieces), crc32c(table_concat(headers), crc)
  end
end

--- entry.parse_header(bytes, at) → id, kind, payload_bytes, crc; `at` is 1-based. kind is negative for a tag with bit 63.
function entry.parse_header(bytes, at)
  local tag <const>, length <const>, crc <const> = string_unpack(HEADER_FORMAT, bytes, at)
  return tag & ID_MASK, tag < 0 and -1 or tag >> ID_BITS, length, crc
end

--- entry.pointer(place, kind, payload_bytes, crc) → 16 bytes.
function entry.pointer(place, kind, payload_bytes, crc)
  return string_pack(POINTER_FORMAT, place | kind << ID_BITS, payload_bytes, crc)
end

--- entry.parse_pointer(bytes [, at]) → place, kind, payload_bytes, crc.
function entry.parse_pointer(bytes, at)
  local tag <const>, length <const>, crc <const> = string_unpack(POINTER_FORMAT, bytes, at)
  return tag & ID_MASK, tag < 0 and KIND_MAX + 1 or tag >> ID_BITS, length, crc
end

--- entry.fields(pointer) → {tag=, payload_bytes=, crc=} as the schemas of superblock and checkpoint name them.
function entry.fields(prefix, pointer, into)
  local tag <const>, length <const>, crc <const> = string_unpack(POINTER_FORMAT, pointer)
  into[prefix .. "_tag"], into[prefix .. "_payload_bytes"], into[prefix .. "_crc"] = tag, length, crc
  return into
end

--- entry.from_fields(prefix, record) → the 16 bytes of the pointer that a record holds under that name.
function entry.from_fields(prefix, record)
  return string_pack(POINTER_FORMAT, record[prefix .. "_tag"], record[prefix .. "_payload_bytes"],
    record[prefix .. "_crc"])
end

--- entry.verify(crc32c, bytes, at, id, kind, payload_bytes, crc) → payload | nil, what is wrong.
--- `bytes` holds the whole entry from `at` (1-based) on; the expectations come from a pointer and from what was looked up.
function entry.verify(crc32c, bytes, at, id, kind, payload_bytes, crc)
  local start <const> = at + HEADER_BYTES
  local tag, length, found
  if start <= #bytes + 1 then tag, length, found = string_unpack(HEADER_FORMAT, bytes, at) end
  if tag ~= id | kind << ID_BITS or length ~= payload_bytes or found ~= crc then
    return nil, entry.difference(string_sub(bytes, at, start - 1), id, kind, payload_bytes, crc)
  end
  local payload <const> = string_sub(bytes, start, start + payload_bytes - 1)
  found = crc_of(crc32c, string_sub(bytes, at, at + CRC_OFFSET - 1), payload)
  if found ~= crc then return nil, ("crc: expected %08x, found %08x"):format(crc, found) end
  return payload
end

--- entry.difference(header, …) → a phrase that names the first field in which a header is not what was expected.
function entry.difference(header, id, kind, payload_bytes, crc)
  if #header < HEADER_BYTES then return "the header is cut off" end
  local found_id <const>, found_kind <const>, found_bytes <const>, found_crc <const> = entry.parse_header(header, 1)
  if found_id ~= id then return ("id: expected %d, found %d"):format(id, found_id) end
  if found_kind ~= kind then return ("kind: expected %d, found %d"):format(kind, found_kind) end
  if found_bytes ~= payload_bytes then
    return ("payload_bytes: expected %d, found %d"):format(payload_bytes, found_bytes)
  end
  return ("crc: expected %08x, found %08x"):format(crc, found_crc)
end

return entry
