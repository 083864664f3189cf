-- Commit: finds what changed, encodes it, gives new tables their ids, and hands the entries to the store.
--
--   scan       every loaded object is compared with its base, what it came from, by fingerprint where the codec takes them;
--              those that differ are encoded, to be sure: `changed`
--   count      the new tables, functions and long strings that changed objects lead to are counted; so many ids are reserved
--   plan       changed objects by id, each followed depth first by the new tables it leads to, children of one table
--              getting consecutive ids; what is too large for one entry is cut into pieces (fs.trees, fs.long_strings)
--   store      one call; only when it has succeeded is anything remembered as committed
--
-- Promises: all or nothing; what cannot be saved is named by path before the store is asked to write anything; after any
-- failure the session is as it was before, and the next commit works. A commit costs work in proportion to what
-- is loaded, whatever the size of the store.
-- Relies on: fs.identity, fs.kinds, fs.plans, fs.encoding, the store's allocate and commit.

local detached <const> = require "fs.detached"
local function_planning <const> = require "fs.function_planning"
local kinds <const> = require "fs.kinds"
local layout <const> = require "fs.layout"
local loading <const> = require "fs.loading"
local long_strings <const> = require "fs.long_strings"
local map_handles <const> = require "fs.map_handles"
local maps <const> = require "fs.maps"
local plans <const> = require "fs.plans"
local reading <const> = require "fs.reading"
local refusals <const> = require "fs.refusals"
local stubs <const> = require "fs.stubs"
local trees <const> = require "fs.trees"
local value_encoder <const> = require "fs.value_encoder"

local next <const> = next
local pcall <const> = pcall
local sort <const> = table.sort
local type <const> = type

local committing = {}

local CHUNK_BYTES <const> = layout.CHUNK_BYTES

-- session: { map, codec, store, reading, metatables, loading, functions, encoder, crc32c, root, spare = list of ids to give out,
-- getinfo = debug.getinfo or nil,
-- fingerprinter = { changed(self, loaded, bases, marks, names) -> list of ids that may have changed } or nil }

-- Is the table as its base says?
function committing.is_clean(session, t, base)
  if type(base) == "string" then
    return session.encoder.encode(t) == base
  end
  return kinds.of(base).is_clean(session, t, base)
end
local is_clean <const> = committing.is_clean

-- Takes back the tables that were let go of and are still there.
function committing.take_back(session)
  detached.take_back(session.map, session.metatables.metatable_of, function(t, base) return is_clean(session, t, base) end)
end

-- Lets go of what the root no longer leads to, if enough was loaded for that (fs.detached).
function committing.let_go(session)
  local may_encode <const> = not session.encoder.has_plan()
  detached.sweep(session.map, session.root, session.metatables.metatable_of, may_encode and function(t, base)
    return is_clean(session, t, base)
  end)
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

-- Loaded objects that are not as they were read: -> list of ids ascending, id -> payload where it has nothing new in it
function committing.scan(session)
  local encoder <const> = session.encoder
  committing.take_back(session)
  local bases <const> = session.map.payloads
  local changed, encoded = {}, {}
  each_candidate(session, function(id, t)
    local base <const> = bases[id]
    if type(base) == "string" then
      local payload = encoder.encode(t)
      if payload ~= base then
        changed[#changed + 1] = id
        encoded[id] = not encoder.held() and payload or nil
      end
    elseif not is_clean(session, t, base) then
      changed[#changed + 1] = id
    end
  end)
  sort(changed)
  return changed, encoded
end

-- Counts what is reachable from a loaded table, function or cell through new ones only, and is new: these, chunks, long strings.
-- -> function(t) → how many that were not counted yet
local function counter(session)
  local map <const>, strings <const>, functions <const> = session.map, session.loading.strings, session.functions
  local names <const>, metatable_of <const>, reach <const> = map.names, session.metatables.metatable_of, session.reach
  local found, plain, odd = {}, {}, {} -- the stacks of plain tables and of whatever else is to be looked at
  local count = 0
  local function push(v, stack)
    found[v] = true
    count = count + 1
    stack[#stack + 1] = v
  end
  local function meet(v, container)
    local kind <const> = type(v)
    if kind == "table" and names[v] == nil and not found[v] then
      stubs.touch(v) -- one of another session: its content is copied
      push(v, odd)
    elseif kind == "function" and names[v] == nil and not found[v] and functions.record(v) then
      push(v, odd)
    elseif kind == "string" and #v > CHUNK_BYTES and not found[v] and not long_strings.known(strings, v, map.held[container]) then
      found[v] = true
      count = count + 1
    end
  end
  local function meet_parts(f)
    local chunk <const> = functions.record(f).chunk
    if names[chunk] == nil and not found[chunk] then
      found[chunk] = true
      count = count + 1
      meet(chunk.text, chunk)
    end
    for _, cell in ipairs(functions.cells_of(f)) do
      if names[cell] == nil and not found[cell] then
        push(cell, odd)
      end
    end
  end
  local function look_at(current)
    if type(current) ~= "table" then
      if map.is_cell(current) then
        meet(current(), current)
      else
        meet_parts(current)
      end
    elseif map_handles.state(current) then
      map_handles.each_value(current, function(value) meet(value, current) end)
    else
      meet(metatable_of(current) or nil, current)
      plain[#plain + 1] = current
    end
  end
  return function(t)
    local before <const> = count
    odd[1] = t
    while #odd > 0 do
      look_at(table.remove(odd))
      local more <const> = reach(plain, found, names, true, meet) -- meanwhile `meet` counts, too
      count = count + more
    end
    return count - before
  end
end

-- -> how many new ones there are
local function count_new(session, changed, encoded)
  local count_in <const>, count = counter(session), 0
  for i = 1, #changed do
    local id = changed[i]
    if not encoded[id] then
      count = count + count_in(session.map.loaded[id])
    end
  end
  return count
end

-- Which long string stood in a field of the object, by its base. -> function(key) -> entry | nil
local function replaced_by(session, id, t)
  local base <const>, held <const> = session.map.payloads[id], session.map.held[t]
  if base == nil or not held then
    return function() end
  elseif type(t) ~= "table" then -- a cell, which held one string
    return function() return select(2, next(held)) end
  end
  local content
  return function(key)
    if not content then
      content = {}
      loading.fill(session.loading, content, base)
    end
    return key ~= nil and held[content[key]] or nil
  end
end

-- Adds the trees of the long strings that were met in table t. -> true | nil, err
local function plan_strings(session, plan, id, t)
  local new <const> = plan:take_strings()
  if #new == 0 then
    return true
  end
  return long_strings.plan_all(session.loading.strings, new, plan, replaced_by(session, id, t))
end

-- Adds table t, whose payload as a KIND_TABLE is given, in the form that its size asks for. -> true | nil, err
local function plan_form(session, plan, id, t, payload, held)
  local map <const> = session.map
  if #payload <= CHUNK_BYTES and type(map.payloads[id]) ~= "table" then
    plan:object(layout.KIND_TABLE, payload, payload, held)
    return true
  end
  local metatable = session.metatables.metatable_of(t)
  local name = nil
  if metatable ~= nil then
    name = map.names[metatable]
  end
  local old = map.payloads[id]
  old = type(old) == "table" and old or nil
  if #payload - (name and #value_encoder.name(name) or 0) <= CHUNK_BYTES then
    if old then
      trees.delete(old, plan)
    end
    plan:object(layout.KIND_TABLE, payload, payload, held)
    return true
  end
  local count <const> = plan.entries.count
  local tree, err = trees.cut(session, t, payload, name, old, session.encoder.miss, plan)
  if not tree then
    return nil, err
  elseif not old or plan.entries.count > count or tree.payload ~= old.payload then
    -- The root goes with every piece: its version then tells of every change.
    plan:object(layout.KIND_TREE, tree.payload, tree, held)
  end
  return true
end

-- Adds table t. payload: what was encoded already, without long strings, or nil. -> true | nil, err
local function plan_table(session, plan, id, t, payload)
  local encoder <const> = session.encoder
  plan:begin(id, t)
  local held, key, value, role
  if not payload then
    payload, key, value, role = encoder.encode(t, plan)
    held = encoder.held()
  end
  if not payload then
    return nil, refusals.cannot_save(session, t, key, value, role)
  end
  local ok, err = true, nil
  if held then
    ok, err = plan_strings(session, plan, id, t)
  end
  if not ok then
    return nil, err
  end
  return plan_form(session, plan, id, t, payload, held)
end

-- Adds t, a table, function or cell, and, depth first, what it leads to and is new. -> true | nil, err
local function plan_tree(session, plan, t, payload)
  local map <const> = session.map
  local names <const> = map.names
  local stack, top = { t }, 1
  while top > 0 do
    local current = stack[top]
    stack[top] = nil
    top = top - 1
    local id <const> = names[current]
    local ok, err
    if map_handles.state(current) then
      ok, err = maps.plan(session, plan, id, current)
    elseif type(current) == "table" and map.others[id] ~= current then
      ok, err = plan_table(session, plan, id, current, payload)
    else
      ok, err = function_planning.add(session, plan, id, current)
      if ok then
        ok, err = plan_strings(session, plan, id, current)
      end
    end
    if not ok then
      return nil, err
    end
    payload = nil
    top = plan:move_children(stack, top)
  end
  return true
end

-- Fills the plan, whose new tables have ids in the identity map until it is undone. -> true | nil, err
local function fill_plan(session, plan, changed, encoded)
  local ok, err = plan:reserve(count_new(session, changed, encoded))
  for i = 1, ok and #changed or 0 do
    local id = changed[i]
    ok, err = plan_tree(session, plan, session.map.loaded[id], encoded[id])
    if not ok then
      break
    end
  end
  session.encoder.finish()
  return ok, err
end

-- Calls a function of the plan's making. What is raised there, memory that ran out most likely, undoes the plan.
local function guarded(session, plan, f, ...)
  local returned <const>, result, err = pcall(f, ...)
  if not returned then
    session.encoder.finish()
    plan:undo()
    error(result, 0)
  end
  return result, err
end

-- Tells a refusal of the store in terms of objects.
local function of_objects(session, plan, err)
  if err.code == "too_large" and plan:table_of(err.id) then
    return refusals.too_large(session, plan:table_of(err.id), err)
  elseif err.code == "conflict" and err.ids then
    err.ids = plan:objects_of(err.ids)
  end
  return err
end

-- Writes everything that changed; the session then stands at that transaction, but for what others wrote before it (see
-- fs.refreshing). -> the store's transaction, or false when nothing changed | nil, err
function committing.commit(session, message)
  local changed, encoded = committing.scan(session)
  if #changed == 0 then
    return false
  end
  local plan <const> = plans.new(session)
  local ok, err = guarded(session, plan, fill_plan, session, plan, changed, encoded)
  if not ok then
    plan:undo()
    return nil, err
  elseif plan.entries.count == 0 then
    plan:undo()
    return false
  end
  local transaction
  transaction, err = guarded(session, plan, session.store.commit, plan:request(message, session.reading.sequence))
  if not transaction then
    err = of_objects(session, plan, err)
    plan:undo()
    return nil, err
  end
  plan:done(transaction)
  loading.drop_written(session.loading, plan.entries.ids)
  reading.committed(session.reading, transaction)
  committing.let_go(session)
  return transaction
end

return committing
