-- Retention: how far back the history goes, and which segments nobody needs any more.
--
-- History is the log itself. Every checkpoint knows the one before; from the oldest that is kept on (the horizon), all
-- segments stay as they were written, so the state after any transaction since can be rebuilt: that checkpoint, plus replay.
-- Nothing is given away until space is needed. Then the horizon moves forward, one checkpoint after the other, at last to
-- the checkpoint that is being written: no history left but the present, and snapshots.
--
--   older than the horizon:  needed ⇔ the horizon's index has live objects or pages there, or a current tree has pages there,
--                                     or a snapshot has objects or pages there
--   younger:                 needed
--
-- What is live now in an older segment was live at the horizon, too: nothing is written into old segments.
--
-- Open views hold nothing: the horizon passes the oldest of them first, as it passes the oldest history, and they are told.

local layout <const> = require "fs.layout"
local cache <const> = require "fs.cache"
local entry <const> = require "fs.entry"
local index <const> = require "fs.index"
local past <const> = require "fs.past"
local segments <const> = require "fs.segments"
local snapshots <const> = require "fs.snapshots"
local views <const> = require "fs.views"

local retention <const> = {}

local FULL <const>, PENDING <const> = layout.SEGMENT_FULL, layout.SEGMENT_PENDING
--- Horizons that are tried, from the oldest on.
local STEPS <const> = 8
local PAST_CACHE_PAGES <const> = 32

local function segment_of(volume, pointer)
  return volume.geometry.segment_of_place((entry.parse_pointer(pointer)))
end

--- What a checkpoint of the past needs in the segments: {live = segment → bytes, pages = segment → count} | nil, err.
local function needs_of(volume, record)
  local function tree(name, kind)
    return index.new {
      kind = kind, reader = volume.reader, cache = cache.new(PAST_CACHE_PAGES),
      root = entry.from_fields(name .. "s", record), levels = record[name .. "_levels"],
    }
  end
  local table_of_segments <const> = tree("segment", layout.KIND_SEGMENT_PAGE)
  local then_ <const>, err = segments.load(table_of_segments, volume.geometry.segment_count)
  if not then_ then return nil, err end
  local counted <const>, problem = then_:count_pages({tree("object", layout.KIND_OBJECT_PAGE), table_of_segments},
    function(pointer) return segment_of(volume, pointer) end)
  if not counted then return nil, problem end
  return then_
end

--- Whether nothing of the present, nor of a snapshot, is in a segment that the log has left.
local function is_dead(volume, needs, segment)
  local now <const> = volume.segments
  return now.state[segment] == FULL and now.live[segment] == 0 and now.pages[segment] == 0
    and not needs.live[segment] and not needs.pages[segment]
end

--- The segments that a horizon at `record` would free.
local function free_behind(volume, needs, record)
  local list <const> = {}
  local then_ <const> = record.sequence > 0 and needs_of(volume, record)
  if not then_ then return list end
  local first <const> = volume.segments.sequence[volume.geometry.segment_of(record.frame_lba)]
  for segment = 0, volume.segments.count - 1 do
    if volume.segments.sequence[segment] < first and then_.live[segment] == 0 and then_.pages[segment] == 0
      and is_dead(volume, needs, segment) then
      list[#list + 1] = segment
    end
  end
  return list
end

--- Full segments in which nothing of the present is left; exact when no change is held.
local function dead_segments(volume, needs, busy)
  local list <const> = {}
  for segment = 0, volume.segments.count - 1 do
    if not busy[segment] and is_dead(volume, needs, segment) then list[#list + 1] = segment end
  end
  return list
end

--- Makes the state after `transaction` the oldest that is kept.
local function move_horizon(volume, transaction, present)
  volume:forget_before(transaction + 1)
  past.cut(volume, transaction)
  views.expire(volume, transaction, present)
end

--- The horizons that may be chosen, from the oldest on: the first costs nobody anything.
local function horizons(volume)
  local oldest <const>, viewed <const> = volume:oldest(), views.oldest(volume)
  if oldest == 0 and not viewed then return {} end
  local limit = oldest > 0 and oldest or math.maxinteger
  if viewed then limit = math.min(limit, viewed + 1) end
  local chain <const> = past.chain(volume, limit)
  local step <const>, list <const> = math.max(1, #chain // STEPS), {}
  for position = #chain, 1, -step do list[#list + 1] = chain[position] end
  return list
end

--- retention.advance(volume, wanted) → list of segments that can be released | nil, err when that cannot be known. Moves the horizon
--- just so far that `wanted` segments are in it, if any kept checkpoint gives them; else to the present, if that gives any.
--- Relies on no held change.
function retention.advance(volume, wanted)
  local needs <const>, err = snapshots.needs(volume)
  if not needs then return nil, err end
  for position, one in ipairs(horizons(volume)) do
    local record <const> = past.record(volume, one)
    local list <const> = record and free_behind(volume, needs, record) or {}
    if #list >= (position == 1 and 1 or wanted) then
      move_horizon(volume, record.transaction)
      return list
    end
  end
  local list <const> = dead_segments(volume, needs, {[volume.log.segment] = true})
  if #list > 0 then move_horizon(volume, volume.log.transaction, true) end
  return list
end

--- retention.release(volume, list) → release function for checkpoint.write.
function retention.release(volume, list)
  return function()
    for _, segment in ipairs(list) do volume.segments:release(segment) end
  end
end

--- retention.present(volume, needs) → release function that keeps nothing but the state of the checkpoint being written, and what
--- snapshots need.
function retention.present(volume, needs)
  move_horizon(volume, volume.log.transaction, true)
  return function(busy)
    for _, segment in ipairs(dead_segments(volume, needs, busy)) do volume.segments:release(segment) end
  end
end

--- Whether a segment waits for one more checkpoint before it is free.
function retention.has_pending(volume)
  for segment = 0, volume.segments.count - 1 do
    if volume.segments.state[segment] == PENDING then return true end
  end
  return false
end

--- retention.held(volume) → bytes of segments that only history keeps, as of the last checkpoint | nil, err.
function retention.held(volume)
  local needs <const>, err = snapshots.needs(volume)
  if not needs then return nil, err end
  local since <const> = {}
  for segment = 0, volume.segments.count - 1 do
    since[segment] = volume.segments.sequence[segment] >= volume.superblock.replay_segment_sequence
  end
  return #dead_segments(volume, needs, since) * volume.geometry.segment_bytes
end

--- retention.prepare(volume) → true | nil, err. Counts the pages of the current trees in each segment; needed before `advance`.
function retention.prepare(volume)
  return volume.segments:count_pages({volume.objects, volume.transactions, volume.segment_tree},
    function(pointer) return segment_of(volume, pointer) end)
end

return retention
