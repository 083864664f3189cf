-- Loading functions: with its text, its upvalues, and the functions that those hold.
--
-- Nothing can stand for a function and become it later, as stubs do for tables. So a table that is loaded brings the functions
-- that it refers to, and these bring those that their upvalues hold, and so on; tables in upvalues stay stubs.
--
-- Damage stays where it is: a function that cannot be made, because something of it is bad or its text compiles to another
-- function, is replaced by one that says so, by path, when it is called. It is saved as what it was. Where the store does
-- not answer, nothing is loaded, and a later touch tries again.
--
-- Promises: all or nothing is taken into the identity map; a function is there with all of its upvalues filled.
-- Relies on: fs.errors, fs.functions, fs.function_forms, fs.identity, fs.long_strings, fs.read_ahead. loading: see fs.loading.

local chunk_texts <const> = require "fs.chunk_texts"
local errors <const> = require "fs.errors"
local function_forms <const> = require "fs.function_forms"
local identity <const> = require "fs.identity"
local layout <const> = require "fs.layout"
local long_strings <const> = require "fs.long_strings"
local read_ahead <const> = require "fs.read_ahead"

local next <const> = next
local pcall <const> = pcall
local string_format <const> = string.format

local function_loading = {}

local LASTING <const> = {
  absent = true, corrupt = true, malformed = true, unknown_permanent = true, other_function = true,
}

-- Will it be wrong the next time, too?
local function is_lasting(err)
  return LASTING[err.code] or err.code == "io" and errors.unreadable(err.device)
end

-- The function that is known as object `id` | nil
local function known_function(map, id)
  local v <const> = identity.other(map, id)
  return type(v) == "function" and not map.is_cell(v) and v or nil
end

-- links.callable of the session (see fs.codec): what is not known is noted in loading.wanted.
function function_loading.link(loading)
  local map <const> = loading.map
  function map.links.callable(id)
    local f = known_function(map, id)
    if not f then
      loading.wanted = loading.wanted or {}
      loading.wanted[#loading.wanted + 1] = id
      f = {} -- nothing else is like it
    end
    return f
  end
end

local function read(loading, id, kind, what)
  local record, err = read_ahead.record(loading.ahead, id)
  if not record then
    return nil, err
  elseif record.kind ~= kind then
    return nil, { code = "malformed", message = string_format("object %d is not %s", id, what) }
  end
  return record
end

-- Calls decode(payload, links) until the long strings are there. -> its results, held | nil, err
local function decode(loading, form, payload)
  local strings <const> = loading.strings
  while true do
    long_strings.begin(strings)
    loading.wanted = nil
    local a, b = form(payload, loading.map.links)
    local held, ids = long_strings.finish(strings)
    if not a or not ids then
      return a, b, held
    end
    local fetched, err = long_strings.fetch(strings, ids)
    if not fetched then
      return nil, err
    end
  end
end

-- The parts of a job: chunks, cells, functions by id; todo: ids of functions to be made.

-- -> chunk | nil, err
local function chunk_of(job, id)
  local loading <const> = job.loading
  local chunk = identity.other(loading.map, id) or job.chunks[id]
  if chunk then
    if type(chunk) ~= "table" then
      return nil, { code = "malformed", message = string_format("object %d is not a chunk", id) }
    end
    return chunk
  end
  local record, err = read(loading, id, layout.KIND_CHUNK, "a chunk")
  if not record then
    return nil, err
  end
  local name, text = decode(loading, function_forms.decode_chunk, record.payload)
  if not name then
    return nil, text
  end
  chunk = chunk_texts.chunk(loading.source_of(name, id), text, name)
  job.chunks[id] = chunk
  return chunk
end

-- Fills a new cell from its record; one that holds a function which is not known waits for it.
local function fill_cell(job, entry, payload)
  local loading <const> = job.loading
  local ok, value, held = decode(loading, function_forms.decode_cell, payload)
  if not ok then
    return nil, value
  end
  entry.held = held
  if loading.wanted then
    entry.wants = loading.wanted[1]
    job.todo[#job.todo + 1] = entry.wants
  else
    loading.functions.set_cell(entry.cell, value)
  end
  return true
end

-- -> cell | nil, err
local function cell_of(job, id)
  local loading <const> = job.loading
  local cell = identity.other(loading.map, id)
  if cell then
    if not loading.map.is_cell(cell) then
      return nil, { code = "malformed", message = string_format("object %d is not an upvalue", id) }
    end
    return cell
  end
  local entry = job.cells[id]
  if not entry then
    local record, err = read(loading, id, layout.KIND_CELL, "an upvalue")
    entry = { cell = loading.functions.new_cell() }
    if record then
      entry.base, entry.version = { kind = layout.KIND_CELL, payload = record.payload }, record.version
      record, err = fill_cell(job, entry, record.payload)
    end
    entry.err = not record and err or nil
    job.cells[id] = entry
  end
  if entry.err then
    return nil, entry.err
  end
  return entry.cell
end

local function cells_of(job, ids)
  local list = {}
  for i = 1, #ids do
    local cell, err = cell_of(job, ids[i])
    if not cell then
      return nil, err
    end
    list[i] = cell
  end
  return list
end

-- -> { f =, base =, version = } | nil, err
local function make(job, id)
  if job.loading.functions.unable then
    return nil, { code = "other_function", message = job.loading.functions.unable }
  elseif identity.other(job.loading.map, id) ~= nil then
    return nil, { code = "malformed", message = string_format("object %d is not a function", id) }
  end
  local record, err = read(job.loading, id, layout.KIND_FUNCTION, "a function")
  if not record then
    return nil, err
  end
  local form, chunk, cells, f
  form, err = function_forms.decode_function(record.payload)
  if form then
    chunk, err = chunk_of(job, form.chunk)
  end
  if chunk then
    cells, err = cells_of(job, form.cells)
  end
  if not cells then
    return nil, err
  end
  f, err = job.loading.functions.make(chunk, form, cells)
  if not f then
    return nil, { code = "other_function", message = err }
  end
  local base = { kind = layout.KIND_FUNCTION, payload = record.payload, cells = form.cells }
  return { f = f, base = base, version = record.version }
end

local function stand_in(job, id, err)
  local loading <const> = job.loading
  return { f = loading.functions.stand_in(function(f) return loading.explain(f, id, err) end) }
end

-- Makes everything that is to be made. -> true | nil, err
local function make_all(job)
  while #job.todo > 0 do
    local id = job.todo[#job.todo]
    job.todo[#job.todo] = nil
    if not job.functions[id] and not known_function(job.loading.map, id) then
      local made, err = make(job, id)
      if not made and not is_lasting(err) then
        return nil, err
      end
      job.functions[id] = made or stand_in(job, id, err)
    end
  end
  for _, entry in next, job.cells do
    if entry.wants and not entry.err then
      local made = job.functions[entry.wants]
      job.loading.functions.set_cell(entry.cell, made and made.f or known_function(job.loading.map, entry.wants))
    end
  end
  return true
end

local function adopt_all(job)
  local map <const> = job.loading.map
  for id, chunk in next, job.chunks do
    identity.adopt_other(map, id, chunk)
  end
  for id, entry in next, job.cells do
    if not entry.err then
      identity.set_loaded(map, id, entry.cell, entry.base, entry.version, entry.held)
      identity.adopt_other(map, id, entry.cell)
    end
  end
  for id, made in next, job.functions do
    if made.base then
      identity.set_loaded(map, id, made.f, made.base, made.version)
    end
    identity.adopt_other(map, id, made.f)
  end
end

local function disown_all(job)
  local map <const> = job.loading.map
  local function disown(id, v)
    if map.loaded[id] == v then
      identity.set_unloaded(map, id)
    end
    identity.disown(map, id, v)
  end
  for id, chunk in next, job.chunks do
    disown(id, chunk)
  end
  for id, entry in next, job.cells do
    disown(id, entry.cell)
  end
  for id, made in next, job.functions do
    disown(id, made.f)
  end
end

-- Does a job, and takes what it has made into the identity map. -> true | nil, err
local function finish(job)
  local ok, err = make_all(job)
  if not ok then
    return nil, err
  end
  local adopted, problem = pcall(adopt_all, job)
  if not adopted then -- out of memory
    disown_all(job)
    error(problem, 0)
  end
  local moved <const> = job.loading.moved
  if moved then
    moved[#moved + 1] = job
  end
  return true
end

-- What a job has made is not known any more.
function_loading.forget = disown_all

local function new_job(loading, todo)
  return { loading = loading, chunks = {}, cells = {}, functions = {}, todo = todo }
end

-- Loads the functions with these ids. -> what must be held until they are used | nil, err
function function_loading.fetch(loading, ids)
  local job <const> = new_job(loading, ids)
  local ok, err = finish(job)
  return ok and job, err
end

-- The cells with these ids, loaded if need be. -> list | nil, err
function function_loading.cells(loading, ids)
  local job <const> = new_job(loading, {})
  local list, err = cells_of(job, ids)
  local ok
  if list then
    ok, err = finish(job)
  end
  return ok and list, err
end

-- What a cell's payload says. -> true, value, held | nil, err
function function_loading.cell_value(loading, payload)
  local fetched, err
  while true do
    local ok, value, held = decode(loading, function_forms.decode_cell, payload)
    if not ok or not loading.wanted then
      return ok, value, held
    end
    fetched, err = function_loading.fetch(loading, loading.wanted)
    if not fetched then
      return nil, err
    end
  end
end

return function_loading
