-- Moving on to what the store holds now: abort drops the changes made here, refresh keeps them, commit merges.
--
-- Contents are replaced in place: every table stays the table that it is, whoever holds it. Only fields that differ are touched, so
-- that a `pairs` which is under way goes on, unless others have added fields to that very table.
-- What others removed from the store while it is held here becomes new again (fs.revival).
-- Promises: after each of them everything that is loaded belongs to one state (fs.reading), changes made here on top of it; one that
-- fails leaves the session in the state it was in.
-- Relies on: fs.committing, fs.kinds, fs.loading, fs.merging, fs.reading, fs.revival.

local committing <const> = require "fs.committing"
local graph <const> = require "fs.graph"
local identity <const> = require "fs.identity"
local kinds <const> = require "fs.kinds"
local layout <const> = require "fs.layout"
local loading <const> = require "fs.loading"
local merging <const> = require "fs.merging"
local reading <const> = require "fs.reading"
local revival <const> = require "fs.revival"

local next <const> = next
local pcall <const> = pcall

local refreshing = {}

-- Ids that one read asks for.
local BATCH <const> = 32
-- How often a commit merges what others wrote meanwhile before it gives up.
local TRIES <const> = 16

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
  if not kinds.is_of(session, map.loaded[id], base) then
    return nil, { code = "malformed", message = string.format("object %d is of another kind than it was", id) }
  end
  return (kinds.of(base).merge or merging.prepare)(session, search, base, now)
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

-- Merges what these loaded objects are in the store now into what they are here, then gives up the ids of those that are gone: not
-- before, for what was read must be compared with what is here while both know an object by the same table.
-- on_conflicts(paths) -> true to go on | nil, err. progress.phase: how far it came, also when something is raised: nil, nothing was
-- changed; "partly"; "merged", what is gone may have kept its ids.
-- -> list of conflicting paths | nil, err
local function merge_in(session, ids, on_conflicts, progress)
  local there, missing = part(session, ids)
  if not there then
    return nil, missing
  end
  local merges, conflicts = prepare(session, there)
  if not merges then
    return nil, conflicts
  end
  local ok, err = on_conflicts(conflicts)
  if not ok then
    return nil, err
  end
  progress.phase = "partly"
  ok, err = apply(session, merges)
  if not ok then
    return nil, err
  end
  progress.phase = "merged"
  ok, err = revival.revive(session, missing)
  if not ok then
    return nil, err
  end
  return conflicts
end

-- Nothing more is read until a move succeeds, for what is loaded would not belong together with it.
local function stop(session, since, err)
  reading.stop(session.reading, since, {
    code = err.code, cause = err,
    message = string.format("what others committed cannot be taken over: %s; refresh() tries again", err.message),
  })
end

-- What was raised, memory that ran out most likely, as an error.
local function raised(problem)
  return { code = "raised", message = tostring(problem) }
end

local function go_on()
  return true
end

-- Those loaded objects that are among `changed`, or all where that is not known; and those of `more`. -> ids, ascending
local function concerned(session, changed, more)
  if not changed then
    return loaded_ids(session)
  end
  local loaded <const> = session.map.loaded
  local seen, ids = {}, {}
  for _, list in ipairs { changed, more or {} } do
    for _, id in ipairs(list) do
      if loaded[id] and not seen[id] then
        seen[id] = true
        ids[#ids + 1] = id
      end
    end
  end
  table.sort(ids)
  return ids
end

-- Moves the session to the present: all loaded objects that others have changed since, with what was changed here on top.
-- more: ids that are to be looked at in any case. -> list of conflicting paths | nil, err; then the session is where it was
local function move(session, on_conflicts, more)
  committing.take_back(session)
  local mark, changed = reading.move(session.reading)
  if not mark then
    return nil, changed
  end
  loading.begin_move(session.loading)
  local progress = {}
  local returned <const>, conflicts, err = pcall(merge_in, session, concerned(session, changed, more), on_conflicts, progress)
  if progress.phase then
    loading.keep_move(session.loading)
    if progress.phase == "partly" then
      stop(session, mark.sequence, returned and err or raised(conflicts))
    end
    reading.keep(session.reading, mark)
  else
    loading.take_back_move(session.loading)
    reading.back(session.reading, mark)
  end
  if not returned then
    error(conflicts, 0)
  end
  return conflicts, err
end

-- What a commit that was refused can do about it. -> true: try again | nil, err
local function settle(session, err)
  -- What others removed may have been in any object: all must be as the store has them, before ids are given up.
  local ids = err.code == "conflict" and err.ids or loaded_ids(session)
  local done, problem = move(session, function(conflicts)
    if #conflicts == 0 then
      return true
    end
    table.sort(conflicts)
    return nil, {
      code = "conflict", ids = err.ids, paths = conflicts,
      message = string.format("conflict: %s changed both here and in the store; refresh() takes the rest over and keeps"
        .. " yours, abort() drops yours", table.concat(conflicts, ", ")),
    }
  end, ids)
  if done and err.code == "missing_reference" then
    return revival.revive(session, err.ids)
  end
  return done and true, problem
end

local function can_settle(err)
  return (err.code == "conflict" or err.code == "missing_reference") and err.ids and #err.ids > 0
end

-- Takes over what others had committed before a commit of this session that succeeded, so that everything here belongs to one state.
local function follow(session, since, transaction)
  if transaction.others and #transaction.others == 0 then
    return
  end
  loading.drop_read_ahead(session.loading)
  committing.take_back(session)
  local progress = {}
  local returned <const>, done, err = pcall(merge_in, session, concerned(session, transaction.others), go_on, progress)
  -- What is gone and could not become new is told by the commit that needs it.
  if progress.phase ~= "merged" then
    stop(session, since, returned and err or raised(done))
  end
end

-- Brings every loaded object up to what the store holds, changes made here on top of it.
-- -> list of paths that were changed on both sides (they keep what they have here; a commit then overwrites) | nil, err
function refreshing.refresh(session)
  return move(session, go_on)
end

-- Drops all changes: every loaded table has again the content that was read or committed last. -> true | nil, err
local function restore(session)
  local map <const> = session.map
  local changed <const> = committing.scan(session)
  for i = 1, #changed do
    local id = changed[i]
    local ok, err = loading.restore(session.loading, map.loaded[id], map.payloads[id])
    if not ok then
      return nil, err
    end
  end
  return true
end

-- Drops all changes, and takes over what the store holds. -> true | nil, err
function refreshing.abort(session)
  local ok, err = restore(session)
  if not ok then
    return nil, err
  end
  local done
  done, err = refreshing.refresh(session)
  if not done then
    return nil, { code = err.code, message = "your changes are dropped, but what others committed cannot be read: " .. err.message }
  end
  return true
end

-- Commits; what others have changed since is merged in, unless both sides changed the same, and what they removed is stored anew.
-- -> the store's transaction, or false when nothing changed | nil, err
function refreshing.commit(session, message)
  if session.reading.stopped then
    return nil, session.reading.stopped
  end
  for _ = 1, TRIES do
    local since <const> = session.reading.sequence
    local transaction, err = committing.commit(session, message)
    if transaction then
      follow(session, since, transaction)
    end
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
