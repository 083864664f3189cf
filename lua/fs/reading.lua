-- Where a session reads: one state of the store, which stays the same until the session moves on.
--
-- A session begins at the present, when it first reads. Each commit of its own, and refresh, moves it on; what others commit meanwhile it
-- does not see. The state is a view of the store (fs.views), opened when something is read of it, and opened again should the
-- store have given it up or have been mounted again. When what it needs had to make room, reading fails, "view_too_old".
--
--   reading.new(store, which)      which: nil for the present, else what the store's `view` takes: then it never moves
--   self.store                     the store, its read(ids) being that of this state
--   reading.move(self)             to the present → mark, ids changed since or false when that is not known | nil, err
--   reading.keep(self, mark), reading.back(self, mark)     exactly one of them ends a move
--   reading.committed(self, result)                        a commit of this session's was the last thing that happened
--   reading.stop(self, err)        it cannot be read any more, until the next move
--
-- Promise: what is read between two moves belongs to one committed state.
-- Relies on: the store's view, close_view, read.

local math_max <const> = math.max
local setmetatable <const> = setmetatable

local reading = {}

local function too_old(self, err)
  return {
    code = "view_too_old", cause = err,
    message = string.format("view too old: what transaction t%d left had to make room; refresh() goes on to the present",
      self.transaction),
  }
end

-- What to ask the store for.
local function which(self)
  if self.which == nil and self.transaction then
    return { before = self.transaction + 1 }
  end
  return self.which
end

-- Opens the view. -> true | nil, err
local function open(self)
  local view, err = self.whole.view(which(self), nil, self.stale)
  if not view then
    if err.code == "not_kept" and self.transaction then
      return nil, too_old(self, err)
    end
    return nil, err
  end
  self.view, self.stale = view.view, nil
  if not self.transaction then
    self.transaction, self.sequence = view.transaction, view.sequence
  end
  return true
end

-- Makes sure that the state is there. -> true | nil, err
function reading.open(self)
  if self.view then
    return true
  end
  return open(self)
end

local function read(self, ids)
  if self.stopped then
    return nil, self.stopped
  end
  local reopened = false
  while true do
    if not self.view then
      local ok, err = open(self)
      if not ok then
        return nil, err
      end
      reopened = true
    end
    local records, err = self.whole.read(ids, self.view)
    if records or err.code ~= "view_too_old" or reopened then
      return records, err
    end
    self.view = nil
  end
end

function reading.new(store, state)
  local self = {
    whole = store, which = state,
    view = nil, stale = nil,              -- the store's view; one that is of no use any more
    transaction = nil, sequence = nil,    -- the state: of which transaction, by its number and by the store's sequence
    stopped = nil,
  }
  self.store = setmetatable({ read = function(ids) return read(self, ids) end }, { __index = store })
  return self
end

-- A view that nobody reads any more; it is closed together with the next opening.
local function drop(self, view)
  if view and self.stale then
    self.whole.close_view(self.stale) -- what it answers is of no interest: a view that is left open goes by itself
  end
  self.stale = view or self.stale
end

function reading.move(self)
  local view, err = self.whole.view(nil, self.sequence)
  if not view then
    return nil, err
  end
  local mark <const> = {
    view = self.view, transaction = self.transaction, sequence = self.sequence, stopped = self.stopped,
  }
  self.view, self.transaction, self.sequence, self.stopped = view.view, view.transaction, view.sequence, nil
  -- What was never read of cannot have changed.
  return mark, mark.sequence == nil and {} or view.changed
end

function reading.keep(self, mark)
  drop(self, mark.view)
end

function reading.back(self, mark)
  drop(self, self.view)
  self.view, self.transaction, self.sequence, self.stopped = mark.view, mark.transaction, mark.sequence, mark.stopped
end

-- result: what the store's commit gave.
function reading.committed(self, result)
  drop(self, self.view)
  self.view, self.transaction = nil, result.transaction
  self.sequence = math_max(result.sequence, self.sequence or 0)
end

function reading.stop(self, sequence, err)
  self.sequence, self.stopped = sequence, err
end

return reading
