-- Views: read-only looks at one state of the store, while it goes on.
--
--   of the present   costs nothing to open: each commit afterwards notes what it replaces (`note`), and a view looks there first
--   of the past      the object index is rebuilt from a checkpoint and the log (past.lua) when it is first read
--   of a snapshot    the snapshot's own index
--
-- What a view needs stays where it is as long as the history goes back to it; when room has to be made, the oldest goes
-- first, and a view that is older than what is left fails with "view_too_old", never with a mixture. Bounded: VIEWS_MAX views,
-- NOTED_MAX notes, BUILT_MAX rebuilt indexes; whatever goes beyond makes an old view slower, or closes it.

local errors <const> = require "fs.errors"
local past <const> = require "fs.past"
local snapshots <const> = require "fs.snapshots"

local views <const> = {}

--- Most views at a time.
views.VIEWS_MAX = 64
local NOTED_MAX <const>, BUILT_MAX <const> = 65536, 2

--- views.new() → the views of a mounted volume.
function views.new()
  return {open = {}, count = 0, next_view = 1, clock = 0, epochs = {}, noted = 0, horizon = 0}
end

local function too_old(view)
  return errors.new("view_too_old", ("what the view of transaction %d needs had to make room"):format(view.transaction),
    {transaction = view.transaction})
end

--- Lets go of a view's notes: those of the last view of an epoch go to the epoch before, whose views still need them.
local function leave_epoch(self, view)
  local epoch <const> = view.epoch
  if not epoch then return end
  view.epoch, epoch.views = nil, epoch.views - 1
  if epoch.views > 0 then return end
  local position = 1
  while self.epochs[position] ~= epoch do position = position + 1 end
  table.remove(self.epochs, position)
  local before <const> = self.epochs[position - 1]
  for id, pointer in pairs(epoch.before) do
    if before and before.before[id] == nil then before.before[id] = pointer else self.noted = self.noted - 1 end
  end
end

local function remove(self, id)
  leave_epoch(self, self.open[id])
  self.open[id], self.count = nil, self.count - 1
end

--- The views of the oldest epoch go on without notes: they are rebuilt from the log when they are read.
local function drop_epoch(self)
  local epoch <const> = table.remove(self.epochs, 1)
  for _, view in pairs(self.open) do
    if view.epoch == epoch then view.epoch = nil end
  end
  for _ in pairs(epoch.before) do self.noted = self.noted - 1 end
end

local function longest_unused(self)
  local found
  for id, view in pairs(self.open) do
    if not found or view.used < self.open[found].used then found = id end
  end
  return found
end

local function add(self, view)
  if self.count >= views.VIEWS_MAX then remove(self, longest_unused(self)) end
  local id <const> = self.next_view
  self.clock = self.clock + 1
  view.used = self.clock
  self.open[id], self.count, self.next_view = view, self.count + 1, id + 1
  return {view = id, transaction = view.transaction, sequence = view.sequence}
end

--- A view of the present.
local function open_present(volume)
  local self <const>, now <const> = volume.views, volume.log.transaction
  -- Should its notes be dropped, the view is rebuilt up to this commit record; where history begins with it, there is none.
  local commit <const>, err = volume.transactions:find(now)
  if commit == nil then return nil, err end
  local epoch = self.epochs[#self.epochs]
  if not epoch or epoch.transaction ~= now then
    epoch = {transaction = now, before = {}, views = 0}
    self.epochs[#self.epochs + 1] = epoch
  end
  epoch.views = epoch.views + 1
  return add(self, {transaction = now, sequence = volume.log.sequence, epoch = epoch, commit = commit or nil})
end

local function not_kept(transaction)
  return errors.new("not_kept", ("transaction %d is no longer kept"):format(transaction), {transaction = transaction})
end

--- Builds the index of a view of the past. Returns true | nil, err.
local function build(volume, view)
  local self <const> = volume.views
  local tree <const>, sequence = past.state(volume, view.transaction, view.commit)
  if not tree then return nil, sequence end
  local built = 0
  for _, other in pairs(self.open) do
    if other.tree then built = built + 1 end
  end
  while built >= BUILT_MAX do
    local oldest
    for _, other in pairs(self.open) do
      if other.tree and (not oldest or other.used < oldest.used) then oldest = other end
    end
    oldest.tree, built = nil, built - 1
  end
  view.tree, view.sequence = tree, sequence
  return true
end

--- A view of the state after `transaction`; it may be that before the oldest that is kept.
local function open_past(volume, transaction)
  local oldest <const>, now <const> = volume:oldest(), volume.log.transaction
  if math.type(transaction) ~= "integer" or transaction < 0 or transaction > now then
    return errors.new("absent", ("there is no transaction %s"):format(tostring(transaction)))
  end
  if transaction == now then return open_present(volume) end
  if oldest == 0 or transaction < oldest - 1 then return not_kept(transaction) end
  local view <const> = {transaction = transaction}
  if transaction >= oldest then
    local pointer <const>, err = past.commit_pointer(volume, transaction)
    if not pointer then return nil, err end
    view.commit = pointer
  end
  local built <const>, err = build(volume, view)
  if not built then return nil, err end
  return add(volume.views, view)
end

local function open_snapshot(volume, name)
  local record <const>, err = snapshots.find(volume.snapshots, name)
  if not record then return nil, err end
  return add(volume.views, {transaction = record.transaction, snapshot = name})
end

--- views.open(volume, which) → {view, transaction, sequence} | nil, err. which: nil, a transaction's number, {before = number}, a
--- snapshot's name.
function views.open(volume, which)
  if which == nil then return open_present(volume) end
  if type(which) == "string" then return open_snapshot(volume, which) end
  if type(which) ~= "table" then
    if math.type(which) == "integer" and which == volume:oldest() - 1 and which < volume.log.transaction then
      return not_kept(which)
    end
    return open_past(volume, which)
  end
  if math.type(which.before) ~= "integer" then return errors.new("invalid", "view takes a transaction or a name") end
  return open_past(volume, which.before - 1)
end

--- An open view | nil, err.
local function get(volume, id)
  local self <const> = volume.views
  local view <const> = self.open[id]
  if not view then return errors.new("view_too_old", "there is no such view any more") end
  self.clock = self.clock + 1
  view.used = self.clock
  if view.transaction < self.horizon and not view.snapshot then return too_old(view) end
  return view
end

--- What the commits since an epoch replaced, or what stands there still.
local function find_noted(volume, epoch, id)
  local list <const> = volume.views.epochs
  local position = #list
  while list[position] ~= epoch do position = position - 1 end
  for at = position, #list do
    local pointer <const> = list[at].before[id]
    if pointer ~= nil then return pointer end
  end
  return volume.objects:find(id)
end

--- views.reader(volume, id) → find(object id) → pointer | false | nil, err; version(object id) | nil, err. `find` is good until the
--- next commit.
function views.reader(volume, id)
  local view <const>, err = get(volume, id)
  if not view then return nil, err end
  if view.snapshot then
    local record <const>, problem = snapshots.find(volume.snapshots, view.snapshot)
    if not record then return nil, problem end
    local tree <const> = snapshots.trees(volume, record)
    return function(object) return tree:find(object) end, view
  end
  if view.epoch then return function(object) return find_noted(volume, view.epoch, object) end, view end
  if view.transaction == volume.log.transaction then return function(object) return volume.objects:find(object) end, view end
  if not view.tree then
    local built <const>, problem = build(volume, view)
    if not built then return nil, problem end
  end
  return function(object) return view.tree:find(object) end, view
end

--- views.close(volume, id) → true. A view that is not open is as good as closed.
function views.close(volume, id)
  if volume.views.open[id] then remove(volume.views, id) end
  return true
end

--- views.of_present(volume) → whether a view relies on what commits note.
function views.of_present(volume)
  return volume.views.epochs[1] ~= nil
end

--- views.note(volume, id, pointer): the current index is about to let go of `pointer` (false: of nothing) under this id.
function views.note(volume, id, pointer)
  local self <const> = volume.views
  local epoch <const> = self.epochs[#self.epochs]
  if not epoch or epoch.before[id] ~= nil then return end
  epoch.before[id], self.noted = pointer, self.noted + 1
  while self.noted > NOTED_MAX and self.epochs[1] do drop_epoch(self) end
end

--- views.oldest(volume) → the smallest transaction that an open view looks at | nil.
function views.oldest(volume)
  local least
  for _, view in pairs(volume.views.open) do
    if not view.snapshot and view.transaction >= volume.views.horizon and (not least or view.transaction < least) then
      least = view.transaction
    end
  end
  return least
end

--- views.expire(volume, transaction): nothing before the state after `transaction` is kept any more; with `present`, nothing but it.
function views.expire(volume, transaction, present)
  local self <const> = volume.views
  self.horizon = math.max(self.horizon, transaction)
  for _, view in pairs(self.open) do
    if view.transaction < self.horizon and not view.snapshot then
      leave_epoch(self, view)
      view.tree = nil
    end
  end
  local epoch <const> = self.epochs[#self.epochs]
  if present and epoch then
    -- Garbage that was collected since: views of the present could still see it, but it goes now.
    for _ in pairs(epoch.before) do self.noted = self.noted - 1 end
    epoch.before = {}
  end
end

--- views.forget_snapshot(volume, name): the snapshot is gone, and the views of it with it.
function views.forget_snapshot(volume, name)
  for id, view in pairs(volume.views.open) do
    if view.snapshot == name then remove(volume.views, id) end
  end
end

--- views.carry(views, volume) → the views for the same store, mounted again as `volume`: what was noted may miss what was
--- being written. That may have been the end of a snapshot, whose name another can have some day.
function views.carry(self, volume)
  while self.epochs[1] do drop_epoch(self) end
  for id, view in pairs(self.open) do
    view.tree = nil
    local record <const> = view.snapshot and snapshots.find(volume.snapshots, view.snapshot)
    if view.snapshot and (not record or record.transaction ~= view.transaction) then remove(self, id) end
  end
  return self
end

return views
