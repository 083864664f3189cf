-- The edits of an ordered map that were not committed yet, by key and in key order.
--
-- An edit is { base =, value = }: base, the encoded value that the store holds under the key, as it was when the key was first
-- touched, false for none; value, what stands there now, nil for nothing. Edits are never taken out one by one.
--
-- Keys are kept in blocks, sorted lists of bounded length, so that a new one costs a search and a short move.
-- A position is a block's number and an index in it; it stays good as long as `generation` is the same.
-- Relies on: fs.order.

local order <const> = require "fs.order"

local before <const> = order.before
local table_insert <const> = table.insert
local table_move <const> = table.move

local map_edits = {}

local BLOCK_MAX <const> = 256

function map_edits.new()
  return { by_key = {}, blocks = {}, count = 0, generation = 0 }
end

function map_edits.clear(self)
  self.by_key, self.blocks, self.count = {}, {}, 0
  self.generation = self.generation + 1
end

-- The number of items in list[1..n] for which is_below(item, key) holds; they come first.
local function count_below(list, n, key, is_below)
  local low, high = 0, n
  while low < high do
    local middle = (low + high + 1) // 2
    if is_below(list[middle], key) then low = middle else high = middle - 1 end
  end
  return low
end

local function block_below(block, key)
  return before(block[#block], key)
end

local function not_above(key, other)
  return not before(other, key)
end

-- The position of the first key that is not below `key`; after: that is above it.
-- -> block number, index; the block may be one more than there are
local function seek(self, key, after)
  local blocks <const> = self.blocks
  local number = count_below(blocks, #blocks, key, block_below) + 1
  local block = blocks[number]
  if not block then
    return number, 1
  end
  local index = count_below(block, #block, key, after and not_above or before) + 1
  if index > #block then
    return number + 1, 1
  end
  return number, index
end

-- -> the key at a position | nil
local function at(self, number, index)
  local block <const> = self.blocks[number]
  return block and block[index]
end

-- -> the position before this one
local function previous(self, number, index)
  if index > 1 then
    return number, index - 1
  end
  local block <const> = self.blocks[number - 1]
  return number - 1, block and #block or 0
end

-- The first position in the direction of a walk. key nil: from the end of everything. after: without `key` itself.
-- -> block number, index; at() gives nil for it when there is none
function map_edits.seek(self, key, after, reverse)
  if key == nil then
    if reverse then
      return previous(self, #self.blocks + 1, 1)
    end
    return 1, 1
  elseif reverse then
    return previous(self, seek(self, key, not after))
  end
  return seek(self, key, after)
end

-- -> the position after this one in the direction of a walk
function map_edits.step(self, number, index, reverse)
  if reverse then
    return previous(self, number, index)
  elseif index < #self.blocks[number] then
    return number, index + 1
  end
  return number + 1, 1
end

map_edits.at = at

local function insert(self, key)
  local blocks <const> = self.blocks
  local number, index = seek(self, key)
  local block = blocks[number]
  if not block and number > 1 and #blocks[number - 1] < BLOCK_MAX then
    number, block = number - 1, blocks[number - 1]
    index = #block + 1
  elseif not block then
    block = {}
    blocks[number] = block
  end
  table_insert(block, index, key)
  if #block > BLOCK_MAX then
    local half <const> = #block // 2
    table_insert(blocks, number + 1, table_move(block, half + 1, #block, 1, {}))
    for i = #block, half + 1, -1 do block[i] = nil end
  end
end

-- Sets the edit of a key.
function map_edits.put(self, key, edit)
  if self.by_key[key] == nil then
    insert(self, key)
    self.count = self.count + 1
    self.generation = self.generation + 1
  end
  self.by_key[key] = edit
end

-- For loops over key, edit in order.
function map_edits.each(self)
  local number, index = 1, 0
  return function()
    index = index + 1
    if self.blocks[number] and index > #self.blocks[number] then
      number, index = number + 1, 1
    end
    local key <const> = at(self, number, index)
    if key ~= nil then
      return key, self.by_key[key]
    end
  end
end

return map_edits
