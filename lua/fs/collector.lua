-- Garbage: objects of the present that nothing leads to from the root. Found and removed in small steps, while commits go on.
--
--   idle → marking: from the root on, every object is read once and what it refers to is marked
--        → sweeping: what is not marked is deleted, in system transactions of a bounded size, in ascending order of ids
--        → idle
--
-- Why nothing that lives is deleted, whatever is committed meanwhile: an object can come to be referred to only by a commit. All ids
-- that a commit writes are marked, and those that it refers to are marked and looked at in turn (`note`); ids handed out since
-- marking began are not judged. So when nothing is left to look at, everything that can be reached is marked; in the sweep,
-- what is condemned counts as gone already (`is_condemned`), so that no commit can refer to it any more.
--
-- Any object that cannot be read, or whose payload is not canonical, ends the marking: what it leads to is not known. So does an error
-- that is raised in the middle of it (no memory, say), for something that was marked may not have been looked at. A sweep, once begun, is
-- gone on with after any error, until it is through: clients may hold ids of garbage whose parts are deleted already. A cut in
-- the sweep leaves less garbage; some of it may then refer to what was deleted before, which only a client could bring back that
-- holds an id of garbage and outlives the store that it had it from. Ascending order makes that rarer: what refers mostly has
-- the smaller id. Snapshots and history have indexes of their own, in which nothing is deleted.

local columns <const> = require "fs.columns"
local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local id_set <const> = require "fs.id_set"
local index <const> = require "fs.index"
local space <const> = require "fs.space"
local snapshots <const> = require "fs.snapshots"
local writing <const> = require "fs.writing"

local collector <const> = {}

local ROOT_ID <const>, KIND_DELETE <const> = layout.ROOT_ID, layout.KIND_DELETE
--- Objects that are read at a time, deletions of a transaction, objects of a step unless it is told otherwise.
local READ_BATCH <const>, SWEEP_BATCH <const>, STEP <const> = 256, 2048, 1024

local methods <const> = {}
methods.__index = methods

--- collector.new{scan = references.scan, wrote = function(ids, count, sequence) told of every deletion} → collector, idle.
function collector.new(options)
  return setmetatable({
    scan = options.scan, wrote = options.wrote, phase = "idle", noted = {}, looking = false, marked = 0, swept = 0, swept_bytes = 0,
    rounds = 0, clean_since = -1,
  }, methods)
end

--- collector:status() → plain facts.
function methods:status()
  return {
    phase = self.phase, marked = self.set and self.set.count or self.marked, swept = self.swept, swept_bytes = self.swept_bytes,
    rounds = self.rounds, error = self.failure,
  }
end

local function stop(self)
  self.phase, self.set, self.looking = "idle", nil, false
end

--- collector:remounted(durable): an error was raised while something was written. durable: what was told last (`note`) is there.
function methods:remounted(durable)
  if self.phase == "marking" then stop(self) end
  if self.phase == "sweeping" and not durable then
    for _, id in ipairs(self.noted) do self.set:remove(id) end
  end
  self.noted = {}
end

local function fail(self, err)
  if self.phase == "marking" then stop(self) end
  self.failure = err
  return nil, err
end

--- collector:begin(volume) → true | nil, err. Begins to mark; a collection that is under way goes on instead.
function methods:begin(volume)
  self.failure = nil
  if self.looking then stop(self) end
  if self.phase ~= "idle" then return true end
  -- Behind a checkpoint every object that there is stands in the pages, in order.
  local settled <const>, err = space.settle(volume)
  if settled == nil then return nil, err end
  if not settled then return errors.new("no_space", "no room for the checkpoint that a collection begins with") end
  local root <const>, problem = volume.objects:find(ROOT_ID)
  if root == nil then return fail(self, problem) end
  if not root and volume.record.object_count > 0 then
    return fail(self, select(2, errors.new("corrupt", "there are objects and no root", {id = ROOT_ID})))
  end
  self.phase, self.set, self.watermark, self.failure = "marking", id_set.new(), volume.next_id, nil
  self.swept, self.swept_bytes, self.leaf, self.began_at, self.noted = 0, 0, 0, volume.log.transaction, {}
  self.set:add_waiting(ROOT_ID)
  return true
end

--- Pointers of the ids that exist, in the order of their places.
local function locate(volume, ids)
  local found <const> = {}
  for _, id in ipairs(ids) do
    local pointer <const>, err = volume.objects:find(id)
    if pointer == nil then
      err.id = err.id or id
      return nil, err
    end
    if pointer then found[#found + 1] = {id = id, pointer = pointer, place = (entry.parse_pointer(pointer))} end
  end
  table.sort(found, function(one, other) return one.place < other.place end)
  return found
end

local function places_of(found)
  local places <const> = {}
  for position, one in ipairs(found) do places[position] = one.place end
  return places
end

--- Reads objects and marks what they refer to. Returns true | nil, err.
local function mark(self, volume, ids)
  local found <const>, err = locate(volume, ids)
  if not found then return nil, err end
  if #found > 1 then volume.reader:prefetch(places_of(found)) end
  local list <const> = {count = 0}
  for _, one in ipairs(found) do
    local payload <const>, kind = volume.reader:entry(one.pointer, one.id)
    if not payload then return nil, kind end
    list.count = 0
    local scanned <const>, problem = self.scan(kind, payload, list)
    if not scanned then
      return errors.new("corrupt", ("object %d is not canonical: %s"):format(one.id, problem.message), {id = one.id})
    end
    for position = 1, list.count do
      if list[position] < self.watermark then self.set:add_waiting(list[position]) end
    end
  end
  return true
end

local function step_marking(self, volume, budget)
  -- What is taken here waits no more; `looking` that stays behind says that it was not looked at.
  self.looking = true
  while budget > 0 do
    local ids <const> = self.set:take(math.min(budget, READ_BATCH))
    if #ids == 0 then
      self.phase = "sweeping"
      break
    end
    local marked <const>, err = mark(self, volume, ids)
    if not marked then return fail(self, err) end
    budget = budget - #ids
  end
  self.looking = false
  return true
end

--- collector:is_condemned(id) → whether the sweep that is going on has deleted it or will.
function methods:is_condemned(id)
  return self.phase == "sweeping" and id < self.watermark and not self.set:has(id)
end

--- Condemned objects of one leaf, appended to `entries`, which are columns, and what points to them to `pointers`. Returns bytes of their entries | nil, err.
local function condemned_of(self, volume, leaf, page, entries, pointers)
  local bytes = 0
  for slot in index.each_slot(page) do
    local id <const> = leaf * layout.PAGE_FANOUT + slot
    if self:is_condemned(id) then
      local pointer <const>, err = volume.objects:find(id)
      if pointer == nil then return nil, err end
      if pointer then
        columns.add(entries, id, KIND_DELETE, "", false)
        pointers[entries.count] = pointer
        bytes = bytes + entry.size((select(3, entry.parse_pointer(pointer))))
      end
    end
  end
  return bytes
end

--- Gathers the next condemned objects. Returns {entries, pointers, bytes, looked = objects looked at, leaf = where it goes on, nil for nowhere} |
--- nil, err.
local function gather(self, volume, most)
  local entries <const>, pointers <const>, bytes, leaves, next_leaf = columns.new(), {}, 0, 0, self.leaf
  while entries.count < SWEEP_BATCH and leaves * layout.PAGE_FANOUT < most do
    local leaf <const>, page = volume.objects:next_leaf(next_leaf)
    if leaf == nil then return nil, page end
    if not leaf or leaf * layout.PAGE_FANOUT >= self.watermark then
      next_leaf = nil
      break
    end
    local gained <const>, err = condemned_of(self, volume, leaf, page, entries, pointers)
    if not gained then return nil, err end
    bytes, leaves, next_leaf = bytes + gained, leaves + 1, leaf + 1
  end
  return {
    entries = entries, pointers = pointers, bytes = bytes, looked = math.max(1, leaves * layout.PAGE_FANOUT), leaf = next_leaf,
  }
end

--- Bytes of deleted objects that a snapshot holds.
local function held_of(volume, pointers)
  local held = 0
  for _, pointer in ipairs(pointers) do
    if snapshots.holds(volume, pointer) then
      held = held + entry.size((select(3, entry.parse_pointer(pointer))))
    end
  end
  return held
end

--- Deletes what was gathered with one system transaction. Returns true | nil, err.
local function delete(self, volume, found)
  local entries <const>, bytes <const> = found.entries, found.bytes
  local change <const> = {growth = -bytes, payload = -bytes, held = held_of(volume, found.pointers)}
  local admitted <const>, err = space.admit(volume, entries, "", change)
  if not admitted then return nil, err end
  local written <const>, problem = writing.write(volume, entries, layout.COMMIT_SYSTEM, "", change)
  if not written then return nil, problem end
  self.wrote(entries.ids, entries.count, written.sequence)
  self.swept, self.swept_bytes = self.swept + entries.count, self.swept_bytes + bytes
  return true
end

local function finish(self)
  self.marked, self.clean_since, self.rounds = self.set.count, self.began_at, self.rounds + 1
  stop(self)
  return true
end

local function step_sweeping(self, volume, budget)
  while budget > 0 do
    local found <const>, unreadable = gather(self, volume, budget)
    if not found then return fail(self, unreadable) end
    if found.entries.count > 0 then
      local deleted <const>, err = delete(self, volume, found)
      if not deleted then return fail(self, err) end
    end
    -- Only now: after an error the same leaves are looked at again.
    self.leaf = found.leaf
    if not self.leaf then return finish(self) end
    budget = budget - found.looked
  end
  return true
end

--- collector:step(volume [, budget]) → true | nil, err. Looks at about `budget` objects; nothing to do when idle.
function methods:step(volume, budget)
  if self.looking then stop(self) end
  if self.phase == "marking" then return step_marking(self, volume, budget or STEP) end
  if self.phase == "sweeping" then return step_sweeping(self, volume, budget or STEP) end
  return true
end

--- collector:run(volume) → true | nil, err. A whole collection, begun now or under way.
function methods:run(volume)
  local begun <const>, err = self:begin(volume)
  if not begun then return nil, err end
  while self.phase ~= "idle" do
    local stepped <const>, problem = self:step(volume)
    if not stepped then return nil, problem end
  end
  return true
end

--- collector:note(columns, referred): a commit is about to write these entries, which refer to those ids outside of it. Before, not
--- after: an error that is raised in between must not leave what was written unknown. When it is done, it is `noted`.
function methods:note(entries, referred)
  if self.phase == "idle" then return end
  local ids <const>, kinds <const> = entries.ids, entries.kinds
  for position = 1, entries.count do
    local id <const> = ids[position]
    if kinds[position] ~= KIND_DELETE and id < self.watermark and not self.set:has(id) then
      self.noted[#self.noted + 1] = id
      self.set:add(id)
    end
  end
  if self.phase == "sweeping" then return end
  for _, id in ipairs(referred) do
    if id < self.watermark then self.set:add_waiting(id) end
  end
end

--- collector:was_written(): what `note` was told of last is durable.
function methods:was_written()
  if self.noted[1] then self.noted = {} end
end

--- collector:may_help(volume) → whether something may have become garbage since the last collection began.
function methods:may_help(volume)
  return volume.log.transaction > self.clean_since
end

return collector
