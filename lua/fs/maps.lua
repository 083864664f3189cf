-- Ordered maps for programs: `local m = map(); root.people = m; m:set("ann", 1)`.
--
--   m:get(key), m:set(key, value), m:remove(key)       set with nil removes
--   m:range(from, to, { limit =, reverse = })          for loops over key, value in key order; from and to included, nil: open
--   pairs(m), m:first(), m:last(), m:count(), #m, m:clear()
--
-- Keys are booleans, integers, floats and strings, in the order false, true, integers, floats, strings bytewise; 1.0 is 1. Values
-- are whatever can be saved. A map reads the nodes on the way to a key when it needs them and keeps few (fs.map_reader); what was
-- set since the last commit is kept aside (fs.map_edits), so a map may be larger than memory, and so may what is put into it, if it
-- is committed now and then.
--
-- A map's state is its base (fs.kinds): what fs.map_reader knows, and { session =, edits =, growth = pairs that the edits add,
-- nil while that is not known, emptied = version of the root at clear(), or nil }.
-- Promises: one map is one handle; iterating while it changes is well defined (fs.map_cursor); an error names the map by path.
-- Relies on: the modules of ordered maps, fs.graph; session.loading (fs.loading) for decoding values.

local graph <const> = require "fs.graph"
local identity <const> = require "fs.identity"
local layout <const> = require "fs.layout"
local long_strings <const> = require "fs.long_strings"
local map_cursor <const> = require "fs.map_cursor"
local map_edits <const> = require "fs.map_edits"
local map_handles <const> = require "fs.map_handles"
local map_nodes <const> = require "fs.map_nodes"
local map_reader <const> = require "fs.map_reader"
local map_writing <const> = require "fs.map_writing"
local refusals <const> = require "fs.refusals"
local stubs <const> = require "fs.stubs"
local value_decoder <const> = require "fs.value_decoder"
local value_encoder <const> = require "fs.value_encoder"

local next <const> = next
local setmetatable <const> = setmetatable
local type <const> = type

local maps = {}

local LOST <const> = { code = "absent", message = "others have removed it from the store" }

local methods <const> = {}
local METATABLE <const> = { __name = "map", __index = methods }
-- What getmetatable shows of a handle: enough to print one.
METATABLE.__metatable = { __name = "map" }

local function set_metatable(t, metatable)
  local shown <const> = METATABLE.__metatable
  METATABLE.__metatable = nil
  setmetatable(t, metatable)
  METATABLE.__metatable = shown
end

-- States -----------------------------------------------------------------------------------------------------

-- How many pairs the edits add is not known any more.
local function changed_by_others(state)
  state.growth = nil
  map_handles.forget_given(state)
end

local function new_state(session, id)
  session.map_nodes = session.map_nodes or map_reader.new_cache()
  return {
    kind = layout.KIND_MAP, session = session, id = id, version = 0, count = 0, levels = 0, root = nil, era = 0, epoch = 0,
    read = function(ids) return session.store.read(ids) end, cache = session.map_nodes, changed = changed_by_others,
    edits = map_edits.new(), growth = 0, emptied = nil, given = nil,
  }
end

-- Makes the empty table t, which has no metatable, the handle of a state.
local function attach(t, state)
  map_handles.attach(t, state)
  set_metatable(t, METATABLE)
  return t
end

-- -> a new map
function maps.new(session)
  return attach({}, new_state(session))
end

-- Makes the empty table t, which has no metatable, a new map.
function maps.turn(session, t)
  return attach(t, new_state(session))
end

-- Makes a handle an empty table without a metatable.
function maps.detach(t)
  map_handles.attach(t, nil)
  set_metatable(t, nil)
end

local function drop_edits(state)
  map_edits.clear(state.edits)
  state.growth, state.emptied, state.epoch = 0, nil, state.epoch + 1
end

-- What the store holds under a key: -> encoded value, false for none | nil, err
local function stored(state, key)
  if state.lost then
    return nil, LOST
  elseif state.emptied or state.levels == 0 then
    return false
  end
  return map_reader.find(state, key)
end

-- -> how many pairs there are | nil, err
local function count(state)
  if not state.growth then
    local growth = 0
    for key, edit in map_edits.each(state.edits) do
      local there, err = stored(state, key)
      if there == nil then
        return nil, err
      end
      growth = growth + (edit.value ~= nil and 1 or 0) - (there and 1 or 0)
    end
    state.growth = growth
  end
  return (state.emptied and 0 or state.count) + state.growth
end

-- Decodes the encoded value that stands under a key. -> value | nil, err
local function decode(state, key, bytes)
  if not value_decoder.is_extension(bytes:byte()) then
    return (value_decoder.value(bytes, 1))
  end
  -- It leads elsewhere: it is loaded as the only element of a table.
  local list <const>, loading <const> = {}, state.session.loading
  local ok, err = loading.fill(loading, list, "\x91" .. bytes .. "\x80")
  if not ok then
    return nil, err
  end
  map_handles.give(state, key, list[1])
  return list[1]
end

-- What programs see --------------------------------------------------------------------------------------------

local function path_of(session, t)
  return graph.path(graph.search(session.map, session.root, session.metatables.metatable_of), t)
end

-- Raises what went wrong with reading map t. level: of the program's call.
local function fail(t, state, err, level)
  local place <const> = path_of(state.session, t) .. (state.id and string.format(" (object %d)", state.id) or "")
  error(string.format("cannot read %s: %s", place, err.message), level + 1)
end

local function state_of(t, name)
  if type(t) == "table" then
    stubs.touch(t, 3)
  end
  local state <const> = map_handles.state(t)
  if not state then
    error(string.format("%s is called on a map: m:%s(…)", name, name), 3)
  end
  return state
end

-- A key that a program gave. open: may it be nil?
local function checked_key(name, key, open)
  if key == nil and open then
    return nil
  end
  local normal, what = map_nodes.normal_key(key)
  if normal == nil then
    error(string.format("%s: a key of a map is a boolean, a number or a string, not %s", name, what == "NaN" and what
      or what == "nil" and what or "a " .. what), 3)
  end
  return normal
end

function methods.get(t, key)
  local state <const> = state_of(t, "get")
  key = checked_key("get", key)
  local edit <const> = state.edits.by_key[key]
  if edit then
    return edit.value
  end
  local bytes, err = stored(state, key)
  if not bytes then
    return bytes == nil and fail(t, state, err, 2) or nil
  end
  local value, problem = decode(state, key, bytes)
  if value == nil then
    fail(t, state, problem, 2)
  end
  return value
end

local function set(t, state, key, value)
  local edits <const> = state.edits
  local edit = edits.by_key[key]
  local was
  if edit then
    was = edit.value ~= nil
  else
    local base, err = stored(state, key)
    if base == nil then
      fail(t, state, err, 3)
    elseif not base and value == nil then
      return
    end
    edit = { base = base, value = nil }
    was = base ~= false
    map_edits.put(edits, key, edit)
  end
  edit.value = value
  if state.growth then
    state.growth = state.growth + (value ~= nil and 1 or 0) - (was and 1 or 0)
  end
end

function methods.set(t, key, value)
  local state <const> = state_of(t, "set")
  set(t, state, checked_key("set", key), value)
end

function methods.remove(t, key)
  local state <const> = state_of(t, "remove")
  set(t, state, checked_key("remove", key), nil)
end

function methods.clear(t)
  local state <const> = state_of(t, "clear")
  map_edits.clear(state.edits)
  state.growth, state.epoch, state.lost = 0, state.epoch + 1, nil
  state.emptied = state.levels > 0 and state.version or nil
end

function methods.count(t)
  local state <const> = state_of(t, "count")
  local n, err = count(state)
  return n or fail(t, state, err, 2)
end
METATABLE.__len = methods.count

-- A count that the root states and a whole walk did not find.
local function check_count(t, state, seen, begun)
  if state.edits.count == 0 and not state.emptied and state.epoch == begun and seen ~= state.count then
    fail(t, state, { message = string.format("it has %d pairs, its root says %d", seen, state.count) }, 3)
  end
end

-- -> an iterator over key, value
local function walk(t, state, from, to, limit, reverse)
  if reverse then
    from, to = to, from
  end
  local cursor <const>, begun = map_cursor.new(state, from, to, reverse), nil
  local is_whole <const> = from == nil and to == nil and limit == math.huge
  local seen, ended = 0, false
  return function()
    if ended or seen >= limit then
      return nil
    end
    local key, edit, bytes, err = map_cursor.next(cursor)
    if err then
      fail(t, state, err, 2)
    end
    begun = begun or state.epoch
    if key == nil then
      ended = true
      if is_whole then
        check_count(t, state, seen, begun)
      end
      return nil
    end
    seen = seen + 1
    if edit then
      return key, edit.value
    end
    local value, problem = decode(state, key, bytes)
    if value == nil then
      fail(t, state, problem, 2)
    end
    return key, value
  end
end

local function option(options, name, kind)
  local value <const> = options and options[name]
  if value ~= nil and type(value) ~= kind then
    error(string.format("range: %s is a %s, not a %s", name, kind, type(value)), 3)
  end
  return value
end

function methods.range(t, from, to, options)
  local state <const> = state_of(t, "range")
  if options ~= nil and type(options) ~= "table" then
    error("range: the options are a table, like { limit = 10, reverse = true }", 2)
  end
  local limit <const>, reverse <const> = option(options, "limit", "number"), option(options, "reverse", "boolean")
  return walk(t, state, checked_key("range", from, true), checked_key("range", to, true), limit or math.huge, reverse or false)
end

function METATABLE.__pairs(t)
  return walk(t, state_of(t, "pairs"), nil, nil, math.huge, false), t, nil
end

function methods.first(t)
  return walk(t, state_of(t, "first"), nil, nil, 1, false)()
end

function methods.last(t)
  return walk(t, state_of(t, "last"), nil, nil, 1, true)()
end

function METATABLE.__newindex(_, key)
  error(string.format("a map has no fields: m:set(%s, value)", type(key) == "string" and string.format("%q", key)
    or tostring(key)), 2)
end

function METATABLE.__tostring(t)
  local n <const> = methods.count(t)
  return string.format("map of %d pair%s", n, n == 1 and "" or "s")
end
METATABLE.__metatable.__tostring = METATABLE.__tostring

-- What sessions do with them (fs.kinds) --------------------------------------------------------------------------

-- An encoded value | nil: it leads to something that has no id
local function encoded(session, t, key, value)
  local encoder <const> = session.encoder
  encoder.begin(t)
  return value_encoder.value(value, session.map.names, encoder.miss, key)
end

-- Does the edit change what the store held when it was made?
local function does_change(session, t, key, edit)
  if edit.value == nil or edit.base == false then
    return edit.value ~= nil or edit.base ~= false
  end
  return encoded(session, t, key, edit.value) ~= edit.base
end

function maps.read(self, record)
  local state = new_state(self.session, record.id)
  local ok, err = map_reader.take_root(state, record)
  if not ok then
    return nil, err
  end
  return state, record
end

function maps.fill(_, t, state)
  attach(t, state)
  return true
end

function maps.is_clean(session, t, state)
  if state.emptied then
    return false
  end
  for key, edit in next, state.edits.by_key do
    if does_change(session, t, key, edit) then
      return false
    end
  end
  return true
end

-- Two states of one map that were read one after the other: the first, just read, is only good for comparing.
function maps.equal()
  return false
end

-- Drops the edits. -> true
function maps.restore(_, _, state)
  drop_edits(state)
  return true
end

function maps.is_of(_, t)
  return map_handles.state(t) ~= nil
end

-- Lists what was set and removed. found(kind, path, old, new)
function maps.each_change(session, search, t, state, found)
  if state.emptied then
    found("-", graph.path(search, t) .. "[…]")
  end
  for key, edit in map_edits.each(state.edits) do
    if does_change(session, t, key, edit) then
      local old
      if edit.base then
        local err
        old, err = decode(state, key, edit.base)
        if old == nil then
          error(err.message)
        end
      end
      found(not edit.base and "+" or edit.value == nil and "-" or "~", graph.field_path(search, t, key), old, edit.value)
    end
  end
end

-- The edit of one key, now that the store holds `there`. -> is it a conflict?
local function is_conflict(session, t, key, edit, there)
  if there == edit.base then
    return false
  elseif edit.value == nil then
    return there ~= false
  end
  return encoded(session, t, key, edit.value) ~= there
end

-- Edits whose keys others have changed, too. -> list of paths, key -> what the store holds where it is another | nil, err
local function compare(session, search, t, state)
  local conflicts, others = {}, {}
  for key, edit in map_edits.each(state.edits) do
    local there, err = stored(state, key)
    if there == nil then
      return nil, err
    elseif there ~= edit.base then
      others[key] = there
    end
    if is_conflict(session, t, key, edit, there) then
      conflicts[#conflicts + 1] = graph.field_path(search, t, key)
    end
  end
  if state.emptied and state.emptied ~= state.version then
    conflicts[#conflicts + 1] = graph.path(search, t) .. "[…]"
  end
  return conflicts, others
end

-- Takes over what the store holds now; the edits stay. base: the state that was just read.
-- -> { id =, conflicts =, apply = } as fs.merging.prepare | nil, err
function maps.merge(session, search, base, record)
  local t <const> = session.map.loaded[record.id]
  local state <const> = map_handles.state(t)
  if base.version ~= state.version then
    map_reader.take_root(state, record)
    changed_by_others(state)
  end
  local conflicts, others = compare(session, search, t, state)
  if not conflicts then
    return nil, others
  end
  local function apply()
    for key, there in next, others do
      state.edits.by_key[key].base = there
    end
    state.emptied = state.emptied and state.version
    identity.set_loaded(session.map, record.id, t, state, state.version)
    return true
  end
  return { id = record.id, conflicts = conflicts, apply = apply }
end

-- The edits in order, encoded, new tables and strings getting their ids from the plan. -> list | nil, err
local function encode_edits(session, t, state, plan)
  local encoder <const>, names <const> = session.encoder, session.map.names
  encoder.begin(t, plan)
  local list = {}
  for key, edit in map_edits.each(state.edits) do
    local bytes = false
    if edit.value ~= nil then
      bytes = value_encoder.value(edit.value, names, encoder.miss, key)
      if not bytes then
        return nil, refusals.cannot_save(session, t, key, edit.value, "value")
      end
    end
    list[#list + 1] = { key = key, key_bytes = value_encoder.key(key, names), base = edit.base, bytes = bytes }
  end
  return list
end

-- Adds map t to a commit. -> true | nil, err
function maps.plan(session, plan, id, t)
  local state <const> = map_handles.state(t)
  plan:begin(id, t)
  if state.session ~= session then
    return nil, refusals.of_map(session, t, "a map of another session or view; copy its pairs into a new map")
  elseif state.lost then
    return nil, refusals.of_map(session, t, "the map was removed from the store before all of it was read here")
  elseif state.emptied and state.emptied ~= state.version then
    return nil, { code = "conflict", ids = { id }, message = "a map was changed by others" }
  end
  local list, err = encode_edits(session, t, state, plan)
  local ok, result
  if list then
    ok, err = long_strings.plan_all(session.loading.strings, plan:take_strings(), plan)
  end
  local count_before <const> = plan.entries.count
  if ok then
    result, err = map_writing.plan(state, list, state.emptied, plan)
  end
  if not result then
    return nil, err.code == "conflict" and { code = "conflict", ids = { id }, message = err.message } or err
  elseif state.version > 0 and plan.entries.count == count_before then
    return true -- every edit is what the store holds
  end
  local root <const> = {}
  plan:write(id, layout.KIND_MAP, map_nodes.encode_root(result.count, result.levels, result.root), state.version, root)
  plan:on_done(function()
    state.id, state.version = id, root.version
    state.count, state.levels, state.root = result.count, result.levels, result.root
    for node_id, node in next, result.written do
      map_reader.keep(state, { id = node_id, kind = layout.KIND_MAP_NODE, version = node.version, payload = node.payload })
    end
    map_handles.give_edits(state)
    drop_edits(state)
    identity.set_loaded(session.map, id, t, state, root.version)
  end)
  return true
end

maps.handler = {
  read = maps.read, fill = maps.fill, is_clean = maps.is_clean, equal = maps.equal, restore = maps.restore,
  merge = maps.merge, each_change = maps.each_change, is_of = maps.is_of,
}

return maps
