-- Geometry of a store: which sector belongs to what. Pure arithmetic over the numbers of a superblock.
--
-- LBAs count sectors from the start of the store; segments and their numbers count from 0; a place counts
-- PLACE_UNIT_BYTES from the start of the store.

local layout <const> = require "fs.layout"

local geometry <const> = {}

local SECTOR_BYTES <const> = layout.SECTOR_BYTES
local PLACE_UNIT_BYTES <const> = layout.PLACE_UNIT_BYTES
geometry.PLACES_A_SECTOR = SECTOR_BYTES // PLACE_UNIT_BYTES

--- The end that the tail copies are counted from: the total, rounded down to a block.
function geometry.rounded_end(total_sectors)
  return total_sectors // layout.BLOCK_SECTORS * layout.BLOCK_SECTORS
end

--- geometry.slot_lbas(generation, total_sectors) → head LBA, tail LBA of that generation's copies.
function geometry.slot_lbas(generation, total_sectors)
  local last <const> = geometry.rounded_end(total_sectors)
  if generation % 2 == 0 then return layout.HEAD_LBA_EVEN, last - layout.TAIL_BACK_EVEN end
  return layout.HEAD_LBA_ODD, last - layout.TAIL_BACK_ODD
end

--- geometry.fault(superblock) → what is wrong with its numbers, or nil. Everything below relies on this.
function geometry.fault(s)
  local sectors <const> = s.segment_sectors
  if sectors < layout.SEGMENT_SECTORS_MIN or sectors > layout.SEGMENT_SECTORS_MAX or sectors & (sectors - 1) ~= 0 then
    return "segment_sectors " .. sectors
  end
  if s.append_sectors ~= 1 and s.append_sectors ~= layout.BLOCK_SECTORS then
    return "append_sectors " .. s.append_sectors
  end
  if s.log_lba ~= layout.LOG_LBA then return "log_lba " .. s.log_lba end
  local log_sectors <const> = geometry.rounded_end(s.total_sectors) - layout.TAIL_BACK_EVEN - s.log_lba
  if s.total_sectors < 0 or s.segment_count ~= log_sectors // sectors or s.segment_count < layout.SEGMENTS_MIN then
    return ("%d segments in %d sectors"):format(s.segment_count, s.total_sectors)
  end
  if s.total_sectors > layout.ID_MASK // geometry.PLACES_A_SECTOR then return "total_sectors " .. s.total_sectors end
  return nil
end

--- geometry.new(superblock) → the store's geometry, for a superblock without `fault`.
function geometry.new(s)
  local self <const> = {
    log_lba = s.log_lba, segment_sectors = s.segment_sectors, segment_count = s.segment_count,
    append_sectors = s.append_sectors, segment_bytes = s.segment_sectors * SECTOR_BYTES,
    end_lba = s.log_lba + s.segment_count * s.segment_sectors,
  }

  --- First sector of a segment.
  function self.segment_lba(segment)
    return self.log_lba + segment * self.segment_sectors
  end

  --- The segment that a sector lies in; the caller knows that it lies in the log.
  function self.segment_of(lba)
    return (lba - self.log_lba) // self.segment_sectors
  end

  --- The segment that a position of the log belongs to. A position on a boundary is the end of the segment before it:
  --- the log never stands at the start of a segment without a frame, but at the start of segment 0 of an empty store.
  function self.segment_of_position(lba)
    if lba == self.log_lba then return 0 end
    return (lba - 1 - self.log_lba) // self.segment_sectors
  end

  --- The segment that a place lies in.
  function self.segment_of_place(place)
    return (place // geometry.PLACES_A_SECTOR - self.log_lba) // self.segment_sectors
  end

  --- Whether an entry of `bytes` bytes at that place lies within one segment of the log.
  function self.holds(place, bytes)
    local first <const> = place * PLACE_UNIT_BYTES - self.log_lba * SECTOR_BYTES
    if first < 0 or first + bytes > self.segment_count * self.segment_bytes then return false end
    return first // self.segment_bytes == (first + bytes - 1) // self.segment_bytes
  end

  --- Sectors that so many bytes of a frame occupy, up to the next append boundary.
  function self.append_span(bytes)
    local unit <const> = self.append_sectors * SECTOR_BYTES
    return (bytes + unit - 1) // unit * self.append_sectors
  end

  return self
end

return geometry
