-- Reads frames where they are expected, and looks for evidence where one is missing. Reads only; writes nothing.
--
-- `at` answers what stands at a position of the log: a frame of the expected identity, or none. `evidence` then decides
-- whether "none" is the end of the log: any later frame of the same incarnation whose durable_lsn covers the missing one
-- proves that it had been flushed.
--
-- A sector that the medium cannot give back counts as unacceptable content, as a cut write leaves it; it is asked for
-- twice. Any other device error ends the mount: a device in trouble must never make the log look shorter than it is.

local layout <const> = require "fs.layout"
local errors <const> = require "fs.errors"
local frame <const> = require "fs.frame"

local scanner <const> = {}

local SECTOR_BYTES <const> = layout.SECTOR_BYTES
local AHEAD_SECTORS <const> = 256

local methods <const> = {}
methods.__index = methods

--- scanner.new{device=, crc32c=, geometry=, superblock=} → scanner.
function scanner.new(options)
  return setmetatable({
    device = options.device, crc32c = options.crc32c, geometry = options.geometry, superblock = options.superblock,
    ahead_lba = 0, ahead = "", alone_before = 0,
  }, methods)
end

--- Reads sectors. Returns bytes | false when they are unreadable | nil, err.
local function read(self, lba, count)
  local bytes, cause = self.device.read(lba, count)
  if not bytes then bytes, cause = self.device.read(lba, count) end
  if bytes then return bytes end
  if errors.unreadable(cause) then return false end
  return errors.device("reading the log", lba, cause)
end

--- Reads sectors through the read-ahead, which never crosses the end of the segment.
local function sectors(self, lba, count)
  local first <const> = lba - self.ahead_lba
  if first >= 0 and (first + count) * SECTOR_BYTES <= #self.ahead then
    return self.ahead:sub(first * SECTOR_BYTES + 1, (first + count) * SECTOR_BYTES)
  end
  local last <const> = self.geometry.segment_lba(self.geometry.segment_of(lba) + 1)
  local wanted <const> = math.min(math.max(count, AHEAD_SECTORS), last - lba)
  if lba >= self.alone_before and wanted > count then
    local bytes <const>, err = read(self, lba, wanted)
    if bytes == nil then return nil, err end
    if bytes then
      self.ahead_lba, self.ahead = lba, bytes
      return bytes:sub(1, count * SECTOR_BYTES)
    end
    -- Something ahead cannot be read, which takes a drive seconds to say: do without reading ahead in this stretch.
    self.alone_before = lba + wanted
  end
  return read(self, lba, count)
end

--- The header at position `at` of bytes, which is LBA `lba`, if it is valid in itself, of this store and of this place | false.
local function own_header(self, bytes, at, lba)
  local header <const> = frame.header(self.crc32c, bytes, at)
  return header and header.epoch == self.superblock.epoch and header.lba == lba and header or false
end

--- The header at `lba`, valid in itself, of this store and of this place. Returns header | false | nil, err.
local function header_at(self, lba)
  local bytes <const>, err = sectors(self, lba, 1)
  if not bytes then return bytes, err end
  return own_header(self, bytes, 1, lba)
end

--- Where the next frame may stand: behind the one before, or at the start of the next segment.
local function candidates(self, position)
  local shape <const> = self.geometry
  local here <const> = {
    lba = position.lba, segment = position.segment, segment_sequence = position.segment_sequence,
    room_bytes = (shape.segment_lba(position.segment + 1) - position.lba) * SECTOR_BYTES,
  }
  local following <const> = position.by_sequence and position.by_sequence[position.segment_sequence + 1]
    or position.next_segment
  local there <const> = {
    lba = shape.segment_lba(following), segment = following,
    segment_sequence = position.segment_sequence + 1, room_bytes = shape.segment_bytes,
  }
  local list <const> = {}
  if here.room_bytes > frame.HEADER_BYTES then list[1] = here end
  if there.segment ~= here.segment then list[#list + 1] = there end
  return list
end

--- Reads the rest of an accepted header's frame. Returns bytes | false, what is wrong | nil, err.
local function body(self, header)
  local span <const> = self.geometry.append_span(frame.HEADER_BYTES + header.payload_bytes)
  local bytes <const>, err = sectors(self, header.lba, span)
  if not bytes then return bytes, err or "unreadable" end
  local sound <const>, difference = frame.check_body(self.crc32c, header, bytes)
  if not sound then return false, difference end
  return bytes
end

--- The incarnation that a frame at `position` must have. The superblock says it for the log since its checkpoint. In the past
--- (position.incarnation is that of the frame before) it is not known: it may have grown between two transactions, since
--- a writer that finds the end of the log takes a new one, but not within one; and it never shrinks, so that what a torn
--- tail left behind the place where recovery went on is not taken for its continuation.
local function expected_incarnation(self, position, header)
  if not position.incarnation then return self.superblock.incarnation end
  return position.between and math.max(position.incarnation, header.incarnation) or position.incarnation
end

--- In the past, `position.by_sequence` knows which segment has which sequence.
---
--- scanner:at(position) → header, bytes, segment when the expected frame stands there; false when none does;
--- nil, err (code "stale" when what stands there follows a newer superblock than ours, "io").
--- position: {lba, segment, segment_sequence, next_segment, lsn, sequence (of the transaction before), parent_crc}, in the past
--- with incarnation (of the frame before) and between (whether that ended its transaction).
function methods:at(position)
  for _, place in ipairs(candidates(self, position)) do
    local header <const>, err = header_at(self, place.lba)
    if header == nil then return nil, err end
    if header and header.generation > self.superblock.generation then
      return errors.new("stale", ("the frame at LBA %d follows superblock generation %d, the newest found is %d")
        :format(place.lba, header.generation, self.superblock.generation), {lba = place.lba,
        expected = self.superblock.generation, found = header.generation})
    end
    local expected <const> = {
      epoch = self.superblock.epoch, lba = place.lba, lsn = position.lsn, segment_sequence = place.segment_sequence,
      incarnation = header and expected_incarnation(self, position, header), parent_crc = position.parent_crc, sequence = position.sequence + 1,
      generation = self.superblock.generation, segment_count = self.geometry.segment_count, room_bytes = place.room_bytes,
    }
    if header and frame.accept(header, expected) then
      local bytes <const>, problem = body(self, header)
      if bytes == nil then return nil, problem end
      if not bytes then return false end
      return header, bytes, place.segment
    end
  end
  return false
end

--- Reads a stretch for `sweep`: as much as the read-ahead takes, or one append unit where something is unreadable.
--- Returns bytes | false | nil, err, and how many sectors that was.
local function stretch(self, lba, last)
  local unit <const> = self.geometry.append_sectors
  local count <const> = math.min(AHEAD_SECTORS, last - lba)
  if lba >= self.alone_before then
    local bytes <const>, err = sectors(self, lba, count)
    if bytes ~= false then return bytes, err or count end
    self.alone_before = lba + count
  end
  local bytes <const>, err = sectors(self, lba, unit)
  return bytes, err or unit
end

--- Walks the frames that are valid in themselves from `lba` to the end of its segment, on append boundaries.
--- visit(header) → true stops. Returns whether it stopped | nil, err.
local function sweep(self, lba, visit)
  local shape <const> = self.geometry
  local last <const>, unit_bytes <const> = shape.segment_lba(shape.segment_of(lba) + 1), shape.append_sectors * SECTOR_BYTES
  while lba < last do
    local bytes <const>, count = stretch(self, lba, last)
    if bytes == nil then return nil, count end
    local at = bytes and bytes:find(frame.MAGIC, 1, true)
    while at do
      local place <const> = lba + (at - 1) // SECTOR_BYTES
      if (at - 1) % unit_bytes == 0 and visit(own_header(self, bytes, at, place)) then return true end
      at = bytes:find(frame.MAGIC, at + 1, true)
    end
    lba = lba + count
  end
  return false
end

--- scanner:evidence(position) → the header of a frame which proves that lsn `position.lsn` had been flushed | false | nil, err.
--- Looks at the rest of the segment, then at the segments that follow in log order as far as frames name them, and at least
--- at the next one.
function methods:evidence(position)
  local shape <const>, proof = self.geometry, nil
  -- The missing frame itself may have a good header, and fill its segment: then only it names the next one.
  local newest, next_segment = position.lsn - 1, position.next_segment
  local function judge(header)
    if not header or header.incarnation ~= self.superblock.incarnation or header.lsn < position.lsn then return false end
    if header.lsn > newest and header.next_segment < shape.segment_count then
      newest, next_segment = header.lsn, header.next_segment
    end
    if header.durable_lsn >= position.lsn and header.durable_lsn < header.lsn then proof = header end
    return proof
  end
  local visited <const> = {[position.segment] = true}
  local found, err = false, nil
  if position.lba < shape.segment_lba(position.segment + 1) then found, err = sweep(self, position.lba, judge) end
  while found == false and not visited[next_segment] do
    local before <const>, segment <const> = newest, next_segment
    visited[segment] = true
    found, err = sweep(self, shape.segment_lba(segment), judge)
    if newest == before then break end
  end
  if found == nil then return nil, err end
  return proof or false
end

return scanner
