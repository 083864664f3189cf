-- Cutting rows of pairs or children into the nodes of an ordered map (formats/SPEC.md, section 7, KIND_MAP).
--
-- A row is { keys =, parts = }: of a leaf keys[i] and the encoded pair parts[i]; of a node above, keys[i], the first key that may be
-- in child parts[i]. That of its first child (nil in the first node of a level) does not stand in the node, but in the one above.
-- Promises: no node encodes to more than MAP_NODE_BYTES unless it has one pair or, above the leaves, three children at
-- most; none is empty; above the leaves each has two children at least, unless there is only one.
-- Relies on: fs.layout, fs.value_encoder.

local layout <const> = require "fs.layout"
local value_encoder <const> = require "fs.value_encoder"

local map_cutting = {}

local HEAD_BYTES <const> = 5
local NODE_BYTES <const> = layout.MAP_NODE_BYTES - HEAD_BYTES
-- The longest reference.
local CHILD_BYTES <const> = 10

-- Bytes of item i of a row; is_first: at the beginning of a node.
local function leaf_item(row, i)
  return #row.parts[i]
end

local function node_item(row, i, is_first)
  if is_first then
    return CHILD_BYTES
  end
  row.key_bytes = row.key_bytes or {}
  local bytes = row.key_bytes[i]
  if not bytes then
    bytes = #value_encoder.key(row.keys[i])
    row.key_bytes[i] = bytes
  end
  return CHILD_BYTES + bytes
end

-- -> the bytes of a row
function map_cutting.size(row, level)
  local item <const> = level == 1 and leaf_item or node_item
  local size = HEAD_BYTES
  for i = 1, #row.parts do
    size = size + item(row, i, i == 1)
  end
  return size
end

local function part_of(row, first, last)
  return {
    keys = table.move(row.keys, first, last, 1, {}), parts = table.move(row.parts, first, last, 1, {}),
  }
end

-- How much to put into the next node when so many bytes are left: as many nodes as they need get the same.
local function share(left)
  return left / ((left + NODE_BYTES - 1) // NODE_BYTES)
end

-- Cuts a row. full: each node is filled, the last has the rest (what is added at the end goes on there); else all get about the
-- same. A node seldom ends just where its share does: each shares anew what is left, or the differences would make a node of their own.
-- -> list of rows
function map_cutting.cut(row, level, full)
  local item <const>, least <const> = level == 1 and leaf_item or node_item, level == 1 and 1 or 2
  local n <const>, total <const> = #row.parts, map_cutting.size(row, level) - HEAD_BYTES
  if total <= NODE_BYTES or n <= least then
    return n > 0 and { row } or {}
  end
  local target = full and NODE_BYTES or share(total)
  local rows, first, held, left = {}, 1, 0, total
  for i = 1, n do
    local size = item(row, i, i == first)
    local rest <const> = n - i + 1
    -- Behind this item none can be cut off any more.
    local last <const> = rest == least and left > NODE_BYTES
    local enough <const> = last or held + size > NODE_BYTES or held + size / 2 > target
    if enough and i - first >= least and rest >= least then
      rows[#rows + 1] = part_of(row, first, i - 1)
      left = left - held
      first, held, target = i, 0, full and NODE_BYTES or share(left)
      size = item(row, i, true)
    end
    held = held + size
  end
  rows[#rows + 1] = part_of(row, first, n)
  return rows
end

-- Is a row so small that it should be joined with one beside it?
function map_cutting.is_small(row, level)
  return map_cutting.size(row, level) < layout.MAP_NODE_BYTES // 4
end

-- -> both rows in one
function map_cutting.join(a, b)
  local n <const> = #a.parts
  return {
    keys = table.move(b.keys, 1, #b.parts, n + 1, table.move(a.keys, 1, n, 1, {})),
    parts = table.move(b.parts, 1, #b.parts, n + 1, table.move(a.parts, 1, n, 1, {})),
  }
end

return map_cutting
