-- One transaction into the log and into the indexes: what users' commits and the collector's deletions have in common.
--
--   frames → commit record → FLUSH → segments, views, object index → done
--
-- Promise: memory changes only after the FLUSH has returned. Until `log:done`, an error raised in between leaves the log `writing`:
-- then memory must not be gone on with, and the store mounts again.
-- Relies on space.lua having made sure of the room.

local layout <const> = require "fs.layout"
local views <const> = require "fs.views"

local writing <const> = {}

local KIND_DELETE <const> = layout.KIND_DELETE

--- Appends the entries and makes them durable. Returns pointers, transaction | nil, err.
local function append(volume, entries, record)
  local transaction <const> = volume.log:begin()
  local pointers <const>, problem = transaction:add_all(entries)
  if not pointers then return nil, problem end
  local pointer <const>, err = transaction:commit(record)
  if not pointer then return nil, err end
  record.pointer = pointer
  return pointers, transaction
end

--- What the entries replace: pointers, false for nothing; an empty list when no view wants to know | nil, err.
local function replaced(volume, entries)
  local list <const> = {}
  if not views.of_present(volume) then return list end
  local find <const>, ids <const> = volume.objects:finder(), entries.ids
  for position = 1, entries.count do
    local before <const>, err = find(ids[position])
    if before == nil then return nil, err end
    list[position] = before
  end
  return list
end

--- Takes a durable transaction into the object index.
local function adopt(volume, entries, pointers, before)
  local ids <const>, kinds <const> = entries.ids, entries.kinds
  for position = 1, #before do views.note(volume, ids[position], before[position]) end
  for position = 1, entries.count do
    if kinds[position] == KIND_DELETE then pointers[position] = false end
  end
  volume.objects:set_all(ids, pointers, entries.count)
end

--- writing.write(volume, entries, commit_kind, message, change) → {transaction, sequence, time, bytes} | nil, err. entries: columns;
--- change: as space.admit was told.
function writing.write(volume, entries, commit_kind, message, change)
  local log <const>, user <const> = volume.log, commit_kind == layout.COMMIT_USER
  local segment <const>, segment_sequence <const> = log.segment, log.segment_sequence
  local record <const> = {
    transaction = log.transaction + (user and 1 or 0), time = volume.now(), next_id = volume.next_id,
    commit_kind = commit_kind, message = message,
  }
  local before <const>, err = replaced(volume, entries)
  if not before then return nil, err end
  local pointers <const>, transaction = append(volume, entries, record)
  if not pointers then return nil, transaction end
  local opened <const> = transaction.where.opened
  volume.segments:follow(segment, opened, segment_sequence + 1, record.transaction)
  volume.segments_since, volume.entries_since = volume.segments_since + #opened, volume.entries_since + entries.count
  volume.growth, volume.held = volume.growth + change.growth, volume.held + change.held
  adopt(volume, entries, pointers, before)
  volume:committed(record)
  log:done()
  return {transaction = record.transaction, sequence = log.sequence, time = record.time, bytes = transaction.content_bytes}
end

return writing
