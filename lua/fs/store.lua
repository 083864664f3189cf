-- The object store as its clients see it: ids, payloads, transactions. It knows no values and no sectors.
--
-- Functions take and give plain values only, so that they can be called over IPC. Every expected failure is `nil, err`
-- (errors.lua). Promises: a commit is all or nothing and durable when it returns; every payload that is read passed CRC and
-- identity; a device error while writing makes the store read-only until it is mounted again; "no_space" and "conflict"
-- come before anything changed.

local layout <const> = require "fs.layout"
local checkpoint <const> = require "fs.checkpoint"
local columns <const> = require "fs.columns"
local collector <const> = require "fs.collector"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local history <const> = require "fs.history"
local information <const> = require "fs.information"
local joining <const> = require "fs.joining"
local placement <const> = require "fs.placement"
local recent <const> = require "fs.recent"
local references <const> = require "fs.references"
local requests <const> = require "fs.requests"
local snapshots <const> = require "fs.snapshots"
local space <const> = require "fs.space"
local versions <const> = require "fs.versions"
local views <const> = require "fs.views"
local volume <const> = require "fs.volume"
local writing <const> = require "fs.writing"

local store <const> = {}

local ROOT_ID <const>, KIND_DELETE <const>, entry_size <const> = layout.ROOT_ID, layout.KIND_DELETE, entry.size
--- A collection begins by itself when less than one segment in so many is free, and as large a share of what is stored was
--- written since the last one.
local GC_FREE_SHARE <const>, GC_WRITTEN_SHARE <const> = 8, 8
--- An empty array part and an empty map part: what the root is before it was ever committed.
local EMPTY_TABLE <const> = "\x90\x80"

--- Most ids of one read, most views at a time.
store.READ_IDS_MAX, store.VIEWS_MAX = requests.READ_IDS_MAX, views.VIEWS_MAX

--- Something raised an error in the middle of writing (no memory, most likely), so that memory and disk may disagree: takes
--- the state from the disk again. Versions that clients hold stay good, but for what was being written.
local function mount_again(self)
  local mounted <const>, err = volume.mount(self.options)
  if not mounted then return nil, err end
  local durable <const> = mounted.log.transaction > self.mounted.acknowledged
  if durable then
    self.versions:wrote_all(self.in_flight.ids, self.in_flight.count, mounted.log.sequence)
    self.recent = recent.new(mounted.log.sequence)
  end
  mounted.next_id = math.max(mounted.next_id, self.mounted.next_id)
  mounted.acknowledged, mounted.views = mounted.log.transaction, views.carry(self.mounted.views, mounted)
  self.collected_at = 0
  self.collector:remounted(durable)
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

--- Where a read looks: a function that finds the pointer of an id, and one that says which version it has | nil, err.
local function looking(self, view)
  local function version_now(id) return self.versions:of(id) end
  if view == nil then return function(id) return self.mounted.objects:find(id) end, version_now end
  local find <const>, seen = views.reader(self.mounted, view)
  if not find then return nil, seen end
  -- What was written after the view has a larger version than its transaction's sequence: then a commit will conflict.
  return find, function(id) return math.min(self.versions:of(id), math.max(1, seen.sequence or 1)) end
end

--- The record of one id, from its pointer.
local function record_of(self, id, pointer, version_of)
  if not pointer then
    if id ~= ROOT_ID then return errors.new("absent", ("there is no object %d"):format(id), {id = id}) end
    return {id = id, kind = layout.KIND_TABLE, payload = EMPTY_TABLE, version = 0}
  end
  local payload <const>, kind = self.mounted.reader:entry(pointer, id)
  if not payload then return nil, kind end
  if not requests.is_object_kind(kind) then
    local lba <const> = entry.parse_pointer(pointer) * layout.PLACE_UNIT_BYTES // layout.SECTOR_BYTES
    return errors.new("corrupt", ("object %d at LBA %d: kind %d is none of an object"):format(id, lba, kind), {id = id, lba = lba})
  end
  return {id = id, kind = kind, payload = payload, version = version_of(id)}
end

--- Pointers of ids, and their places in ascending order. Returns pointers, places | nil, err.
local function locate(find, ids)
  local pointers <const>, places <const> = {}, {}
  for position, id in ipairs(ids) do
    local pointer <const>, err = find(id)
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

local function read(self, ids, view)
  local valid, err = ready(self)
  if valid then valid, err = requests.check_ids(ids) end
  if not valid then return nil, err end
  local find <const>, version_of = looking(self, view)
  if not find then return nil, version_of end
  local pointers <const>, places = locate(find, ids)
  if not pointers then return nil, places end
  if #places > 1 then self.mounted.reader:prefetch(places) end
  local records <const> = {}
  for position, id in ipairs(ids) do
    local record <const>, problem = record_of(self, id, pointers[position], version_of)
    if not record then return nil, problem end
    records[position] = record
  end
  return records
end

--- Whether an id can be referred to: true | false | nil, err. find: of the present.
local function exists(self, find, id)
  if self.collector:is_condemned(id) then return false end
  local pointer <const>, err = find(id)
  if pointer == nil then return nil, err end
  return pointer ~= false or id == ROOT_ID
end

local function missing(self, ids)
  local valid, err = ready(self)
  if valid then valid, err = requests.check_ids(ids) end
  if not valid then return nil, err end
  local list <const>, find <const> = {}, self.mounted.objects:finder()
  for _, id in ipairs(ids) do
    local there <const>, problem = exists(self, find, id)
    if there == nil then return nil, problem end
    if not there then list[#list + 1] = id end
  end
  return list
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
local function obstacle(self, id, kind, expected, pointer)
  if not pointer then
    if kind == KIND_DELETE then return "absent" end
    return expected and expected ~= 0 and "absent" or nil
  end
  return expected and self.versions:changed(id, expected) and "changed" or nil
end

--- Compares what the commit expects with what is there. Returns {growth = by how many bytes it makes the present grow, payload = the
--- same without what entries are rounded up by, held = how many bytes that it replaces a snapshot holds} | nil, err.
local function check_versions(self, entries)
  local ids <const>, kinds <const>, payloads <const>, expected <const> =
    entries.ids, entries.kinds, entries.payloads, entries.expected
  local find <const>, conflicts <const>, growth, payload, held = self.mounted.objects:finder(), {}, 0, 0, 0
  for position = 1, entries.count do
    local id <const>, kind <const> = ids[position], kinds[position]
    local pointer <const>, err = find(id)
    if pointer == nil then return nil, err end
    local why <const> = obstacle(self, id, kind, expected[position], pointer)
    -- With a version it was there, and somebody else has removed it: a conflict.
    if why == "absent" and kind == KIND_DELETE and not expected[position] then
      return errors.new("absent", ("there is no object %d to delete"):format(id), {id = id})
    end
    if why then conflicts[#conflicts + 1] = id end
    if kind ~= KIND_DELETE then
      local length <const> = #payloads[position]
      growth, payload = growth + entry_size(length), payload + length
    end
    if pointer then
      local _, _, bytes <const> = entry.parse_pointer(pointer)
      local size <const> = entry_size(bytes)
      growth, payload = growth - size, payload - bytes
      if snapshots.holds(self.mounted, pointer) then held = held + size end
    end
  end
  if conflicts[1] then
    return errors.new("conflict", ("%d objects changed since they were read, the first is %d"):format(
      #conflicts, conflicts[1]), {ids = conflicts})
  end
  return {growth = growth, payload = payload, held = held}
end

--- Whether all that a commit refers to is there. Returns true | nil, err ("missing_reference").
local function check_references(self, referred)
  local gone <const>, find <const> = table.move(referred.deleted, 1, #referred.deleted, 1, {}), self.mounted.objects:finder()
  for _, id in ipairs(referred) do
    local there <const>, err = exists(self, find, id)
    if there == nil then return nil, err end
    if not there then gone[#gone + 1] = id end
  end
  if #gone == 0 then return true end
  table.sort(gone)
  return errors.new("missing_reference", ("%d objects that are referred to do not exist, the first is %d"):format(
    #gone, gone[1]), {ids = gone})
end

--- Makes sure of the room, by collecting garbage if nothing else helps. Returns true | nil, err.
local function admit(self, entries, message, change)
  local admitted, err = space.admit(self.mounted, entries, message, change)
  if admitted or err.code ~= "no_space" or self.options.collect == false or not self.collector:may_help(self.mounted) then
    return admitted, err
  end
  local collected <const>, problem = self.collector:run(self.mounted)
  -- What the collection could not read is the business of who asks for it; here it only means that there is no room.
  if not collected and self.mounted.log.broken then return nil, problem end
  if not collected then return nil, err end
  return space.admit(self.mounted, entries, message, change)
end

--- Whether a request, whose entries are given as columns, could be committed now. Returns {request, entries, change = what space.admit
--- wants to know, referred = the ids that it refers to} | nil, err. Writes nothing of it.
local function examine(self, request, entries)
  local valid <const>, unready = ready(self)
  if not valid then return nil, unready end
  local largest <const> = placement.largest_entry(self.mounted.geometry)
  local referred <const>, err = requests.check_commit(request, entries, self.mounted.next_id, largest, self.scan)
  if not referred then return nil, err end
  local able <const>, problem = writable(self)
  if not able then return nil, problem end
  local change <const>, refused = check_versions(self, entries)
  if not change then return nil, refused end
  local sound <const>, why = check_references(self, referred)
  if not sound then return nil, why end
  return {request = request, entries = entries, change = change, referred = referred}
end

--- Writes examined requests as one durable transaction. Returns list of {result}, in order | nil, err.
local function write(self, group)
  local joined <const> = joining.together(group)
  local entries <const> = joined.entries
  -- Room for everything that follows is made sure of before the first byte is written.
  local admitted <const>, err = admit(self, entries, joined.message, joined.change)
  if not admitted then return nil, err end
  -- A collection may have been made for it, and must not have taken what the commit refers to.
  local sound <const>, why = check_references(self, joined.referred)
  if not sound then return nil, why end
  local log <const> = self.mounted.log
  self.in_flight, self.mounted.acknowledged = entries, log.transaction
  -- From here to the last line an error that is raised leaves the log `writing`, and the store is mounted again (`ready`).
  log.writing = true
  self.collector:note(entries, joined.referred)
  local written <const>, failure = writing.write(self.mounted, entries, layout.COMMIT_USER, joined.message, joined.change)
  if not written then return nil, failure end
  log.writing = true
  local others <const> = joining.others(group, self.recent)
  self.versions:wrote_all(entries.ids, entries.count, written.sequence)
  self.recent:wrote_all(entries.ids, entries.count, written.sequence)
  self.mounted.payload_bytes = self.mounted.payload_bytes + written.bytes
  self.collector:was_written()
  log:done()
  return joining.results(group, written, others)
end

--- Writes some examined requests that have no object in common. Returns a list of {result} or {nil, err}, in order.
local function write_together(self, group)
  local outcomes <const>, err = write(self, group)
  if outcomes then return outcomes end
  -- What does not fit together may fit one by one; each is refused or written for itself.
  if #group > 1 and (err.code == "no_space" or err.code == "missing_reference") then
    return joining.each(group, function(one) return write_together(self, {one})[1] end)
  end
  return joining.each(group, function() return {nil, err} end)
end

--- One request, without looking for others that it could meet.
local function commit(self, request)
  local member <const>, err = examine(self, request, columns.of(request))
  if not member then return nil, err end
  local outcome <const> = write_together(self, {member})[1]
  return outcome[1], outcome[2]
end

--- commit_all(list of requests) → list of {result} or {nil, err}, in their order. Requests that have no object in common
--- become one transaction with one FLUSH; one that meets an object of an earlier one waits for that to be durable.
local function commit_all(self, list)
  if #list == 1 then return {table.pack(commit(self, list[1]))} end
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
    local entries <const> = columns.of(request)
    if joining.meets(group, entries) then finish() end
    local member, err = examine(self, request, entries)
    if member and joining.clashes(group, member) then
      finish()
      member, err = examine(self, request, entries)
    end
    if member then
      member.place = place
      joining.add(group, member)
    else
      outcomes[place] = {nil, err}
    end
  end
  finish()
  return outcomes
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

--- Takes a snapshot of the present.
local function take_snapshot(self, name)
  local valid, err = snapshots.check_name(name)
  if valid then valid, err = writable(self) end
  if not valid then return nil, err end
  local mounted <const> = self.mounted
  if snapshots.find(mounted.snapshots, name) then
    return errors.new("exists", ("there is a snapshot %q already"):format(name))
  end
  if #mounted.snapshots >= layout.SNAPSHOTS_MAX then
    return errors.new("limit", ("a store has at most %d snapshots"):format(layout.SNAPSHOTS_MAX))
  end
  local done <const>, problem = space.change(mounted, {take = name})
  if not done then return nil, problem end
  return snapshots.describe((snapshots.find(mounted.snapshots, name)))
end

local function delete_snapshot(self, name)
  local able <const>, err = writable(self)
  if not able then return nil, err end
  local record <const>, problem = snapshots.find(self.mounted.snapshots, name)
  if not record then return nil, problem end
  local done <const>, failure = space.change(self.mounted, {drop = name})
  if not done then return nil, failure end
  views.forget_snapshot(self.mounted, name)
  return true
end

local function list_snapshots(mounted)
  local list <const> = {}
  for position, record in ipairs(mounted.snapshots) do list[position] = snapshots.describe(record) end
  return list
end

--- Sets how many transactions of history are kept at most.
local function keep(self, count)
  if count ~= nil and (math.type(count) ~= "integer" or count < 1) then
    return errors.new("invalid", "keep takes a number of transactions from 1 on, or nothing for as many as there is room for")
  end
  local able <const>, err = writable(self)
  if not able then return nil, err end
  if self.mounted.keep_transactions == (count or 0) then return true end
  -- What did not answer any more does not come back.
  self.mounted:forget_before(self.mounted:oldest())
  self.mounted.keep_transactions = count or 0
  local done <const>, problem = space.change(self.mounted, {})
  if not done then
    self.mounted.keep_transactions = self.mounted.record.keep_transactions
    return nil, problem
  end
  return true
end

local GC_COMMANDS <const> = {
  begin = function(self) return self.collector:begin(self.mounted) end,
  step = function(self, budget) return self.collector:step(self.mounted, budget) end,
  run = function(self) return self.collector:run(self.mounted) end,
}

--- A view, what was written since the state that its client had before, in place of a view that the client has no more use for.
local function open_view(self, which, since, old)
  if since ~= nil and math.type(since) ~= "integer" then return errors.new("invalid", "not a sequence: " .. tostring(since)) end
  if old ~= nil then views.close(self.mounted, old) end
  local opened <const>, err = views.open(self.mounted, which)
  if not opened then return nil, err end
  if since then opened.changed = self.recent:behind(since) or false end
  return opened
end

--- One command to the collector. Returns its status | nil, err.
local function collect(self, command, budget)
  if budget ~= nil and (math.type(budget) ~= "integer" or budget < 1) then
    return errors.new("invalid", "a budget is a number of objects")
  end
  if command ~= "status" then
    local act <const> = GC_COMMANDS[command or "run"]
    if not act then return errors.new("invalid", "gc takes begin, step, run or status") end
    local able <const>, err = writable(self)
    if not able then return nil, err end
    local done <const>, problem = act(self, budget)
    if not done then return nil, problem end
  end
  return self.collector:status()
end

--- Whether a collection is worth beginning without being asked.
local function is_worth_collecting(self)
  local mounted <const> = self.mounted
  local table_of_segments <const>, written <const> = mounted.segments, mounted.payload_bytes - self.collected_at
  return self.options.collect ~= false and table_of_segments.free * GC_FREE_SHARE < table_of_segments.count
    and written >= math.max(mounted.geometry.segment_bytes, mounted.record.object_bytes // GC_WRITTEN_SHARE)
    and not self.collector.failure and self.collector:may_help(mounted)
end

--- One step of what is to be done sometime. Returns whether there is more | nil, err. Nothing is written to a store to which
--- nobody wrote.
local function tidy(self, budget)
  local able <const>, err = unlocked(self)
  if not able then return nil, err end
  local mounted <const> = self.mounted
  if not mounted.claimed then return false end
  if self.collector.phase ~= "idle" and not self.collector.failure then
    local stepped <const>, problem = self.collector:step(mounted, budget)
    if not stepped then return nil, problem end
    return true
  end
  local more <const>, problem = space.tidy(mounted)
  if more or more == nil then return more, problem end
  if is_worth_collecting(self) then
    self.collected_at = mounted.payload_bytes
    local begun <const>, failure = self.collector:begin(mounted)
    if not begun then return nil, failure end
    return true
  end
  return false
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

--- store.open{device=, primitives=, read_only=, cache_bytes=, collect=} → store | nil, err. Writes nothing yet. collect = false:
--- garbage is collected only when gc is called. primitives: crc32c, now, random, and perhaps references (references.scan in C)
--- and entries (entry.builder's function in C).
---
---   allocate(count) → first of `count` consecutive ids, which no object ever had | nil, err
---   read(ids [, view]) → list of {id, kind, payload, version} in the order of ids (at most READ_IDS_MAX) | nil, err (err.id, err.lba;
---     "view_too_old"). With a view, the objects as they were then; `version` is one that a commit may expect: it conflicts
---     if the object changed after the view's transaction.
---   commit{entries = {{id, kind, payload, expected}, …}, message, since} →
---     {transaction, sequence, objects, bytes, time} | nil, err ("conflict" with err.ids, "no_space", …). The version of all that it
---     wrote is `sequence` now. Many entries cost less as columns (fs.columns): commit{ids =, kinds =, payloads =, expected =, …}.
---     since: the sequence at which the client stands; then the result has `others`: the ids that others wrote behind it, up
---     to this transaction, false when that is not known any more.
---     `expected`: the version that was read, 0 for an object that must not exist yet, nil for whatever is there.
---     KIND_DELETE without a payload removes an object; one that is not there is a conflict if `expected` is given, else "absent".
---     A payload that is not canonical for its kind is "invalid" (err.id, err.offset,
---     err.expected, err.found); references to objects that neither exist nor are in the commit are "missing_reference" (err.ids,
---     ascending): collected as garbage since the client knew them; it stores those parts anew under new ids.
---   missing(ids) → those of the ids (at most READ_IDS_MAX) that no object has | nil, err
---   commit_all{request, …} → list of {result} or {nil, err}: commits that meet, as one transaction with one FLUSH
---   log([limit]) → list of {transaction, time, message, objects, bytes}, oldest first, the last `limit` ones | nil, err
---   info() → table (information.lua) | nil, err · status() → "clean" | "recovered" | "read_only", reason
---   transaction() → number of the last transaction, 0 for none
---   checkpoint() → true | nil, err · close() → true | nil, err: a clean unmount
---
---   view([which [, since [, old]]]) → {view = id, transaction, sequence} | nil, err ("not_kept", "absent", "limit"). which: a transaction's number, a snapshot's
---     name, {before = number} for the state that transaction found, nil for the present. A view of the present costs nothing.
---     It protects what it needs while space allows; then reading fails with "view_too_old". At most VIEWS_MAX at a time: the one
---     that was not read for longest gives way. since: a sequence; then the result has `changed`: the ids that were written behind it,
---     false when that is not known any more. old: a view that is closed first.
---   close_view(view) → true
---   written(transaction) → list of {id, kind, existed} in the order written: kind KIND_DELETE for what it removed, existed: whether the
---     object was there before (view{before = transaction} reads it) | nil, err ("not_kept")
---   snapshot(name) → {name, transaction, time, objects, bytes} | nil, err ("exists", "limit", "invalid", "no_space"): keeps the present
---   snapshots() → list of the same, oldest first | nil, err · delete_snapshot(name) → true | nil, err ("absent")
---   keep(count) → true | nil, err: so many transactions of history at most; nil for as many as space allows, the default.
---     Under pressure the oldest goes first, whatever was asked for; snapshots never go by themselves.
---   gc("begin" | "step" [, budget] | "status" | "run") → {phase = "idle" | "marking" | "sweeping", marked, swept, …} | nil, err
---   tidy([budget]) → whether there is more to do | nil, err: one bounded step of gc and cleaning, for idle moments
function store.open(options)
  local mounted <const>, err = volume.mount(options)
  if not mounted then return nil, err end
  mounted.acknowledged = mounted.log.transaction
  local self <const> = {
    mounted = mounted, options = options, closed = false, in_flight = columns.new(),
    versions = versions.new(math.max(1, mounted.log.sequence), options.versions_capacity),
    recent = recent.new(mounted.log.sequence), scan = references.of(options.primitives), collected_at = 0,
  }
  self.collector = collector.new {
    scan = self.scan, wrote = function(ids, count, sequence)
      self.versions:wrote_all(ids, count, sequence)
      self.recent:wrote_all(ids, count, sequence)
    end,
  }
  return {
    allocate = function(count) return allocate(self, count) end,
    read = function(ids, view) return read(self, ids, view) end,
    missing = function(ids) return missing(self, ids) end,
    commit = function(request) return commit(self, request) end,
    commit_all = function(list) return commit_all(self, list) end,
    log = function(limit) return when_ready(self, history.list, limit) end,
    view = function(which, since, old)
      return when_ready(self, function() return open_view(self, which, since, old) end)
    end,
    close_view = function(view) return when_ready(self, views.close, view) end,
    written = function(transaction) return when_ready(self, history.written, transaction) end,
    snapshot = function(name) return take_snapshot(self, name) end,
    snapshots = function() return when_ready(self, list_snapshots) end,
    delete_snapshot = function(name) return delete_snapshot(self, name) end,
    keep = function(count) return keep(self, count) end,
    gc = function(command, budget) return collect(self, command, budget) end,
    tidy = function(budget) return tidy(self, budget) end,
    info = function() return when_ready(self, information.collect, status(self)) end,
    status = function() return status(self) end,
    transaction = function() return self.mounted.log.transaction end,
    checkpoint = function() return make_checkpoint(self) end,
    close = function() return close(self) end,
  }
end

return store
