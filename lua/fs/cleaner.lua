-- The cleaner: moves what is needed out of segments that hold little, so that they can be reused.
--
--   choose the lightest segments → survey: who needs what in them, all of it verified → a checkpoint that begins with the same
--   objects, same ids, written anew, and whose pages, the current ones and those of snapshots, point to the new places
--
-- A moved object is found through the pages of its checkpoint only. So a cut at any instant leaves either the old pages, with the
-- old segment untouched, or the new ones. A segment is freed by the checkpoint that empties it, and reused only after the next
-- one. A record that cannot be read pins its segment: it is never moved, and its segment never reused.
--
-- Relies on a checkpoint having just been written: live bytes are exact, no change is held.

local layout <const> = require "fs.layout"
local checkpoint <const> = require "fs.checkpoint"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local index <const> = require "fs.index"
local log <const> = require "fs.log"
local retention <const> = require "fs.retention"
local snapshots <const> = require "fs.snapshots"
local survey <const> = require "fs.survey"

local cleaner <const> = {}

local FULL <const> = layout.SEGMENT_FULL
--- A segment in which more than this share must be written anew is not worth it.
local WORTH_NUMERATOR <const>, WORTH_DENOMINATOR <const> = 15, 16

--- Bytes that must be written anew before a segment is free, at least: what snapshots need besides the present is known exactly
--- only after the survey.
local function weight(volume, needs, segment)
  local now <const> = volume.segments
  return math.max(now.live[segment], needs.live[segment] or 0)
    + math.max(now.pages[segment], needs.pages[segment] or 0) * index.PAGE_ENTRY_BYTES
end

--- Full segments that are worth it, the lightest first, of equal ones the oldest: the most is gained for what is written.
local function candidates(volume, needs)
  local list <const>, weights <const>, table_of_segments <const> = {}, {}, volume.segments
  local worth <const> = volume.geometry.segment_bytes * WORTH_NUMERATOR // WORTH_DENOMINATOR
  for segment = 0, table_of_segments.count - 1 do
    if table_of_segments.state[segment] == FULL then
      weights[segment] = weight(volume, needs, segment)
      if weights[segment] <= worth then list[#list + 1] = segment end
    end
  end
  table.sort(list, function(one, other)
    if weights[one] ~= weights[other] then return weights[one] < weights[other] end
    return table_of_segments.sequence[one] < table_of_segments.sequence[other]
  end)
  return list
end

--- Places pages.
local function put_pages(trial, count)
  for _ = 1, count do
    if not trial:put(index.PAGE_ENTRY_BYTES) then return false end
  end
  return true
end

--- At most how many pages the checkpoint writes when the moves of `found` come to those that were made.
local function pages_after(round, found)
  local volume <const> = round.volume
  local function path(tree, number, limit)
    return tree:path_bound((found.leaves[number] or 0) + #found.pages, limit)
  end
  local rows <const> = 4 + #found.pages + round.victims
  local total = round.leaf_pages + found.leaf_pages + #found.pages + path(volume.objects, 0, volume.next_id)
    + volume.transactions:pages_bound(2 + #found.pages, volume.log.transaction + 1)
    + volume.segment_tree:pages_bound(rows, volume.geometry.segment_count)
  for position, record in ipairs(volume.snapshots) do
    local objects <const>, table_of_segments <const> = snapshots.trees(volume, record)
    if objects.changed_leaves > 0 or found.leaves[position] or #found.pages > 0 then
      total = total + path(objects, position, volume.next_id)
        + table_of_segments:pages_bound(rows, volume.geometry.segment_count)
    end
  end
  return total
end

--- Whether the moves fit, and after them the checkpoint that makes the segment free.
local function fits(round, trial, found)
  local volume <const> = round.volume
  for _, pointer in ipairs(found.pointers) do
    local _, _, payload_bytes <const> = entry.parse_pointer(pointer)
    if not trial:put(entry.size(payload_bytes)) then return false end
  end
  local record_bytes <const>, commit_bytes <const> = checkpoint.record_bytes(#volume.snapshots), log.commit_entry_bytes("")
  if not (put_pages(trial, pages_after(round, found)) and trial:put(record_bytes) and trial:put(commit_bytes)) then
    return false
  end
  trial:close()
  local table_pages <const> = volume.segment_tree:pages_bound(8, volume.geometry.segment_count)
  return put_pages(trial, table_pages) and trial:put(record_bytes) and trial:put(commit_bytes)
end

--- The next segment that can be emptied, with its survey | nil. Pins those that cannot be read, and passes over those of which
--- nothing is known because a page of a tree cannot be read: that may be a snapshot's, and end with it. `trial`: where the log
--- stands.
local function next_victim(round, trial)
  local volume <const> = round.volume
  while round.position < #round.list do
    round.position = round.position + 1
    local segment <const> = round.list[round.position]
    local found <const>, fault = survey.of(volume, round.needs, segment)
    if found then return fits(round, trial, found) and segment or nil, found end
    if fault then round.fault = fault else volume.segments:pin(segment) end
  end
  return nil
end

--- Writes what is needed in a segment anew and sets the pointers. Returns true | nil, err.
local function move(round, transaction, found)
  local volume <const> = round.volume
  local trees <const> = {[0] = volume.objects}
  for position, record in ipairs(volume.snapshots) do trees[position] = (snapshots.trees(volume, record)) end
  for position, id in ipairs(found.ids) do
    local payload <const>, kind = volume.reader:entry(found.pointers[position], id)
    if not payload then return nil, kind end
    local pointer <const>, err = transaction:add(id, kind, payload)
    if not pointer then return nil, err end
    for _, number in ipairs(found.holders[position]) do trees[number]:set(id, pointer) end
  end
  for _, page in ipairs(found.pages) do
    local touched <const>, err = page[1]:touch(page[2], page[3])
    if not touched then return nil, err end
  end
  round.leaf_pages, round.victims = round.leaf_pages + found.leaf_pages + #found.pages, round.victims + 1
  return true
end

--- Empties segments until enough is gained. Returns true | nil, err.
local function move_all(round, transaction, segment, found)
  local volume <const> = round.volume
  local segment_bytes <const> = volume.geometry.segment_bytes
  while segment do
    local moved <const>, err = move(round, transaction, found)
    if not moved then return nil, err end
    round.gain = round.gain + segment_bytes - weight(volume, round.needs, segment)
    round.needs.live[segment], round.needs.pages[segment] = nil, nil
    if round.gain >= round.wanted * segment_bytes or round.victims >= round.most then break end
    segment, found = next_victim(round, transaction.where:clone())
  end
  return true
end

--- cleaner.clean(volume, state, wanted [, most]) → how many segments were emptied | false, perhaps with the page that cannot be read
--- and stands in the way, as an error | nil, err. Empties segments, at most `most`, until what they gain adds up to `wanted` whole ones, as far as moving is worth it and fits, with one checkpoint. The more
--- at once the better: a page of the index is written once for all of them. No history is left: what was moved is no longer
--- where it says. state: the superblock's.
function cleaner.clean(volume, state, wanted, most)
  if volume.commits_since > 0 then return errors.new("invalid", "cleaning begins behind a checkpoint") end
  local needs <const>, unreadable = snapshots.needs(volume)
  -- A snapshot whose pages cannot be read forbids to move or free anything, until it is deleted.
  if not needs then return false, unreadable end
  local round <const> = {
    volume = volume, wanted = wanted, most = most or math.maxinteger, list = candidates(volume, needs), needs = needs, position = 0,
    leaf_pages = 0, victims = 0, gain = 0,
  }
  local segment <const>, found = next_victim(round, volume.log:placement())
  if not segment then return false, round.fault end
  -- Whoever looks at the needs from now on, in the middle of the moves, would not see them; they are counted anew afterwards.
  snapshots.changed(volume)
  local done <const>, err = checkpoint.write(volume, state, {
    moves = function(transaction) return move_all(round, transaction, segment, found) end,
    release = retention.present(volume, needs),
  })
  if not done then return nil, err end
  snapshots.changed(volume)
  volume.segments_cleaned = volume.segments_cleaned + round.victims
  return round.victims
end

return cleaner
