-- Putting edits into the tree of an ordered map: which nodes a commit writes, and which vanish.
--
-- The edits, in key order, are divided among the children of each node down to the leaves; nodes that none falls into are neither
-- read nor written. On the way back, what has become too large is cut, what has become small joined with a neighbour, and a node
-- whose children are as they were is left alone. A node keeps its id as long as it has anything of what it had.
--
-- An item stands for a child: { low = the first key that may be in it, nil for none, id = } as it is, or with `row` (fs.map_cutting)
-- and `old`, the node it takes the place of, or nil. shrunk: it has lost something.
--
-- Promises: an edit is put in only where the store holds what it held when the key was first touched, or what it shall hold
-- anyway; else the whole fails with code "conflict". Nothing of the session is changed.
-- Relies on: fs.map_cutting, fs.map_nodes, fs.map_reader, fs.plans.

local layout <const> = require "fs.layout"
local map_cutting <const> = require "fs.map_cutting"
local map_nodes <const> = require "fs.map_nodes"
local map_reader <const> = require "fs.map_reader"
local order <const> = require "fs.order"

local before <const> = order.before

local map_writing = {}

local CONFLICT <const> = { code = "conflict", message = "it was changed by others" }

local function node_of(self, id, level, low, high)
  return map_reader.without_moving(map_reader.node(self.state, id, level, low, high))
end

-- What is under the edit's key (false: nothing), and whether the edit changes it. -> true or false | nil: a conflict
local function changes_it(edit, there)
  if edit.bytes == there then
    return false
  elseif edit.base == there then
    return true
  end
end

-- Puts edits[first] … edits[last] into a row of pairs. leaf: the pairs, or nil for none. -> row, growth, what it has lost, is it
-- only added to at its end? | nil: a conflict
local function merge_pairs(leaf, edits, first, last)
  local keys, parts = {}, {}
  local growth, changed, at_end, shrunk = 0, false, true, false
  local i, n = 1, leaf and #leaf.keys or 0
  local function add(key, part)
    keys[#keys + 1], parts[#parts + 1] = key, part
  end
  for e = first, last do
    local edit <const> = edits[e]
    while i <= n and before(leaf.keys[i], edit.key) do
      add(leaf.keys[i], map_nodes.pair(leaf, i))
      i = i + 1
    end
    local is_there <const> = i <= n and not before(edit.key, leaf.keys[i])
    local there <const> = is_there and map_nodes.value(leaf, i)
    local does <const> = changes_it(edit, there)
    if does == nil then
      return nil
    elseif edit.bytes then
      add(edit.key, edit.key_bytes .. edit.bytes)
    end
    growth = growth + (edit.bytes and 1 or 0) - (is_there and 1 or 0)
    changed, at_end = changed or does, at_end and i > n
    shrunk = shrunk or is_there and #(edit.bytes or "") < #there
    i = i + (is_there and 1 or 0)
  end
  for rest = i, n do
    add(leaf.keys[rest], map_nodes.pair(leaf, rest))
  end
  return { keys = keys, parts = parts }, growth, changed, shrunk, at_end
end

-- Items for the rows that came of one node, the first of which keeps the node's place. -> list
local function items_of(rows, level, old, low, shrunk)
  local items = {}
  for i, row in ipairs(rows) do
    items[i] = { row = row, level = level, shrunk = shrunk, old = nil, low = row.keys[1] }
  end
  if items[1] then
    items[1].old, items[1].low = old, low
  end
  return items
end

-- -> items, growth | nil, err
local function put_into_leaf(self, item, high, first, last)
  local leaf, err = node_of(self, item.id, 1, item.low, high)
  if not leaf then
    return nil, err
  end
  local row, growth, changed, shrunk, at_end = merge_pairs(leaf, self.edits, first, last)
  if not row then
    return nil, CONFLICT
  elseif not changed then
    return { item }, 0
  elseif #row.parts == 0 then
    self.plan:delete(leaf)
  end
  return items_of(map_cutting.cut(row, 1, at_end and high == nil), 1, leaf, item.low, shrunk), growth
end

-- Gives an item that has none yet its row: the node as it is. -> true | nil, err
local function take_row(self, item, level, high)
  if item.row then
    return true
  end
  local node, err = node_of(self, item.id, level, item.low, high)
  if not node then
    return nil, err
  end
  local row = { keys = {}, parts = {} }
  if level == 1 then
    for i = 1, #node.keys do
      row.keys[i], row.parts[i] = node.keys[i], map_nodes.pair(node, i)
    end
  else
    for i = 1, #node.children do
      row.parts[i] = node.children[i]
      if i == 1 then row.keys[i] = item.low else row.keys[i] = node.keys[i - 1] end
    end
  end
  item.row, item.old, item.level = row, node, level
  return true
end

-- Joins items[at] and the one after it, and cuts them again if they are too large for one. -> true | nil, err
local function join(self, items, at, level, high)
  local left <const>, right <const> = items[at], items[at + 1]
  local above = high
  if items[at + 2] then above = items[at + 2].low end
  local ok, err = take_row(self, left, level, right.low)
  if ok then
    ok, err = take_row(self, right, level, above)
  end
  if not ok then
    return nil, err
  end
  if level > 1 then
    right.row.keys[1] = right.low
  end
  local rows <const> = map_cutting.cut(map_cutting.join(left.row, right.row), level)
  left.row, left.shrunk = rows[1], #rows == 1
  if rows[2] then
    right.row, right.low = rows[2], rows[2].keys[1]
    right.shrunk = false
    for i = 3, #rows do
      table.insert(items, at + i - 1, { row = rows[i], level = level, low = rows[i].keys[1] })
    end
  else
    if left.old and right.old then
      self.plan:delete(right.old)
    end
    left.old = left.old or right.old
    table.remove(items, at + 1)
  end
  return true
end

-- Joins what has become small with a neighbour. -> true | nil, err
local function join_small(self, items, level, high)
  local at = 1
  while at <= #items do
    local item <const> = items[at]
    if item.row and item.shrunk and #items > 1 and map_cutting.is_small(item.row, level) then
      item.shrunk = false
      local ok, err = join(self, items, at > 1 and at - 1 or 1, level, high)
      if not ok then
        return nil, err
      end
      at = math.max(1, at - 1)
    else
      at = at + 1
    end
  end
  return true
end

-- Writes the rows of items: from now on they have ids. -> true | nil, err
local function write(self, items)
  local missing = 0
  for _, item in ipairs(items) do
    if item.row and not item.old then missing = missing + 1 end
  end
  local ok, err = self.plan:reserve(missing)
  if not ok then
    return nil, err
  end
  for _, item in ipairs(items) do
    local row <const> = item.row
    if row then
      local payload = item.level == 1 and map_nodes.encode_leaf(row.parts)
        or map_nodes.encode_node(row.parts, table.move(row.keys, 2, #row.parts, 1, {}))
      local node = self.plan:node({ payload = payload, old = item.old }, layout.KIND_MAP_NODE)
      item.id, item.row = node.id, nil
      self.written[node.id] = node
    end
  end
  return true
end

-- A row of children out of items that were written.
local function row_of(items)
  local row = { keys = {}, parts = {} }
  for i, item in ipairs(items) do
    row.keys[i], row.parts[i] = item.low, item.id
  end
  return row
end

local function is_as_before(node, items)
  for i = 1, math.max(#items, #node.children) do
    local low = node.keys[i - 1]
    if not items[i] or items[i].id ~= node.children[i] or i > 1 and items[i].low ~= low then
      return false
    end
  end
  return true
end

-- The children of a node, with the edits put in. -> items, growth, shrunk | nil, err
local function put_into_children(self, item, node, high, first, last, put)
  local items, growth, shrunk = {}, 0, false
  local e = first
  for c = 1, #node.children do
    local child = { id = node.children[c], low = item.low }
    if c > 1 then child.low = node.keys[c - 1] end
    local below = high
    if c <= #node.keys then below = node.keys[c] end
    local stop = e
    while stop <= last and (c > #node.keys or before(self.edits[stop].key, node.keys[c])) do
      stop = stop + 1
    end
    local found, more = { child }, 0
    if stop > e then
      found, more = put(self, child, node.level - 1, below, e, stop - 1)
    end
    if not found then
      return nil, more
    end
    shrunk = shrunk or #found == 0
    table.move(found, 1, #found, #items + 1, items)
    growth, e = growth + more, stop
  end
  return items, growth, shrunk
end

-- Puts edits[first] … edits[last] into the subtree of an item, whose keys are below `high`. -> items, growth | nil, err
local function put(self, item, level, high, first, last)
  if level == 1 then
    return put_into_leaf(self, item, high, first, last)
  end
  local node, err = node_of(self, item.id, level, item.low, high)
  if not node then
    return nil, err
  end
  local items, growth, shrunk = put_into_children(self, item, node, high, first, last, put)
  if not items then
    return nil, growth
  end
  local count <const> = #items
  local ok
  ok, err = join_small(self, items, level - 1, high)
  if ok then
    ok, err = write(self, items)
  end
  if not ok then
    return nil, err
  elseif is_as_before(node, items) then
    return { item }, growth
  elseif #items == 0 then
    self.plan:delete(node)
    return {}, growth
  end
  items[1].low = item.low
  return items_of(map_cutting.cut(row_of(items), level), level, node, item.low, shrunk or #items < count), growth
end

-- Takes away levels whose node has a single child. -> levels, id | nil, err
local function lower(self, levels, id)
  while levels > 1 do
    local fresh, node, err = self.written[id], nil, nil
    if fresh then
      node, err = map_nodes.decode_node(fresh.payload)
    else
      node, err = node_of(self, id, levels)
    end
    if not node then
      return nil, err
    elseif #node.children > 1 then
      break
    elseif not self.plan:withdraw(id) then
      self.plan:delete(node)
    end
    levels, id = levels - 1, node.children[1]
  end
  return levels, id
end

-- Builds the levels above some items of level `levels`. -> levels, id of the root or nil | nil, err
local function raise(self, items, levels)
  while #items > 0 do
    local ok, err = write(self, items)
    if not ok then
      return nil, err
    elseif #items == 1 then
      return lower(self, levels, items[1].id)
    end
    levels = levels + 1
    items = items_of(map_cutting.cut(row_of(items), levels), levels)
  end
  return 0, nil
end

-- Removes every node of the tree; the leaves are not read. -> true | nil, err
local function delete_all(self)
  local state <const> = self.state
  local row = { { id = state.root } }
  for level = state.levels, 2, -1 do
    local children = {}
    for _, item in ipairs(row) do
      local node, err = node_of(self, item.id, level, item.low, item.high)
      if not node then
        return nil, err
      end
      self.plan:delete(node)
      for c, id in ipairs(node.children) do
        local child = { id = id, low = item.low, high = item.high }
        if c > 1 then child.low = node.keys[c - 1] end
        if c <= #node.keys then child.high = node.keys[c] end
        children[#children + 1] = child
      end
    end
    row = children
  end
  for _, item in ipairs(state.root and row or {}) do
    self.plan:delete { id = item.id } -- whatever version: that of the root tells
  end
  return true
end

-- Adds to the plan what the edits make of the map's tree. edits: list of { key =, key_bytes =, base =, bytes = encoded value or false };
-- emptied: all that the store holds goes first.
-- -> { count =, levels =, root = id or nil, written = id -> node } | nil, err
function map_writing.plan(state, edits, emptied, plan)
  local self = { state = state, edits = edits, plan = plan, written = {} }
  local items, growth, levels, count, err
  if emptied or state.levels == 0 then
    local ok = true
    if emptied then
      ok, err = delete_all(self)
    end
    local row
    row, growth = merge_pairs(nil, edits, 1, #edits)
    if not ok or not row then
      return nil, err or CONFLICT
    end
    items, levels, count = items_of(map_cutting.cut(row, 1, true), 1), 1, 0
  else
    items, growth = put(self, { id = state.root }, state.levels, nil, 1, #edits)
    levels, count = state.levels, state.count
  end
  if not items then
    return nil, growth
  end
  local root
  levels, root = raise(self, items, levels)
  if not levels then
    return nil, root
  end
  return { count = count + growth, levels = levels, root = root, written = self.written }
end

return map_writing
