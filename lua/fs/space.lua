-- Space: whether a commit fits, decided before its first byte is written, and what is done when it does not.
--
-- Three rules keep the store from ever getting stuck.
--   1. After every commit there is room for a checkpoint of all that changed: worst case, placed on trial by the code that
--      places it in earnest.
--   2. A reserve of k free segments. When it is touched, `reclaim` works until it is whole again: checkpoints turn dead
--      segments into free ones, then the oldest history goes, at last the cleaner empties the lightest segments. If that
--      does not help, only commits that do not grow what is stored may use the reserve, and its last segment but one
--      only those that make it smaller: deleting is always possible.
--   3. What is stored may grow only so far that cleaning still gains. A round of the cleaner writes k - 1 segments that were
--      filled to the share u, and gains (k - 1)(1 - u) of them; the pages that its checkpoints write, at most the whole
--      index, o segments, must be less. With u = 1 - o / (k - 1) the store holds u (n - k - 1) segments of its n; that is most
--      for k - 1 = sqrt(o n).
-- What only snapshots need counts as stored, and their own pages as pages of the index. A commit that replaces what a snapshot
-- holds makes the store grow by all that it writes; but one that makes the present smaller is never refused for that.

local columns <const> = require "fs.columns"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local index <const> = require "fs.index"
local log <const> = require "fs.log"
local checkpoint <const> = require "fs.checkpoint"
local cleaner <const> = require "fs.cleaner"
local layout <const> = require "fs.layout"
local retention <const> = require "fs.retention"
local snapshots <const> = require "fs.snapshots"

local space <const> = {}

local PAGE_FANOUT <const>, entry_size <const> = layout.PAGE_FANOUT, entry.size
local STATE_IN_USE <const> = layout.STATE_IN_USE
--- Free segments that each sort of commit must leave; the reserve proper is larger (`reserve_of`).
local LEAVE_SAME <const>, LEAVE_SHRINKING <const> = 2, 1
local SPARE_SHARE <const> = 16
--- The largest entry that segments_bound has an answer for: a quarter of the smallest segment.
local LARGEST_SMALL <const> = layout.SEGMENT_SECTORS_MIN * layout.SECTOR_BYTES // 4
--- Steps of reclaiming without progress after which it is given up.
local IDLE_STEPS <const> = 4
--- Segments that a step for idle moments gains, and most that it empties for that: somebody may be waiting for its end.
local TIDY_SEGMENTS <const>, TIDY_VICTIMS <const> = 2, 4
--- Entries in the log since the last checkpoint that make one worth writing when nobody waits.
local TIDY_ENTRIES <const> = 4096
local RESERVE_MIN <const>, FILL_MAX <const> = 3, 0.92
--- Pages that come with every checkpoint, besides those of the object index: a few of the other trees, the record.
local FIXED_PAGES <const> = 12

--- Places the pages and records of a checkpoint, at most as many as can be due after `more_leaves` further leaves of the
--- object index changed, with so many further snapshots. Returns whether they fit.
local function place_checkpoint(mounted, trial, more_leaves, more_snapshots)
  local pages <const> = mounted.objects:pages_bound(more_leaves, mounted.next_id)
    -- One leaf for the commit, one where older transactions are cut off.
    + mounted.transactions:pages_bound(2, mounted.log.transaction + 2)
    + mounted.segment_tree:pages_bound(2 + #trial.opened, mounted.geometry.segment_count)
  for _ = 1, pages do
    if not trial:put(index.PAGE_ENTRY_BYTES) then return false end
  end
  local record_bytes <const> = checkpoint.record_bytes(#mounted.snapshots + (more_snapshots or 0))
  if not (trial:put(record_bytes) and trial:put(log.commit_entry_bytes(""))) then return false end
  trial:close()
  return true
end

local NO_ENTRIES <const> = columns.new()
local NO_CHANGE <const> = {growth = 0, payload = 0, held = 0}

--- What a commit needs: payloads of its entries in order, the size of its record, how many leaves of the object index it touches, and what it changes.
local function demand_of(entries, message, change)
  local payloads <const>, ids <const> = entries.payloads, entries.ids
  local leaves <const>, count, bytes, largest, before = {}, 0, 0, 0, nil
  for position = 1, entries.count do
    local size <const>, leaf <const> = entry_size(#payloads[position]), ids[position] // PAGE_FANOUT
    bytes = bytes + size
    if size > largest then largest = size end
    if leaf ~= before then
      before = leaf
      if not leaves[leaf] then leaves[leaf], count = true, count + 1 end
    end
  end
  local last <const> = log.commit_entry_bytes(message)
  return {payloads = payloads, count = entries.count, last = last, leaves = count, change = change, bytes = bytes + last,
    largest = math.max(largest, last)}
end

--- At most how many segments a demand opens, and the checkpoint behind it with so many pages more; nil where only a trial
--- tells. Of small entries a segment holds a third of its bytes at the very least: it may lose an entry's size at its end,
--- as much in each of its frames, and what the frames are rounded up by.
local function segments_bound(mounted, demand, pages)
  if demand.largest > LARGEST_SMALL then return nil end
  return 2 + 3 * (demand.bytes + pages * index.PAGE_ENTRY_BYTES) // mounted.geometry.segment_bytes
end

--- Pages of a checkpoint behind the demand, at most, and its records.
local function checkpoint_pages(mounted, more_leaves, opened)
  return mounted.objects:pages_bound(more_leaves, mounted.next_id)
    + mounted.transactions:pages_bound(1, mounted.log.transaction + 2)
    + mounted.segment_tree:pages_bound(2 + opened, mounted.geometry.segment_count)
    + 1 + checkpoint.record_bytes(#mounted.snapshots + 1) // index.PAGE_ENTRY_BYTES
end

--- Pages and bytes that only snapshots need. One that cannot be read has stopped cleaning; then its burden does not matter.
local function burden_of(mounted)
  local pages <const>, bytes <const> = snapshots.burden(mounted)
  if not pages then return 0, 0 end
  return pages, bytes
end

--- At most how many pages the next checkpoint adds to those that there are: changed leaves are not new ones, as long as
--- ids are dense.
local function new_pages(mounted, more_leaves)
  local leaves_of_ids <const> = mounted.next_id // layout.PAGE_FANOUT + 2
  return math.min(mounted.objects.changed_leaves + more_leaves, math.max(0, leaves_of_ids - mounted.segments.page_count))
end

--- The reserve and the most that may be stored, in segments and bytes, with so many further leaves.
local function limits(mounted, more_leaves)
  local table_of_segments <const>, segment_bytes <const> = mounted.segments, mounted.geometry.segment_bytes
  local count <const> = table_of_segments.count - table_of_segments.bad
  local pages <const> = table_of_segments.page_count + new_pages(mounted, more_leaves) + (burden_of(mounted))
  local overhead <const> = (pages + FIXED_PAGES) * index.PAGE_ENTRY_BYTES / segment_bytes
  local reserve <const> = math.max(RESERVE_MIN, 1 + math.ceil(math.sqrt(overhead * count)))
  local fill <const> = math.min(FILL_MAX, 1 - overhead / (reserve - 1))
  return reserve, math.floor(fill * (count - reserve - 1) * segment_bytes) - pages * index.PAGE_ENTRY_BYTES
end

--- Segments that a reclaim gets free beyond the reserve, so that what its checkpoints write is spread over many commits.
local function spare_of(mounted)
  local pages <const> = mounted.segments.page_count + mounted.objects.changed_leaves + FIXED_PAGES + (burden_of(mounted))
  local overhead <const> = pages * index.PAGE_ENTRY_BYTES // mounted.geometry.segment_bytes
  return math.max(1, 2 * overhead, mounted.segments.count // SPARE_SHARE)
end

--- Free segments that a commit must leave, and why it is refused for what it would store, if it is.
local function terms(mounted, demand)
  local reserve <const>, most <const> = limits(mounted, demand.leaves)
  local change <const> = demand.change
  -- One reference less may free any amount, though the entry that had it is rounded up to the same size.
  if change.growth < 0 or change.growth == 0 and change.payload < 0 then return reserve, LEAVE_SHRINKING end
  if change.growth > 0 or change.held > 0 then
    local _, kept <const> = burden_of(mounted)
    local stored <const> = mounted.record.object_bytes + mounted.growth + change.growth + kept + mounted.held + change.held
    return reserve, reserve, stored > most and ("%d bytes stored of at most %d"):format(stored, most) or nil
  end
  return reserve, LEAVE_SAME
end

--- Free segments that are left when the demand and a checkpoint behind it have been written | nil when they do not fit,
--- and how many segments the demand opens.
local function left_after(mounted, demand)
  local trial <const> = mounted.log:placement()
  local first = 1
  while first <= demand.count do
    local place <const>, last = trial:put_run(demand.payloads, first, demand.count)
    if not place then return nil, #trial.opened end
    first = last + 1
  end
  if not trial:put(demand.last) then return nil, #trial.opened end
  trial:close()
  local opened <const> = #trial.opened
  if not place_checkpoint(mounted, trial, demand.leaves) then return nil, opened end
  return mounted.segments.free - #trial.opened, opened
end

local function leaves(mounted, demand, target)
  local bound <const> = segments_bound(mounted, demand, 0)
  local all <const> = bound and segments_bound(mounted, demand, checkpoint_pages(mounted, demand.leaves, bound))
  if all and mounted.segments.free - all >= target then return true end
  local left <const> = left_after(mounted, demand)
  return left ~= nil and left >= target
end

--- Whether a checkpoint can be written now. Admission sees to it; only a store that another program filled can say no.
local function can_checkpoint(mounted, more_snapshots)
  return place_checkpoint(mounted, mounted.log:placement(), 0, more_snapshots)
end

--- Writes a checkpoint, if one fits. Returns true | false | nil, err.
local function settle(mounted, release)
  if not can_checkpoint(mounted) then return false end
  return checkpoint.write(mounted, STATE_IN_USE, {release = release})
end

--- space.settle(volume) → true | false when there is no room | nil, err. Writes a checkpoint if anything was committed since the last.
function space.settle(mounted)
  if mounted.commits_since == 0 then return true end
  return settle(mounted)
end

--- Releases segments with one checkpoint and makes them free with the next.
local function turn_over(mounted, release)
  local done, err = settle(mounted, release)
  if done then done, err = settle(mounted) end
  return done, err
end

--- One step of reclaiming: what costs least first. most: segments that are cleaned at a time. Returns whether it gained or may have
--- gained something | nil, err.
local function reclaim_step(mounted, wanted, most)
  -- Live bytes are exact, and what is pending turns free, with a checkpoint.
  if mounted.commits_since > 0 or retention.has_pending(mounted) then return settle(mounted) end
  local list <const>, why = retention.advance(mounted, wanted)
  -- A snapshot that cannot be read forbids to free anything; who is refused is told.
  mounted.stuck = why
  if not list then return false end
  if #list > 0 then return turn_over(mounted, retention.release(mounted, list)) end
  local moved <const>, err = cleaner.clean(mounted, STATE_IN_USE, wanted, most)
  if moved == nil then return nil, err end
  if not moved then
    mounted.stuck = err
    return false
  end
  return settle(mounted)
end

--- Frees segments until the demand leaves `target` of them, as far as that goes. Returns true | nil, err.
local function reclaim(mounted, demand, target)
  local idle, best = 0, mounted.segments.free
  while idle < IDLE_STEPS and not leaves(mounted, demand, target) do
    local worked <const>, problem = reclaim_step(mounted, math.max(2, target - mounted.segments.free))
    if worked == nil then return nil, problem end
    if not worked then break end
    -- A step may gain nothing, or even cost a segment that a later one brings back; only more free segments than ever
    -- before count as progress, so that the loop ends.
    idle = mounted.segments.free > best and 0 or idle + 1
    best = math.max(best, mounted.segments.free)
  end
  mounted.reclaimed_at, mounted.reclaimed_bytes = mounted.log.sequence, mounted.log.bytes_written
  return true
end

--- A checkpoint is due before the log since the last one spans too many segments.
local function log_is_long(mounted, demand)
  local bound <const> = segments_bound(mounted, demand, 0)
  if bound and 1 + mounted.segments_since + bound <= layout.REPLAY_SEGMENTS_MAX then return false end
  local _, opened <const> = left_after(mounted, demand)
  return mounted.commits_since > 0 and 1 + mounted.segments_since + opened > layout.REPLAY_SEGMENTS_MAX
end

--- Whether an attempt to reclaim can bring anything: not at once after one, and when there is no need, only after a while.
local function worth_reclaiming(mounted, needed)
  if mounted.reclaimed_at == mounted.log.sequence then return false end
  if needed or not mounted.reclaimed_at then return true end
  return mounted.log.bytes_written - mounted.reclaimed_bytes >= mounted.geometry.segment_bytes // 4
end

local function refuse(mounted, why)
  local free <const> = mounted.segments.free * mounted.geometry.segment_bytes + mounted.log:placement():rest_bytes()
  local text = "no room for this commit: " .. (why or ("%d bytes are free, and kept for deletions"):format(free))
  if mounted.stuck then text = text .. "; a page is unreadable and keeps what may be needed: " .. mounted.stuck.message end
  return errors.new("no_space", text, {free_bytes = free})
end

--- Frees segments when `must_leave` or, now and then, the reserve is touched. Returns true | nil, err.
local function make_room(mounted, demand, reserve, must_leave)
  if leaves(mounted, demand, reserve) then return true end
  if not worth_reclaiming(mounted, not leaves(mounted, demand, must_leave)) then return true end
  return reclaim(mounted, demand, reserve + spare_of(mounted))
end

--- space.admit(volume, entries, message, change) → true | nil, err. When it returns true, the entries fit, and a checkpoint behind
--- them. change: {growth = by how many bytes they make the present larger, payload = the same before entries are rounded up,
--- held = bytes that they replace and a snapshot holds}.
function space.admit(mounted, entries, message, change)
  local ready <const>, err = retention.prepare(mounted)
  if not ready then return nil, err end
  local demand <const> = demand_of(entries, message, change)
  if log_is_long(mounted, demand) then
    local done <const>, problem = settle(mounted)
    if done == nil then return nil, problem end
  end
  local reserve <const>, must_leave <const>, full <const> = terms(mounted, demand)
  if full then return refuse(mounted, full) end
  local made <const>, trouble = make_room(mounted, demand, reserve, must_leave)
  if not made then return nil, trouble end
  if leaves(mounted, demand, must_leave) then return true end
  return refuse(mounted)
end

--- space.change(volume, plan) → true | nil, err. Writes a checkpoint that takes or drops a snapshot, or holds another setting. It keeps
--- rule 1 and 2 like a commit: each of a row of such checkpoints leaves room for the next, so that space can be made.
function space.change(mounted, plan)
  local ready <const>, err = retention.prepare(mounted)
  if not ready then return nil, err end
  local demand <const> = demand_of(NO_ENTRIES, "", NO_CHANGE)
  local done <const>, problem = make_room(mounted, demand, (limits(mounted, 0)), plan.drop and LEAVE_SHRINKING or LEAVE_SAME)
  if not done then return nil, problem end
  if not can_checkpoint(mounted, plan.take and 1 or 0) then return refuse(mounted) end
  if not plan.drop and not leaves(mounted, demand, LEAVE_SHRINKING) then return refuse(mounted) end
  return checkpoint.write(mounted, STATE_IN_USE, plan)
end

--- space.tidy(volume) → whether there may be more to do | nil, err. One step of what a commit or a mount would have to do sooner or
--- later: makes the reserve whole again before it is touched, and a checkpoint when a mount would have much to replay.
function space.tidy(mounted)
  local ready <const>, err = retention.prepare(mounted)
  if not ready then return nil, err end
  if mounted.entries_since >= TIDY_ENTRIES then return settle(mounted) end
  local target <const>, tidied = (limits(mounted, 0)) + spare_of(mounted), mounted.tidied
  -- After steps that gained nothing it is not tried again before somebody commits.
  if not tidied or tidied.transaction ~= mounted.log.transaction then
    tidied = {transaction = mounted.log.transaction, idle = 0}
    mounted.tidied = tidied
  end
  if mounted.segments.free >= target or tidied.idle >= IDLE_STEPS then return false end
  local before <const> = mounted.segments.free
  local worked <const>, problem = reclaim_step(mounted, TIDY_SEGMENTS, TIDY_VICTIMS)
  if worked == nil then return nil, problem end
  tidied.idle = not worked and IDLE_STEPS or mounted.segments.free <= before and tidied.idle + 1 or 0
  return mounted.segments.free < target and tidied.idle < IDLE_STEPS
end

return space
