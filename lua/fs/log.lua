-- The log: appends transactions. Frames, the last of which ends with the commit record → one FLUSH → durable.
--
--   begin(kind) → add(id, kind, payload)… → commit{…}         (nothing before commit's FLUSH counts: a cut leaves a torn
--                                                             tail, which the next mount drops)
--
-- The position moves on only after the FLUSH. After any device error the log is broken and refuses everything until the
-- store is mounted again: what reached the disk is not known, and going on would put frames behind a hole.
--
-- Why one FLUSH is enough: a transaction exists only if all its frames are valid, so their order on the way to the disk does
-- not matter; and frames of the next one are sent only after the FLUSH has returned. `durable_lsn` in each frame says
-- what had been flushed by then, so that a hole in it is told from a torn tail.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local frame <const> = require "fs.frame"
local errors <const> = require "fs.errors"
local placement <const> = require "fs.placement"

local log <const> = {}

local COMMIT <const> = layout.commit
local ID_MASK <const> = layout.ID_MASK

local methods <const> = {}
methods.__index = methods

--- log.new{device=, primitives=, geometry=, reader=, epoch=, position=, choose=} → log.
--- position: {lba, segment, segment_sequence, next_segment, lsn (of the next frame), sequence, transaction, parent_crc (of the
--- last commit)}. `choose(segment, taken)` names the segment that follows one. incarnation, generation and checkpoint
--- (a pointer) are set by who claims the store and who writes checkpoints.
function log.new(options)
  local position <const> = options.position
  local self <const> = setmetatable({
    device = options.device, crc32c = options.primitives.crc32c, build = entry.builder(options.primitives),
    geometry = options.geometry, reader = options.reader,
    epoch = options.epoch, choose = options.choose,
    incarnation = 0, generation = 0, checkpoint = entry.NOTHING,
    durable_lsn = position.lsn - 1, bytes_written = 0, broken = nil, writing = false,
  }, methods)
  for name, value in pairs(position) do self[name] = value end
  return self
end

--- A placement at the end of the log, to try things out.
function methods:placement()
  return placement.new(self.geometry, self.choose, self)
end

local transaction <const> = {}
transaction.__index = transaction

--- log:begin() → transaction. Its frames follow the log; the log itself moves at `commit`. One at a time. Until `done`,
--- an error raised anywhere (no memory, say) leaves the log `writing`: what is in memory then must not be gone on with.
function methods:begin()
  self.writing = true
  return setmetatable({
    log = self, where = self:placement(), lsn = self.lsn,
    pieces = {}, frame_entries = 0, content_crc = 0, entry_count = 0, content_bytes = 0,
  }, transaction)
end

--- log:done(): the transaction is durable, and everything in memory says so.
function methods:done()
  self.writing = false
end

--- log:fail(err) → nil, err. Breaks the log: a device error, or a plan that proved wrong.
function methods:fail(err)
  self.broken = err
  return nil, err
end

--- Writes the open frame.
local function write_frame(self)
  local owner <const>, where <const> = self.log, self.where
  local identity <const> = {
    epoch = owner.epoch, lba = where.lba, lsn = self.lsn, segment_sequence = where.segment_sequence,
    generation = owner.generation, durable_lsn = owner.durable_lsn, sequence = owner.sequence + 1,
    incarnation = owner.incarnation, next_segment = where.next_segment, parent_crc = owner.parent_crc,
  }
  local payload <const> = table.concat(self.pieces)
  local bytes <const> = frame.encode(owner.crc32c, identity, payload, self.frame_entries, where:close())
  self.pieces, self.frame_entries, self.lsn = {}, 0, self.lsn + 1
  owner.reader:forget(identity.lba, #bytes // layout.SECTOR_BYTES)
  local done <const>, cause = owner.device.write(identity.lba, bytes)
  if not done then return owner:fail(select(2, errors.device("writing the log", identity.lba, cause))) end
  owner.bytes_written = owner.bytes_written + #bytes
  return true
end

--- Makes sure that an entry of that payload can go into the open frame, or open one. Returns true | nil, err.
local function make_room(self, payload)
  local where <const> = self.where
  if where.limit >= 0 and where:starts_frame(entry.size(#payload)) then return write_frame(self) end
  return true
end

--- Space is admitted before the first write; running out means that the plan was wrong.
local function ran_out(self)
  return self.log:fail(select(2, errors.new("no_space", "the log ran out of segments in the middle of a transaction")))
end

--- Appends one entry's bytes. Returns its place, crc, header.
local function append(self, id, kind, payload)
  local done <const>, err = make_room(self, payload)
  if not done then return nil, err end
  local place <const> = self.where:put(entry.size(#payload))
  if not place then return ran_out(self) end
  local header <const>, crc <const> = entry.header(self.log.crc32c, id, kind, payload)
  local pieces <const>, count <const> = self.pieces, #self.pieces
  pieces[count + 1], pieces[count + 2], pieces[count + 3] = header, payload, entry.padding(#payload)
  self.frame_entries = self.frame_entries + 1
  return place, crc, header
end

--- transaction:add(id, kind, payload) → pointer to it (valid once committed) | nil, err.
function transaction:add(id, kind, payload)
  local place <const>, crc, header <const> = append(self, id, kind, payload)
  if not place then return nil, crc end
  self.entry_count, self.content_crc = self.entry_count + 1, self.log.crc32c(header, self.content_crc)
  self.content_bytes = self.content_bytes + #payload
  return entry.pointer(place, kind, #payload, crc)
end

--- transaction:add_all(columns) → list of pointers to the entries (fs.columns) | nil, err.
function transaction:add_all(columns)
  local payloads <const>, count <const>, pointers <const>, first = columns.payloads, columns.count, {}, 1
  while first <= count do
    local done <const>, err = make_room(self, payloads[first])
    if not done then return nil, err end
    local place <const>, last, bytes = self.where:put_run(payloads, first, count)
    if not place then return ran_out(self) end
    self.pieces[#self.pieces + 1], self.content_crc =
      self.log.build(columns.ids, columns.kinds, payloads, first, last, place, pointers, self.content_crc)
    self.frame_entries, self.content_bytes = self.frame_entries + last - first + 1, self.content_bytes + bytes
    first = last + 1
  end
  self.entry_count = self.entry_count + count
  return pointers
end

--- The payload of the commit record of what was added.
local function commit_payload(self, record)
  local owner <const> = self.log
  local fields <const> = entry.fields("checkpoint", owner.checkpoint, {
    sequence = owner.sequence + 1, transaction = record.transaction, time = record.time,
    entry_count = self.entry_count, content_bytes = self.content_bytes, next_id = record.next_id,
    content_crc = self.content_crc, parent_crc = owner.parent_crc,
    commit_kind = record.commit_kind, message_bytes = #record.message,
  })
  return COMMIT.pack(fields) .. record.message
end

--- transaction:append_commit{transaction=, time=, next_id=, commit_kind=, message=} → pointer to the commit record | nil, err.
--- All frames have been written, none is known to be durable: for who flushes next anyway and calls `settle` then.
function transaction:append_commit(record)
  local sequence <const> = self.log.sequence + 1
  local payload <const> = commit_payload(self, record)
  local place <const>, crc <const> = append(self, sequence & ID_MASK, layout.KIND_COMMIT, payload)
  if not place then return nil, crc end
  local done <const>, err = write_frame(self)
  if not done then return nil, err end
  self.number, self.crc = record.transaction, crc
  return entry.pointer(place, layout.KIND_COMMIT, #payload, crc)
end

--- transaction:settle(): a FLUSH has returned since `append_commit`. The log stands behind the transaction.
function transaction:settle()
  local owner <const>, where <const> = self.log, self.where
  owner.lba, owner.segment, owner.segment_sequence = where.lba, where.segment, where.segment_sequence
  owner.next_segment = where.next_segment
  owner.lsn, owner.durable_lsn = self.lsn, self.lsn - 1
  owner.sequence, owner.transaction, owner.parent_crc = owner.sequence + 1, self.number, self.crc
end

--- transaction:commit(record) → pointer to the commit record | nil, err. Returns only after the FLUSH: then, and not before,
--- the transaction may be acknowledged.
function transaction:commit(record)
  local pointer <const>, err = self:append_commit(record)
  if not pointer then return nil, err end
  local done <const>, problem = self.log:flush()
  if not done then return nil, problem end
  self:settle()
  return pointer
end

--- Makes everything written so far durable.
function methods:flush()
  local done <const>, cause = self.device.flush()
  if not done then return self:fail(select(2, errors.device("flushing the log", self.lba, cause))) end
  return true
end

--- Bytes of the entry of a commit record with such a message.
function log.commit_entry_bytes(message)
  return entry.size(COMMIT.size + #message)
end

return log
