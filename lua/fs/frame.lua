-- Frames: the unit in which the log is written, and the only place where bytes of the log are believed.
--
-- A frame is a header with its full identity, entries that fill the payload exactly, and zeros up to the next append
-- boundary. Recycled segments and earlier formats leave perfectly valid stale frames, so a frame is accepted only if
-- every identity field is the one that the reader expects at this place (`accept`). Pure functions over strings.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"

local frame <const> = {}

local FORMAT <const> = layout.frame_header
local CRC_OFFSET <const> = FORMAT.offsets.header_crc
local MAGIC <const> = FORMAT.constants.magic
frame.HEADER_BYTES = FORMAT.size
frame.MAGIC = MAGIC

--- frame.encode(crc32c, identity, payload, entry_count, padding_bytes) → the frame's bytes.
--- `identity` has epoch, lba, lsn, segment_sequence, generation, durable_lsn, sequence, incarnation, next_segment and
--- parent_crc; the rest is filled in here.
function frame.encode(crc32c, identity, payload, entry_count, padding_bytes)
  identity.payload_bytes, identity.entry_count = #payload, entry_count
  identity.payload_crc, identity.header_crc = crc32c(payload), 0
  identity.header_crc = crc32c(FORMAT.pack(identity):sub(1, CRC_OFFSET))
  return FORMAT.pack(identity) .. payload .. ("\0"):rep(padding_bytes)
end

--- frame.header(crc32c, bytes, at) → the header's fields, if magic and header_crc are right and no number is out of
--- range | nil. Nothing of a header is believed before this.
function frame.header(crc32c, bytes, at)
  if #bytes - at + 1 < FORMAT.size or bytes:sub(at, at + 7) ~= MAGIC then return nil end
  local fields <const> = FORMAT.unpack(bytes, at)
  if crc32c(bytes:sub(at, at + CRC_OFFSET - 1)) ~= fields.header_crc or fields.reserved ~= 0 then return nil end
  for _, name in ipairs {"epoch", "lba", "lsn", "segment_sequence", "generation", "durable_lsn", "sequence"} do
    if fields[name] < 0 then return nil end
  end
  return fields
end

--- Identity fields that must be exactly what the reader expects.
local IDENTITY <const> = {
  "epoch", "lba", "lsn", "segment_sequence", "incarnation", "parent_crc", "sequence",
}

--- frame.accept(header, expected) → true | nil, the field that differs. `expected` has the IDENTITY fields, generation
--- (the superblock's), segment_count and room_bytes (from the frame's start to the end of its segment).
function frame.accept(header, expected)
  for _, name in ipairs(IDENTITY) do
    if header[name] ~= expected[name] then return nil, name end
  end
  if header.generation > expected.generation then return nil, "generation" end
  if header.durable_lsn >= header.lsn then return nil, "durable_lsn" end
  if header.next_segment >= expected.segment_count then return nil, "next_segment" end
  if FORMAT.size + header.payload_bytes > expected.room_bytes then return nil, "payload_bytes" end
  if header.entry_count == 0 then return nil, "entry_count" end
  return true
end

local zeros_cache <const> = {}

--- Whether bytes[first … last] are zeros.
local function is_zero(bytes, first, last)
  local count <const> = last - first + 1
  if count <= 0 then return true end
  local zeros = zeros_cache[count]
  if not zeros then
    zeros = ("\0"):rep(count)
    if count <= 4096 then zeros_cache[count] = zeros end
  end
  return bytes:sub(first, last) == zeros
end

--- frame.check_body(crc32c, header, bytes) → true | nil, what is wrong. `bytes` is the frame up to its append boundary.
function frame.check_body(crc32c, header, bytes)
  local last <const> = FORMAT.size + header.payload_bytes
  if crc32c(bytes:sub(FORMAT.size + 1, last)) ~= header.payload_crc then return nil, "payload_crc" end
  if not is_zero(bytes, last + 1, #bytes) then return nil, "padding" end
  return true
end

--- frame.entries(crc32c, header, bytes, visit) → true | nil, what is wrong. Calls visit(id, kind, payload_bytes, crc, at)
--- for each entry, `at` being its 1-based position in `bytes`. Each entry's own CRC and padding are verified.
function frame.entries(crc32c, header, bytes, visit)
  local at, last <const> = FORMAT.size + 1, FORMAT.size + header.payload_bytes
  for _ = 1, header.entry_count do
    if at + entry.HEADER_BYTES - 1 > last then return nil, "the entries overrun the payload" end
    local id <const>, kind <const>, payload_bytes <const>, crc <const> = entry.parse_header(bytes, at)
    local next_at <const> = at + entry.size(payload_bytes)
    if next_at - 1 > last then return nil, "an entry overruns the payload" end
    local payload <const>, difference = entry.verify(crc32c, bytes, at, id, kind, payload_bytes, crc)
    if not payload then return nil, difference end
    if not is_zero(bytes, at + entry.HEADER_BYTES + payload_bytes, next_at - 1) then return nil, "an entry's padding" end
    visit(id, kind, payload_bytes, crc, at)
    at = next_at
  end
  if at ~= last + 1 then return nil, "the entries do not fill the payload" end
  return true
end

return frame
