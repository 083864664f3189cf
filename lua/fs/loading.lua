-- Loading: reads objects and fills their tables; and the way back, forget.
--
-- A metatable loads with its table, because Lua reads metatables raw.
--
-- Promises: a table is either filled wholly, metatable included, or is still a stub; one bad object does not keep its
-- neighbours from being read; messages name the object, by path where there is one, and its id.
-- Relies on: fs.identity, fs.kinds, fs.long_strings, fs.read_ahead, fs.stubs, a codec.

local identity <const> = require "fs.identity"
local kinds <const> = require "fs.kinds"
local long_strings <const> = require "fs.long_strings"
local raw_tables <const> = require "fs.raw_tables"
local read_ahead <const> = require "fs.read_ahead"
local stubs <const> = require "fs.stubs"

local next <const> = next
local pcall <const> = pcall

local loading = {}

-- store, codec, map: what it works on. metatables: see raw_tables.access.
function loading.new(store, codec, map, metatables)
  local strings = long_strings.new(store.read)
  map.links.string = function(id) return long_strings.of(strings, id) end
  return {
    store = store, codec = codec, map = map, metatables = metatables, strings = strings,
    ahead = read_ahead.new(store, map), fill = loading.fill,
  }
end

-- What was read ahead may be out of date: drops it.
function loading.drop_read_ahead(self)
  read_ahead.drop(self.ahead)
end

-- One try of fill. -> true, metatable or nil, held or nil | nil, err | false: more was read, try again
local function try_fill(self, t, base)
  long_strings.begin(self.strings)
  local ok, metatable = kinds.of(base).fill(self, t, base)
  local held <const>, wanted <const> = long_strings.finish(self.strings)
  if ok and metatable ~= nil and type(metatable) ~= "table" then
    ok, metatable = nil, { code = "malformed", message = "its metatable is a " .. type(metatable) }
  end
  if ok and not wanted then
    return true, metatable, held
  end
  raw_tables.clear(t)
  if not ok then
    return nil, metatable
  end
  local fetched <const>, err = long_strings.fetch(self.strings, wanted)
  if not fetched then
    return nil, err
  end
  return false
end

-- Fills the empty table t, without a metatable, from a base.
-- -> true, metatable or nil, its long strings or nil (identity.set_loaded) | nil, err; t is empty then
function loading.fill(self, t, base)
  local ok, result, held
  repeat
    ok, result, held = try_fill(self, t, base)
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

-- Reads and fills one stub. -> true, metatable | nil, err
local function load_one(self, t, id)
  local record, err = read_ahead.record(self.ahead, id)
  local base
  if record then
    base, err = kinds.read(self, record)
  end
  if not base then
    return nil, err
  end
  local ok, metatable, held = fill_stub(self, t, base)
  if not ok then
    return nil, metatable
  end
  identity.set_loaded(self.map, id, t, base, err.version, held)
  return true, metatable
end

local function unload(self, t, id)
  local handler <const> = kinds.of(self.map.payloads[id])
  if handler.empty then
    handler.empty(t)
  end
  identity.set_unloaded(self.map, id)
  raw_tables.clear(t)
  stubs.turn(t, self.map.load)
end

-- Loads the stub t, with its metatable, the metatable's metatable and so on.
-- -> true | nil, err, id and table of what could not be loaded
function loading.load(self, t)
  local done = {}
  local wanted = t
  repeat
    local id = self.map.names[wanted]
    local ok, metatable = load_one(self, wanted, id)
    if not ok then
      for i = 1, #done do
        unload(self, done[i].table, done[i].id)
      end
      return nil, metatable, id, wanted
    end
    done[#done + 1] = { table = wanted, id = id, metatable = metatable }
    wanted = metatable
  until wanted == nil or not stubs.is(wanted)
  for i = #done, 1, -1 do
    local metatable = done[i].metatable
    if metatable ~= nil then
      stubs.note_metatable(metatable)
      self.metatables.set_metatable(done[i].table, metatable)
    end
  end
  return true
end

-- Gives the loaded table t the fields of `content` and this metatable. -> true | nil, err; t is unchanged then
function loading.replace(self, t, content, metatable)
  if metatable ~= nil and stubs.is(metatable) then
    local ok, err = loading.load(self, metatable)
    if not ok then
      return nil, err
    end
  end
  self.metatables.set_metatable(t, nil)
  raw_tables.clear(t)
  for key, value in next, content do
    t[key] = value
  end
  if metatable ~= nil then
    stubs.note_metatable(metatable)
    self.metatables.set_metatable(t, metatable)
  end
  return true
end

-- Puts back into the loaded table t what `base` says. -> true | nil, err; t is unchanged then
function loading.restore(self, t, base)
  local handler <const> = kinds.of(base)
  if handler.restore then
    return handler.restore(self, t, base)
  end
  local content = {}
  local ok, metatable = loading.fill(self, content, base)
  if not ok then
    return nil, metatable
  end
  return loading.replace(self, t, content, metatable)
end

-- Makes the loaded, unchanged table t a stub again.
function loading.forget(self, t, id)
  if not kinds.of(self.map.payloads[id]).empty then
    self.metatables.set_metatable(t, nil)
  end
  unload(self, t, id)
end

return loading
