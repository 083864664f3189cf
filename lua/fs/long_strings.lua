-- Long strings: values of more than CHUNK_BYTES, stored as trees of their own (formats/SPEC.md, section 7, KIND_TREE).
--
-- A long string that a loaded table was read with, or committed with, has an entry:
--   { text =, id = of its tree, leaves = ids of its pieces }
-- The trees of strings never change. The same text is stored once, as far as the session knows it; a string that takes another's
-- place in a field shares those pieces with it that are the same at the same place. (Taking over the tree itself would change
-- the other string wherever else it stands.) What nothing refers to any more is the store's garbage.
--
-- Memory: an entry, and with it its text, lives as long as the base of some table holds it (map.held), that is as long as that
-- table is loaded and not committed with another string in its place. Maps hold none: a string of theirs is read each time.
--
-- Promises: a string is read wholly or refused with the id of what is bad.
-- Relies on: fs.pieces, fs.plans, fs.tree_forms, fs.tree_reader.

local layout <const> = require "fs.layout"
local pieces <const> = require "fs.pieces"
local tree_forms <const> = require "fs.tree_forms"
local tree_reader <const> = require "fs.tree_reader"

local long_strings = {}

local FANOUT <const> = layout.TREE_FANOUT
local FULL_PIECE_BYTES <const> = #pieces.string_payload(("\0"):rep(layout.TREE_LEAF_BYTES))
-- Roots of one read.
local BATCH <const> = 32

local WEAK_VALUES <const> = { __mode = "v" }

function long_strings.new(read)
  return {
    read = read,
    by_id = setmetatable({}, WEAK_VALUES), by_text = setmetatable({}, WEAK_VALUES),
    -- Of the decoding that is under way: entries met, ids that are wanted, entries fetched for it.
    held = nil, wanted = nil, fetched = nil,
  }
end

local function remember(self, entry)
  local other <const> = self.by_text[entry.text]
  self.by_id[entry.id] = entry
  if not other or other.gone then
    self.by_text[entry.text] = entry
  end
end

-- Decoding ---------------------------------------------------------------------------------------------------

-- A decoding begins. It may have to be done twice: see finish.
function long_strings.begin(self)
  self.held, self.wanted = nil, nil
end

-- What codec.decode calls for an EXT_STRING: the string, or any while it is not known.
function long_strings.of(self, id)
  local entry <const> = self.by_id[id]
  if entry then
    self.held = self.held or {}
    self.held[entry.text] = entry
    return entry.text
  end
  self.wanted = self.wanted or {}
  self.wanted[id] = true
  return ""
end

-- After a decoding: -> text -> entry of the strings that were met, or nil; list of ids that must be read before it can be
-- done again, or nil
function long_strings.finish(self)
  local ids
  if self.wanted then
    ids = {}
    for id in next, self.wanted do ids[#ids + 1] = id end
    table.sort(ids)
  else
    self.fetched = nil
  end
  return self.held, ids
end

local function join(root)
  local parts, bytes = {}, 0
  for i, leaf in ipairs(root.part.leaves) do
    local part, err = tree_forms.decode_string_piece(leaf.payload)
    if not part then
      return nil, tree_reader.bad(leaf.id, err.message)
    end
    parts[i], bytes = part, bytes + #part
  end
  if bytes ~= root.bytes then
    return nil, { code = "malformed", message = string.format("a string of %d bytes: found %d", root.bytes, bytes) }
  end
  return table.concat(parts)
end

-- Are all pieces but the last as this writer cuts them? Else they are of no use to another string.
local function is_cut_alike(root)
  for i, leaf in ipairs(root.part.leaves) do
    if i < #root.part.leaves and #leaf.payload ~= FULL_PIECE_BYTES then
      return false
    end
  end
  return #root.part.leaves == pieces.string_count(root.bytes)
end

local function read_one(self, record)
  if record.kind ~= layout.KIND_TREE then
    return nil, { code = "malformed", message = string.format("it is of kind %d, not a long string", record.kind) }
  end
  local root, err = tree_reader.read(self.read, record)
  if root and root.form ~= layout.TREE_STRING then
    return nil, { code = "malformed", message = "it is a table, not a long string" }
  end
  local text
  if root then
    text, err = join(root)
  end
  if not text then
    return nil, err
  end
  local entry = { id = record.id, text = text, leaves = {} }
  if is_cut_alike(root) then
    for i, leaf in ipairs(root.part.leaves) do entry.leaves[i] = leaf.id end
  end
  remember(self, entry)
  return entry
end

local function read_records(self, ids)
  local records = {}
  for first = 1, #ids, BATCH do
    local batch, err = self.read(table.move(ids, first, math.min(first + BATCH - 1, #ids), 1, {}))
    if not batch then
      return nil, err
    end
    table.move(batch, 1, #batch, #records + 1, records)
  end
  return records
end

-- Reads the strings with these ids; they stay known until the next decoding is done. -> list of entries | nil, err
function long_strings.fetch(self, ids)
  local records, err = read_records(self, ids)
  if not records then
    return nil, err
  end
  local entries = {}
  self.fetched = entries
  for i, record in ipairs(records) do
    local entry, problem = self.by_id[record.id], nil
    if not entry then
      entry, problem = read_one(self, record)
    end
    if not entry then
      problem.message = string.format("the long string that is object %d: %s", record.id, problem.message)
      return nil, problem
    end
    entries[i] = entry
  end
  return entries
end

-- Encoding ---------------------------------------------------------------------------------------------------

-- The entry of a text that is stored. held: those of the table that it stands in, or nil; they come first, so that a table keeps
-- the ids it has.
function long_strings.known(self, text, held)
  local entry <const> = held and held[text] or self.by_text[text]
  return entry and not entry.gone and entry or nil
end

-- The store has none of these objects any more: strings that consist of any of them have to be stored anew.
function long_strings.forget(self, ids)
  local gone = {}
  for _, id in ipairs(ids) do
    gone[id] = true
  end
  for id, entry in next, self.by_id do
    local lost = gone[id]
    for _, leaf in ipairs(entry.leaves) do
      lost = lost or gone[leaf]
    end
    if lost then
      entry.gone, self.by_id[id], self.by_text[entry.text] = true, nil, nil
    end
  end
end

-- The pieces of a text, those of `old` where they are the same. -> ids | nil, err
local function plan_leaves(text, old, plan)
  local leaves, missing = {}, {}
  local before <const> = old and not old.gone and old.leaves or {}
  for i = 1, pieces.string_count(#text) do
    if before[i] and pieces.string_part(old.text, i) == pieces.string_part(text, i) then
      leaves[i] = before[i]
    else
      missing[#missing + 1] = i
    end
  end
  local ok, err = plan:reserve(#missing)
  if not ok then
    return nil, err
  end
  for _, i in ipairs(missing) do
    leaves[i] = plan:take()
    plan:write(leaves[i], layout.KIND_TREE_NODE, pieces.string_payload(pieces.string_part(text, i)), 0)
  end
  return leaves
end

-- The nodes of one level: never shared, so that trees cannot be large beyond what stands in the store. -> their ids | nil, err
local function plan_level(ids, plan)
  local ok, err = plan:reserve((#ids + FANOUT - 1) // FANOUT)
  if not ok then
    return nil, err
  end
  local row = {}
  for first = 1, #ids, FANOUT do
    local children = table.move(ids, first, math.min(first + FANOUT - 1, #ids), 1, {})
    row[#row + 1] = plan:take()
    plan:write(row[#row], layout.KIND_TREE_NODE, tree_forms.encode_children(children), 0)
  end
  return row
end

-- Adds the tree of a new entry to the plan. old: entry of the string that it takes the place of, or nil. -> true | nil, err
function long_strings.plan(self, entry, old, plan)
  local ids, err = plan_leaves(entry.text, old, plan)
  if not ids then
    return nil, err
  end
  entry.leaves = ids
  local levels = 1
  while #ids > FANOUT do
    ids, err = plan_level(ids, plan)
    if not ids then
      return nil, err
    end
    levels = levels + 1
  end
  plan:write(entry.id, layout.KIND_TREE, tree_forms.encode_string(#entry.text, { levels = levels, children = ids }), 0)
  plan:on_done(function() remember(self, entry) end)
  return true
end

-- Adds the trees of the strings that a plan has met (plan:take_strings). replaced(key) -> entry of the string that stood in a field, or
-- nil; it may be missing. -> true | nil, err
function long_strings.plan_all(self, list, plan, replaced)
  for _, met in ipairs(list) do
    local ok, err = long_strings.plan(self, met.entry, replaced and replaced(met.key), plan)
    if not ok then
      return nil, err
    end
  end
  return true
end

return long_strings
