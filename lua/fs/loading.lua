-- Loading: reads objects and fills their tables; and the way back, forget.
--
-- A metatable loads with its table, because Lua reads metatables raw. What was saved with an earlier version of its class
-- (fs.permanents) is given to the class's __migrate(object, version) before anybody sees it.
--
-- Promises: a table is either filled wholly, metatable included, or is still a stub; one bad object does not keep its
-- neighbours from being read; messages name the object, by path where there is one, and its id.
-- Relies on: fs.identity, fs.kinds, fs.long_strings, fs.map_handles, fs.permanents, fs.read_ahead, fs.stubs, a codec.

local function_loading <const> = require "fs.function_loading"
local identity <const> = require "fs.identity"
local kinds <const> = require "fs.kinds"
local long_strings <const> = require "fs.long_strings"
local map_handles <const> = require "fs.map_handles"
local permanents <const> = require "fs.permanents"
local raw_tables <const> = require "fs.raw_tables"
local read_ahead <const> = require "fs.read_ahead"
local stubs <const> = require "fs.stubs"

local next <const> = next
local pcall <const> = pcall
local rawget <const> = rawget

local loading = {}

-- store, codec, map: what it works on. metatables: see raw_tables.access; functions: see fs.functions; source_of(name, id): what
-- the functions of the chunk of that name, which is object id, shall say that they come from; explain(f, id, err): what the
-- function says that stands in for one that could not be loaded.
function loading.new(store, codec, map, metatables, functions, source_of, explain)
  local strings = long_strings.new(store.read)
  map.links.string = function(id) return long_strings.of(strings, id) end
  local self = {
    store = store, codec = codec, map = map, metatables = metatables, strings = strings,
    functions = functions, source_of = source_of, explain = explain,
    ahead = read_ahead.new(store, map), fill = loading.fill,
    moved = nil, -- while the session moves: what was loaded since, { table =, id = } or a job of fs.function_loading
    wanted = nil, -- ids of functions that the decoding under way has met and that are not there
  }
  function_loading.link(self)
  return self
end

-- What was read ahead may be out of date: drops it.
function loading.drop_read_ahead(self)
  read_ahead.drop(self.ahead)
end

-- So may what was read ahead of objects that were written. ids: of the commit's entries.
function loading.drop_written(self, ids)
  read_ahead.drop_written(self.ahead, ids)
end

-- Reads long strings and functions that a decoding was in want of. -> what must be held until the next try | nil, err
local function fetch(self, strings, functions)
  local entries, made, err = {}, {}, nil
  if strings then
    entries, err = long_strings.fetch(self.strings, strings)
  end
  if entries and functions then
    made, err = function_loading.fetch(self, functions)
  end
  return entries and made and { entries, made }, err
end

-- One try of fill. -> true, metatable or nil, held or nil | nil, err | false, what must be held: more was read, try again
local function try_fill(self, t, base)
  long_strings.begin(self.strings)
  self.wanted = nil
  local ok, metatable = kinds.of(base).fill(self, t, base)
  local held <const>, strings <const> = long_strings.finish(self.strings)
  local functions <const> = self.wanted
  if ok and metatable ~= nil and type(metatable) ~= "table" then
    ok, metatable = nil, { code = "malformed", message = "its metatable is a " .. type(metatable) }
  end
  if ok and not strings and not functions then
    return true, metatable, held
  end
  raw_tables.clear(t)
  if not ok then
    return nil, metatable
  end
  local fetched <const>, err = fetch(self, strings, functions)
  if not fetched then
    return nil, err
  end
  return false, fetched
end

-- Fills the empty table t, without a metatable, from a base.
-- -> true, metatable or nil, its long strings or nil (identity.set_loaded) | nil, err; t is empty then
function loading.fill(self, t, base)
  local ok, result, held
  repeat
    ok, result, held = try_fill(self, t, base) -- meanwhile `result` holds what was fetched after the try before
  until ok ~= false
  return ok, result, held
end

-- fill for a table that is a stub: whatever goes wrong, it is one again.
local function fill_stub(self, t, base)
  stubs.strip(t)
  local returned <const>, ok, metatable, held = pcall(loading.fill, self, t, base)
  if returned and ok then
    return true, metatable, held
  end
  raw_tables.clear(t)
  stubs.turn(t, self.map.load)
  if not returned then
    error(ok, 0)
  end
  return nil, metatable
end

-- The object that was read into t belongs to an earlier version of its class: the class may change it. What it changes is a change
-- like any other; that the object is of the version now, the next commit writes in any case. -> true | nil, err
function loading.migrate(t, class, from)
  local change <const> = from and rawget(class, "__migrate")
  if not change then
    return true
  end
  local ok, message = pcall(change, t, from)
  if ok then
    return true
  end
  return nil, {
    code = "not_migrated", message = string.format("__migrate from version %d: %s", from, tostring(message)),
  }
end

-- Reads and fills one stub. -> true, metatable, version of its class if that is an earlier one | nil, err
local function load_one(self, t, id)
  local record, err = read_ahead.record(self.ahead, id)
  local base
  if record then
    base, err = kinds.read(self, record)
  end
  if not base then
    return nil, err
  elseif not kinds.of(base).fill then
    return nil, { code = "malformed", message = string.format("it is of kind %d, not a table", record.kind) }
  end
  permanents.begin(self.map.permanents)
  local ok, metatable, held = fill_stub(self, t, base)
  if not ok then
    return nil, metatable
  end
  identity.set_loaded(self.map, id, t, base, err.version, held)
  return true, metatable, metatable ~= nil and permanents.older(self.map.permanents, metatable) or nil
end

-- t was reserved as a stub.
local function unload(self, t, id)
  kinds.detach(t)
  identity.set_unloaded(self.map, id)
  raw_tables.clear(t)
  stubs.turn(t, self.map.load)
end

-- Loads the stub t, with its metatable, the metatable's metatable and so on; none has its metatable yet. They are added to `done`.
-- -> true | nil, err, id and table of what could not be loaded
local function load_chain(self, t, done)
  local wanted = t
  repeat
    local entry = { table = wanted, id = self.map.names[wanted] }
    done[#done + 1] = entry
    local ok, metatable
    ok, metatable, entry.from = load_one(self, wanted, entry.id)
    if not ok then
      return nil, metatable, entry.id, wanted
    elseif metatable ~= nil then
      stubs.note_metatable(metatable)
    end
    entry.metatable = metatable
    wanted = metatable
  until wanted == nil or not stubs.is(wanted)
  return true
end

-- Loads the stub t, with its metatable, the metatable's metatable and so on: all or, even if memory runs out, none.
-- -> true | nil, err, id and table of what could not be loaded
function loading.load(self, t)
  local done = {}
  local returned <const>, ok, err, id, culprit = pcall(load_chain, self, t, done)
  if not returned or not ok then
    for i = 1, #done do
      if not stubs.is(done[i].table) then
        unload(self, done[i].table, done[i].id)
      end
    end
    if not returned then
      error(ok, 0)
    end
    return nil, err, id, culprit
  end
  if self.moved then
    table.move(done, 1, #done, #self.moved + 1, self.moved)
  end
  for i = #done, 1, -1 do
    stubs.settle(done[i].table)
    if done[i].metatable ~= nil then
      self.metatables.set_metatable(done[i].table, done[i].metatable)
    end
  end
  for i = #done, 1, -1 do
    local one = done[i]
    ok, err = loading.migrate(one.table, one.metatable, one.from)
    if not ok then
      loading.forget(self, one.table, one.id)
      return nil, err, one.id, one.table
    end
  end
  return true
end

-- A move begins: the state of the session may be the one before again, and what is loaded meanwhile then has to be forgotten.
function loading.begin_move(self)
  loading.drop_read_ahead(self)
  self.moved = {}
end

function loading.keep_move(self)
  self.moved = nil
end

function loading.take_back_move(self)
  local moved <const> = self.moved
  self.moved = nil
  loading.drop_read_ahead(self)
  for i = #moved, 1, -1 do
    local one = moved[i]
    if one.table then
      loading.forget(self, one.table, one.id)
    else
      function_loading.forget(one)
    end
  end
end

-- Gives the loaded table t the fields of `content` and this metatable. -> true | nil, err; t is unchanged then
function loading.replace(self, t, content, metatable)
  if metatable ~= nil and stubs.is(metatable) then
    local ok, err = loading.load(self, metatable)
    if not ok then
      return nil, err
    end
  end
  if not rawequal(self.metatables.metatable_of(t), metatable) then
    self.metatables.set_metatable(t, nil)
  end
  raw_tables.take_over(t, content)
  if metatable ~= nil then
    stubs.note_metatable(metatable)
    self.metatables.set_metatable(t, metatable)
  end
  return true
end

-- Puts back into t, a loaded table, function or cell, what `base` says. -> true | nil, err; t is unchanged then
function loading.restore(self, t, base)
  local handler <const> = kinds.of(base)
  if handler.restore then
    return handler.restore(self, t, base)
  end
  local content = {}
  permanents.begin(self.map.permanents)
  local ok, metatable = loading.fill(self, content, base)
  if not ok then
    return nil, metatable
  end
  local from <const> = metatable ~= nil and permanents.older(self.map.permanents, metatable) or nil
  local err
  ok, err = loading.replace(self, t, content, metatable)
  if not ok then
    return nil, err
  end
  return loading.migrate(t, metatable, from)
end

-- Makes the loaded, unchanged table t a stub again.
function loading.forget(self, t, id)
  stubs.reserve(t)
  if not map_handles.state(t) then
    self.metatables.set_metatable(t, nil)
  end
  unload(self, t, id)
end

return loading
