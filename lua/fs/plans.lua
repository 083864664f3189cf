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

local columns <const> = require "fs.columns"
local identity <const> = require "fs.identity"
local layout <const> = require "fs.layout"

local plans = {}

local methods <const> = {}
methods.__index = methods

function plans.new(session)
  return setmetatable({
    session = session, map = session.map, ids = session.spare, used = 0, promised = 0,
    entries = columns.new(),           -- the request's, and of each:
    tables = {},                       --   the table of the object that it is, or is a part of
    bases = {}, held = {},             --   where it is the object: what it will have been read from, its long strings or nil; else false
    owners = {}, records = {},         --   where it is not: the object's id; what gets the entry's `version`, or false
    adopted = {},                      -- number of an id in `ids` -> new table, function, cell, chunk
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
  local id <const>, children <const> = self:take(), self.children
  self.adopted[self.used] = v
  how(self.map, id, v)
  children[#children + 1] = v
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
  return self.map.names[v] or adopt(self, v, identity.adopt_other)
end

-- Moves what is new and was met since the last call behind `top` on a stack, so that the first of it is on top. -> the new top
function methods:move_children(stack, top)
  local children <const> = self.children
  for i = #children, 1, -1 do
    top = top + 1
    stack[top], children[i] = children[i], nil
  end
  return top
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
  if #list > 0 then
    self.new_strings = {}
  end
  return list
end

-- The entries that follow belong to this object.
function methods:begin(id, t)
  self.owner, self.table = id, t
end

local function add(self, id, kind, payload, expected, base)
  columns.add(self.entries, id, kind, payload, expected)
  local n <const> = self.entries.count
  self.tables[n], self.bases[n] = self.table, base
  return n
end

-- expected: version, 0 for what must not exist, nil for whatever is there; record: table whose `version` is set, or nil
function methods:write(id, kind, payload, expected, record)
  local n <const> = add(self, id, kind, payload, expected or false, false)
  self.owners[n], self.records[n] = self.owner, record or false
end

-- The object that was begun itself: once committed, it is what `base` says, with these long strings.
function methods:object(kind, payload, base, held)
  local n <const> = add(self, self.owner, kind, payload, self.map.versions[self.owner] or 0, base)
  if held then
    self.held[n] = held
  end
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
  self:write(node.id, layout.KIND_DELETE, "", node.version)
end

-- The last entry takes the place of entry i: their order has no meaning.
local function take_out(self, i)
  local entries <const>, n <const> = self.entries, self.entries.count
  for _, column in ipairs {
    entries.ids, entries.kinds, entries.payloads, entries.expected,
    self.owners, self.tables, self.bases, self.held, self.records,
  } do
    column[i] = column[n]
    column[n] = nil
  end
  entries.count = n - 1
end

-- -> the number of the entry with this id | nil
local function entry_of(self, id)
  for i = 1, self.entries.count do
    if self.entries.ids[i] == id then
      return i
    end
  end
end

-- Takes back the writing of an entry that is no object by itself: what stood there before is removed. -> was it written?
function methods:withdraw(id)
  local entries <const>, i <const> = self.entries, entry_of(self, id)
  if not i or entries.kinds[i] == layout.KIND_DELETE then
    return false
  end
  entries.kinds[i], entries.payloads[i], self.records[i] = layout.KIND_DELETE, "", false
  if entries.expected[i] == 0 then
    take_out(self, i)
  end
  return true
end

-- -> the table of the object that the entry with this id belongs to | nil
function methods:table_of(id)
  local i <const> = entry_of(self, id)
  return i and self.tables[i]
end

-- -> the ids of the objects that these entries belong to, ascending
function methods:objects_of(ids)
  local owner_of = {}
  for i = 1, self.entries.count do
    owner_of[self.entries.ids[i]] = self.owners[i] or self.entries.ids[i]
  end
  local seen, list = {}, {}
  for _, id in ipairs(ids) do
    local owner = owner_of[id] or id
    if not seen[owner] then
      seen[owner] = true
      list[#list + 1] = owner
    end
  end
  table.sort(list)
  return list
end

-- What the store's commit takes.
function methods:request(message, since)
  local entries <const> = self.entries
  return {
    ids = entries.ids, kinds = entries.kinds, payloads = entries.payloads, expected = entries.expected,
    message = message, since = since,
  }
end

function methods:on_done(action)
  self.actions[#self.actions + 1] = action
end

-- transaction: what the store's commit gave.
function methods:done(transaction)
  local map <const>, version <const> = self.map, transaction.sequence
  local ids <const>, tables <const>, bases <const>, held <const> = self.entries.ids, self.tables, self.bases, self.held
  for i = 1, self.entries.count do
    if bases[i] then
      identity.set_loaded(map, ids[i], tables[i], bases[i], version, held[i])
    elseif self.records[i] then
      self.records[i].version = version
    end
  end
  for _, action in ipairs(self.actions) do
    action()
  end
  self.session.spare = table.move(self.ids, self.used + 1, #self.ids, 1, {})
end

function methods:undo()
  for number, v in next, self.adopted do
    identity.disown(self.map, self.ids[number], v)
  end
  self.session.spare = self.ids
end

return plans
