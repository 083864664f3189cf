-- Letting go of loaded tables that the root no longer leads to in memory, without ever losing a change.
--
-- Loaded tables are held, because a table can be changed by hand at any time (fs.identity). In a long session that would
-- keep everything that was ever removed from the graph. So, whenever the number of loaded tables has doubled, those
-- that cannot be reached from the root through tables in memory are let go:
--
--   loaded --sweep--> detached: only payload and version are held, the table through weak maps and a guard
--     the program still has it:  the next scan takes it back, like any loaded table
--     collected:                 the guard's finalizer hands it over once more, into `returned`. What the collector took
--                                together is looked at together, for these tables refer to each other: those that are
--                                as they were read are dropped by the next scan or sweep, unless changed ones lead
--                                to them; these are loaded again by the next scan, as if never let go
--
-- A guard is an object with a finalizer that refers to the table, and is itself held only by it (through a table with
-- weak keys), so that Lua finds both unreachable together and gives the table to the finalizer intact. Between the
-- collector's finding and the finalizer's call the table is in limbo: weak values are cleared already, weak keys not yet.
-- The finalizer only queues: it may run in the middle of any traversal. A program's own finalizer must not bring
-- persistent tables back to life: they would be new tables to the session.
-- Relies on: fs.identity, fs.map_handles, fs.reaching, fs.stubs.

local identity <const> = require "fs.identity"
local map_handles <const> = require "fs.map_handles"
local stubs <const> = require "fs.stubs"

local next <const> = next
local setmetatable <const> = setmetatable
local type <const> = type

local detached = {}

-- Below this many loaded tables nothing is looked for. They, as many in limbo and as many that came back must fit into a small
-- process together.
local SWEEP_MIN <const> = 256

local GUARD <const> = {}
function GUARD.__gc(guard)
  local returned <const> = guard.map.returned
  returned[#returned + 1] = guard.table
  guard.map.guards[guard.table] = nil
end

-- Prepares an identity map. reach: fs.reaching's function.
function detached.prepare(map, reach)
  map.reach = reach
  map.detached = {} -- id -> { payload =, version =, list = map.objects or map.others }
  map.returned = {} -- tables that the collector gave back
  map.guards = setmetatable({}, { __mode = "k" })
  map.sweep_at = SWEEP_MIN
  map.take_back = function() detached.attach_all(map) end
end

local function attach(map, id, t)
  local record <const> = map.detached[id]
  map.detached[id] = nil
  record.list[id] = t
  if record.list == map.others and map.is_cell(t) then
    map.remember_cell(t)
  end
  identity.set_loaded(map, id, t, record.payload, record.version, map.held[t])
end

-- Every detached table that is still there, in limbo or not, is loaded again. (One in limbo may refer to the others.)
local function attach_all(map)
  local back = {}
  for t, id in next, map.names do
    if map.detached[id] then
      back[t] = id
    end
  end
  for t, id in next, back do
    attach(map, id, t)
  end
end
detached.attach_all = attach_all

local function count_limbo(map)
  local count = 0
  for id, record in next, map.detached do
    if not record.list[id] then
      count = count + 1
    end
  end
  return count
end

-- Every table, function and cell that these lead to in memory, themselves included. roots: a list, which is used up.
local function reachable(map, roots, metatable_of)
  local names <const>, reach <const> = map.names, map.reach
  local found, plain, odd = {}, {}, roots
  for i = 1, #roots do
    found[roots[i]] = true
  end
  local function meet(v)
    local kind <const> = type(v)
    if (kind == "table" or kind == "function") and not found[v] and type(names[v]) ~= "string" then
      found[v] = true
      odd[#odd + 1] = v
    end
  end
  local each_upvalue <const> = map.each_upvalue
  local function meet_upvalue(_, _, value, cell)
    if cell then
      found[cell] = true
    end
    meet(value)
  end
  while #odd > 0 do
    local t <const> = table.remove(odd)
    if type(t) == "function" then
      each_upvalue(t, meet_upvalue)
    elseif map_handles.state(t) then
      map_handles.each_value(t, meet)
    elseif not stubs.is(t) then
      meet(metatable_of(t) or nil)
      plain[1] = t
      reach(plain, found, names, false, meet)
    end
  end
  return found
end

-- Of what the collector gave back, the tables that are still in limbo, each once.
local function take_returned(map)
  local batch, seen = {}, {}
  local returned <const> = map.returned
  map.returned = {}
  for i = 1, #returned do
    local t = returned[i]
    local id = map.names[t]
    if not seen[t] and map.detached[id] and not map.detached[id].list[id] then
      seen[t] = true
      batch[#batch + 1] = t
    end
  end
  return batch
end

-- Drops those of a batch that are as they were read, unless one that is not leads to them. -> list of the others
local function drop(map, batch, metatable_of, is_clean)
  if #batch ~= count_limbo(map) then
    return batch -- one whose finalizer is yet to run may lead to any of these
  end
  local changed, kept = {}, {}
  for i = 1, #batch do
    if not is_clean(batch[i], map.detached[map.names[batch[i]]].payload) then
      changed[#changed + 1] = batch[i]
    end
  end
  local needed <const> = reachable(map, changed, metatable_of)
  for i = 1, #batch do
    local t <const> = batch[i]
    if needed[t] then
      kept[#kept + 1] = t
    else
      map.detached[map.names[t]] = nil
      map.names[t] = nil
    end
  end
  return kept
end

-- Takes back every detached table that the program still has, and those that were changed and then dropped.
-- is_clean(t, payload): is the table as the payload says?
function detached.take_back(map, metatable_of, is_clean)
  if next(map.detached) ~= nil then
    drop(map, take_returned(map), metatable_of, is_clean)
    attach_all(map)
  end
end

-- Lets go of what `root` does not lead to, if enough was loaded since the last time. What the collector gave back is dropped first,
-- so that a program that only reads is not left with all that it ever read; what may not be dropped, or not yet, waits.
-- is_clean: see take_back; nil while that cannot be told.
function detached.sweep(map, root, metatable_of, is_clean)
  if map.loaded_count < map.sweep_at then
    return
  end
  if is_clean and #map.returned > 0 then
    local kept <const> = drop(map, take_returned(map), metatable_of, is_clean)
    table.move(kept, 1, #kept, #map.returned + 1, map.returned)
  end
  local found <const> = reachable(map, { root }, metatable_of)
  for id, t in next, map.loaded do
    if not found[t] then
      map.detached[id] = {
        payload = map.payloads[id], version = map.versions[id], list = type(t) == "table" and map.objects or map.others,
      }
      -- One that was let go of before has a guard: a second would leave the first to bring the table back for nothing.
      map.guards[t] = map.guards[t] or setmetatable({ table = t, map = map }, GUARD)
      identity.set_unloaded(map, id)
    end
  end
  map.sweep_at = math.max(SWEEP_MIN, 2 * map.loaded_count)
end

return detached
