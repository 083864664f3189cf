-- Objects: the store as a Lua programmer sees it. Lives in the programmer's own process.
--
--   local session = objects.open { store = …, environment = _G }
--   session.root.ship = { name = "Argo" }      tables reachable from root are persistent
--   session.commit("first ship")               writes what changed
--
-- open's options: store = { allocate, read, commit, log, info } (fs.store, or the same over IPC); environment = the globals of
-- the process (their standard functions are wrapped, and known by name when saved); permanents = { name = value };
-- debug = { getmetatable, setmetatable, getinfo, getupvalue, setupvalue, upvalueid, upvaluejoin; number_of, function_at, dump as in
-- fs.prototypes } where the process may not have the debug library itself; source_of = function(name, id) → what functions of the stored chunk of that
-- name, object id, say that they come from (nil: the name);
-- codec = { encode, decode, … } as fs.codec has them, and perhaps fingerprinter() -> see fs.committing;
-- crc32c = function(string) → its CRC-32C (plain Lua where there is none).
--
-- A session has root (a table) and functions without self: commit(message), save(name, value), fetch(name), abort(), refresh(),
-- changes(), forget(t), map() (a new ordered map, fs.maps), log(limit), info(), path(t), register(name, value);
-- at(transaction or snapshot) → the root of then (fs.times); undo(transaction) → a transaction (fs.undoing); snapshot(name),
-- snapshots(), delete_snapshot(name), keep(count or nil), gc() as the store's.
-- Promises: one table is one object, always the same one; nothing is written unless all of it can be; every failure
-- raises a message that names the object by path; the session stays usable after it.
-- Relies on: the modules below; it only puts them together.

local changes <const> = require "fs.changes"
local codec <const> = require "fs.codec"
local committing <const> = require "fs.committing"
local detached <const> = require "fs.detached"
local encoding <const> = require "fs.encoding"
local functions <const> = require "fs.functions"
local graph <const> = require "fs.graph"
local identity <const> = require "fs.identity"
local layout <const> = require "fs.layout"
local loading <const> = require "fs.loading"
local maps <const> = require "fs.maps"
local permanents <const> = require "fs.permanents"
local raw_tables <const> = require "fs.raw_tables"
local reaching <const> = require "fs.reaching"
local reading <const> = require "fs.reading"
local refreshing <const> = require "fs.refreshing"
local stubs <const> = require "fs.stubs"
local times <const> = require "fs.times"
local undoing <const> = require "fs.undoing"
local wrappers <const> = require "fs.wrappers"

local objects = {}

local function new_search(session)
  return graph.search(session.map, session.root, session.metatables.metatable_of)
end

-- What object id, which is v, is called in messages.
local function place_of(session, v, id)
  local path = graph.path(new_search(session), v)
  return path:sub(1, 1) == "(" and string.format("object %d", id) or string.format("%s (object %d)", path, id)
end

-- The stubs' load function of a session.
local function loader(session)
  return function(t)
    local ok, err, id, culprit = loading.load(session.loading, t)
    if ok then
      committing.let_go(session)
      return true
    end
    return nil, string.format("cannot load %s: %s", place_of(session, culprit, id), err.message)
  end
end

-- What a function says when it is called that stands in for one that could not be loaded.
local function explainer(session)
  return function(f, id, err)
    return string.format("cannot call %s: %s", place_of(session, f, id), err.message)
  end
end

local function open_functions(session, options)
  session.functions = functions.new(options.debug or functions.standard_access(), session.crc32c)
  local map <const> = session.map
  map.each_upvalue, map.is_cell = session.functions.each_upvalue, session.functions.is_cell
  map.remember_cell = session.functions.remember_cell
end

local function new_session(options)
  local session = {
    reading = reading.new(options.store, options.state), codec = options.codec or codec, spare = {},
    crc32c = options.crc32c or require "fs.crc32c",
  }
  session.store = session.reading.store
  local debugging = options.debug or debug
  session.getinfo = debugging and debugging.getinfo
  session.metatables = raw_tables.access(debugging and debugging.setmetatable and debugging)
  session.fingerprinter = session.codec.fingerprinter and session.codec.fingerprinter()
  session.reach = reaching.of(session.codec)
  session.map = identity.new(loader(session), session.fingerprinter ~= nil)
  detached.prepare(session.map, session.reach)
  open_functions(session, options)
  session.loading = loading.new(session.store, session.codec, session.map, session.metatables, session.functions,
    options.source_of or function(name) return name end, explainer(session))
  session.loading.session = session
  session.encoder = encoding.new(session)
  session.root = identity.table_of(session.map, layout.ROOT_ID)
  return session
end

local function plural(count, what)
  return string.format("%d %s%s", count, what, count == 1 and "" or "s")
end

local TRANSACTION <const> = { __name = "transaction" }

function TRANSACTION.__tostring(t)
  if t.objects == 0 then
    return t.id .. ": nothing changed"
  end
  return string.format("%s: %s, %s", t.id, plural(t.objects, "object"), plural(t.bytes, "byte"))
end

-- Raises what a part returned as nil, err.
local function checked(result, err)
  if result == nil then
    error(err.message or tostring(err), 0)
  end
  return result
end

-- The transaction that the store stands at, for a commit that had nothing to write.
local function last_transaction(session)
  local log = checked(session.store.log(1))
  local last = log[#log]
  local number = last and last.transaction or 0
  return { id = "t" .. number, transaction = number, objects = 0, bytes = 0, time = last and last.time }
end

local function commit(session, message)
  local written = checked(refreshing.commit(session, message))
  local transaction
  if written then
    transaction = {
      id = "t" .. written.transaction, transaction = written.transaction, objects = written.objects,
      bytes = written.bytes, time = written.time, message = message,
    }
  else
    transaction = last_transaction(session)
  end
  return setmetatable(transaction, TRANSACTION)
end

local function forget(session, t)
  local id = type(t) == "table" and identity.id_of(session.map, t)
  if id and session.map.detached[id] then
    committing.take_back(session)
  end
  if not id then
    error("forget: not an object of this session", 3)
  elseif stubs.is(t) then
    return
  elseif stubs.is_metatable(t) then
    error("forget: the table is in use as a metatable", 3)
  elseif not committing.is_clean(session, t, session.map.payloads[id]) then
    error(string.format("forget: %s has changes; commit or abort them first", graph.path(new_search(session), t)), 3)
  end
  loading.forget(session.loading, t, id)
end

local function log(session, limit)
  local list = checked(session.store.log(limit))
  for _, transaction in ipairs(list) do
    transaction.id = transaction.id or "t" .. transaction.transaction
  end
  return list
end

-- Opens a session that reads one state of the past, with the names that the session has now. → session | nil, message
local function open_past(session, options, state)
  local past_options = { state = state }
  for name, value in next, options do
    past_options[name] = value
  end
  local past = new_session(past_options)
  permanents.each(session.map.permanents, function(name, value) permanents.register(past.map.permanents, name, value) end)
  local ok, err = reading.open(past.reading)
  if not ok then
    return nil, err.message
  end
  return past
end

-- The root of another time.
local function at(session, what)
  local past, message = times.open(session.times, what)
  return past and past.root or error("at: " .. message, 2)
end

local function undo(session, options, what)
  local number, message = times.number(what)
  if not number then
    error("undo: " .. message, 2)
  elseif #committing.scan(session) > 0 then
    error("undo: there are changes that are not committed; commit or abort them first", 2)
  end
  checked(refreshing.refresh(session))
  checked(undoing.undo(session, number, function(state)
    local past, problem = open_past(session, options, state)
    return past or error({ code = "not_kept", message = problem }, 0)
  end))
  local ok, transaction = pcall(commit, session, "undo t" .. number)
  if not ok then
    refreshing.abort(session) -- what it says is worth less than why the commit failed
    error(transaction, 0)
  end
  return transaction
end

-- A session over a store.
function objects.open(options)
  local session = new_session(options)
  if options.environment then
    wrappers.install(options.environment)
    permanents.register_environment(session.map.permanents, options.environment)
  end
  for name, value in next, options.permanents or {} do
    permanents.register(session.map.permanents, name, value)
  end
  session.times = times.new(function(state) return open_past(session, options, state) end)
  return {
    at = function(what) return at(session, what) end,
    undo = function(what) return undo(session, options, what) end,
    snapshot = function(name) return checked(session.store.snapshot(name)) end,
    snapshots = function() return checked(session.store.snapshots()) end,
    delete_snapshot = function(name) return checked(session.store.delete_snapshot(name)) end,
    keep = function(count) return checked(session.store.keep(count)) end,
    gc = function() return checked(session.store.gc("run")) end,
    root = session.root,
    commit = function(message) return commit(session, message) end,
    save = function(name, value)
      session.root[name] = value
      return commit(session)
    end,
    map = function() return maps.new(session) end,
    fetch = function(name) return session.root[name] end,
    abort = function() checked(refreshing.abort(session)) end,
    refresh = function() return checked(refreshing.refresh(session)) end,
    changes = function()
      local list <const> = changes.list(session)
      committing.let_go(session) -- looking for changes has taken back what was let go
      return list
    end,
    forget = function(t) forget(session, t) end,
    log = function(limit) return log(session, limit) end,
    info = function() return checked(session.store.info()) end,
    path = function(t) return graph.path(new_search(session), t) end,
    register = function(name, value) return permanents.register(session.map.permanents, name, value) end,
  }
end

-- Wraps the functions of an environment that go past metamethods; open does it for the one it is given.
objects.wrap = wrappers.install

return objects
