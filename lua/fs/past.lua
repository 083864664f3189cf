-- The past: the checkpoints that are kept, and the state after a transaction of before.
--
--   state after t  =  the newest checkpoint with a transaction of at most t  +  the log from there to the commit record of t
--
-- The commit record of t + 1 names that checkpoint. Besides, every checkpoint names the one before; this chain is read as far as it is
-- needed and remembered as a list of pointers. How far back it may be followed is the horizon's business (retention.lua):
-- behind it, segments were given away.
--
-- Promise: a state is answered only if the log leads, frame by frame, to the very commit record that the transaction table has. (The
-- state before the oldest transaction, whose own commit record the table has no more, is where the log leads to it.)

local layout <const> = require "fs.layout"
local checkpoint <const> = require "fs.checkpoint"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local frame <const> = require "fs.frame"
local geometry <const> = require "fs.geometry"
local index <const> = require "fs.index"
local replay <const> = require "fs.replay"
local scanner <const> = require "fs.scanner"

local past <const> = {}

local SECTOR_BYTES <const> = layout.SECTOR_BYTES
--- Most checkpoints that are remembered; what is older is looked for on the disk each time.
local CHAIN_MAX <const> = 4096

--- Adds the checkpoint before `record` to the chain, which begins with the newest. Returns its record | false when there is none.
local function earlier(volume, record)
  local pointer <const> = entry.from_fields("previous", record)
  if record.sequence == 0 or pointer == entry.NOTHING then return false end
  local before <const> = checkpoint.at(volume.reader, pointer)
  if not before or before.sequence >= record.sequence then return false end
  before.pointer = pointer
  return before
end

local function link(volume, record)
  local list <const> = volume.chain
  if #list < CHAIN_MAX then
    list[#list + 1] = {transaction = record.transaction, sequence = record.sequence, pointer = record.pointer}
  end
end

--- Whether nothing before this checkpoint is kept.
local function at_horizon(record, limit)
  return record.sequence == 0 or record.transaction < limit
end

--- past.chain(volume, limit) → list of {transaction, sequence, pointer}, newest first, down to the first one with a transaction below
--- `limit`. It ends earlier where a record cannot be read: what is behind it answers to nobody.
function past.chain(volume, limit)
  local list <const> = volume.chain
  if #list == 0 then list[1] = {transaction = volume.record.transaction, sequence = volume.record.sequence,
    pointer = volume.checkpoint} end
  local last = list[#list]
  local record = not at_horizon(last, limit) and #list < CHAIN_MAX and past.record(volume, last)
  while record and not at_horizon(record, limit) and #list < CHAIN_MAX do
    record = earlier(volume, record)
    if record then link(volume, record) end
  end
  local first = 1
  while first < #list and not at_horizon(list[first], limit) do first = first + 1 end
  return table.move(list, 1, first, 1, {})
end

--- past.record(volume, link) → the checkpoint record of a link of the chain | nil, err.
function past.record(volume, one)
  if one.pointer == entry.NOTHING then return checkpoint.empty() end
  local record <const>, err = checkpoint.at(volume.reader, one.pointer)
  if record then record.pointer = one.pointer end
  return record, err
end

--- past.grew(volume): a checkpoint was made; it is the newest of the chain. The record that no longer is remembered is found again.
function past.grew(volume)
  if #volume.chain == 0 then return end
  table.insert(volume.chain, 1, {transaction = volume.record.transaction, sequence = volume.record.sequence,
    pointer = volume.checkpoint})
  volume.chain[CHAIN_MAX + 1] = nil
end

--- past.cut(volume, transaction): the horizon is the newest checkpoint that covers no more than this; those before it are forgotten.
function past.cut(volume, transaction)
  local list <const> = volume.chain
  for position = #list, 2, -1 do
    if list[position - 1].transaction > transaction then break end
    list[position] = nil
  end
end

--- The checkpoint that the commit record of a transaction says it follows | nil where none can be read.
local function followed_by(volume, transaction)
  if volume.oldest_transaction == 0 or transaction < volume.oldest_transaction then return nil end
  local pointer <const> = volume.transactions:find(transaction)
  local payload <const> = pointer and volume.reader:entry(pointer, nil, layout.KIND_COMMIT)
  if not payload or #payload < layout.commit.size then return nil end
  local fields <const> = layout.commit.unpack(payload)
  if fields.transaction ~= transaction then return nil end
  return past.record(volume, {pointer = entry.from_fields("checkpoint", fields)})
end

--- The newest checkpoint that covers at most `transaction`, or the empty store before the first | nil, err.
local function base(volume, transaction)
  local named <const> = followed_by(volume, transaction + 1)
  if named and named.transaction <= transaction then return named end
  local list <const> = past.chain(volume, transaction + 1)
  local last <const> = list[#list]
  local record, err = past.record(volume, last)
  while record and record.transaction > transaction do
    local before <const> = earlier(volume, record)
    -- The first checkpoint of a store has none before it: then the log was complete from the beginning.
    if not before and entry.from_fields("previous", record) ~= entry.NOTHING then
      return errors.new("corrupt", ("the checkpoint before transaction %d cannot be read"):format(record.transaction))
    end
    record = before or checkpoint.empty()
  end
  return record, err
end

--- The frame at `lba`, if it is one of ours | false | nil, err.
local function header_at(volume, lba)
  local bytes <const>, at = volume.reader:locate(lba * SECTOR_BYTES, frame.HEADER_BYTES)
  if not bytes then return nil, at end
  local header <const> = frame.header(volume.crc32c, bytes, at)
  return header and header.epoch == volume.superblock.epoch and header.lba == lba and header or false
end

--- segment_sequence → segment: where the log of the past goes on, whatever its frames say. A segment that was opened when none was
--- free names itself, and a superblock of that time named the next.
local function successors(volume)
  local by_sequence <const> = {}
  for segment = 0, volume.segments.count - 1 do by_sequence[volume.segments.sequence[segment]] = segment end
  return by_sequence
end

--- The position in front of a frame, from its own word.
local function position_before(volume, header, transaction)
  return {
    lba = header.lba, segment = volume.geometry.segment_of(header.lba), segment_sequence = header.segment_sequence,
    next_segment = header.next_segment, lsn = header.lsn, sequence = header.sequence - 1, transaction = transaction,
    parent_crc = header.parent_crc, incarnation = header.incarnation, by_sequence = successors(volume), opened = {},
  }
end

--- Where a store begins that has no checkpoint yet.
local function beginning(volume)
  return {
    lba = volume.geometry.log_lba, segment = 0, segment_sequence = 1, next_segment = 1, lsn = 1, sequence = 0,
    transaction = 0, parent_crc = 0, incarnation = 0, between = true, by_sequence = successors(volume), opened = {},
  }
end

--- Where reading goes on behind a checkpoint: position, whether its own transaction is met in the middle | nil, err.
local function behind(volume, record)
  if record.sequence == 0 then return beginning(volume), false end
  local header <const>, err = header_at(volume, record.frame_lba)
  if not header then
    if header == nil then return nil, err end
    return errors.new("corrupt", ("the frame of the checkpoint of transaction %d cannot be read"):format(record.transaction),
      {lba = record.frame_lba})
  end
  return position_before(volume, header, record.transaction), true
end

--- The frame that a commit record stands in, found backwards from its place. Returns header | nil, err.
local function frame_of(volume, pointer)
  local shape <const>, unit <const> = volume.geometry, volume.geometry.append_sectors
  local lba <const> = entry.parse_pointer(pointer) // geometry.PLACES_A_SECTOR
  for candidate = lba // unit * unit, shape.segment_lba(shape.segment_of(lba)), -unit do
    local header <const>, err = header_at(volume, candidate)
    if header == nil then return nil, err end
    if header then
      if candidate + shape.append_span(frame.HEADER_BYTES + header.payload_bytes) > lba then return header end
      break
    end
  end
  return errors.new("corrupt", ("the frame around LBA %d cannot be read"):format(lba), {lba = lba})
end

--- Follows the log from `position`, giving each transaction to visit(record, entries), which answers false at the last. Returns
--- true | nil, err.
local function follow(volume, position, joined, visit)
  local ended <const>, err = replay.follow {
    reading = scanner.new {device = volume.device, crc32c = volume.crc32c, geometry = volume.geometry,
      superblock = volume.superblock},
    position = position, joined = joined, crc32c = volume.crc32c, geometry = volume.geometry, apply = visit,
  }
  if not ended then return nil, err end
  if ended.reached.lsn ~= ended.position.lsn or ended.reason then
    return errors.new("corrupt", ("the log of the past cannot be read at LBA %d: %s"):format(
      ended.lba or ended.reached.lba, ended.reason or "no frame"), {lba = ended.lba or ended.reached.lba})
  end
  return true
end

--- Whether a replayed transaction is the user's number `transaction`: true | false | nil, err when it is, and the table has another.
local function is_it(record, transaction, pointer)
  if record.commit_kind ~= layout.COMMIT_USER or record.transaction ~= transaction then return false end
  if not pointer or record.pointer == pointer then return true end
  return errors.new("corrupt", ("the log and the transaction table disagree about transaction %d"):format(transaction))
end

--- past.commit_pointer(volume, transaction) → pointer to its commit record | nil, err.
function past.commit_pointer(volume, transaction)
  local pointer <const>, err = volume.transactions:find(transaction)
  if pointer == nil then return nil, err end
  if not pointer then
    return errors.new("corrupt", ("transaction %d is missing from the table"):format(transaction), {transaction = transaction})
  end
  return pointer
end

--- past.state(volume, transaction, pointer) → object index as of that transaction, sequence | nil, err. pointer: of its commit record,
--- nil when the table has none any more.
--- Memory: the objects that the log since the checkpoint names, as many as a mount replays.
function past.state(volume, transaction, pointer)
  local loaded <const>, unreadable = volume:load_segments()
  if not loaded then return nil, unreadable end
  local record <const>, err = base(volume, transaction)
  if not record then return nil, err end
  local tree <const> = index.new {
    kind = layout.KIND_OBJECT_PAGE, reader = volume.reader, shared = volume.past_pages,
    root = entry.from_fields("objects", record), levels = record.object_levels,
  }
  if record.transaction == transaction then return tree, record.sequence end
  local position <const>, joined = behind(volume, record)
  if not position then return nil, joined end
  local sequence
  local done <const>, problem = follow(volume, position, joined, function(commit, entries)
    if commit.sequence == record.sequence then return true end
    local applied <const>, why = replay.apply(tree, commit, entries)
    if not applied then return nil, why end
    local found <const>, fault = is_it(commit, transaction, pointer)
    if found then sequence = commit.sequence end
    if found == nil then return nil, fault end
    return not found
  end)
  if not done then return nil, problem end
  if not sequence then return errors.new("corrupt", ("transaction %d is not in the log"):format(transaction)) end
  return tree, sequence
end

--- past.entries(volume, transaction) → list of id, pointer, id, pointer, … that the user's transaction wrote, in order | nil, err.
--- `before`: pointer of the commit record before it, nil when that is not kept.
function past.entries(volume, transaction, pointer, before)
  local loaded <const>, unreadable = volume:load_segments()
  if not loaded then return nil, unreadable end
  local position, joined, err
  if before then
    local header <const>, problem = frame_of(volume, before)
    if not header then return nil, problem end
    position, joined = position_before(volume, header, transaction - 1), true
  else
    local record
    record, err = base(volume, transaction - 1)
    if record then position, joined = behind(volume, record) end
    if not position then return nil, err or joined end
  end
  local written
  local done <const>, problem = follow(volume, position, joined, function(commit, entries)
    local found <const>, fault = is_it(commit, transaction, pointer)
    if found == nil then return nil, fault end
    if found then written = entries end
    return not found
  end)
  if not done then return nil, problem end
  if not written then return errors.new("corrupt", ("transaction %d is not in the log"):format(transaction)) end
  return written
end

return past
