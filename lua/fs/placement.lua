-- Where the next entries of a transaction come to stand: arithmetic only, no bytes.
--
-- The log proper (log.lua) and whoever must know beforehand how much room something takes (space.lua, checkpoint.lua)
-- use the same code, so that a plan is exact:
--
--   an entry goes into the open frame while the frame stays within FRAME_TARGET_BYTES and its segment;
--   otherwise the frame is closed, and the next starts behind it, up to the append boundary,
--   or, if the entry does not fit before the end of the segment, at the start of `next_segment`.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local geometry <const> = require "fs.geometry"

local placement <const> = {}

local SECTOR_BYTES <const> = layout.SECTOR_BYTES
local HEADER_BYTES <const> = layout.frame_header.size
local TARGET_BYTES <const> = layout.FRAME_TARGET_BYTES - HEADER_BYTES
local UNIT <const> = layout.PLACE_UNIT_BYTES
local entry_size <const> = entry.size
local HEADER_PLACES <const> = HEADER_BYTES // UNIT

local methods <const> = {}
methods.__index = methods

--- placement.new(geometry, choose, position) → placement. position = {lba, segment, segment_sequence, next_segment};
--- choose(segment, taken) → the segment that follows it.
function placement.new(shape, choose, position)
  local self <const> = setmetatable({
    geometry = shape, choose = choose,
    lba = position.lba, segment = position.segment, segment_sequence = position.segment_sequence,
    next_segment = position.next_segment,
    used = 0, limit = -1, -- payload bytes of the open frame and their most; -1: no frame is open
    taken = {}, opened = {},
  }, methods)
  return self
end

--- A copy that goes its own way.
function methods:clone()
  local copy <const> = placement.new(self.geometry, self.choose, self)
  copy.used, copy.limit = self.used, self.limit
  for segment in pairs(self.taken) do copy.taken[segment] = true end
  for position, segment in ipairs(self.opened) do copy.opened[position] = segment end
  return copy
end

--- Whether an entry of that size would close the open frame (or start the first).
function methods:starts_frame(size)
  return self.used + size > self.limit
end

--- Ends the open frame. Returns its padding in bytes; lba is then where the next frame may start.
function methods:close()
  local bytes <const> = HEADER_BYTES + self.used
  local sectors <const> = self.geometry.append_span(bytes)
  self.lba, self.used, self.limit = self.lba + sectors, 0, -1
  return sectors * SECTOR_BYTES - bytes
end

--- Payload bytes that a frame may have from here to the end of the segment.
local function room(self)
  local last <const> = self.geometry.segment_lba(self.segment + 1)
  return (last - self.lba) * SECTOR_BYTES - HEADER_BYTES
end

--- Goes on in the next segment. Returns false if there is none. Only the segment that the frame before names will do: it is
--- where replay looks.
local function roll(self)
  local segment <const> = self.next_segment
  if segment == self.segment then return false end
  self.taken[segment], self.opened[#self.opened + 1] = true, segment
  self.segment, self.segment_sequence = segment, self.segment_sequence + 1
  self.lba = self.geometry.segment_lba(segment)
  self.next_segment = self.choose(segment, self.taken)
  return true
end

--- Opens a frame for an entry of that size. No frame is open. Returns false if there is no room in the store.
function methods:open(size)
  if room(self) < size and not roll(self) then return false end
  local most <const> = room(self)
  if most < size then return false end
  self.limit = math.max(size, math.min(most, TARGET_BYTES))
  -- What the frame's header will say. A segment that was opened when no other was free has no successor; from this frame
  -- on it has one, if one has become free since.
  if self.next_segment == self.segment then self.next_segment = self.choose(self.segment, self.taken) end
  return true
end

--- Places an entry of that size, opening and closing frames as needed. Returns its place, or nil when there is no room.
function methods:put(size)
  if self.used + size > self.limit then
    if self.limit >= 0 then self:close() end
    if not self:open(size) then return nil end
  end
  local place <const> = self.lba * geometry.PLACES_A_SECTOR + HEADER_PLACES + self.used // UNIT
  self.used = self.used + size
  return place
end

--- Places the entries of these payloads from `first` on, of which the first fits into the open frame or opens one, and as many of those
--- behind it up to `last` as the frame takes. Returns place of the first, position of the last, bytes of their payloads | nil when
--- there is no room.
function methods:put_run(payloads, first, last)
  local bytes = #payloads[first]
  local place <const> = self:put(entry_size(bytes))
  if not place then return nil end
  local used, limit <const> = self.used, self.limit
  while first < last do
    local more <const> = #payloads[first + 1]
    local after <const> = used + entry_size(more)
    if after > limit then break end
    used, bytes, first = after, bytes + more, first + 1
  end
  self.used = used
  return place, first, bytes
end

--- Bytes that can still be appended in the current segment after the open frame is closed.
function methods:rest_bytes()
  local after <const> = self.limit >= 0 and self.geometry.append_span(HEADER_BYTES + self.used) or 0
  return (self.geometry.segment_lba(self.segment + 1) - self.lba - after) * SECTOR_BYTES
end

--- The largest entry that a segment of that geometry takes.
function placement.largest_entry(shape)
  return shape.segment_bytes - HEADER_BYTES
end

return placement
