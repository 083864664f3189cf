-- Large tables: kept whole in memory, stored as a tree of pieces (formats/SPEC.md, section 7, KIND_TREE).
--
-- The base of such a table, what it was read from or committed as, is its tree:
--   { kind = KIND_TREE, metatable = id, permanent's name or nil, payload = the root's,
--     array =, map = parts { levels =, children = ids, leaves =, above = } }
-- with leaves and nodes above as { id =, version =, payload =, mark =, level = }. What comes out of a cut as it was keeps its
-- node, id and version, and is not written. A node is recognised by its mark: a leaf by the first index of its range or by its
-- last key, one above by its first child.
--
-- Promises: a tree is either filled in wholly or refused with the id of what is bad in it; after a failed commit nothing has changed.
-- Relies on: a codec, fs.pieces, fs.tree_forms, fs.tree_reader. Whoever writes any piece writes the root, so that the version of
-- the root tells whether anything of the tree has changed.

local extents <const> = require "fs.extents"
local layout <const> = require "fs.layout"
local messagepack <const> = require "fs.messagepack"
local pieces <const> = require "fs.pieces"
local same <const> = require "fs.sameness"
local tree_forms <const> = require "fs.tree_forms"
local tree_reader <const> = require "fs.tree_reader"
local value_decoder <const> = require "fs.value_decoder"
local value_encoder <const> = require "fs.value_encoder"

local next <const> = next
local rawget <const> = rawget
local string_char <const> = string.char
local string_sub <const> = string.sub

local trees = {}

local EMPTY_ARRAY <const> = string_char(messagepack.FIXARRAY)
local EMPTY_MAP <const> = string_char(messagepack.FIXMAP)
local FIXMAP <const>, MAP16 <const>, MAP32 <const> = messagepack.FIXMAP, messagepack.MAP16, messagepack.MAP32
local bad <const> = tree_reader.bad

-- Reading ----------------------------------------------------------------------------------------------------

-- -> base, record of the root as it is now | nil, nil, record that is to be read otherwise | nil, err
function trees.read(loading, record)
  local tree <const>, err, other = tree_reader.read(loading.store.read, record)
  if not tree then
    return nil, err, other
  elseif tree.form ~= layout.TREE_TABLE then
    return nil, { code = "malformed", message = "it is a long string, not a table" }
  end
  tree.kind, tree.payload = layout.KIND_TREE, err.payload
  return tree, err
end

-- Decodes a leaf of a map part into `into`. before: the last pair of the leaf before, whose key is below all of this one's.
-- -> the last pair of this one, its key | nil, err
local function check_map_leaf(codec, leaf, before, into, links)
  local payload <const> = leaf.payload
  local count, first = value_decoder.count(payload, 1, FIXMAP, MAP16, MAP32, "a map")
  if not first then
    return nil, count
  elseif count == 0 then
    return nil, value_decoder.malformed(1, "pairs", "none")
  end
  local head = value_encoder.count(before == "" and count or count + 1, FIXMAP, MAP16, MAP32)
  local ok, extra = codec.decode(EMPTY_ARRAY .. head .. before .. string_sub(payload, first), into, links)
  if not ok then
    return nil, extra
  elseif extra ~= nil then
    return nil, value_decoder.malformed(#payload, "the end", "more bytes")
  end
  local p, key_at, value_at = first, nil, nil
  for _ = 1, count do
    key_at = p
    value_at = extents.after(payload, p)
    p = extents.after(payload, value_at)
  end
  return string_sub(payload, key_at), string_sub(payload, key_at, value_at - 1)
end

-- Decodes a leaf of an array part. -> list, its length | nil, err
local function array_leaf(codec, leaf, links)
  local list, n = {}, 0
  local ok, extra = codec.decode(leaf.payload .. EMPTY_MAP, list, links)
  if not ok then
    return nil, extra
  end
  for _ in next, list do
    n = n + 1
  end
  if extra ~= nil or n == 0 or rawget(list, n) == nil then
    return nil, value_decoder.malformed(1, "an array part that is not empty", "something else")
  end
  return list, n
end

-- A leaf of a map part that was checked before.
local function map_leaf(codec, leaf, into, links)
  codec.decode(EMPTY_ARRAY .. leaf.payload, into, links)
end

local function fill_map(codec, part, into, links)
  local before = ""
  for _, leaf in ipairs(part.leaves) do
    if part.checked then
      map_leaf(codec, leaf, into, links)
    else
      local last, mark = check_map_leaf(codec, leaf, before, into, links)
      if not last then
        return nil, bad(leaf.id, mark.message)
      end
      before, leaf.mark = last, mark
    end
  end
  part.checked = true
  return true
end

local function fill_array(codec, part, into, links)
  local filled = 0
  for _, leaf in ipairs(part.leaves) do
    local list, n = array_leaf(codec, leaf, links)
    if not list then
      return nil, bad(leaf.id, n.message)
    end
    leaf.mark = filled + 1
    for i = 1, n do
      filled = filled + 1
      if into[filled] ~= nil then
        return nil, bad(leaf.id, string.format("there is an element %d in the map part, too", filled))
      end
      into[filled] = list[i]
    end
  end
  if into[filled + 1] ~= nil then
    return nil, { code = "malformed", message = string.format("element %d is in the map part", filled + 1) }
  end
  return true
end

-- Fills the empty table t. -> true, metatable or nil | nil, err
function trees.fill(loading, t, tree)
  local codec <const>, links <const> = loading.codec, loading.map.links
  local ok, err = fill_map(codec, tree.map, t, links)
  if ok then
    ok, err = fill_array(codec, tree.array, t, links)
  end
  if not ok or tree.metatable == nil then
    return ok, err
  end
  local metatable, problem = value_decoder.follow(tree.metatable, links, 1)
  if metatable == nil then
    return nil, problem
  end
  return true, metatable
end

-- Comparing --------------------------------------------------------------------------------------------------

local function same_leaves(a, b)
  if #a ~= #b then
    return false
  end
  for i = 1, #a do
    if a[i].id ~= b[i].id or a[i].payload ~= b[i].payload then
      return false
    end
  end
  return true
end

-- Do two trees that were read of one object stand for the same? b is the one that the session knows: a then becomes as good.
function trees.equal(a, b)
  if a.payload ~= b.payload or not same_leaves(a.array.leaves, b.array.leaves)
      or not same_leaves(a.map.leaves, b.map.leaves) then
    return false
  end
  for _, part in ipairs { "array", "map" } do
    for i, leaf in ipairs(b[part].leaves) do
      a[part].leaves[i].mark = leaf.mark
    end
    a[part].checked = true
  end
  return true
end

-- Is every one of these values in t, under the same key, and stored alike? -> how many they are | nil
local function count_alike(t, content, offset, names)
  local count = 0
  for key, value in next, content do
    local mine = rawget(t, offset and key + offset or key)
    if not same(mine, value) and (names[mine] == nil or names[mine] ~= names[value]) then
      return nil
    end
    count = count + 1
  end
  return count
end

-- Is t, with that metatable, as the tree says? Costs a decoding of the tree, one leaf after the other, and stops at the first
-- difference.
function trees.is_clean(session, t, tree)
  local codec <const>, map <const> = session.codec, session.map
  local metatable <const> = session.metatables.metatable_of(t)
  local name = nil
  if metatable ~= nil then
    name = map.names[metatable]
  end
  if name ~= tree.metatable or metatable ~= nil and name == nil then
    return false
  end
  local total = 0
  for _, part in ipairs { tree.array, tree.map } do
    for _, leaf in ipairs(part.leaves) do
      local content, offset = {}, nil
      if part == tree.array then
        content, offset = array_leaf(codec, leaf, map.links), leaf.mark - 1
      else
        map_leaf(codec, leaf, content, map.links)
      end
      local count = count_alike(t, content, offset, map.names)
      if not count then
        return false
      end
      total = total + count
    end
  end
  for _ in next, t do
    total = total - 1
  end
  return total == 0
end

-- Cutting ----------------------------------------------------------------------------------------------------

-- Gives the new pieces or nodes of a row their places: old nodes with the same mark, then those that are left over in order,
-- then new ids. old: nodes that none has taken yet, which the taken ones leave. -> list of nodes
local function place(row, old, plan)
  local by_mark, taken, left = {}, {}, {}
  for i = 1, #old do
    by_mark[old[i].mark] = old[i]
  end
  for i = 1, #row do
    local node = by_mark[row[i].mark]
    if node then
      row[i].old, taken[node] = node, true
    end
  end
  for i = 1, #old do
    if not taken[old[i]] then
      left[#left + 1] = old[i]
    end
  end
  local at = 1
  for i = 1, #row do
    if not row[i].old and left[at] then
      row[i].old, at = left[at], at + 1
    end
  end
  local nodes, missing = {}, 0
  for i = 1, #row do
    missing = missing + (row[i].old and 0 or 1)
  end
  local ok, err = plan:reserve(missing)
  if not ok then
    return nil, err
  end
  for i = 1, #row do
    nodes[i] = plan:node(row[i], layout.KIND_TREE_NODE)
  end
  for i = at, #left do
    plan:delete(left[i])
  end
  return nodes
end

-- Nodes of that level.
local function of_level(nodes, level)
  local found = {}
  for i = 1, #nodes do
    if nodes[i].level == level then
      found[#found + 1] = nodes[i]
    end
  end
  return found
end

local function delete_above(nodes, level, plan)
  for i = 1, #nodes do
    if nodes[i].level >= level then
      plan:delete(nodes[i])
    end
  end
end

local function ids_of(nodes)
  local ids = {}
  for i = 1, #nodes do
    ids[i] = nodes[i].id
  end
  return ids
end

local NONE <const> = { levels = 0, children = {}, leaves = {}, above = {} }

-- The part that consists of these pieces. old: the part before. -> part | nil, err
local function cut_part(cut, old, plan)
  local leaves, err = place(cut, old.leaves, plan)
  if not leaves then
    return nil, err
  end
  local above, nodes, level = {}, leaves, 1
  while true do
    local groups = pieces.groups(nodes, level)
    if #groups <= 1 then
      break
    end
    local row = {}
    for i, group in ipairs(groups) do
      row[i] = {
        payload = tree_forms.encode_children(ids_of(group)), mark = group[1].id, zeros = group[#group].zeros, level = level,
      }
    end
    nodes, err = place(row, of_level(old.above, level), plan)
    if not nodes then
      return nil, err
    end
    table.move(nodes, 1, #nodes, #above + 1, above)
    level = level + 1
  end
  delete_above(old.above, level, plan)
  return {
    levels = #nodes > 0 and level or 0, children = ids_of(nodes), leaves = leaves, above = above, checked = true,
  }
end

-- How the table t, whose payload as a KIND_TABLE is given, comes to stand as a tree. name: its metatable's, or nil; old: the tree
-- that it was, or nil; miss: for the codec; plan: takes the nodes (fs.plans). -> base, to be written under the root's id | nil, err
function trees.cut(session, t, payload, name, old, miss, plan)
  local codec <const>, names <const> = session.codec, session.map.names
  local n = 0
  while rawget(t, n + 1) ~= nil do
    n = n + 1
  end
  local function encode(list)
    return string_sub(codec.encode(list, names, nil, miss), 1, -1 - #EMPTY_MAP)
  end
  local array, map, err
  array, err = cut_part(n > 0 and pieces.array(t, n, encode) or {}, old and old.array or NONE, plan)
  if array then
    local before <const> = old and old.map or NONE
    map, err = cut_part(pieces.map(payload, extents.after_array(payload, 1), session.crc32c, before.leaves), before, plan)
  end
  if not map then
    return nil, err
  end
  return {
    kind = layout.KIND_TREE, form = layout.TREE_TABLE, metatable = name, array = array, map = map,
    payload = tree_forms.encode_table(name, array, map),
  }
end

-- Removes all nodes of a tree that is one no more.
function trees.delete(tree, plan)
  for _, part in ipairs { tree.array, tree.map } do
    for _, nodes in ipairs { part.leaves, part.above } do
      for i = 1, #nodes do
        plan:delete(nodes[i])
      end
    end
  end
end

return trees
