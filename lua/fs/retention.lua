-- Retention: how far back the history goes, and which segments nobody needs any more.
--
-- History is the log itself. Every checkpoint knows the one before; from the oldest that is kept on (the horizon), all
-- segments stay as they were written, so the state after any transaction since can be rebuilt: that checkpoint, plus replay.
-- Nothing is thrown away until space is needed. Then the horizon moves forward, one checkpoint after the other, at last to
-- the checkpoint that is being written: no history left but the present.
--
--   older than the horizon:  needed ⇔ the horizon's index has live objects or pages there, or a current tree has pages there
--   younger:                 needed
--
-- What is live now in an older segment was live at the horizon, too: nothing is written into old segments.

local layout <const> = require "fs.layout"
local cache <const> = require "fs.cache"
local checkpoint <const> = require "fs.checkpoint"
local entry <const> = require "fs.entry"
local index <const> = require "fs.index"
local segments <const> = require "fs.segments"

local retention <const> = {}

local FULL <const>, PENDING <const> = layout.SEGMENT_FULL, layout.SEGMENT_PENDING
--- Most checkpoints of the past that are looked at; more history than this is dropped in larger steps.
local CHAIN_MAX <const> = 4096
local PAST_CACHE_PAGES <const> = 32

local function segment_of(volume, pointer)
  return volume.geometry.segment_of_place((entry.parse_pointer(pointer)))
end

--- The checkpoints that still answer, newest first, down to the horizon. A chain ends where nothing older is kept, and at
--- a record that cannot be read: what is behind it answers to nobody.
local function chain(volume)
  local records, record <const> = {volume.record}, nil
  local oldest <const> = volume.oldest_transaction
  while #records < CHAIN_MAX do
    local last <const> = records[#records]
    if oldest == 0 or last.sequence == 0 or last.transaction < oldest then break end
    local pointer <const> = entry.from_fields("previous", last)
    if pointer == entry.NOTHING then break end
    local earlier <const> = checkpoint.at(volume.reader, pointer)
    if not earlier or earlier.sequence >= last.sequence then break end
    records[#records + 1] = earlier
  end
  return records
end

--- What a checkpoint of the past needs in the segments: {live = segment → bytes, pages = segment → count} | nil, err.
local function needs_of(volume, record)
  local function tree(name, kind)
    return index.new {
      kind = kind, reader = volume.reader, cache = cache.new(PAST_CACHE_PAGES),
      root = entry.from_fields(name .. "s", record), levels = record[name .. "_levels"],
    }
  end
  local past <const>, err = segments.load(tree("segment", layout.KIND_SEGMENT_PAGE), volume.geometry.segment_count)
  if not past then return nil, err end
  local counted <const>, problem = past:count_pages({tree("object", layout.KIND_OBJECT_PAGE)},
    function(pointer) return segment_of(volume, pointer) end)
  if not counted then return nil, problem end
  return past
end

--- The segments that a horizon at `record` would free, of those that are full now.
local function free_behind(volume, record, past)
  local table_of_segments <const>, list <const> = volume.segments, {}
  local first <const> = table_of_segments.sequence[volume.geometry.segment_of(record.frame_lba)]
  for segment = 0, table_of_segments.count - 1 do
    if table_of_segments.state[segment] == FULL and table_of_segments.sequence[segment] < first
      and past.live[segment] == 0 and past.pages[segment] == 0 and table_of_segments.pages[segment] == 0 then
      list[#list + 1] = segment
    end
  end
  return list
end

--- Makes `oldest` the first transaction that answers.
local function forget_before(volume, oldest)
  local last <const> = volume.log.transaction
  for number = math.max(1, volume.oldest_transaction), math.min(oldest - 1, last) do
    if volume.oldest_transaction > 0 then volume.transactions:set(number, false) end
  end
  volume.oldest_transaction = oldest <= last and oldest or 0
end

--- Full segments in which nothing of the present is left; exact when no change is held.
local function dead_segments(volume, busy)
  local table_of_segments <const>, list <const> = volume.segments, {}
  for segment = 0, table_of_segments.count - 1 do
    if table_of_segments.state[segment] == FULL and not busy[segment]
      and table_of_segments.live[segment] == 0 and table_of_segments.pages[segment] == 0 then
      list[#list + 1] = segment
    end
  end
  return list
end

--- retention.advance(volume, wanted) → list of segments that can be released. Moves the horizon just so far that `wanted`
--- segments are in it, if any kept checkpoint gives them; else to the present, if that gives any. Relies on no held change.
function retention.advance(volume, wanted)
  local records <const> = chain(volume)
  local step <const> = math.max(1, #records // 8)
  for position = #records - step, 1, -step do
    local record <const> = records[position]
    local past <const> = record.sequence > 0 and needs_of(volume, record)
    local list <const> = past and free_behind(volume, record, past) or {}
    if #list >= wanted then
      forget_before(volume, record.transaction + 1)
      return list
    end
  end
  local list <const> = dead_segments(volume, {[volume.log.segment] = true})
  if #list > 0 then forget_before(volume, volume.log.transaction + 1) end
  return list
end

--- retention.release(volume, list) → release function for checkpoint.write.
function retention.release(volume, list)
  return function()
    for _, segment in ipairs(list) do volume.segments:release(segment) end
  end
end

--- retention.present(volume) → release function that keeps nothing but the state of the checkpoint being written.
function retention.present(volume)
  forget_before(volume, volume.log.transaction + 1)
  return function(busy)
    for _, segment in ipairs(dead_segments(volume, busy)) do volume.segments:release(segment) end
  end
end

--- Whether a segment waits for one more checkpoint before it is free.
function retention.has_pending(volume)
  for segment = 0, volume.segments.count - 1 do
    if volume.segments.state[segment] == PENDING then return true end
  end
  return false
end

--- retention.prepare(volume) → true | nil, err. Counts the pages of the current trees in each segment; needed before `advance`.
function retention.prepare(volume)
  return volume.segments:count_pages({volume.objects, volume.transactions, volume.segment_tree},
    function(pointer) return segment_of(volume, pointer) end)
end

return retention
