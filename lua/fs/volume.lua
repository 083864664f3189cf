-- A mounted store: superblock, checkpoint and replay put together, and the claim before the first write.
--
--   mount:  FLUSH → choose superblock → checkpoint record → replay → verdict "clean" | "torn" | "damaged"     (writes nothing)
--   claim:  nobody wrote meanwhile → repair copies → superblock: incarnation_claimed + 1, in use →
--           clean: go on at the replay position · torn: checkpoint under the claimed incarnation over the torn tail
--
-- The claim is made at the first write, so a mount that only reads leaves the disk as it is. No incarnation is ever handed
-- out twice: frames of a recovery that was cut carry one that no later replay expects.
--
-- Promise: mounting is bounded by the log since the last checkpoint; a damaged store is never written to.

local layout <const> = require "fs.layout"
local cache <const> = require "fs.cache"
local checkpoint <const> = require "fs.checkpoint"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local geometry <const> = require "fs.geometry"
local index <const> = require "fs.index"
local log <const> = require "fs.log"
local past <const> = require "fs.past"
local reader <const> = require "fs.reader"
local replay <const> = require "fs.replay"
local segments <const> = require "fs.segments"
local superblock <const> = require "fs.superblock"
local views <const> = require "fs.views"

local volume <const> = {}

local PAGE_CACHE_PAGES <const> = 192
local SMALL_CACHE_PAGES <const> = 32
--- Pages of snapshots and of the past, which have most of them in common.
local PAST_CACHE_PAGES <const> = 96

local methods <const> = {}
methods.__index = methods

local function tree(self, name, kind, pages)
  return index.new {
    kind = kind, reader = self.reader, cache = cache.new(pages),
    root = entry.from_fields(name .. "s", self.record), levels = self.record[name .. "_levels"],
  }
end

local function open_trees(self)
  self.objects = tree(self, "object", layout.KIND_OBJECT_PAGE, PAGE_CACHE_PAGES)
  self.transactions = tree(self, "transaction", layout.KIND_TRANSACTION_PAGE, SMALL_CACHE_PAGES)
  self.segment_tree = tree(self, "segment", layout.KIND_SEGMENT_PAGE, SMALL_CACHE_PAGES)
  self.past_pages, self.chain = cache.new(PAST_CACHE_PAGES), {}
end

--- volume:committed(record) notes a transaction that is in the log: its number, the ids it used up.
function methods:committed(record)
  self.next_id = math.max(self.next_id, record.next_id)
  self.commits_since = self.commits_since + 1
  if record.commit_kind ~= layout.COMMIT_USER then return end
  self.transactions:set(record.transaction, record.pointer)
  if self.oldest_transaction == 0 then self.oldest_transaction = record.transaction end
end

--- volume:oldest() → the oldest transaction that answers, 0 for none: what the history holds, and not more than `keep` asks for.
function methods:oldest()
  if self.oldest_transaction == 0 or self.keep_transactions == 0 then return self.oldest_transaction end
  return math.max(self.oldest_transaction, self.log.transaction - self.keep_transactions + 1)
end

--- volume:checkpointed(): one was made, and is durable.
function methods:checkpointed()
  past.grew(self)
end

--- volume:forget_before(transaction): older transactions no longer answer.
function methods:forget_before(oldest)
  local last <const> = self.log.transaction
  if self.oldest_transaction == 0 or oldest <= self.oldest_transaction then return end
  self.transactions:remove_before(math.min(oldest, last + 1))
  self.oldest_transaction = oldest <= last and oldest or 0
end

local function run_replay(self)
  return replay.run {
    device = self.device, crc32c = self.crc32c, geometry = self.geometry, superblock = self.superblock,
    apply = function(record, entries)
      local taken <const>, err = replay.apply(self.objects, record, entries)
      if not taken then return nil, err end
      self:committed(record)
      self.entries_since = self.entries_since + record.entry_count
      return true
    end,
  }
end

local function open_log(self, position)
  self.log = log.new {
    device = self.device, primitives = self.primitives, geometry = self.geometry, reader = self.reader,
    epoch = self.superblock.epoch, position = position,
    choose = function(segment, taken) return self.segments:next_free(segment, taken) end,
  }
  self.log.generation, self.log.incarnation = self.superblock.generation, self.superblock.incarnation
  self.log.checkpoint = self.checkpoint
end

--- A FLUSH before anything is read: what the last mount had written, and not flushed when it ended without a power cut, is
--- read from the drive's cache like all else. Shown once, it must not be gone after a cut. Returns true | nil, err.
local function keep_what_is_read(options)
  if options.read_only then return true end
  local done <const>, cause = options.device.flush()
  if done then return true end
  return errors.device("flushing before the mount", 0, cause)
end

--- volume.mount{device=, primitives=, read_only=} → volume | nil, err. Writes nothing.
--- .verdict says how the log ended; .read_only is the reason why nothing may be written, or nil.
function volume.mount(options)
  local device <const>, primitives <const> = options.device, options.primitives
  local kept <const>, unkept <const> = keep_what_is_read(options)
  local chosen <const>, err = superblock.choose(device, primitives.crc32c)
  if not chosen then return nil, err end
  local self <const> = setmetatable({
    device = device, primitives = primitives, crc32c = primitives.crc32c, now = primitives.now,
    chosen = chosen, superblock = chosen.fields, geometry = geometry.new(chosen.fields),
    read_only = chosen.read_only, claimed = false, commits_since = 0,
    -- Since the last checkpoint: what commits made the present larger, and what they replaced that a snapshot holds.
    growth = 0, held = 0, entries_since = 0,
    segments_cleaned = 0, payload_bytes = 0,
  }, methods)
  if not kept then self.read_only = unkept.message end
  if options.read_only then self.read_only = "mounted read-only" end
  self.reader = reader.new {device = device, crc32c = self.crc32c, geometry = self.geometry,
    cache_bytes = options.cache_bytes}
  local record <const>, pointer = checkpoint.load(self.reader, self.superblock)
  if not record then return nil, pointer end
  self.record, self.checkpoint, self.snapshots = record, pointer, record.snapshots
  self.keep_transactions, self.views = record.keep_transactions, views.new()
  self.next_id, self.oldest_transaction = record.next_id, record.oldest_transaction
  open_trees(self)
  local result <const>, problem = run_replay(self)
  if not result then return nil, problem end
  self.verdict, self.replayed, self.opened = result.verdict, result.transactions, result.position.opened
  self.segments_since = #self.opened
  if result.verdict == "damaged" then self.read_only, self.damage = result.reason, result end
  open_log(self, result.position)
  return self
end

--- volume:load_segments() → true | nil, err. The segment table, brought up to the end of the log.
function methods:load_segments()
  if self.segments then return true end
  local table_of_segments <const>, err = segments.load(self.segment_tree, self.geometry.segment_count)
  if not table_of_segments then return nil, err end
  if self.checkpoint == entry.NOTHING then
    table_of_segments:open(self.geometry.segment_of_position(self.superblock.replay_lba),
      self.superblock.replay_segment_sequence)
  end
  for _, step in ipairs(self.opened) do
    table_of_segments:follow(step.left, {step.segment}, step.sequence, step.transaction)
  end
  self.segments = table_of_segments
  return true
end

--- Nobody may have written since the mount: the host can have the image open, too.
local function check_unchanged(self)
  local now <const>, err = superblock.choose(self.device, self.crc32c)
  if not now then return nil, err end
  if now.fields.generation ~= self.superblock.generation or superblock.head_crc(self.crc32c, now.fields)
    ~= superblock.head_crc(self.crc32c, self.superblock) then
    return errors.new("changed", ("the superblock was generation %d when the store was mounted, now it is %d"):format(
      self.superblock.generation, now.fields.generation))
  end
  self.chosen = now
  return true
end

--- volume:refuse(err) → nil, err: from here on nothing is written until the store is mounted again.
function methods:refuse(err)
  self.log.broken = self.log.broken or err
  return nil, err
end

--- volume:claim() → true | nil, err. Makes the store ours to write; a no-op once it is. After an error nothing is written.
function methods:claim()
  if self.claimed then return true end
  self.log.writing = true
  local done, err = self:load_segments()
  if done then done, err = check_unchanged(self) end
  -- Repair first: the pair of the current generation is what a cut in the next update falls back to.
  if done then done, err = superblock.repair(self.device, self.crc32c, self.chosen) end
  if not done then return self:refuse(err) end
  local incarnation <const>, clean <const> = self.superblock.incarnation_claimed + 1, self.verdict == "clean"
  local fields
  -- `update` begins with a FLUSH: all frames that replay found are durable after it.
  fields, err = superblock.update(self.device, self.crc32c, self.superblock, {
    incarnation_claimed = incarnation, state = self.superblock.state | layout.STATE_IN_USE,
    incarnation = clean and incarnation or nil, written_time = self.now(),
  })
  if not fields then return self:refuse(err) end
  self.superblock, self.claimed = fields, true
  self.log.generation, self.log.incarnation = fields.generation, incarnation
  if clean then
    self.log:done()
    return true
  end
  -- The torn tail is written over from its first sector on, under an incarnation that none of its frames carries.
  done, err = checkpoint.write(self, fields.state)
  if not done then return self:refuse(err) end
  return true
end

--- volume:release() → true | nil, err. A clean unmount: checkpoint if anything was committed since the last one, and the
--- superblock without STATE_IN_USE. One update does both.
function methods:release()
  local state <const> = self.superblock.state & ~layout.STATE_IN_USE
  self.log.writing = true
  if self.commits_since > 0 then return checkpoint.write(self, state) end
  local fields <const>, err = superblock.update(self.device, self.crc32c, self.superblock,
    {state = state, written_time = self.now()})
  if not fields then return self:refuse(err) end
  self.superblock = fields
  self.log:done()
  return true
end

return volume
