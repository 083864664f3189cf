-- Taking one transaction back: its changes, the other way round, as changes of the present.
--
--   before = the state that the transaction found, after = the one that it left, now = the present
--   a place that it changed and that is still as it left it  →  becomes as it found it
--   a place that was changed again since                     →  a conflict, by path, and nothing is changed
--
-- That is a three-way merge with `after` as the base (fs.merging), object by object. An array part is one place. Values of the past
-- become those of the present with the same id. Objects that the transaction took from the graph, and that were removed as garbage
-- since, come back as copies under new ids; what it made is left to the collector.
-- Promise: either all of it is changed, in memory, or nothing.
-- Relies on: fs.merging, fs.kinds, fs.loading; the store's written. Sessions of both states are handed in, and belong to this module.

local function_loading <const> = require "fs.function_loading"
local graph <const> = require "fs.graph"
local identity <const> = require "fs.identity"
local kinds <const> = require "fs.kinds"
local layout <const> = require "fs.layout"
local loading <const> = require "fs.loading"
local map_handles <const> = require "fs.map_handles"
local map_nodes <const> = require "fs.map_nodes"
local maps <const> = require "fs.maps"
local merging <const> = require "fs.merging"
local revival <const> = require "fs.revival"
local same <const> = require "fs.sameness"
local stubs <const> = require "fs.stubs"

local next <const> = next
local type <const> = type

local undoing = {}

-- What a place is looked for in, when it has to be named.
local SEARCH_MAX <const> = 10000
-- Conflicts that are named.
local NAMED_MAX <const> = 3

-- Every failure on the way is raised, as { code =, message = }, and caught at the end: nothing was changed until then.
local function checked(result, ...)
  if result == nil then
    local err <const> = ...
    error(type(err) == "table" and err or { code = "failed", message = tostring(err) }, 0)
  end
  return result, ...
end

-- Values of the past in the present ----------------------------------------------------------------------------------

-- Which of the ids exist now: job.there[id] = true or false
local function look_for(job, ids)
  local unknown, listed = {}, {}
  for _, id in ipairs(ids) do
    if job.there[id] == nil and not listed[id] then
      listed[id] = true
      unknown[#unknown + 1] = id
    end
  end
  if #unknown == 0 then
    return
  end
  for _, id in ipairs(unknown) do job.there[id] = true end
  for _, id in ipairs(checked(revival.missing(job.now, unknown))) do job.there[id] = false end
end

local function is_kept(v)
  return type(v) == "table" or type(v) == "function"
end

-- The function of the present with this id
local function function_here(job, id)
  local f = identity.other(job.now.map, id)
  if type(f) ~= "function" or job.now.map.is_cell(f) then
    job.held[#job.held + 1] = checked(function_loading.fetch(job.now.loading, { id }))
    f = identity.other(job.now.map, id)
  end
  return f
end

-- The function with this id as the transaction found it; what it left alone is only ever compared.
local function function_before(job, id)
  local fetched <const> = function_loading.fetch(job.before.loading, { id })
  job.held[#job.held + 1] = fetched
  return fetched and identity.other(job.before.map, id) or {}
end

-- What stands for a value of a session of the past here.
local function here(job, past, v)
  local id <const> = is_kept(v) and past.map.names[v]
  if not id or type(id) == "string" then
    return v
  end
  look_for(job, { id })
  if job.there[id] then
    return type(v) == "function" and function_here(job, id) or identity.table_of(job.now.map, id)
  end
  local copy = job.copies[id]
  if copy == nil then
    copy = type(v) ~= "function" and {} or past == job.before and v or function_before(job, id)
    job.copies[id] = copy
  end
  if past == job.before and not job.filled[id] then
    job.filled[id] = true
    job.unfilled[#job.unfilled + 1] = { id = id, was = v }
  end
  return copy
end

-- Fields and metatable of a table of the past, as values of the present.
local function content_of(job, past, id)
  local record <const> = checked(past.store.read { id })[1]
  local base <const> = checked(kinds.read(past.loading, record))
  if base.kind == layout.KIND_MAP then
    checked(nil, { code = "kind_changed", message = string.format("object %d is of another kind than it was", id) })
  end
  local fields, content, ids = {}, {}, {}
  local _, metatable = checked(loading.fill(past.loading, fields, base))
  for key, value in next, fields do
    for _, v in ipairs { is_kept(key) and key or false, is_kept(value) and value or false } do
      local name = v and past.map.names[v]
      ids[#ids + 1] = math.type(name) and name or nil
    end
  end
  look_for(job, ids)
  for key, value in next, fields do
    content[here(job, past, key)] = here(job, past, value)
  end
  return content, metatable ~= nil and here(job, past, metatable) or nil
end

-- A function that comes back as it is: it belongs to the past's session, where nobody else has it, so its upvalues may be changed.
-- Those that still exist it shares again.
local function connect(job, f)
  local past <const>, now <const> = job.before, job.now.functions
  local cells <const> = table.move(checked(now.record(f)).cells, 1, #past.functions.cells_of(f), 1, {})
  for i, cell in ipairs(past.functions.cells_of(f)) do
    local id = past.map.names[cell]
    look_for(job, { id })
    if job.there[id] then
      cells[i] = checked(function_loading.cells(job.now.loading, { id }))[1]
    else
      past.functions.set_cell(cell, here(job, past, cell()))
    end
  end
  now.join(f, cells)
end

local function fill_map(job, copy, was)
  for key, value in pairs(was) do
    copy:set(key, here(job, job.before, value))
  end
end

-- Fills the copies. Those of maps are maps.
local function fill_copies(job)
  while #job.unfilled > 0 do
    local item = table.remove(job.unfilled)
    local copy = job.copies[item.id]
    if type(item.was) == "function" then
      connect(job, item.was)
    else
      stubs.touch(item.was)
      if map_handles.state(item.was) then
        maps.turn(job.now, copy)
        fill_map(job, copy, item.was)
      else
        local content, metatable = content_of(job, job.before, item.id)
        checked(loading.replace(job.now.loading, copy, content, metatable))
      end
    end
  end
end

-- What changed ---------------------------------------------------------------------------------------------------------

local function conflict(job, name)
  job.conflicts[#job.conflicts + 1] = name
end

local function change(job, action)
  job.changes[#job.changes + 1] = action
end

-- Whose counts: does `now` become `was`? A conflict is noted.
local function goes_back(job, was, became, now, name)
  if same(was, became) or same(now, was) then
    return false
  elseif not same(now, became) then
    conflict(job, name)
    return false
  end
  return true
end

local function compare_tables(job, id)
  local now <const> = job.now
  local t <const> = identity.table_of(now.map, id)
  stubs.touch(t)
  local before, metatable = content_of(job, job.before, id)
  local after, their_metatable = content_of(job, job.after, id)
  local content = {}
  merging.fields(after, t, before, content, function(key)
    conflict(job, function(search) return merging.place(search, t, key) end)
  end)
  local mine <const> = now.metatables.metatable_of(t)
  local function name(search) return "getmetatable(" .. graph.path(search, t) .. ")" end
  local result = mine
  if goes_back(job, metatable, their_metatable, mine, name) then
    result = metatable
  end
  change(job, function() checked(loading.replace(now.loading, t, content, result)) end)
end

local function compare_cells(job, id)
  local cell <const> = checked(function_loading.cells(job.now.loading, { id }))[1]
  local values = {}
  for i, past in ipairs { job.before, job.after } do
    local theirs = checked(function_loading.cells(past.loading, { id }))[1]
    values[i] = here(job, past, theirs())
  end
  if goes_back(job, values[1], values[2], cell(), function(search) return graph.path(search, cell) end) then
    change(job, function() job.now.functions.set_cell(cell, values[1]) end)
  end
end

-- Which upvalues a function shares changes only through the debug library.
local function compare_functions(job, id)
  local f <const> = function_here(job, id)
  local lists = {}
  for i, past in ipairs { job.before, job.after } do
    lists[i] = checked(kinds.read(past.loading, checked(past.store.read { id })[1])).cells
  end
  local cells <const> = table.move(job.now.functions.cells_of(f), 1, #lists[1], 1, {})
  local differs = false
  for i, cell_id in ipairs(lists[1]) do
    local mine = job.now.map.names[cells[i]]
    local function name(search) return graph.path(search, f) end
    if goes_back(job, cell_id, lists[2][i], mine, name) then
      look_for(job, { cell_id })
      if not job.there[cell_id] then
        conflict(job, name)
      else
        cells[i] = checked(function_loading.cells(job.now.loading, { cell_id }))[1]
        differs = true
      end
    end
  end
  if differs then
    change(job, function() job.now.functions.join(f, cells) end)
  end
end

-- Keys -> true of the leaves of maps that the transaction wrote or removed, as they were or are in that state
local function add_keys(keys, past, ids)
  for _, id in ipairs(ids) do
    local record = checked(past.store.read { id })[1]
    local leaf = record.kind == layout.KIND_MAP_NODE and map_nodes.decode_leaf(record.payload)
    for _, key in ipairs(leaf and leaf.keys or {}) do
      keys[key] = true
    end
  end
end

local function compare_maps(job, id)
  local map <const> = identity.table_of(job.now.map, id)
  local before, after = identity.table_of(job.before.map, id), identity.table_of(job.after.map, id)
  for key in next, job.keys do
    local was = here(job, job.before, before:get(key))
    local became = here(job, job.after, after:get(key))
    local function name(search) return graph.field_path(search, map, key) end
    if goes_back(job, was, became, map:get(key), name) then
      change(job, function() map:set(key, was) end)
    end
  end
end

local COMPARE <const> = {
  [layout.KIND_TABLE] = compare_tables, [layout.KIND_TREE] = compare_tables, [layout.KIND_MAP] = compare_maps,
  [layout.KIND_FUNCTION] = compare_functions, [layout.KIND_CELL] = compare_cells,
}

local function compare_all(job, written)
  local ids, old, new, has_map = {}, {}, {}, false
  for _, item in ipairs(written) do
    has_map = has_map or item.kind == layout.KIND_MAP -- whoever changes a part of a map writes it, too
    ids[#ids + 1] = item.id
    old[#old + 1] = item.existed and item.id or nil
    new[#new + 1] = item.kind == layout.KIND_MAP_NODE and item.id or nil
  end
  look_for(job, ids)
  if has_map then
    add_keys(job.keys, job.before, old)
    add_keys(job.keys, job.after, new)
  end
  for _, item in ipairs(written) do
    local compare = COMPARE[item.kind] -- trees that were there before are those of tables: long strings never change
    if compare and (item.existed or item.id == layout.ROOT_ID) and job.there[item.id] then
      compare(job, item.id)
    end
  end
  fill_copies(job)
end

-- Conflicts --------------------------------------------------------------------------------------------------------------

-- Loads tables from the root on, so that what conflicts can be named by a path.
local function load_around(session)
  local seen, queue, first = { [session.root] = true }, { session.root }, 1
  while queue[first] and first <= SEARCH_MAX do
    local t = queue[first]
    first = first + 1
    if pcall(stubs.touch, t) and not map_handles.state(t) then
      for key, value in next, t do
        for _, v in ipairs { key, type(value) == "table" and value or nil } do
          if type(v) == "table" and not seen[v] and type(session.map.names[v]) ~= "string" then
            seen[v] = true
            queue[#queue + 1] = v
          end
        end
      end
    end
  end
end

local function refuse(job, number)
  load_around(job.now)
  local search <const> = graph.search(job.now.map, job.now.root, job.now.metatables.metatable_of)
  local names = {}
  for i = 1, #job.conflicts do
    names[i] = job.conflicts[i](search)
  end
  table.sort(names)
  local more <const> = #names - NAMED_MAX
  return nil, {
    code = "conflict", paths = names,
    message = string.format("t%d cannot be undone: %s %s changed again since", number,
      table.concat(names, ", ", 1, math.min(#names, NAMED_MAX)) .. (more > 0 and string.format(" and %d more", more) or ""),
      #names == 1 and "was" or "were"),
  }
end

-- Changes the session's tables back to what they were before the transaction with this number. The session has no changes of its own
-- and stands at the present; open(state) → a session of the past. → true | nil, err
function undoing.undo(session, number, open)
  local written, err = session.store.written(number)
  if not written then
    return nil, err
  end
  local job <const> = {
    now = session, before = open { before = number }, after = open { before = number + 1 },
    there = {}, copies = {}, filled = {}, unfilled = {}, held = {},
    keys = {}, changes = {}, conflicts = {},
  }
  local ok, problem = pcall(compare_all, job, written)
  if not ok then
    return nil, type(problem) == "table" and problem or { code = "failed", message = problem }
  elseif #job.conflicts > 0 then
    return refuse(job, number)
  end
  for _, action in ipairs(job.changes) do
    action()
  end
  return true
end

return undoing
