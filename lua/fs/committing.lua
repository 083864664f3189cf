-- Commit: finds what changed, encodes it, gives new tables their ids, and hands the entries to the store.
--
--   scan       every loaded object is compared with the payload it came from, by fingerprint where the codec takes
--              them; those that differ are encoded, to be sure: `changed`
--   count      the new tables that changed objects lead to are counted; the store hands out exactly so many ids
--   encode     changed objects by id, each followed depth first by the new tables it leads to, children of one table
--              getting consecutive ids
--   store      one call; only when it has succeeded is anything remembered as committed
--
-- Promises: all or nothing; what cannot be saved is named by path before the store is asked for anything; after any
-- failure the session is as it was before, and the next commit works. A commit costs work in proportion to what
-- is loaded, whatever the size of the store.
-- Relies on: fs.identity, fs.graph, a codec, the store's allocate and commit.

local detached <const> = require "fs.detached"
local graph <const> = require "fs.graph"
local identity <const> = require "fs.identity"
local layout <const> = require "fs.layout"
local stubs <const> = require "fs.stubs"

local next <const> = next
local sort <const> = table.sort
local type <const> = type

local committing = {}

-- session: { map, codec, store, metatables, root, spare = list of ids to give out, getinfo = debug.getinfo or nil,
-- fingerprinter = { changed(self, loaded, payloads, marks, names) -> list of ids that may have changed } or nil }
local function encode(session, t, miss)
  local metatable = session.metatables.metatable_of(t)
  if metatable == false then
    return nil, nil, false, "metatable"
  elseif metatable ~= nil then
    stubs.note_metatable(metatable)
  end
  return session.codec.encode(t, session.map.names, metatable, miss)
end

-- Is the table as the payload says?
function committing.is_clean(session, t, payload)
  return encode(session, t) == payload
end

-- Takes back the tables that were let go of and are still there.
function committing.take_back(session)
  detached.take_back(session.map, function(t, payload) return committing.is_clean(session, t, payload) end)
end

-- Calls look_at(id, t) for each loaded object that may not be as it was read.
local function each_candidate(session, look_at)
  local map <const> = session.map
  local loaded <const> = map.loaded
  if not session.fingerprinter then
    for id, t in next, loaded do
      look_at(id, t)
    end
    return
  end
  local ids <const> = session.fingerprinter:changed(loaded, map.payloads, map.marks, map.names)
  for i = 1, #ids do
    local id <const> = ids[i]
    local t <const> = loaded[id]
    if t then -- a finalizer that runs while others are encoded may have forgotten it
      look_at(id, t)
    end
  end
end

-- Loaded objects that are not as they were read: -> list of ids ascending, id -> payload where no new table is in it
function committing.scan(session)
  committing.take_back(session)
  local payloads <const> = session.map.payloads
  local changed, encoded = {}, {}
  each_candidate(session, function(id, t)
    local payload = encode(session, t)
    if payload ~= payloads[id] then
      changed[#changed + 1] = id
      encoded[id] = payload
    end
  end)
  sort(changed)
  return changed, encoded
end

-- The tables that are reachable from `t` through new tables only, and are new: added to `found`.
local function find_new(session, t, found)
  local names <const> = session.map.names
  local metatable_of <const> = session.metatables.metatable_of
  local stack, top = { t }, 1
  local count = 0
  local function meet(v)
    if type(v) == "table" and names[v] == nil and not found[v] then
      stubs.touch(v) -- one of another session: its content is copied
      found[v] = true
      count = count + 1
      top = top + 1
      stack[top] = v
    end
  end
  while top > 0 do
    local current = stack[top]
    stack[top] = nil
    top = top - 1
    for key, value in next, current do
      meet(key)
      meet(value)
    end
    meet(metatable_of(current) or nil)
  end
  return count
end

-- -> how many new tables there are
local function count_new(session, changed, encoded)
  local found, count = {}, 0
  for i = 1, #changed do
    local id = changed[i]
    if not encoded[id] then
      count = count + find_new(session, session.map.loaded[id], found)
    end
  end
  return count
end

-- Ids are given out from here: what an earlier, failed commit left over, then fresh ones. -> ids | nil, err
local function take_ids(session, count)
  local spare <const> = session.spare
  local missing <const> = count - #spare
  if missing > 0 then
    local first, err = session.store.allocate(missing)
    if not first then
      return nil, err
    end
    for i = 0, missing - 1 do
      spare[#spare + 1] = first + i
    end
  end
  local ids = table.move(spare, 1, count, 1, {})
  session.spare = table.move(spare, count + 1, #spare, 1, {})
  return ids
end

-- What a value that cannot be saved is called. info: debug.getinfo or nil.
local function describe(value, role, info)
  if role == "metatable" and value == false then
    return "its metatable is hidden by __metatable"
  end
  local kind <const> = type(value)
  if kind == "thread" then
    return "coroutine"
  elseif kind == "function" and info then
    return info(value, "S").what == "C" and "C function" or "Lua function (functions are not saved yet)"
  end
  return kind
end

-- An error for what codec.encode refused in table t.
local function cannot_save(session, t, key, value, role)
  local search = graph.search(session.map, session.root, session.metatables.metatable_of)
  local path
  if role == "metatable" then
    path = value == false and graph.path(search, t) or "getmetatable(" .. graph.path(search, t) .. ")"
  elseif role == "key" then
    path = "a key of " .. graph.path(search, t)
  else
    path = graph.field_path(search, t, key)
  end
  return {
    code = "cannot_save", path = path,
    message = string.format("cannot save %s: %s", path, describe(value, role, session.getinfo)),
  }
end

-- What one commit is made of.
local function new_plan(ids)
  return { ids = ids, used = 0, new = {}, entries = {}, tables = {} }
end

local function add_entry(session, plan, id, t, payload)
  local n = #plan.entries + 1
  plan.entries[n] = {
    id = id, kind = layout.KIND_TABLE, payload = payload, expected = session.map.versions[id] or 0,
  }
  plan.tables[n] = t
end

-- Encodes t and, depth first, the new tables that it leads to. -> true | nil, err
local function encode_tree(session, plan, id, t, payload)
  local map <const> = session.map
  local stack, top = { t }, 1
  local children, count
  local function miss(v)
    if type(v) ~= "table" then
      return nil
    end
    plan.used = plan.used + 1
    local child = plan.ids[plan.used]
    identity.adopt(map, child, v)
    plan.new[plan.used] = v
    count = count + 1
    children[count] = v
    return child
  end
  while top > 0 do
    local current = stack[top]
    stack[top] = nil
    top = top - 1
    children, count = {}, 0
    local key, value, role
    if not payload then
      payload, key, value, role = encode(session, current, miss)
    end
    if not payload then
      return nil, cannot_save(session, current, key, value, role)
    end
    add_entry(session, plan, map.names[current], current, payload)
    payload = nil
    for i = count, 1, -1 do
      top = top + 1
      stack[top] = children[i]
    end
  end
  return true
end

local function take_back(session, plan)
  for i = 1, plan.used do
    identity.disown(session.map, plan.ids[i], plan.new[i])
  end
  table.move(session.spare, 1, #session.spare, #plan.ids + 1, plan.ids)
  session.spare = plan.ids
end

-- -> plan | nil, err. The plan's new tables have ids in the identity map until take_back.
local function make_plan(session, changed, encoded)
  local ids, err = take_ids(session, count_new(session, changed, encoded))
  if not ids then
    return nil, err
  end
  local plan = new_plan(ids)
  for i = 1, #changed do
    local id = changed[i]
    local ok
    ok, err = encode_tree(session, plan, id, session.map.loaded[id], encoded[id])
    if not ok then
      take_back(session, plan)
      return nil, err
    end
  end
  return plan
end

-- The store's refusal of one object, told by path.
local function too_large(session, plan, err)
  for i = 1, #plan.entries do
    if plan.entries[i].id == err.id then
      local search = graph.search(session.map, session.root, session.metatables.metatable_of)
      local path = graph.path(search, plan.tables[i])
      return { code = "cannot_save", path = path, message = string.format("cannot save %s: %s", path, err.message) }
    end
  end
  return err
end

-- Writes everything that changed. -> the store's transaction, or false when nothing changed | nil, err
function committing.commit(session, message)
  local changed, encoded = committing.scan(session)
  if #changed == 0 then
    return false
  end
  local plan, err = make_plan(session, changed, encoded)
  if not plan then
    return nil, err
  end
  local transaction
  transaction, err = session.store.commit { entries = plan.entries, message = message }
  if not transaction then
    err = err.code == "too_large" and too_large(session, plan, err) or err
    take_back(session, plan)
    return nil, err
  end
  local map <const> = session.map
  for i = 1, #plan.entries do
    local entry = plan.entries[i]
    identity.set_loaded(map, entry.id, plan.tables[i], entry.payload, transaction.versions[i])
  end
  detached.sweep(map, session.root, session.metatables.metatable_of)
  return transaction
end

return committing
