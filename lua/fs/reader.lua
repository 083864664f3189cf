-- Reads entries of the log through their pointers, with one device read for what lies together.
--
-- The log is cut into windows of 32 KiB. A read fetches the whole window (objects of a commit lie next to each other)
-- and keeps a bounded number of them; a batch fetches up to four adjoining windows in one device read. A window with an
-- unreadable sector is not cached: then the entry's own sectors are read alone, so that rot hurts one object only.
--
-- Promise: a payload is returned only if the entry's id, kind, length and CRC are the pointer's and its CRC is right.
-- Relies on `forget` being called for every sector that is written.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local cache <const> = require "fs.cache"

local reader <const> = {}

local SECTOR_BYTES <const> = layout.SECTOR_BYTES
local UNIT <const> = layout.PLACE_UNIT_BYTES
local WINDOW_SECTORS <const> = 64
local WINDOW_BYTES <const> = WINDOW_SECTORS * SECTOR_BYTES
local RUN_WINDOWS <const> = 4

local methods <const> = {}
methods.__index = methods

--- reader.new{device=, crc32c=, geometry=, cache_bytes=1 MiB} → reader.
function reader.new(options)
  local capacity <const> = (options.cache_bytes or 1 << 20) // WINDOW_BYTES
  return setmetatable({
    device = options.device, crc32c = options.crc32c, geometry = options.geometry,
    windows = cache.new(capacity),
  }, methods)
end

--- reader:sectors(lba, count) → bytes | nil, err. Uncached. An unreadable answer is asked for once more.
function methods:sectors(lba, count)
  local bytes, cause = self.device.read(lba, count)
  if not bytes then bytes, cause = self.device.read(lba, count) end
  if not bytes then return errors.device("reading", lba, cause) end
  return bytes
end

--- Fetches `count` windows from number `first` on, in one device read, into the cache. Returns whether it worked.
local function fetch(self, first, count)
  local bytes <const> = self.device.read(first * WINDOW_SECTORS, count * WINDOW_SECTORS)
  if not bytes then return false end
  for number = 0, count - 1 do
    self.windows.put(first + number, bytes:sub(number * WINDOW_BYTES + 1, (number + 1) * WINDOW_BYTES))
  end
  return true
end

local function window(self, number)
  local bytes <const> = self.windows.get(number)
  if bytes or not fetch(self, number, 1) then return bytes end
  return self.windows.get(number)
end

--- reader:locate(offset, length) → a string and the 1-based position in it where the bytes from `offset` (bytes from the
--- start of the store) on stand | nil, err. They lie in the log.
function methods:locate(offset, length)
  local number <const> = offset // WINDOW_BYTES
  local at <const> = offset - number * WINDOW_BYTES
  if at + length <= WINDOW_BYTES then
    local bytes <const> = window(self, number)
    if bytes then return bytes, at + 1 end
  end
  local lba <const> = offset // SECTOR_BYTES
  local last <const> = (offset + length - 1) // SECTOR_BYTES
  local bytes <const>, err = self:sectors(lba, last - lba + 1)
  if not bytes then return nil, err end
  return bytes, offset - lba * SECTOR_BYTES + 1
end

--- What is no object is called by its own name: its id is a number of another sort.
local NAMES <const> = {
  [layout.KIND_COMMIT] = "commit record", [layout.KIND_CHECKPOINT] = "checkpoint",
  [layout.KIND_OBJECT_PAGE] = "page of the object index", [layout.KIND_SEGMENT_PAGE] = "page of the segment table",
  [layout.KIND_TRANSACTION_PAGE] = "page of the transaction index",
}

local function corrupt(kind, id, place, difference)
  local lba <const>, name <const> = place * UNIT // SECTOR_BYTES, NAMES[kind] or "object"
  return errors.new("corrupt", ("%s %d at LBA %d: %s"):format(name, id, lba, difference), {id = id, lba = lba})
end

--- reader:entry(pointer, id [, kind]) → payload, kind, id | nil, err (with id and lba). `kind`, if given, must be the
--- pointer's. `id` nil takes the id that the entry itself has: for the caller to judge.
function methods:entry(pointer, id, kind)
  local place <const>, found_kind <const>, payload_bytes <const>, crc <const> = entry.parse_pointer(pointer)
  local whole <const> = entry.size(payload_bytes)
  if not self.geometry.holds(place, whole) then return corrupt(found_kind, id or 0, place, "its pointer leaves the log") end
  if kind and kind ~= found_kind then
    return corrupt(kind, id or 0, place, ("kind: expected %d, found %d in its pointer"):format(kind, found_kind))
  end
  local bytes <const>, at = self:locate(place * UNIT, whole)
  if not bytes then
    at.id = id
    return nil, at
  end
  local found_id <const> = id or entry.parse_header(bytes, at)
  local payload <const>, difference = entry.verify(self.crc32c, bytes, at, found_id, found_kind, payload_bytes, crc)
  if not payload then return corrupt(found_kind, found_id, place, difference) end
  return payload, found_kind, found_id
end

--- reader:prefetch(places) brings the windows of these places (ascending) into the cache, adjoining ones in one device read,
--- until the cache is full of them. Failure is left to the reads that follow.
function methods:prefetch(places)
  local position = 1
  while position <= #places do
    local first <const> = places[position] * UNIT // WINDOW_BYTES
    local last = first
    repeat
      position = position + 1
      local number <const> = places[position] and places[position] * UNIT // WINDOW_BYTES
      if number and number <= last + 1 and number - first < RUN_WINDOWS then last = number else break end
    until false
    if not self.windows.get(first) then fetch(self, first, last - first + 1) end
  end
end

--- reader:forget(lba, count): these sectors are being written.
function methods:forget(lba, count)
  for number = lba // WINDOW_SECTORS, (lba + count - 1) // WINDOW_SECTORS do self.windows.drop(number) end
end

return reader
