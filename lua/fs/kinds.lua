-- The kinds of objects, and what a session does with each: what differs between them stands behind one set of functions.
--
-- An object's base is what its table was filled from: of a KIND_TABLE the payload itself, a string; of any other kind a
-- table with a field `kind`. A handler has
--
--   read(loading, record) → base, record | nil, nil, record | nil, err
--       completes what the store gave; the record as it is now, or one of another kind that is to be read instead
--   fill(loading, t, base) → true, metatable or nil | nil, err
--       fills the empty table t. Long strings that are not known yet may come out as any string: it is then called again.
--   is_clean(session, t, base) → is the table as the base says? equal(a, b) → are two bases the same? (Those of a KIND_TABLE are
--       payloads: fs.committing encodes the table.)
--
-- A handler whose objects are no plain tables has, instead of fill or beside it,
--
--   restore(loading, v, base) → true | nil, err           v is as the base says again
--   merge(session, search, base, record) → as fs.merging.prepare, with a field `apply`, a function | nil, err
--   each_change(session, search, v, base, found)          calls found(kind, path, old, new)
--   is_of(session, v)                                     is v something of this kind?
--
-- Relies on: the modules of the kinds.

local layout <const> = require "fs.layout"
local function_kinds <const> = require "fs.function_kinds"
local map_handles <const> = require "fs.map_handles"
local maps <const> = require "fs.maps"
local trees <const> = require "fs.trees"

local kinds = {}

local function read_payload(_, record)
  return record.payload, record
end

local function fill_from_payload(loading, t, payload)
  return loading.codec.decode(payload, t, loading.map.links)
end

kinds.handlers = {
  [layout.KIND_TABLE] = { read = read_payload, fill = fill_from_payload },
  [layout.KIND_TREE] = { read = trees.read, fill = trees.fill, is_clean = trees.is_clean, equal = trees.equal },
  [layout.KIND_FUNCTION] = function_kinds.functions,
  [layout.KIND_CELL] = function_kinds.cells,
  [layout.KIND_MAP] = maps.handler,
}

-- -> the handler of a base
function kinds.of(base)
  return kinds.handlers[type(base) == "string" and layout.KIND_TABLE or base.kind]
end

-- Is v, a loaded object, of the kind that the base is of?
function kinds.is_of(session, v, base)
  local handler <const> = kinds.of(base)
  if handler.is_of then
    return handler.is_of(session, v)
  end
  return type(v) == "table" and not map_handles.state(v)
end

-- Makes t, an object's table, one that nothing but its content makes part of a kind.
function kinds.detach(t)
  if map_handles.state(t) then
    maps.detach(t)
  end
end

-- Are two bases of one object the same?
function kinds.equal(a, b)
  if type(a) == "string" or type(b) == "string" or a.kind ~= b.kind then
    return a == b
  end
  return kinds.of(a).equal(a, b)
end

-- How often an object may turn from one kind into another while it is being read.
local TRIES <const> = 16

-- Completes a record. -> base, record as it is now | nil, err
function kinds.read(loading, record)
  for _ = 1, TRIES do
    local handler <const> = kinds.handlers[record.kind]
    if not handler then
      return nil, { code = "malformed", message = string.format("it is of kind %d, not a table", record.kind) }
    end
    local base, now, other = handler.read(loading, record)
    if base or not other then
      return base, now
    end
    record = other
  end
  return nil, { code = "conflict", message = "others change it faster than it can be read; try again" }
end

return kinds
