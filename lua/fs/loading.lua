-- Loading: reads objects and fills their tables; and the way back, forget.
--
-- A metatable loads with its table, because Lua reads metatables raw.
--
-- Promises: a table is either filled wholly, metatable included, or is still a stub; one bad object does not keep its
-- neighbours from being read; messages name the object, by path where there is one, and its id.
-- Relies on: fs.identity, fs.read_ahead, fs.stubs, a codec.

local identity <const> = require "fs.identity"
local layout <const> = require "fs.layout"
local raw_tables <const> = require "fs.raw_tables"
local read_ahead <const> = require "fs.read_ahead"
local stubs <const> = require "fs.stubs"

local next <const> = next

local loading = {}

-- store, codec, map: what it works on. metatables: see raw_tables.access.
function loading.new(store, codec, map, metatables)
  return { codec = codec, map = map, metatables = metatables, ahead = read_ahead.new(store, map) }
end

-- What was read ahead may be out of date: drops it.
function loading.drop_read_ahead(self)
  read_ahead.drop(self.ahead)
end

-- Fills the empty table t, without a metatable, from a payload. -> true, metatable or nil | nil, err; t is empty then.
function loading.fill(self, t, payload)
  local ok, metatable = self.codec.decode(payload, t, self.map.links)
  if ok and metatable ~= nil and type(metatable) ~= "table" then
    ok, metatable = nil, { code = "malformed", message = "its metatable is a " .. type(metatable) }
  end
  if not ok then
    raw_tables.clear(t)
    return nil, metatable
  end
  return true, metatable
end

-- Reads and fills one stub. -> true, metatable | nil, err
local function load_one(self, t, id)
  local record, err = read_ahead.record(self.ahead, id)
  if not record then
    return nil, err
  elseif record.kind ~= layout.KIND_TABLE then
    return nil, { code = "malformed", message = string.format("it is of kind %d, not a table", record.kind) }
  end
  stubs.strip(t)
  local ok, metatable = loading.fill(self, t, record.payload)
  if not ok then
    stubs.turn(t, self.map.load)
    return nil, metatable
  end
  identity.set_loaded(self.map, id, t, record.payload, record.version)
  return true, metatable
end

local function unload(self, t, id)
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

-- Puts back into the loaded table t what `payload` says. -> true | nil, err; t is unchanged then
function loading.restore(self, t, payload)
  local content = {}
  local ok, metatable = loading.fill(self, content, payload)
  if not ok then
    return nil, metatable
  end
  return loading.replace(self, t, content, metatable)
end

-- Makes the loaded, unchanged table t a stub again.
function loading.forget(self, t, id)
  self.metatables.set_metatable(t, nil)
  unload(self, t, id)
end

return loading
