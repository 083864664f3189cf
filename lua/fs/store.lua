-- The object store as its clients see it: ids, payloads, transactions. It knows no values and no sectors.
--
-- Functions take and give plain values only, so that they can be called over IPC. Every expected failure is `nil, err`
-- (errors.lua). Promises: a commit is all or nothing and durable when it returns; every payload that is read passed CRC and
-- identity; a device error while writing makes the store read-only until it is mounted again; "no_space" and "conflict"
-- come before anything changed.

local layout <const> = require "fs.layout"
local checkpoint <const> = require "fs.checkpoint"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local history <const> = require "fs.history"
local information <const> = require "fs.information"
local joining <const> = require "fs.joining"
local placement <const> = require "fs.placement"
local requests <const> = require "fs.requests"
local space <const> = require "fs.space"
local versions <const> = require "fs.versions"
local volume <const> = require "fs.volume"

local store <const> = {}

local ROOT_ID <const>, KIND_DELETE <const> = layout.ROOT_ID, layout.KIND_DELETE
--- An empty array part and an empty map part: what the root is before it was ever committed.
local EMPTY_TABLE <const> = "\x90\x80"

--- Most ids of one read.
store.READ_IDS_MAX = requests.READ_IDS_MAX

--- Something raised an error in the middle of writing (no memory, most likely), so that memory and disk may disagree: takes
--- the state from the disk again. Versions that clients hold stay good, but for what was being written.
local function mount_again(self)
  local mounted <const>, err = volume.mount(self.options)
  if not mounted then return nil, err end
  if mounted.log.transaction > self.mounted.acknowledged then
    for _, item in ipairs(self.in_flight) do self.versions:wrote(item.id, mounted.log.sequence) end
  end
  mounted.next_id = math.max(mounted.next_id, self.mounted.next_id)
  mounted.acknowledged = mounted.log.transaction
  self.mounted = mounted
  return true
end

--- Whether the store can be asked at all: true | nil, err.
local function ready(self)
  if self.closed then return errors.new("closed", "the store was closed") end
  local log <const> = self.mounted.log
  if log.writing and not log.broken then return mount_again(self) end
  return true
end

--- Whether something may be written, without writing anything: true | nil, err.
local function unlocked(self)
  local able <const>, err = ready(self)
  if not able then return nil, err end
  local mounted <const> = self.mounted
  if mounted.read_only then return errors.new("read_only", "the store is read-only: " .. mounted.read_only) end
  local broken <const> = mounted.log.broken
  if broken then
    return errors.new("read_only", "the store is read-only after an error: " .. broken.message, {cause = broken})
  end
  return true
end

local function writable(self)
  local able <const>, err = unlocked(self)
  if not able then return nil, err end
  return self.mounted:claim()
end

--- The record of one id, from its pointer.
local function record_of(self, id, pointer)
  if not pointer then
    if id ~= ROOT_ID then return errors.new("absent", ("there is no object %d"):format(id), {id = id}) end
    return {id = id, kind = layout.KIND_TABLE, payload = EMPTY_TABLE, version = 0}
  end
  local payload <const>, kind = self.mounted.reader:entry(pointer, id)
  if not payload then return nil, kind end
  return {id = id, kind = kind, payload = payload, version = self.versions:of(id)}
end

--- Pointers of ids, and their places in ascending order. Returns pointers, places | nil, err.
local function locate(self, ids)
  local pointers <const>, places <const> = {}, {}
  for position, id in ipairs(ids) do
    local pointer <const>, err = self.mounted.objects:find(id)
    if pointer == nil then
      err.id = err.id or id
      return nil, err
    end
    pointers[position] = pointer
    if pointer then places[#places + 1] = entry.parse_pointer(pointer) end
  end
  table.sort(places)
  return pointers, places
end

local function read(self, ids)
  local valid, err = ready(self)
  if valid then valid, err = requests.check_ids(ids) end
  if not valid then return nil, err end
  local pointers <const>, places = locate(self, ids)
  if not pointers then return nil, places end
  if #places > 1 then self.mounted.reader:prefetch(places) end
  local records <const> = {}
  for position, id in ipairs(ids) do
    local record <const>, problem = record_of(self, id, pointers[position])
    if not record then return nil, problem end
    records[position] = record
  end
  return records
end

local function allocate(self, count)
  if math.type(count) ~= "integer" or count < 1 or count > 1 << 32 then
    return errors.new("invalid", "allocate takes a count from 1 to 2^32")
  end
  local able <const>, err = unlocked(self)
  if not able then return nil, err end
  local first <const> = self.mounted.next_id
  if first + count > layout.ID_MASK then return errors.new("no_space", "there are no ids left") end
  self.mounted.next_id = first + count
  return first
end

--- What stands in the way of one entry that meets what `pointer` points to (false: nothing); nil when nothing does.
local function obstacle(self, item, pointer)
  if not pointer then
    if item.kind == KIND_DELETE then return "absent" end
    return item.expected ~= nil and item.expected ~= 0 and "absent" or nil
  end
  return item.expected ~= nil and self.versions:changed(item.id, item.expected) and "changed" or nil
end

--- Compares what the commit expects with what is there. Returns by how many bytes it makes the store grow | nil, err.
local function check_versions(self, entries)
  local conflicts <const>, growth = {}, 0
  for _, item in ipairs(entries) do
    local pointer <const>, err = self.mounted.objects:find(item.id)
    if pointer == nil then return nil, err end
    local why <const> = obstacle(self, item, pointer)
    if why == "absent" and item.kind == KIND_DELETE then
      return errors.new("absent", ("there is no object %d to delete"):format(item.id), {id = item.id})
    end
    if why then conflicts[#conflicts + 1] = item.id end
    if item.kind ~= KIND_DELETE then growth = growth + entry.size(#item.payload) end
    if pointer then growth = growth - entry.size((select(3, entry.parse_pointer(pointer)))) end
  end
  if conflicts[1] then
    return errors.new("conflict", ("%d objects changed since they were read, the first is %d"):format(
      #conflicts, conflicts[1]), {ids = conflicts})
  end
  return growth
end

--- Appends the entries and makes them durable. Returns pointers, pointer of the commit record, record, content bytes | nil, err.
local function append(self, entries, message)
  local transaction <const>, pointers <const> = self.mounted.log:begin(), {}
  for position, item in ipairs(entries) do
    local pointer <const>, err = transaction:add(item.id, item.kind, item.payload or "")
    if not pointer then return nil, err end
    pointers[position] = pointer
  end
  local record <const> = {
    transaction = self.mounted.log.transaction + 1, time = self.mounted.now(), next_id = self.mounted.next_id,
    commit_kind = layout.COMMIT_USER, message = message,
  }
  local pointer <const>, err = transaction:commit(record)
  if not pointer then return nil, err end
  record.pointer = pointer
  return pointers, record, transaction
end

--- Takes a durable transaction into the indexes.
local function adopt(self, entries, pointers, record)
  local sequence <const>, given <const> = self.mounted.log.sequence, {}
  for position, item in ipairs(entries) do
    local deleted <const> = item.kind == KIND_DELETE
    self.mounted.objects:set(item.id, not deleted and pointers[position])
    self.versions:wrote(item.id, sequence)
    given[position] = deleted and 0 or sequence
  end
  self.mounted:committed(record)
  return given
end

--- Whether a request could be committed now: by how many bytes it makes the store grow | nil, err. Writes nothing of it.
local function examine(self, request)
  local largest <const> = placement.largest_entry(self.mounted.geometry)
  local valid, err = ready(self)
  if valid then valid, err = requests.check_commit(request, self.mounted.next_id, largest) end
  if valid then valid, err = writable(self) end
  if not valid then return nil, err end
  return check_versions(self, request.entries)
end

--- Writes examined entries as one durable transaction. Returns versions in order, record | nil, err.
local function write(self, entries, message, growth)
  -- Room for everything that follows is made sure of before the first byte is written.
  local admitted <const>, err = space.admit(self.mounted, entries, message, growth)
  if not admitted then return nil, err end
  local segment <const>, segment_sequence <const> = self.mounted.log.segment, self.mounted.log.segment_sequence
  self.in_flight, self.mounted.acknowledged = entries, self.mounted.log.transaction
  local pointers <const>, record <const>, transaction <const> = append(self, entries, message)
  if not pointers then return nil, record end
  local opened <const> = transaction.where.opened
  self.mounted.segments:follow(segment, opened, segment_sequence + 1, record.transaction)
  self.mounted.segments_since = self.mounted.segments_since + #opened
  self.mounted.growth = self.mounted.growth + growth
  self.mounted.payload_bytes = self.mounted.payload_bytes + transaction.content_bytes
  local given <const> = adopt(self, entries, pointers, record)
  self.mounted.log:done()
  return given, record
end

--- Writes some examined requests that have no object in common. Returns a list of {result} or {nil, err}, in order.
local function write_together(self, group)
  local entries <const>, message <const>, growth <const> = joining.together(group)
  local given <const>, record = write(self, entries, message, growth)
  if given then return joining.results(group, given, record) end
  -- What does not fit together may fit one by one; each is refused or written for itself.
  if record.code == "no_space" and #group > 1 then
    return joining.each(group, function(one) return write_together(self, {one})[1] end)
  end
  return joining.each(group, function() return {nil, record} end)
end

--- commit_all(list of requests) → list of {result} or {nil, err}, in their order. Requests that have no object in common
--- become one transaction with one FLUSH; one that meets an object of an earlier one waits for that to be durable.
local function commit_all(self, list)
  local outcomes <const> = {}
  local group = joining.new()
  local function finish()
    if #group.members == 0 then return end
    for place, outcome in ipairs(write_together(self, group.members)) do
      outcomes[group.members[place].place] = outcome
    end
    group = joining.new()
  end
  for place, request in ipairs(list) do
    if joining.meets(group, request) then finish() end
    local growth <const>, err = examine(self, request)
    if growth then
      joining.add(group, {place = place, request = request, growth = growth})
    else
      outcomes[place] = {nil, err}
    end
  end
  finish()
  return outcomes
end

local function commit(self, request)
  local outcome <const> = commit_all(self, {request})[1]
  return outcome[1], outcome[2]
end

local function status(self)
  local mounted <const> = self.mounted
  if self.closed then return "read_only", "the store was closed" end
  if mounted.log.broken then return "read_only", mounted.log.broken.message end
  if mounted.read_only then return "read_only", mounted.read_only end
  return mounted.verdict == "clean" and "clean" or "recovered"
end

--- Writes a checkpoint now, if anything was committed since the last one.
local function make_checkpoint(self)
  local done, err = writable(self)
  if done and self.mounted.commits_since > 0 then
    done, err = checkpoint.write(self.mounted, layout.STATE_IN_USE)
  end
  if not done then return nil, err end
  return true
end

--- Unmounts. A store that was never written to is left as it is.
local function close(self)
  if self.closed then return true end
  local able <const>, problem = ready(self)
  if not able then return nil, problem end
  local mounted <const> = self.mounted
  if mounted.claimed and not mounted.log.broken then
    local done <const>, err = mounted:release()
    if not done then return nil, err end
  end
  self.closed = true
  return true
end

--- Calls a function of the mounted volume, if the store can be asked.
local function when_ready(self, ask, ...)
  local able <const>, err = ready(self)
  if not able then return nil, err end
  return ask(self.mounted, ...)
end

--- store.open{device=, primitives=, read_only=, cache_bytes=} → store | nil, err. Writes nothing yet.
---
---   allocate(count) → first of `count` consecutive ids, which no object ever had | nil, err
---   read(ids) → list of {id, kind, payload, version} in the order of ids (at most READ_IDS_MAX) | nil, err (err.id, err.lba)
---   commit{entries = {{id, kind, payload, expected}, …}, message} →
---     {transaction, objects, bytes, time, versions in order} | nil, err ("conflict" with err.ids, "no_space", …).
---     `expected`: the version that was read, 0 for an object that must not exist yet, nil for whatever is there.
---     KIND_DELETE without a payload removes an object.
---   commit_all{request, …} → list of {result} or {nil, err}: commits that meet, as one transaction with one FLUSH
---   log([limit]) → list of {transaction, time, message, objects, bytes}, oldest first, the last `limit` ones | nil, err
---   info() → table (information.lua) | nil, err · status() → "clean" | "recovered" | "read_only", reason
---   transaction() → number of the last transaction, 0 for none
---   checkpoint() → true | nil, err · close() → true | nil, err: a clean unmount
function store.open(options)
  local mounted <const>, err = volume.mount(options)
  if not mounted then return nil, err end
  mounted.acknowledged = mounted.log.transaction
  local self <const> = {
    mounted = mounted, options = options, closed = false, in_flight = {},
    versions = versions.new(math.max(1, mounted.log.sequence), options.versions_capacity),
  }
  return {
    allocate = function(count) return allocate(self, count) end,
    read = function(ids) return read(self, ids) end,
    commit = function(request) return commit(self, request) end,
    commit_all = function(list) return commit_all(self, list) end,
    log = function(limit) return when_ready(self, history.list, limit) end,
    info = function() return when_ready(self, information.collect, status(self)) end,
    status = function() return status(self) end,
    transaction = function() return self.mounted.log.transaction end,
    checkpoint = function() return make_checkpoint(self) end,
    close = function() return close(self) end,
  }
end

return store
