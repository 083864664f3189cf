-- Replay: goes through the log from the superblock's replay position, one whole transaction after the other, and
-- says how it ends. The past is gone through in the same way (`follow`), from an older checkpoint to a transaction that is known.
--
--   frame accepted → its entries are collected → commit record agrees → apply(transaction) → next
--   no frame       → "stale" (error) · "damaged" (evidence of a flushed frame) · "torn" · "clean"
--
-- Promise: apply sees whole transactions only, in order; after the end, `position` stands behind the last of them.
-- What is between it and the end found was never acknowledged, or the verdict is "damaged". Nothing is written.

local layout <const> = require "fs.layout"
local errors <const> = require "fs.errors"
local entry <const> = require "fs.entry"
local frame <const> = require "fs.frame"
local geometry <const> = require "fs.geometry"
local scanner <const> = require "fs.scanner"

local replay <const> = {}

local COMMIT <const> = layout.commit
local KIND_COMMIT <const>, ID_MASK <const> = layout.KIND_COMMIT, layout.ID_MASK
local UNIT <const> = layout.PLACE_UNIT_BYTES
local LAST_OBJECT_KIND <const> = layout.KIND_MAP_NODE
local PAGE_KINDS <const> = {
  [layout.KIND_CHECKPOINT] = true, [layout.KIND_OBJECT_PAGE] = true,
  [layout.KIND_SEGMENT_PAGE] = true, [layout.KIND_TRANSACTION_PAGE] = true,
}

--- replay.start(superblock, geometry) → the position that a superblock names.
function replay.start(superblock, shape)
  return {
    lba = superblock.replay_lba, segment = shape.segment_of_position(superblock.replay_lba),
    segment_sequence = superblock.replay_segment_sequence, next_segment = superblock.replay_next_segment,
    lsn = superblock.replay_lsn, sequence = superblock.replay_sequence,
    transaction = superblock.replay_transaction, parent_crc = superblock.replay_parent_crc,
    opened = {},
  }
end

local function copy_position(position)
  local copy <const> = {}
  for name, value in pairs(position) do copy[name] = value end
  copy.opened = table.move(position.opened, 1, #position.opened, 1, {})
  return copy
end

--- Moves `position` behind a frame.
local function advance(position, shape, header, segment)
  if segment ~= position.segment then
    position.opened[#position.opened + 1] = {
      segment = segment, sequence = header.segment_sequence, left = position.segment,
      transaction = position.transaction,
    }
  end
  position.lba = header.lba + shape.append_span(frame.HEADER_BYTES + header.payload_bytes)
  position.segment, position.segment_sequence = segment, header.segment_sequence
  position.next_segment, position.lsn = header.next_segment, header.lsn + 1
end

--- joined: it is met in the middle, so that its commit record cannot be checked against all of it.
local function new_transaction(position)
  return {sequence = position.sequence + 1, entries = {}, headers = {}, content_bytes = 0}
end

--- Collects a frame's entries. Returns the commit record's {at, bytes, crc, pointer} if it ends the transaction | false |
--- nil, what is wrong.
local function collect(crc32c, transaction, header, bytes)
  local commit, misplaced = false, nil
  local first <const> = header.lba * geometry.PLACES_A_SECTOR
  local sound <const>, difference = frame.entries(crc32c, header, bytes, function(id, kind, payload_bytes, crc, at)
    local pointer <const> = entry.pointer(first + (at - 1) // UNIT, kind, payload_bytes, crc)
    if commit then misplaced = "an entry after the commit record" end
    if kind == KIND_COMMIT then
      commit = {id = id, at = at + entry.HEADER_BYTES, payload_bytes = payload_bytes, crc = crc, pointer = pointer}
      return
    end
    local count <const> = #transaction.entries
    transaction.entries[count + 1], transaction.entries[count + 2] = id, pointer
    transaction.headers[#transaction.headers + 1] = bytes:sub(at, at + entry.HEADER_BYTES - 1)
    transaction.content_bytes = transaction.content_bytes + payload_bytes
  end)
  if not sound or misplaced then return nil, difference or misplaced end
  return commit
end

--- What the commit record must say. Returns name → value.
local function agreement(crc32c, transaction, position, record)
  if transaction.joined then return {sequence = transaction.sequence, parent_crc = position.parent_crc} end
  local user <const> = record.commit_kind == layout.COMMIT_USER
  return {
    sequence = transaction.sequence, transaction = position.transaction + (user and 1 or 0),
    entry_count = #transaction.entries // 2, content_bytes = transaction.content_bytes,
    content_crc = crc32c(table.concat(transaction.headers)), parent_crc = position.parent_crc,
  }
end

--- Reads and checks a commit record. Returns its fields, with message | nil, what does not agree.
local function check_commit(crc32c, transaction, position, commit, bytes)
  if commit.payload_bytes < COMMIT.size then return nil, "a commit record that is too short" end
  if commit.id ~= transaction.sequence & ID_MASK then return nil, "the commit record's id" end
  local record <const> = COMMIT.unpack(bytes, commit.at)
  if record.message_bytes ~= commit.payload_bytes - COMMIT.size then return nil, "message_bytes" end
  if record.message_bytes > layout.MESSAGE_BYTES_MAX then return nil, "message_bytes" end
  if record.commit_kind > layout.COMMIT_SYSTEM then return nil, "commit_kind" end
  if record.next_id < layout.FIRST_FREE_ID or record.next_id > ID_MASK + 1 or record.time < 0 then return nil, "next_id" end
  for name, value in pairs(agreement(crc32c, transaction, position, record)) do
    if record[name] ~= value then return nil, ("%s: expected %d, found %d"):format(name, value, record[name]) end
  end
  record.message = bytes:sub(commit.at + COMMIT.size, commit.at + commit.payload_bytes - 1)
  record.pointer = commit.pointer
  return record
end

local function damaged(position, lba, why)
  return {verdict = "damaged", lba = lba, reason = ("transaction %d (sequence) at LBA %d is damaged: %s"):format(
    position.sequence + 1, lba, why)}
end

--- Judges the end of the log at `position` (behind the last good frame); `whole` is the position behind the last whole
--- transaction.
local function judge_end(reading, position, whole, superblock)
  local proof <const>, err = reading:evidence(position)
  if proof == nil then return nil, err end
  if proof then
    return damaged(whole, position.lba, ("the frame at LBA %d (lsn %d) says that lsn %d was flushed"):format(
      proof.lba, proof.lsn, proof.durable_lsn))
  end
  local nothing <const> = position.lsn == superblock.replay_lsn
  if nothing and superblock.state & layout.STATE_IN_USE == 0 then return {verdict = "clean"} end
  return {verdict = "torn"}
end

--- Takes one accepted frame into the transaction. Returns the commit record if it completes it | false | nil, what is wrong.
local function take(options, transaction, position, header, bytes)
  local commit <const>, why = collect(options.crc32c, transaction, header, bytes)
  if not commit then return commit, why end
  local record <const>, difference = check_commit(options.crc32c, transaction, position, commit, bytes)
  if not record then return nil, difference end
  record.crc = commit.crc
  local applied <const>, err = options.apply(record, transaction.entries)
  if applied == nil then return nil, err.message end
  transaction.ended = not applied
  return record
end

--- Whether a transaction's entries are those of a checkpoint.
local function has_checkpoint(entries)
  for at = 2, #entries, 2 do
    local _, kind <const> = entry.parse_pointer(entries[at])
    if kind == layout.KIND_CHECKPOINT then return true end
  end
  return false
end

local function nonsense(what, id)
  return errors.new("corrupt", ("%s %d"):format(what, id))
end

--- Judges one entry. Returns the slot to set (a pointer, or false for a deletion), or "passed over" | nil, err.
local function slot_of(record, id, pointer, seen)
  local _, kind <const>, payload_bytes <const> = entry.parse_pointer(pointer)
  if record.commit_kind ~= layout.COMMIT_USER and PAGE_KINDS[kind] then return "passed over" end
  if id < layout.ROOT_ID or id >= record.next_id then return nonsense("an object with id", id) end
  local deletes <const> = kind == layout.KIND_DELETE and payload_bytes == 0
  if not deletes and (kind < 1 or kind > LAST_OBJECT_KIND) or deletes and seen.moving then
    return nonsense("an entry of kind", kind)
  end
  -- What a checkpoint moved is found through its pages alone, old versions of an object among it.
  if seen.moving then return "passed over" end
  if seen[id] then return nonsense("two entries for object", id) end
  seen[id] = true
  return not deletes and pointer
end

--- replay.apply(tree, record, entries) → true | nil, err. Takes a whole transaction of the log into an object index. Nothing is
--- taken of one that makes no sense.
function replay.apply(tree, record, entries)
  local moving <const> = record.commit_kind ~= layout.COMMIT_USER and has_checkpoint(entries)
  local seen <const>, slots <const> = {moving = moving}, {}
  for at = 1, #entries, 2 do
    local slot <const>, err = slot_of(record, entries[at], entries[at + 1], seen)
    if slot == nil then return nil, err end
    slots[#slots + 1] = slot
  end
  for position, slot in ipairs(slots) do
    if slot ~= "passed over" then tree:set(entries[position * 2 - 1], slot) end
  end
  return true
end

--- replay.follow{reading = scanner, position =, crc32c =, geometry =, apply =, joined =} → what stopped it: {position = behind the
--- last whole transaction, reached = behind the last good frame, transactions = number, lba =, reason = of damage, or nil} | nil, err.
--- apply(record, entries) → true to go on, false to stop, nil, err when the transaction makes no sense.
function replay.follow(options)
  local position <const> = options.position
  local whole, transaction, count, last = copy_position(position), new_transaction(position), 0, nil
  transaction.joined = options.joined
  local function stop(lba, reason)
    return {position = whole, reached = position, transactions = count, lba = lba, reason = reason}
  end
  while true do
    local header <const>, bytes <const>, segment <const> = options.reading:at(position)
    if header == nil then return nil, bytes end
    if not header then return stop() end
    local record <const>, why <const> = take(options, transaction, position, header, bytes)
    if record == nil then return stop(header.lba, why) end
    advance(position, options.geometry, header, segment)
    if position.incarnation then position.incarnation, position.between = header.incarnation, record and true end
    if record then
      position.sequence, position.transaction, position.parent_crc = record.sequence, record.transaction, record.crc
      whole, count, last = copy_position(position), count + 1, transaction
      transaction = new_transaction(position)
      if last.ended then return stop() end
    end
  end
end

--- replay.run{device=, crc32c=, geometry=, superblock=, apply=} → {verdict, position, reason?, lba?, transactions} | nil, err.
--- verdict: "clean", "torn" or "damaged". apply(record, entries): record = the commit record's fields, message, crc and
--- pointer; entries = {id, pointer, id, pointer, …}; nil, err from it says that the transaction makes no sense.
function replay.run(options)
  local superblock <const> = options.superblock
  local reading <const> = scanner.new(options)
  local ended <const>, err = replay.follow {
    reading = reading, position = replay.start(superblock, options.geometry), crc32c = options.crc32c,
    geometry = options.geometry, apply = options.apply,
  }
  if not ended then return nil, err end
  local result, problem
  if ended.reason then
    result = damaged(ended.position, ended.lba, ended.reason)
  else
    result, problem = judge_end(reading, ended.reached, ended.position, superblock)
  end
  if not result then return nil, problem end
  result.position, result.transactions = ended.position, ended.transactions
  return result
end

return replay
