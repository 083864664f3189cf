-- Reading the nodes of a tree (KIND_TREE) out of the store, level by level, several at a time.
--
-- Whoever changes a tree writes its root, too (fs.trees). So every read asks for the root along with the nodes: as long as it has
-- the version that it had at first, all nodes are of one state, whatever others commit meanwhile; else it begins again.
--
-- Promises: every node is read once, an id that comes twice is an error; so work and memory are bounded by what stands in the
-- store. Errors name the node.
-- Relies on: fs.tree_forms, the store's read(ids).

local layout <const> = require "fs.layout"
local tree_forms <const> = require "fs.tree_forms"

local tree_reader = {}

-- Nodes of one read: of leaves that are full, a quarter of a megabyte.
local BATCH <const> = 16
-- How often reading begins again because others changed the tree meanwhile.
local TRIES <const> = 16
local CHANGED <const> = {}

-- An error of one node.
function tree_reader.bad(id, message)
  return { code = "malformed", id = id, message = string.format("object %d, a part of it: %s", id, message) }
end
local bad <const> = tree_reader.bad

-- Is the root another one than it was?
local function has_changed(self, root)
  if root.version == self.root.version and root.kind == self.root.kind then
    return false
  end
  self.root = root
  return true
end

-- A read that failed: was it because the nodes are gone?
local function explain(self, err)
  local records = err.code == "absent" and self.read { self.root.id }
  return records and has_changed(self, records[1]) and CHANGED or err
end

-- -> list of { id =, version =, payload = } in the order of ids[first] … ids[last] | nil, err
local function read_batch(self, ids, first, last)
  local records, err = self.read(table.move(ids, first, last, 2, { self.root.id }))
  if not records then
    return nil, explain(self, err)
  elseif has_changed(self, records[1]) then
    return nil, CHANGED
  end
  local nodes = {}
  for i = 2, #records do
    local record = records[i]
    if record.kind ~= layout.KIND_TREE_NODE then
      return nil, bad(record.id, string.format("it is of kind %d, not a node of a tree", record.kind))
    end
    nodes[i - 1] = { id = record.id, version = record.version, payload = record.payload }
  end
  return nodes
end

local function read_nodes(self, ids)
  for i = 1, #ids do
    if self.seen[ids[i]] then
      return nil, bad(ids[i], "it stands twice in the tree")
    end
    self.seen[ids[i]] = true
  end
  local nodes = {}
  for first = 1, #ids, BATCH do
    local batch, err = read_batch(self, ids, first, math.min(first + BATCH - 1, #ids))
    if not batch then
      return nil, err
    end
    table.move(batch, 1, #batch, #nodes + 1, nodes)
  end
  return nodes
end

-- Takes apart the nodes of one level. -> ids of their children | nil, err
local function children_of(nodes, level)
  local ids = {}
  for i = 1, #nodes do
    local node = nodes[i]
    local children, err = tree_forms.decode_node(node.payload)
    if not children then
      return nil, bad(node.id, err.message)
    end
    node.level, node.mark = level, children[1]
    table.move(children, 1, #children, #ids + 1, ids)
  end
  return ids
end

-- A part of the tree: { levels =, children = ids }. -> list of its leaves, list of the nodes above them | nil, err
local function read_part(self, part)
  local above = {}
  local ids = part.children
  for level = part.levels - 1, 1, -1 do
    local nodes, err = read_nodes(self, ids)
    if nodes then
      table.move(nodes, 1, #nodes, #above + 1, above)
      ids, err = children_of(nodes, level)
    end
    if not nodes or not ids then
      return nil, err
    end
  end
  local leaves, err = read_nodes(self, ids)
  if not leaves then
    return nil, err
  end
  return leaves, above
end

local function read_tree(self)
  local root <const>, err = tree_forms.decode(self.root.payload)
  if not root then
    return nil, err
  end
  self.seen = { [self.root.id] = true }
  for _, name in ipairs(root.form == layout.TREE_STRING and { "part" } or { "array", "map" }) do
    local leaves, above = read_part(self, root[name])
    if not leaves then
      return nil, above
    end
    root[name].leaves, root[name].above = leaves, above
  end
  return root
end

-- Reads the tree whose root `record` is. read(ids) -> records | nil, err.
-- -> what tree_forms.decode gives, each part with its `leaves` and the nodes `above` them: lists of { id =, version =, payload = },
-- those above with level and mark (id of the first child), record of the root as it is now
-- | nil, nil, record: it is a tree no more | nil, err
function tree_reader.read(read, record)
  local self = { read = read, root = record }
  for _ = 1, TRIES do
    local root, err = read_tree(self)
    if root then
      return root, self.root
    elseif err ~= CHANGED then
      return nil, err
    elseif self.root.kind ~= layout.KIND_TREE then
      return nil, nil, self.root
    end
  end
  return nil, { code = "conflict", message = "others change it faster than it can be read; try again" }
end

return tree_reader
