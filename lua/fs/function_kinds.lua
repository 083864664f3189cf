-- Functions and cells as kinds of objects (fs.kinds): what a session does with them beside loading them.
--
-- Bases: of a function { kind =, payload =, cells = ids }, of a cell { kind =, payload = }. A function itself never changes; that
-- its upvalues are other ones takes the debug library. What changes is what a cell holds.
-- Relies on: fs.functions, fs.function_forms, fs.function_loading, fs.graph, fs.sameness, fs.whose.

local function_forms <const> = require "fs.function_forms"
local function_loading <const> = require "fs.function_loading"
local graph <const> = require "fs.graph"
local identity <const> = require "fs.identity"
local layout <const> = require "fs.layout"
local same <const> = require "fs.sameness"
local whose <const> = require "fs.whose"

local function_kinds = {}

local function equal(a, b)
  return a.payload == b.payload
end

-- Functions --------------------------------------------------------------------------------------------------

local functions <const> = { equal = equal }
function_kinds.functions = functions

function functions.read(_, record)
  local form, err = function_forms.decode_function(record.payload)
  if not form then
    return nil, err
  end
  return { kind = layout.KIND_FUNCTION, payload = record.payload, cells = form.cells }, record
end

function functions.is_of(session, v)
  return type(v) == "function" and not session.map.is_cell(v)
end

-- The ids of its cells as they are now; false for one that has none.
local function ids_now(session, f)
  local ids = {}
  for i, cell in ipairs(session.functions.cells_of(f)) do
    ids[i] = session.map.names[cell] or false
  end
  return ids
end

local function same_list(a, b)
  for i = 1, #a do
    if a[i] ~= b[i] then
      return false
    end
  end
  return #a == #b
end

function functions.is_clean(session, f, base)
  return same_list(ids_now(session, f), base.cells)
end

function functions.restore(loading, f, base)
  local cells, err = function_loading.cells(loading, base.cells)
  if not cells then
    return nil, err
  end
  loading.functions.join(f, cells)
  return true
end

function functions.merge(session, search, base, record)
  local map <const> = session.map
  local id <const>, before <const> = record.id, map.payloads[record.id]
  local f <const> = map.loaded[id]
  local now <const> = ids_now(session, f)
  local side <const> = whose(same_list(now, before.cells), same_list(base.cells, before.cells), same_list(now, base.cells))
  local merge = { id = id, conflicts = {} }
  if side == "conflict" then
    merge.conflicts[1] = graph.path(search, f)
  end
  function merge.apply()
    if side == "theirs" then
      local ok, err = functions.restore(session.loading, f, base)
      if not ok then
        return nil, err
      end
    end
    identity.set_loaded(map, id, f, base, record.version)
    return true
  end
  return merge
end

function functions.each_change(session, search, f, base, found)
  local now <const> = ids_now(session, f)
  local cells, err = function_loading.cells(session.loading, base.cells)
  if not cells then
    error(err.message)
  end
  session.map.each_upvalue(f, function(i, name, value)
    if now[i] ~= base.cells[i] then
      found("~", graph.upvalue_path(search, f, name, i), cells[i](), value)
    end
  end)
end

-- Cells ------------------------------------------------------------------------------------------------------

local cells <const> = { equal = equal }
function_kinds.cells = cells

function cells.read(_, record)
  return { kind = layout.KIND_CELL, payload = record.payload }, record
end

function cells.is_of(session, v)
  return session.map.is_cell(v)
end

function cells.is_clean(session, cell, base)
  local encoder <const> = session.encoder
  encoder.begin(cell, nil)
  return function_forms.encode_cell(cell(), session.map.names, encoder.miss) == base.payload
end

function cells.restore(loading, cell, base)
  local ok, value, held = function_loading.cell_value(loading, base.payload)
  if not ok then
    return nil, value
  end
  loading.functions.set_cell(cell, value)
  loading.map.held[cell] = held
  return true
end

function cells.merge(session, search, base, record)
  local map <const> = session.map
  local id <const> = record.id
  local cell <const> = map.loaded[id]
  local ok, before = function_loading.cell_value(session.loading, map.payloads[id].payload)
  local theirs, held
  if ok then
    ok, theirs, held = function_loading.cell_value(session.loading, base.payload)
  else
    theirs = before
  end
  if not ok then
    return nil, theirs
  end
  local mine <const> = cell()
  local side <const> = whose(same(mine, before), same(theirs, before), same(mine, theirs))
  local merge = { id = id, conflicts = {} }
  if side == "conflict" then
    merge.conflicts[1] = graph.path(search, cell)
  end
  function merge.apply()
    if side == "theirs" then
      session.functions.set_cell(cell, theirs)
    end
    identity.set_loaded(map, id, cell, base, record.version, held)
    return true
  end
  return merge
end

function cells.each_change(session, search, cell, base, found)
  local ok, old = function_loading.cell_value(session.loading, base.payload)
  if not ok then
    error(old.message)
  end
  local new <const> = cell()
  found(old == nil and "+" or new == nil and "-" or "~", graph.path(search, cell), old, new)
end

return function_kinds
