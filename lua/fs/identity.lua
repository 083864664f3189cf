-- The identity map of a session: which table is which object, and what was read of it.
--
-- names      table, function … -> id, or permanent's name     weak keys: a table that is dropped takes its id with it
-- objects    id -> table, loaded or stub                      weak values: a stub nobody holds is made anew when needed
-- others     id -> function, or what fs.functions             weak values: nothing that a payload says can put one of these in
--            keeps of one: cell, chunk                        the place of a table, or the other way round
-- loaded     id -> table, function or cell                    strong: what is loaded may have been changed by hand at any
--                                                             time, and no collection may lose that (see below)
-- payloads   id -> its base, what the table was filled from: the payload, or what the handler of its kind made of the record
-- versions   id -> the store's version of it
-- marks      2 * id, 2 * id + 1 -> the halves of that payload's fingerprint, false while it was not taken; nil where the
--                                                             session's codec takes none
-- held       table -> text -> entry: the long strings of its base (fs.long_strings), where it has any; weak keys
-- max_id     the largest id that was met
--
-- Why loaded tables are held: a table can be changed and then be reachable only through objects that are not loaded
-- (a parent that was forgotten, a second parent never read). The collector would drop it with its change. So
-- only forget(t), which refuses changed tables, and fs.detached, which looks once more before it lets go, release one.
-- Payloads cost memory, usually less than their tables do; in return changes and abort need no reads.
-- Relies on: fs.permanents, fs.stubs.

local permanents <const> = require "fs.permanents"
local stubs <const> = require "fs.stubs"

local identity = {}

local WEAK_KEYS <const>, WEAK_VALUES <const> = { __mode = "k" }, { __mode = "v" }

-- -> identity map. It also carries `links`, what codec.decode follows names with. load: the stubs' load function.
-- marked: are fingerprints taken?
function identity.new(load, marked)
  local names = setmetatable({}, WEAK_KEYS)
  local map = {
    names = names,
    objects = setmetatable({}, WEAK_VALUES), others = setmetatable({}, WEAK_VALUES),
    loaded = {}, payloads = {}, versions = {}, held = setmetatable({}, WEAK_KEYS),
    marks = marked and {} or nil,
    loaded_count = 0,
    max_id = 0,
    permanents = permanents.new(names),
    load = load,
    -- As fs.functions gives them.
    each_upvalue = function() end, is_cell = function() return false end, remember_cell = function() end,
  }
  map.links = {
    objects = map.objects,
    make = function(id) return identity.make(map, id) end,
    permanents = map.permanents.values,
  }
  return map
end

-- The stub of an object that has no table yet.
function identity.make(map, id)
  if map.detached and map.detached[id] then
    map.take_back()
    local t = map.objects[id]
    if t then
      return t
    end
  end
  local t = stubs.new(map.load)
  identity.adopt(map, id, t)
  return t
end

-- The table of an object, a stub if need be.
function identity.table_of(map, id)
  return map.objects[id] or identity.make(map, id)
end

-- The id of a table of this session | nil: new, a permanent, or of another session.
function identity.id_of(map, t)
  local name = map.names[t]
  return math.type(name) and name or nil
end

local function set_marks(map, id, mark)
  local marks <const> = map.marks
  if marks then
    marks[2 * id], marks[2 * id + 1] = mark, mark
  end
end

-- t is now what the base `payload` says, as of `version`. held: the long strings in it, or nil.
function identity.set_loaded(map, id, t, payload, version, held)
  if not map.loaded[id] then
    map.loaded_count = map.loaded_count + 1
  end
  map.loaded[id] = t
  map.payloads[id] = payload
  map.versions[id] = version
  map.held[t] = held
  set_marks(map, id, false)
end

function identity.set_unloaded(map, id)
  if map.loaded[id] then
    map.loaded_count = map.loaded_count - 1
  end
  map.loaded[id] = nil
  map.payloads[id] = nil
  map.versions[id] = nil
  set_marks(map, id, nil)
end

local function adopt(map, list, id, v)
  map.names[v] = id
  list[id] = v
  if id > map.max_id then
    map.max_id = id
  end
end

-- The table t, new or a stub, is object `id`.
function identity.adopt(map, id, t)
  adopt(map, map.objects, id, t)
end

-- The function, cell or chunk v is object `id`.
function identity.adopt_other(map, id, v)
  adopt(map, map.others, id, v)
end

-- The function, cell or chunk that is known as object `id` | nil
function identity.other(map, id)
  local v = map.others[id]
  if v == nil and map.detached and map.detached[id] then
    map.take_back()
    v = map.others[id]
  end
  return v
end

-- A new object's id is taken back.
function identity.disown(map, id, v)
  map.names[v] = nil
  if map.objects[id] == v then
    map.objects[id] = nil
  elseif map.others[id] == v then
    map.others[id] = nil
  end
end

return identity
