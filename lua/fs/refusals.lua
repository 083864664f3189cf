-- What is said of values that cannot be saved: by path.
-- Relies on: fs.functions, fs.graph.

local graph <const> = require "fs.graph"

local refusals = {}

local function describe_function(session, f)
  local info <const> = session.getinfo
  if info and info(f, "S").what == "C" then
    return "C function"
  end
  local _, reason = session.functions.record(f)
  return reason
end

local function describe(session, value, role)
  if role == "weak" then
    return "a weak table: what it holds can vanish at any moment"
  elseif role == "metatable" and value == false then
    return "its metatable is hidden by __metatable"
  end
  local kind <const> = type(value)
  if kind == "thread" then
    return "coroutine"
  elseif kind == "function" then
    return describe_function(session, value)
  end
  return kind
end

local function new_search(session)
  return graph.search(session.map, session.root, session.metatables.metatable_of)
end

-- An error for what codec.encode refused in table t; role "upvalue": for the value of cell t.
function refusals.cannot_save(session, t, key, value, role)
  local search = new_search(session)
  local path
  if role == "weak" then
    path = graph.path(search, t)
  elseif role == "metatable" then
    path = value == false and graph.path(search, t) or "getmetatable(" .. graph.path(search, t) .. ")"
  elseif role == "upvalue" then
    path = graph.path(search, t)
  elseif role == "key" then
    path = "a key of " .. graph.path(search, t)
  else
    path = graph.field_path(search, t, key)
  end
  return {
    code = "cannot_save", path = path,
    message = string.format("cannot save %s: %s", path, describe(session, value, role)),
  }
end

-- Map t cannot be saved.
function refusals.of_map(session, t, why)
  local path = graph.path(new_search(session), t)
  return { code = "cannot_save", path = path, message = string.format("cannot save %s: %s", path, why) }
end

-- The store's refusal of an entry that belongs to table t.
function refusals.too_large(session, t, err)
  local path = graph.path(new_search(session), t)
  return { code = "cannot_save", path = path, message = string.format("cannot save %s: %s", path, err.message) }
end

return refusals
