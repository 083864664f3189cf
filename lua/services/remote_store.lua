-- The store as a client process sees it: the functions of fs.store that fs.objects needs, over IPC.
--
--     require("services.remote_store").new(system, endpoint) → {allocate, read, missing, commit, log, info, view, close_view,
--                                                               written, snapshot, snapshots, delete_snapshot, keep, gc}
-- When the disk service ends and is started again, what only asks, or may well be done twice, is asked again, for TRIES
-- times; a commit that got no answer is an error, code "gone": it may be on disk or not, and only a look at the store can
-- tell. So it is with snapshots. Views end with the service: they are "view_too_old" then. Ids that the service had given out
-- in its earlier life are reserved again, so that a commit can be repeated; that there was such a life, nobody may have been
-- told: then the refusal of one of our ids says so.

local remote_store <const> = {}

local TRIES <const> = 20
local PAUSE_SECONDS <const> = 0.1

local LOST_COMMIT <const> = "the disk service ended during the commit: it may be on disk or not (log() shows);"
  .. " commit() again, or refresh()"

local LOST_SNAPSHOT <const> = "the disk service ended meanwhile: the list of snapshots shows whether it was done"

local function unanswered(reason)
  if reason ~= "dead" then return {code = "gone", message = "the disk service does not answer: " .. reason} end
  return {code = "gone", message = "the disk service has ended and does not come back"}
end

function remote_store.new(system, endpoint)
  local store <const> = {}
  local highest, forgotten = 0, false     -- the last id we were given; does the service know of it?

  -- result, err | nil, reason as a text when there was no answer
  local function ask(operation, ...)
    local result <const>, err <const> = system.call(endpoint, operation, ...)
    if result == nil and err == "dead" then forgotten = true end
    return result, err
  end

  local function ask_again(operation, ...)
    for _ = 1, TRIES do
      local result <const>, err <const> = ask(operation, ...)
      if result ~= nil or err ~= "dead" then
        if result == nil and type(err) == "string" then return nil, unanswered(err) end
        return result, err
      end
      system.sleep(PAUSE_SECONDS)
    end
    return nil, unanswered("dead")
  end

  -- A store that was mounted again counts from what is on disk.
  local function reserve_again()
    if not forgotten or highest == 0 then return true end
    local first <const>, err <const> = ask_again("allocate", 1)
    if not first then return nil, err end
    if first < highest then
      local rest <const>, problem <const> = ask_again("allocate", highest - first)
      if not rest then return nil, problem end
    end
    forgotten = false
    return true
  end

  function store.allocate(count)
    local known <const>, problem <const> = reserve_again()
    if not known then return nil, problem end
    local first <const>, err <const> = ask_again("allocate", count)
    if first then highest = math.max(highest, first + count - 1) end
    return first, err
  end

  local function commit_with_ids(request)
    local known <const>, problem <const> = reserve_again()
    if not known then return nil, problem end
    local result <const>, err <const> = ask("commit", request)
    if type(err) == "table" and err.code == "invalid" and err.unallocated and err.id <= highest then
      forgotten = true
      return nil, err, true
    end
    return result, err
  end

  function store.commit(request)
    local result, err, again = commit_with_ids(request)
    if again then result, err = commit_with_ids(request) end
    if result == nil and type(err) == "string" then
      if err == "dead" then return nil, {code = "gone", message = LOST_COMMIT} end
      return nil, unanswered(err)
    end
    return result, err
  end

  for _, operation in ipairs{
    "read", "missing", "log", "info", "view", "close_view", "written", "snapshots", "keep", "gc",
  } do
    store[operation] = function(...) return ask_again(operation, ...) end
  end

  for _, operation in ipairs{"snapshot", "delete_snapshot"} do
    store[operation] = function(...)
      local result <const>, err <const> = ask(operation, ...)
      if result == nil and type(err) == "string" then
        if err == "dead" then return nil, {code = "gone", message = LOST_SNAPSHOT} end
        return nil, unanswered(err)
      end
      return result, err
    end
  end
  return store
end

return remote_store
