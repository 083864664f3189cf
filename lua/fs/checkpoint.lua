-- Checkpoints: the changed pages of the indexes, a record with their roots, then a superblock that points to it.
--
--   moved objects → pages (leaves first) → checkpoint record → commit record → superblock (FLUSH → head → FLUSH → tail → FLUSH)
--   → adopt
--
-- A cut before the superblock's head is durable leaves the superblock before: the log is replayed from there, over this
-- transaction, whose pages then mean nothing. A cut after it leaves this checkpoint. Memory changes only at the end.
--
-- Relies on the caller having made sure of the room (space.lua) and on the mounted volume's parts (volume.lua).

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local index <const> = require "fs.index"
local log <const> = require "fs.log"
local snapshots <const> = require "fs.snapshots"
local superblock <const> = require "fs.superblock"

local checkpoint <const> = {}

local RECORD <const>, SEGMENT <const> = layout.checkpoint, layout.segment_record
local TREES <const> = {"object", "segment", "transaction"}
local NOTHING <const>, entry_size <const>, parse_pointer <const> = entry.NOTHING, entry.size, entry.parse_pointer

--- The record of a store that never had a checkpoint.
function checkpoint.empty()
  local record <const> = {}
  for name in pairs(RECORD.offsets) do record[name] = 0 end
  record.next_id, record.snapshots = layout.FIRST_FREE_ID, {}
  return record
end

--- What is wrong with a record, whichever checkpoint it is of; nil when nothing is.
local function fault(record, payload, id, shape)
  for name in pairs(RECORD.offsets) do
    if record[name] < 0 then return name .. " is above 2^63-1" end
  end
  if record.snapshot_count > layout.SNAPSHOTS_MAX or #payload ~= RECORD.size + record.snapshot_count * snapshots.BYTES then
    return "snapshot_count " .. record.snapshot_count
  end
  if record.sequence & layout.ID_MASK ~= id then return "sequence " .. record.sequence end
  if record.next_id < layout.FIRST_FREE_ID or record.next_id > layout.ID_MASK + 1 then return "next_id " .. record.next_id end
  if record.frame_lba < shape.log_lba or record.frame_lba >= shape.end_lba then return "frame_lba " .. record.frame_lba end
  for _, tree in ipairs(TREES) do
    local levels <const> = record[tree .. "_levels"]
    local nothing <const> = entry.from_fields(tree .. "s", record) == entry.NOTHING
    if levels > layout.LEVELS_MAX or nothing ~= (levels == 0) then return tree .. "_levels " .. levels end
  end
  return nil
end

--- checkpoint.at(reader, pointer) → the record that it points to (with .snapshots, the list behind it) | nil, err.
function checkpoint.at(reader, pointer)
  local payload <const>, err, id = reader:entry(pointer, nil, layout.KIND_CHECKPOINT)
  if not payload then return nil, err end
  if #payload < RECORD.size then return errors.new("corrupt", "the checkpoint record is too short") end
  local record <const> = RECORD.unpack(payload)
  local why <const> = fault(record, payload, id, reader.geometry)
  if why then return errors.new("corrupt", "the checkpoint record makes no sense: " .. why) end
  local list <const>, flaw = snapshots.parse(payload:sub(RECORD.size + 1), record.snapshot_count, record.transaction)
  if not list then return errors.new("corrupt", "the checkpoint record makes no sense: " .. flaw) end
  record.snapshots = list
  return record
end

--- checkpoint.load(reader, superblock fields) → record, pointer of the checkpoint that the superblock names | nil, err.
function checkpoint.load(reader, fields)
  local pointer <const> = entry.from_fields("checkpoint", fields)
  if pointer == entry.NOTHING then return checkpoint.empty(), pointer end
  local record <const>, err = checkpoint.at(reader, pointer)
  if not record then return nil, err end
  if record.sequence ~= fields.replay_sequence or record.transaction ~= fields.replay_transaction then
    return errors.new("corrupt", ("the checkpoint is of transaction %d (sequence %d), the superblock says %d (%d)"):format(
      record.transaction, record.sequence, fields.replay_transaction, fields.replay_sequence))
  end
  return record, pointer
end

--- checkpoint.record_bytes(count) → size of the entry of a checkpoint record with so many snapshots.
function checkpoint.record_bytes(count)
  return entry.size(RECORD.size + count * snapshots.BYTES)
end

--- Counts what changes in the object index, and which live bytes go from or to each segment: `totals.moved`.
local function accounting(volume, totals)
  local moved <const>, segment_of_place <const> = totals.moved, volume.geometry.segment_of_place
  local function count(pointer, sign)
    if pointer == NOTHING then return end
    local place <const>, _, payload_bytes <const> = parse_pointer(pointer)
    local bytes <const>, segment <const> = sign * entry_size(payload_bytes), segment_of_place(place)
    totals.count, totals.bytes = totals.count + sign, totals.bytes + bytes
    moved[segment] = (moved[segment] or 0) + bytes
  end
  return function(old, new)
    count(new, 1)
    count(old, -1)
  end
end

--- Moves live bytes between the segments, each once, as `accounting` has counted them.
local function move_live_bytes(volume, totals)
  for segment, bytes in pairs(totals.moved) do
    if bytes ~= 0 and not volume.segments:account(segment, bytes) then
      totals.fault = totals.fault or ("live bytes of segment %d"):format(segment)
    end
  end
end

--- Keeps the count of pages in each segment.
local function page_accounting(volume)
  local function segment_of(pointer)
    if pointer == entry.NOTHING then return nil end
    return volume.geometry.segment_of_place((entry.parse_pointer(pointer)))
  end
  return function(old, new) volume.segments:page_moved(segment_of(old), segment_of(new)) end
end

--- Counts, in a snapshot's own segment table, what moves in its index.
local function snapshot_accounting(volume, record, totals)
  local function count(pointer, sign)
    if pointer == entry.NOTHING then return end
    local place <const>, _, payload_bytes <const> = entry.parse_pointer(pointer)
    local segment <const> = volume.geometry.segment_of_place(place)
    local value <const> = record.segment_tree:find(segment)
    local row <const> = value and SEGMENT.unpack(value) or {tag = layout.SEGMENT_FULL << layout.ID_BITS, live_bytes = 0, age = 0}
    row.live_bytes = row.live_bytes + sign * entry.size(payload_bytes)
    if value == nil or row.live_bytes < 0 or row.live_bytes > 0xFFFFFFFF then
      totals.fault = totals.fault or ("live bytes of snapshot %s in segment %d"):format(record.name, segment)
      return
    end
    record.segment_tree:set(segment, SEGMENT.pack(row))
  end
  return function(old, new)
    count(new, 1)
    count(old, -1)
  end
end

--- The list of snapshots as it will stand in the record: those that stay, as copies, and room for the one that is taken.
local function next_snapshots(volume, plan)
  local list <const> = {}
  for _, record in ipairs(volume.snapshots) do
    if record.name ~= plan.drop then
      local copy <const> = {}
      for name, value in pairs(record) do copy[name] = value end
      list[#list + 1] = copy
    end
  end
  if plan.take then
    list[#list + 1] = {name = plan.take, transaction = volume.log.transaction, time = volume.now()}
  end
  return list
end

--- Writes the pages of snapshots that changed, but for those that were written already for another tree.
--- Returns true | nil, err.
local function write_snapshots(volume, list, put_alike, put_shared, totals)
  for _, record in ipairs(list) do
    local tree <const> = record.object_tree
    if tree and tree.changed_leaves + record.segment_tree.changed_leaves > 0 then
      local objects <const>, err = tree:write(put_shared, snapshot_accounting(volume, record, totals))
      if not objects then return nil, err end
      local segments <const>, problem = record.segment_tree:write(put_alike)
      if not segments then return nil, problem end
      record.next_roots = {object = objects, segment = segments}
      for name, root in pairs(record.next_roots) do
        entry.fields(name .. "s", root.root, record)
        record[name .. "_levels"] = root.levels
      end
    end
  end
  return true
end

--- The snapshot that this checkpoint takes has its trees.
local function fill_taken(record, trees, totals)
  record.object_count, record.object_bytes = totals.count, totals.bytes
  for _, name in ipairs {"object", "segment"} do
    entry.fields(name .. "s", trees[name].root, record)
    record[name .. "_levels"] = trees[name].levels
  end
end

--- put for the pages of several object indexes in which nothing but moves has changed: those that had a page in common have the
--- one that replaces it in common, too. For what it leads to was moved in all of them alike (survey.lua).
local function page_writer(transaction)
  local replaced <const> = {}
  return function(id, kind, page, before)
    if replaced[before] then return replaced[before] end
    local pointer <const>, err = transaction:add(id, kind, page)
    if not pointer then return nil, err end
    if before ~= entry.NOTHING then replaced[before] = pointer end
    return pointer
  end
end

--- put for the segment tables of snapshots: those of snapshots of one state say the same, and are written once.
local function alike_writer(transaction)
  local written <const> = {}
  return function(id, kind, page)
    local same <const> = written[page]
    if same and same.id == id then return same.pointer end
    local pointer <const>, err = transaction:add(id, kind, page)
    if not pointer then return nil, err end
    written[page] = {id = id, pointer = pointer}
    return pointer
  end
end

--- Decides what the segment table says, which depends on where its own pages come to stand: they are placed on trial until
--- nothing changes any more. Each round can only add pages. Returns the placement behind the whole transaction.
local function settle_segments(volume, transaction, snapshot_count)
  local tree <const>, record_bytes <const> = volume.segment_tree, checkpoint.record_bytes(snapshot_count)
  local commit_bytes <const> = log.commit_entry_bytes("")
  while true do
    local pages <const>, trial <const> = tree:pages_now(), transaction.where:clone()
    local fits = true
    for _ = 1, pages do fits = fits and trial:put(index.PAGE_ENTRY_BYTES) end
    fits = fits and trial:put(record_bytes) and trial:put(commit_bytes)
    if not fits then return errors.new("no_space", "no room for a checkpoint") end
    volume.segments:foresee(volume.log.segment, trial.opened, volume.log.segment_sequence + 1, volume.log.transaction)
    if tree:pages_now() == pages then return trial end
  end
end

--- LBA of the frame that an entry of that size comes to stand in.
local function frame_lba_of(transaction, size)
  local trial <const> = transaction.where:clone()
  trial:put(size)
  return trial.lba
end

local function record_of(volume, transaction, trees, totals, open_segment, list)
  local record <const> = {
    sequence = volume.log.sequence + 1, transaction = volume.log.transaction, time = volume.now(),
    frame_lba = frame_lba_of(transaction, checkpoint.record_bytes(#list)),
    next_id = volume.next_id, object_count = totals.count, object_bytes = totals.bytes,
    keep_transactions = volume.keep_transactions, oldest_transaction = volume.oldest_transaction,
    incarnation = volume.log.incarnation, open_segment = open_segment,
    snapshot_count = #list, snapshots = list,
  }
  for name, tree in pairs(trees) do
    entry.fields(name .. "s", tree.root, record)
    record[name .. "_levels"] = tree.levels
  end
  return entry.fields("previous", volume.checkpoint, record)
end

--- Segments that the transaction stands in so far, the log's own included.
local function busy_segments(volume, transaction)
  local busy <const> = {[volume.log.segment] = true}
  for _, segment in ipairs(transaction.where.opened) do busy[segment] = true end
  return busy
end

--- Writes the pages of all trees; plan.release may free segments once it is known what the new object index needs. Returns the
--- trees' new roots, the segment that the log will stand in | nil, err.
local function write_trees(volume, transaction, totals, plan, list)
  local trees <const>, visit_page <const> = {}, page_accounting(volume)
  local function put(id, kind, page) return transaction:add(id, kind, page) end
  local put_shared <const> = plan.moves and page_writer(transaction) or put
  local err, done
  trees.object, err = volume.objects:write(put_shared, accounting(volume, totals), visit_page)
  done = trees.object
  if done then move_live_bytes(volume, totals) end
  if done then done, err = write_snapshots(volume, list, alike_writer(transaction), put_shared, totals) end
  if done and totals.fault then return errors.new("corrupt", "the segment table makes no sense: " .. totals.fault) end
  if done then trees.transaction, err = volume.transactions:write(put, nil, visit_page) end
  if not trees.transaction then return nil, err end
  if plan.release then plan.release(busy_segments(volume, transaction)) end
  local settled <const>, problem = settle_segments(volume, transaction, #list)
  if not settled then return nil, problem end
  trees.segment, err = volume.segment_tree:write(put, nil, visit_page)
  if not trees.segment then return nil, err end
  if plan.take then fill_taken(list[#list], trees, totals) end
  return trees, settled.segment
end

--- Writes what is moved, pages and record. Returns {trees, record, pointer, transaction} | nil, err. Nothing of it is known to be
--- durable.
local function write_transaction(volume, plan)
  local transaction <const>, list <const> = volume.log:begin(), next_snapshots(volume, plan)
  local totals <const> = {count = volume.record.object_count, bytes = volume.record.object_bytes, moved = {}}
  if plan.moves then
    local moved <const>, err = plan.moves(transaction)
    if not moved then return nil, err end
  end
  local trees <const>, open_segment = write_trees(volume, transaction, totals, plan, list)
  if not trees then return nil, open_segment end
  local record <const> = record_of(volume, transaction, trees, totals, open_segment, list)
  local pointer <const>, err = transaction:add(record.sequence & layout.ID_MASK, layout.KIND_CHECKPOINT,
    RECORD.pack(record) .. snapshots.pack(list))
  if not pointer then return nil, err end
  -- No FLUSH yet: the superblock's update begins with one.
  local done <const>, failure = transaction:append_commit {
    transaction = volume.log.transaction, time = record.time, next_id = volume.next_id,
    commit_kind = layout.COMMIT_SYSTEM, message = "",
  }
  if not done then return nil, failure end
  return {trees = trees, record = record, pointer = pointer, transaction = transaction}
end

--- What the superblock says once the log stands behind the checkpoint.
local function superblock_changes(volume, written, state)
  local transaction <const>, where <const> = written.transaction, written.transaction.where
  -- Replay from here on follows the superblock's word, so a log that had no successor may be given one.
  if where.next_segment == where.segment then where.next_segment = where.choose(where.segment, where.taken) end
  return entry.fields("checkpoint", written.pointer, {
    replay_lba = where.lba, replay_segment_sequence = where.segment_sequence, replay_lsn = transaction.lsn,
    replay_sequence = written.record.sequence, replay_transaction = written.record.transaction,
    replay_parent_crc = transaction.crc, replay_next_segment = where.next_segment,
    incarnation = volume.log.incarnation, state = state, written_time = volume.now(),
  })
end

--- Snapshots as the checkpoint has them.
local function adopt_snapshots(volume, list)
  for _, record in ipairs(list) do
    local roots <const> = record.next_roots
    if roots then
      record.object_tree:adopt(roots.object)
      record.segment_tree:adopt(roots.segment)
      record.next_roots = nil
      snapshots.changed(volume)
    end
  end
  if #list ~= #volume.snapshots then snapshots.changed(volume) end
  volume.snapshots, volume.snapshot_burden = list, nil
end

--- The checkpoint is durable, and the superblock that points to it.
local function adopt(volume, written, fields, promoted)
  local segment <const>, sequence <const> = volume.log.segment, volume.log.segment_sequence
  written.transaction:settle()
  volume.segments:follow(segment, written.transaction.where.opened, sequence + 1, volume.log.transaction)
  volume.segments:adopt_pending(promoted)
  volume.superblock, volume.record, volume.checkpoint = fields, written.record, written.pointer
  volume.log.generation, volume.log.checkpoint = fields.generation, written.pointer
  volume.objects:adopt(written.trees.object)
  volume.transactions:adopt(written.trees.transaction)
  volume.segment_tree:adopt(written.trees.segment)
  adopt_snapshots(volume, written.record.snapshots)
  volume:checkpointed()
  volume.segments_since, volume.commits_since, volume.entries_since, volume.growth, volume.held = 0, 0, 0, 0, 0
  volume.log:done()
end

--- After a failure nothing more is written, but what is there must go on being read: where the old pages and pointers say.
local function give_up(volume, plan, err)
  if plan.moves then
    volume.objects:discard()
    for _, record in ipairs(volume.snapshots) do
      if record.object_tree then
        record.object_tree:discard()
        record.segment_tree:discard()
      end
    end
  end
  return volume.log:fail(err)
end

--- checkpoint.write(volume, state [, plan]) → true | nil, err. `state` is the superblock's. plan, every field of it optional:
---   release(busy segments)   marks segments as no longer needed (retention.lua)
---   moves(transaction)       writes objects anew and sets their pointers in the trees (cleaner.lua) → true | nil, err. Only when no
---                            change is held
---   take = name, drop = name of a snapshot; the name is new, or there
--- After an error the log is broken.
function checkpoint.write(volume, state, plan)
  plan = plan or {}
  volume:forget_before(volume:oldest())
  local promoted <const> = volume.segments:promote_pending()
  local written <const>, err = write_transaction(volume, plan)
  if not written then return give_up(volume, plan, err) end
  -- `update` begins with the FLUSH that makes the whole transaction durable before the superblock can point to it.
  local fields <const>, problem = superblock.update(volume.device, volume.crc32c, volume.superblock,
    superblock_changes(volume, written, state))
  if not fields then return give_up(volume, plan, problem) end
  adopt(volume, written, fields, promoted)
  return true
end

return checkpoint
