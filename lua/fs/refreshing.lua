-- Taking over what the store holds now: abort drops the changes made here, refresh keeps them, commit merges.
--
-- Contents are replaced in place: every table stays the table that it is, whoever holds it. Clearing a table ends a
-- `pairs` that is under way in it.
-- What others removed from the store while it is held here becomes new again (fs.revival).
-- Relies on: fs.committing, fs.kinds, fs.loading, fs.merging, fs.revival.

local committing <const> = require "fs.committing"
local graph <const> = require "fs.graph"
local identity <const> = require "fs.identity"
local kinds <const> = require "fs.kinds"
local layout <const> = require "fs.layout"
local loading <const> = require "fs.loading"
local map_handles <const> = require "fs.map_handles"
local merging <const> = require "fs.merging"
local revival <const> = require "fs.revival"

local next <const> = next

local refreshing = {}

-- Ids that one read asks for.
local BATCH <const> = 32
-- How often a commit merges what others wrote meanwhile before it gives up.
local TRIES <const> = 16

-- Drops all changes: every loaded table has again the content that was read or committed last. -> true | nil, err
function refreshing.abort(session)
  local map <const> = session.map
  local changed <const> = committing.scan(session)
  for i = 1, #changed do
    local id = changed[i]
    local ok, err = loading.restore(session.loading, map.loaded[id], map.payloads[id])
    if not ok then
      return nil, err
    end
  end
  loading.drop_read_ahead(session.loading)
  return true
end

-- Prepares the merge of one record. -> merge | false: the object is as it was | nil, err
local function prepare_one(session, search, record)
  local map <const> = session.map
  local id <const>, before <const> = record.id, map.payloads[record.id]
  if record.kind ~= layout.KIND_TABLE and record.version == map.versions[id] then
    return false -- whoever changes a part of it writes it, too
  end
  local base, now = kinds.read(session.loading, record)
  if not base then
    return nil, now
  elseif kinds.equal(base, before) then
    -- The store tells of neighbours' changes now and then.
    identity.set_loaded(map, id, map.loaded[id], base, now.version, map.held[map.loaded[id]])
    return false
  end
  local handler <const>, t <const> = kinds.of(base), map.loaded[id]
  if handler.is_of and not handler.is_of(session, t) or not handler.is_of and map_handles.state(t) then
    return nil, { code = "malformed", message = string.format("object %d is of another kind than it was", id) }
  end
  return (handler.merge or merging.prepare)(session, search, base, now)
end

-- Reads these objects and prepares their merges. -> list of merges, list of conflicting paths | nil, err
local function prepare(session, ids)
  local map <const> = session.map
  local search = graph.search(map, session.root, session.metatables.metatable_of)
  local merges, conflicts = {}, {}
  for first = 1, #ids, BATCH do
    local records, err = session.store.read(table.move(ids, first, math.min(first + BATCH - 1, #ids), 1, {}))
    if not records then
      return nil, err
    end
    for _, record in ipairs(records) do
      local merge, problem = prepare_one(session, search, record)
      if merge == nil then
        return nil, problem
      elseif merge then
        merges[#merges + 1] = merge
        table.move(merge.conflicts, 1, #merge.conflicts, #conflicts + 1, conflicts)
      end
    end
  end
  return merges, conflicts
end

local function apply(session, merges)
  for _, merge in ipairs(merges) do
    local ok, err = (merge.apply or merging.apply)(session, merge)
    if not ok then
      return nil, err
    end
  end
  return true
end

local function loaded_ids(session)
  local ids = {}
  for id in next, session.map.loaded do
    ids[#ids + 1] = id
  end
  table.sort(ids)
  return ids
end

-- Those of the ids that are in the store, those that are not | nil, err
local function part(session, ids)
  local missing, err = revival.missing(session, ids)
  if not missing then
    return nil, err
  end
  local gone, there = {}, {}
  for _, id in ipairs(missing) do
    gone[id] = true
  end
  for _, id in ipairs(ids) do
    if not gone[id] then
      there[#there + 1] = id
    end
  end
  return there, missing
end

-- Takes over what others wrote, then gives up the ids of what they removed: not before, for what was read must be compared with what
-- is here while both know an object by the same table. on_conflicts(paths) -> true to go on | nil, err
-- -> list of conflicting paths | nil, err
local function take_over(session, ids, on_conflicts)
  local there, missing = part(session, ids)
  if not there then
    return nil, missing
  end
  local merges, conflicts = prepare(session, there)
  if not merges then
    return nil, conflicts
  end
  local ok, err = on_conflicts(conflicts)
  if ok then
    ok, err = apply(session, merges)
  end
  if ok then
    ok, err = revival.revive(session, missing)
  end
  if not ok then
    return nil, err
  end
  return conflicts
end

-- Which objects a refused commit must take over first. -> list | nil, err
local function to_take_over(session, err)
  if err.code == "conflict" then
    local missing, problem = revival.missing(session, err.ids)
    if not missing then
      return nil, problem
    elseif #missing == 0 then
      return err.ids
    end
  end
  -- What others removed may have been in any object: all must be as the store has them, before ids are given up.
  return loaded_ids(session)
end

-- What a commit that was refused can do about it. -> true: try again | nil, err
local function settle(session, err)
  local ids, unknown = to_take_over(session, err)
  if not ids then
    return nil, unknown
  end
  local done, problem = take_over(session, ids, function(conflicts)
    if #conflicts == 0 then
      return true
    end
    table.sort(conflicts)
    return nil, {
      code = "conflict", ids = err.ids, paths = conflicts,
      message = string.format("conflict: %s changed both here and in the store; refresh() takes the rest over and keeps"
        .. " yours, abort() drops yours", table.concat(conflicts, ", ")),
    }
  end)
  if done and err.code == "missing_reference" then
    return revival.revive(session, err.ids)
  end
  return done and true, problem
end

local function can_settle(err)
  return (err.code == "conflict" or err.code == "missing_reference") and err.ids and #err.ids > 0
end

-- Brings every loaded object up to what the store holds, changes made here on top of it.
-- -> list of paths that were changed on both sides (they keep what they have here; a commit then overwrites) | nil, err
function refreshing.refresh(session)
  loading.drop_read_ahead(session.loading)
  committing.take_back(session)
  return take_over(session, loaded_ids(session), function() return true end)
end

-- Commits; what others have changed since is merged in, unless both sides changed the same, and what they removed is stored anew.
-- -> the store's transaction, or false when nothing changed | nil, err
function refreshing.commit(session, message)
  for _ = 1, TRIES do
    local transaction, err = committing.commit(session, message)
    if transaction ~= nil or not can_settle(err) then
      return transaction, err
    end
    local ok, problem = settle(session, err)
    if not ok then
      return nil, problem
    end
  end
  return nil, { code = "conflict", message = "conflict: others commit faster than this process can merge; try again" }
end

return refreshing
