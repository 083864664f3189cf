-- Other times than now: what transactions and states are called, and the past as sessions of their own.
--
--   times.number(what)           "t4", 4, or a transaction that commit or log gave → its number | nil, message
--   times.open(past, what)       the session that reads what that transaction left, or a snapshot; the same one while it is in use
--
-- What is open stays readable as long as the store has what it needs, also when it is not kept for others any more.
-- A session of the past belongs to nobody else: what is changed in its tables goes nowhere. Its tables may be put under the present's
-- root: then their content is copied (fs.committing).
-- Relies on: fs.cache; how a session is opened is handed in.

local cache <const> = require "fs.cache"

local times = {}

-- Sessions of the past that stay in memory without anybody holding them.
local KEPT <const> = 4

-- open(state) → a session that reads that state, what the store's `view` takes, for ever | nil, message
function times.new(open)
  return { open = open, kept = cache.new(KEPT), known = setmetatable({}, { __mode = "v" }) }
end

function times.number(what)
  if type(what) == "table" then
    what = rawget(what, "transaction") or rawget(what, "id")
  end
  local number = what
  if type(what) == "string" then
    number = math.tointeger(tonumber((what:match("^t(%d+)$"))))
  end
  if math.type(number) ~= "integer" then
    return nil, string.format('a transaction is meant, like "t4", not %s', type(what) == "string" and string.format("%q", what)
      or what == nil and "nil" or "a " .. type(what))
  end
  return number
end

-- A transaction, or the name of a snapshot. → what the store's `view` takes | nil, message
local function state_of(what)
  local number, err = times.number(what)
  if number then
    return number, "t" .. number
  elseif type(what) == "string" and what ~= "" then
    return what, "snapshot " .. what
  end
  return nil, err
end

-- → session | nil, message
function times.open(past, what)
  local state, name = state_of(what)
  if not state then
    return nil, name
  end
  local session = past.kept.get(name) or past.known[name]
  if not session or not session.store.read {} then -- what it needs may have had to make room
    local err
    session, err = past.open(state)
    if not session then
      return nil, err
    end
    past.known[name] = session
  end
  past.kept.put(name, session)
  return session
end

return times
