-- Plans: what one commit is made of, until the store has taken it or refused it.
--
--   plan:reserve(n)                            makes sure of n ids
--   plan:child(v), plan:string(text, key)      give a new table or function, a new long string its id (called while a codec encodes)
--   plan:part(v)                               the same for what functions consist of (fs.functions)
--   plan:begin(id, t)                          what follows belongs to this object
--   plan:object(…), plan:write(…), plan:node(…), plan:delete(…)  add entries
--   plan:on_done(f)                            f runs once all of it is committed
--   plan:done(transaction) | plan:undo()       exactly one of them ends it
--
-- Promises: undo leaves the session as it was; ids that were not used are given out by the next plan.
-- Relies on: fs.identity, the store's allocate; session.spare, the list of ids to give out.

local identity <const> = require "fs.identity"
local layout <const> = require "fs.layout"

local plans = {}

local methods <const> = {}
methods.__index = methods

function plans.new(session)
  return setmetatable({
    session = session, ids = session.spare, used = 0, promised = 0,
    entries = {}, records = {},        -- the request's entries, and what gets its `version` with each, or false
    owners = {}, tables = {},          -- id of an entry -> id and table of the object that it is, or is a part of
    adopted = {},                      -- id -> new table, function, cell, chunk
    children = {},                     -- those that were met since they were taken last
    needed_by = {},                    -- chunk -> function that brought it
    strings = {}, new_strings = {},    -- text -> entry of fs.long_strings; those met since they were taken last
    actions = {},
  }, methods)
end

-- Makes sure of that many ids beside those that were reserved before and not taken yet. -> true | nil, err
function methods:reserve(count)
  self.promised = self.promised + count
  local missing <const> = self.promised - (#self.ids - self.used)
  if missing > 0 then
    local first, err = self.session.store.allocate(missing)
    if not first then
      return nil, err
    end
    for id = first, first + missing - 1 do
      self.ids[#self.ids + 1] = id
    end
  end
  return true
end

-- An id; enough were reserved.
function methods:take()
  self.used, self.promised = self.used + 1, self.promised - 1
  return self.ids[self.used]
end

local function adopt(self, v, how)
  local id <const> = self:take()
  how(self.session.map, id, v)
  self.adopted[id] = v
  self.children[#self.children + 1] = v
  return id
end

-- -> the id of a table or function that has none yet | nil: it cannot be saved
function methods:child(v)
  if type(v) == "table" then
    return adopt(self, v, identity.adopt)
  elseif type(v) == "function" and self.session.functions.record(v) then
    return adopt(self, v, identity.adopt_other)
  end
end

-- -> the id of a chunk or cell, a new one if it has none
function methods:part(v)
  return self.session.map.names[v] or adopt(self, v, identity.adopt_other)
end

-- What is new and was met since the last call, in order.
function methods:take_children()
  local children <const> = self.children
  self.children = {}
  return children
end

-- -> entry of a long string that is not stored yet. key: the field where it stands.
function methods:string(text, key)
  local entry = self.strings[text]
  if not entry then
    entry = { id = self:take(), text = text }
    self.strings[text] = entry
    self.new_strings[#self.new_strings + 1] = { entry = entry, key = key }
  end
  return entry
end

-- Long strings met since the last call: list of { entry =, key = }.
function methods:take_strings()
  local list <const> = self.new_strings
  self.new_strings = {}
  return list
end

-- The entries that follow belong to this object.
function methods:begin(id, t)
  self.owner, self.table = id, t
end

local function add(self, entry, record)
  local n <const> = #self.entries + 1
  self.entries[n], self.records[n] = entry, record
  self.owners[entry.id], self.tables[entry.id] = self.owner, self.table
end

-- expected: version, 0 for what must not exist, nil for whatever is there; record: table whose `version` is set, or nil
function methods:write(id, kind, payload, expected, record)
  add(self, { id = id, kind = kind, payload = payload, expected = expected }, record or false)
end

-- The object itself: once committed, table t is what `base` says, with these long strings.
function methods:object(id, kind, payload, t, base, held)
  local record <const> = { id = id, table = t, base = base, held = held }
  self:write(id, kind, payload, self.session.map.versions[id] or 0, record)
end

-- A node as it comes out of a cut: { payload =, mark =, zeros =, level =, old = node that it takes the place of or nil }.
-- -> the old node if it stands there already, else a new one, written
function methods:node(item, kind)
  local old <const> = item.old
  if old and old.payload == item.payload then
    old.zeros = item.zeros
    return old
  end
  local node = {
    id = old and old.id or self:take(), payload = item.payload, mark = item.mark, zeros = item.zeros, level = item.level,
  }
  self:write(node.id, kind, node.payload, old and old.version or 0, node)
  return node
end

-- node: { id =, version = }; without a version whatever is there is removed.
function methods:delete(node)
  add(self, { id = node.id, kind = layout.KIND_DELETE, expected = node.version }, false)
end

-- Takes back the writing of an entry: what stood there before is removed. -> was it written?
function methods:withdraw(id)
  for i, entry in ipairs(self.entries) do
    if entry.id == id and entry.kind ~= layout.KIND_DELETE then
      if entry.expected == 0 then
        table.remove(self.entries, i)
        table.remove(self.records, i)
      else
        self.entries[i] = { id = id, kind = layout.KIND_DELETE, expected = entry.expected }
        self.records[i] = false
      end
      return true
    end
  end
  return false
end

-- -> the ids of the objects that these entries belong to, ascending
function methods:objects_of(ids)
  local seen, list = {}, {}
  for _, id in ipairs(ids) do
    local owner = self.owners[id] or id
    if not seen[owner] then
      seen[owner] = true
      list[#list + 1] = owner
    end
  end
  table.sort(list)
  return list
end

function methods:on_done(action)
  self.actions[#self.actions + 1] = action
end

-- transaction: what the store's commit gave.
function methods:done(transaction)
  local map <const> = self.session.map
  for i = 1, #self.records do
    local record = self.records[i]
    if record and record.table then
      identity.set_loaded(map, record.id, record.table, record.base, transaction.versions[i], record.held)
    elseif record then
      record.version = transaction.versions[i]
    end
  end
  for _, action in ipairs(self.actions) do
    action()
  end
  self.session.spare = table.move(self.ids, self.used + 1, #self.ids, 1, {})
end

function methods:undo()
  for id, t in next, self.adopted do
    identity.disown(self.session.map, id, t)
  end
  self.session.spare = self.ids
end

return plans
