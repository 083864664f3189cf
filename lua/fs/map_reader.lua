-- Reading ordered maps: the nodes on the way to a key, when they are needed, and no others.
--
-- A map's state as the store holds it: { id =, version =, count =, levels =, root =, era =, epoch =, read =, cache =, changed = }.
-- Whoever changes a map writes its root, too. So every read asks for the root along with the nodes; when it has another version
-- than the one that the session knows, the map was changed meanwhile: the state takes over the new root, the nodes that are
-- kept of the era before count no more, and the search begins again. So every answer is that of one state of the map.
--
--   era     grows with every root that was taken over: kept nodes are good for their era
--   epoch   grows whenever what is below changes in any way: a cursor looks for its place again
--
-- Memory: nodes are kept in a cache that all maps of a session share, bounded in number; one that is very large is not kept.
-- Promises: a node is taken only if it lies between the keys around it; errors name the node.
-- Relies on: fs.map_nodes, fs.cache, the store's read(ids).

local layout <const> = require "fs.layout"
local map_nodes <const> = require "fs.map_nodes"
local order <const> = require "fs.order"

local map_reader = {}

local before <const> = order.before
-- How often a search begins again because others changed the map meanwhile.
local TRIES <const> = 16
-- A node of more bytes is not kept.
local KEPT_BYTES_MAX <const> = 8 * layout.MAP_NODE_BYTES
local MOVED <const> = {}

local function bad(id, message)
  return { code = "malformed", id = id, message = string.format("object %d, a node of it: %s", id, message) }
end

-- Takes over what the store holds now. record: of the root. -> true | nil, err
function map_reader.take_root(state, record)
  if record.kind ~= layout.KIND_MAP then
    return nil, { code = "malformed", message = string.format("it is of kind %d, not an ordered map", record.kind) }
  end
  local root, err = map_nodes.decode_root(record.payload)
  if not root then
    return nil, err
  end
  state.version, state.count, state.levels, state.root = record.version, root.count, root.levels, root.root
  state.era, state.epoch = state.era + 1, state.epoch + 1
  return true
end

-- Was the root changed by others? Takes it over then. -> MOVED or false | nil, err
local function follow(state, record)
  if record.version == state.version and record.kind == layout.KIND_MAP then
    return false
  end
  local ok, err = map_reader.take_root(state, record)
  if not ok then
    return nil, err
  end
  state.changed(state)
  return MOVED
end

-- Reads nodes, ids[1] and others that will probably be wanted. -> true | nil, err
local function fetch(state, ids)
  local records, err = state.read(table.move(ids, 1, #ids, 2, { state.id }))
  if not records and #ids > 1 then
    return fetch(state, { ids[1] })
  elseif not records and err.code == "absent" then
    records = state.read { state.id }
    local moved, problem = false, nil
    if records then
      moved, problem = follow(state, records[1])
    end
    return nil, problem or moved or err
  elseif not records then
    return nil, err
  end
  local moved, problem = follow(state, records[1])
  if moved ~= false then
    return nil, moved or problem
  end
  for i = #records, 2, -1 do
    local record <const> = records[i]
    map_reader.keep(state, { id = record.id, kind = record.kind, version = record.version, payload = record.payload })
  end
  return true
end

-- Keeps a node as it stands in the store now: { id =, kind =, version =, payload = }.
function map_reader.keep(state, entry)
  entry.era, entry.owner = state.era, state
  state.latest = entry -- the one that a search goes on with, however large
  if #entry.payload <= KEPT_BYTES_MAX then
    state.cache.put(entry.id, entry)
  else
    state.cache.drop(entry.id) -- what it was before may have been small
  end
end

function map_reader.drop(state, id)
  state.cache.drop(id)
end

-- -> the entry of a node that is kept | nil
local function kept(state, id)
  local entry = state.cache.get(id)
  if not entry and state.latest and state.latest.id == id then
    entry = state.latest
  end
  return entry and entry.era == state.era and entry.owner == state and entry or nil
end

-- Decodes an entry. -> leaf or node | nil, err
local function decode(entry, level)
  if entry.kind ~= layout.KIND_MAP_NODE then
    return nil, bad(entry.id, string.format("it is of kind %d", entry.kind))
  end
  local node, err = (level == 1 and map_nodes.decode_leaf or map_nodes.decode_node)(entry.payload)
  if not node then
    return nil, bad(entry.id, err.message)
  end
  node.id, node.version, node.payload, node.level = entry.id, entry.version, entry.payload, level
  return node
end

-- The node of that id on that level, level 1 being the leaves; low, high: the keys around it, nil where there is none.
-- ahead: list of ids that will probably be wanted next, or nil.
-- -> leaf or node, with id, version and level | nil, err or MOVED
function map_reader.node(state, id, level, low, high, ahead)
  local entry = kept(state, id)
  if not entry then
    local ok, err = fetch(state, table.move(ahead or {}, 1, ahead and #ahead or 0, 2, { id }))
    if not ok then
      return nil, err
    end
    entry = kept(state, id)
  end
  local node = entry.node
  if not node or node.level ~= level then
    local err
    node, err = decode(entry, level)
    if not node then
      return nil, err
    end
    entry.node, entry.low, entry.high = node, nil, nil
  end
  if entry.low ~= low or entry.high ~= high then
    if not map_nodes.lies_between(node.keys, low, high) then
      return nil, bad(id, "its keys do not lie between those around it")
    end
    entry.low, entry.high = low, high
  end
  return node
end

-- How many keys of a list are not above `key`; strictly: are below it.
local function count_keys(keys, key, strictly)
  local low, high = 0, #keys
  while low < high do
    local middle = (low + high + 1) // 2
    local is_left
    if strictly then is_left = before(keys[middle], key) else is_left = not before(key, keys[middle]) end
    if is_left then low = middle else high = middle - 1 end
  end
  return low
end
map_reader.count_keys = count_keys

-- Leaves beside child `index` of a node above the leaves, in the direction of a walk, that are not kept. -> list of ids
local function neighbours(state, node, index, ahead, reverse, limit)
  local ids = {}
  local step <const> = reverse and -1 or 1
  for i = 1, ahead do
    local at = index + step * i
    -- The key between this child and the one before it in the walk.
    local edge <const> = node.keys[reverse and at or at - 1]
    if not node.children[at] or limit ~= nil and (reverse and not before(limit, edge) or not reverse and before(limit, edge)) then
      break
    elseif not kept(state, node.children[at]) then
      ids[#ids + 1] = node.children[at]
    end
  end
  return ids
end

-- The leaf in which a key belongs; of a walk: key nil for the first leaf; after: (in reverse) the leaf with keys below `key`.
-- walk: nil or { reverse =, ahead = how many leaves to read ahead, limit = last key that is wanted or nil }
-- -> leaf, low, high: the keys around it | nil: the map is empty | nil, err or MOVED
local function find_leaf(state, key, below, walk)
  local id, low, high = state.root, nil, nil
  for level = state.levels, 2, -1 do
    local node, err = map_reader.node(state, id, level, low, high)
    if not node then
      return nil, err
    end
    local index
    if key ~= nil then
      index = count_keys(node.keys, key, below) + 1
    else
      index = walk and walk.reverse and #node.children or 1
    end
    if level == 2 and walk then
      walk.next = neighbours(state, node, index, walk.ahead, walk.reverse, walk.limit)
    end
    id = node.children[index]
    if index > 1 then low = node.keys[index - 1] end
    if index <= #node.keys then high = node.keys[index] end
  end
  if not id then
    return nil
  end
  local leaf, err = map_reader.node(state, id, 1, low, high, walk and walk.next)
  if not leaf then
    return nil, err
  elseif state.levels == 1 and #leaf.keys ~= state.count then
    return nil, bad(id, string.format("it has %d pairs, the map %d", #leaf.keys, state.count))
  end
  return leaf, low, high
end

-- Does f(…) until no other process changes the map meanwhile. f → results | nil, err or MOVED
local function steadily(f, ...)
  for _ = 1, TRIES do
    local a, b, c = f(...)
    if a ~= nil or b ~= MOVED then
      return a, b, c
    end
  end
  return nil, { code = "conflict", message = "others change it faster than it can be read; try again" }
end

-- As find_leaf, whatever others do meanwhile. -> leaf, low, high | nil | nil, err
function map_reader.leaf(state, key, below, walk)
  return steadily(find_leaf, state, key, below, walk)
end

-- -> the encoded value that stands under a key, false for none | nil, err
function map_reader.find(state, key)
  local leaf, err = map_reader.leaf(state, key)
  if not leaf then
    if err then
      return nil, err
    end
    return false
  end
  local index <const> = count_keys(leaf.keys, key)
  if index > 0 and not before(leaf.keys[index], key) then
    return map_nodes.value(leaf, index)
  end
  return false
end

-- The same for one that must not begin again: a commit. -> … | nil, err; err.code "conflict" if the map has changed
function map_reader.without_moving(node, err)
  if node == nil and err == MOVED then
    return nil, { code = "conflict", message = "it was changed meanwhile" }
  end
  return node, err
end

return map_reader
