-- Walks through ordered maps: over what the store holds and what was edited since, in key order, in either direction.
--
-- Each step gives the next key that is there at that moment: what is set ahead of the walk is met, what is removed ahead of it
-- is not, and what happens behind it does not matter. The same goes for what other processes commit, once the session moves on to
-- it (fs.reading): with a commit, abort or refresh of its own.
-- Relies on: fs.map_edits, fs.map_nodes, fs.map_reader.

local map_edits <const> = require "fs.map_edits"
local map_nodes <const> = require "fs.map_nodes"
local map_reader <const> = require "fs.map_reader"
local order <const> = require "fs.order"

local before <const> = order.before
local count_keys <const> = map_reader.count_keys

local map_cursor = {}

-- Most leaves that are read ahead.
local AHEAD_MAX <const> = 8

-- from, to: the first and last key of a walk, nil for an open end; in the direction of the walk.
function map_cursor.new(state, from, to, reverse)
  return {
    state = state, key = from, after = false, to = to, reverse = reverse,
    leaf = nil, index = 0, epoch = nil,
    block = 0, place = 0, generation = nil,
    walk = { reverse = reverse, ahead = 0, limit = to },
  }
end

-- The first index in a leaf that is beyond `key` in the direction of the walk; after: without `key` itself.
local function index_in(self, leaf, key, after)
  local keys <const> = leaf.keys
  if key == nil then
    return self.reverse and #keys or 1
  elseif self.reverse then
    return count_keys(keys, key, after)
  end
  return count_keys(keys, key, not after) + 1
end

-- Finds the place in what the store holds. -> true | nil, err
local function seek(self)
  local state <const>, walk <const> = self.state, self.walk
  local key, after = self.key, self.after
  while true do
    local leaf, low, high = map_reader.leaf(state, key, self.reverse and after, walk)
    self.leaf, self.epoch = leaf, state.epoch
    if not leaf then
      return low == nil and true or nil, low -- an empty map, or an error
    end
    walk.ahead = math.min(AHEAD_MAX, math.max(1, 2 * walk.ahead))
    self.index = index_in(self, leaf, key, after)
    if leaf.keys[self.index] ~= nil then
      return true
    end
    -- The leaf ends here. The next one begins at its edge.
    if self.reverse then key, after = low, true else key, after = high, false end
    if key == nil then
      self.leaf = nil
      return true
    end
  end
end

-- -> the next key that the store holds, or nil | nil, err
local function stored_key(self)
  local state <const> = self.state
  if state.lost then
    return nil, { message = "others have removed it from the store" }
  elseif state.emptied or state.levels == 0 then
    return nil
  elseif self.epoch ~= state.epoch or self.leaf and self.leaf.keys[self.index] == nil then
    local ok, err = seek(self)
    if not ok then
      return nil, err
    end
  end
  if self.leaf then
    return self.leaf.keys[self.index]
  end
end

-- -> the next key that was edited, or nil
local function edited_key(self)
  local edits <const> = self.state.edits
  if self.generation ~= edits.generation then
    self.block, self.place = map_edits.seek(edits, self.key, self.after, self.reverse)
    self.generation = edits.generation
  end
  return map_edits.at(edits, self.block, self.place)
end

-- Is a before b in the direction of the walk?
local function comes_first(self, a, b)
  if self.reverse then
    a, b = b, a
  end
  return before(a, b)
end

-- Steps over `key`, which is the next. -> the edit of it, or leaf and index where it stands
local function step(self, key, stored, edited)
  local leaf, index, edit = nil, nil, nil
  if stored ~= nil and not comes_first(self, key, stored) then
    leaf, index = self.leaf, self.index
    self.index = index + (self.reverse and -1 or 1)
  end
  if edited ~= nil and not comes_first(self, key, edited) then
    edit = self.state.edits.by_key[edited]
    self.block, self.place = map_edits.step(self.state.edits, self.block, self.place, self.reverse)
  end
  self.key, self.after = key, true
  return edit, leaf, index
end

-- -> the next key, its edit or nil, its encoded value if there is no edit | nil: the end | nil, nil, nil, err
function map_cursor.next(self)
  while true do
    local stored, err = stored_key(self)
    if err then
      return nil, nil, nil, err
    end
    local edited <const> = edited_key(self)
    local key = stored
    if stored == nil or edited ~= nil and comes_first(self, edited, stored) then
      key = edited
    end
    if key == nil or self.to ~= nil and comes_first(self, self.to, key) then
      return nil
    end
    local edit, leaf, index = step(self, key, stored, edited)
    if not edit then
      return key, nil, map_nodes.value(leaf, index)
    elseif edit.value ~= nil then
      return key, edit
    end
  end
end

return map_cursor
