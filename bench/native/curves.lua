-- How cost grows with the store, natively: curves.lua LUA_FOLDER IMAGE THERE SIZE. The store grows from THERE objects of about 60 bytes
-- to SIZE; then lines "WHAT VALUE UNIT" are printed, in CPU time, since nothing here is about the disk's:
--
--     open      from opening the file to a field of root.hot[i], in a session of its own
--     get       one object of the whole store by its id, read and decoded, at random
--     commit    of one changed object of root.hot, through a session
--     insert    one of the objects since the size before, 1000 a commit
--     bytes     an object on the disk, of what the log has written

local native <const>, folder <const>, image <const>, there_text <const>, size_text <const> = ...
local THERE <const>, SIZE <const> = math.tointeger(there_text), math.tointeger(size_text)
package.path = folder .. "/?.lua"

local layout <const> = require "fs.layout"
local objects <const> = require "fs.objects"
local store_module <const> = require "fs.store"

local BATCH <const>, HOT <const>, OPENINGS <const>, GETS <const>, COMMITS <const> = 1000, 100, 9, 400, 300
local codec <const> = native.codec
local primitives <const> = {
  crc32c = native.crc32c, now = native.now, random = native.random, references = codec.references, entries = codec.entries,
}

local function record(number)
  return {name = "object number " .. number, x = number * 0.5, count = number, kind = "site"}
end

local function open_store()
  return assert(store_module.open {device = native.device(image), primitives = primitives, collect = false})
end

local function open_session(store)
  return objects.open {store = store, codec = codec, environment = {}}
end

-- Microseconds of CPU that act(1) … act(count) take, each: the median, so that a collection in between counts for one of them.
local function microseconds(count, act)
  local times <const> = {}
  for turn = 1, count do
    local _, before <const> = native.clock()
    act(turn)
    local _, after <const> = native.clock()
    times[turn] = (after - before) / 1e3
  end
  table.sort(times)
  return times[(count + 1) // 2]
end

local function insert(store, count, first_number)
  local first <const> = assert(store.allocate(count))
  local _, begun <const> = native.clock()
  for start = 0, count - 1, BATCH do
    local ids <const>, kinds <const>, payloads <const>, expected <const> = {}, {}, {}, {}
    for i = 1, math.min(BATCH, count - start) do
      ids[i], kinds[i], expected[i] = first + start + i - 1, layout.KIND_TABLE, 0
      payloads[i] = codec.encode(record(first_number + start + i), {})
    end
    assert(store.commit {ids = ids, kinds = kinds, payloads = payloads, expected = expected})
  end
  local _, done <const> = native.clock()
  return first + count, (done - begun) / 1e3 / count
end

local function show(what, value, unit)
  print(("%s\t%.6g\t%s"):format(what, value, unit))
end

-- An object of the store at random. Not every id that was given out is one.
local function any(store, limit)
  local list
  repeat list = store.read {math.random(2, limit - 1)} until list
  return list[1]
end

local function measure(limit)
  show("open", microseconds(OPENINGS, function(turn)
    local store <const> = open_store()
    assert(open_session(store).root.hot[turn].count == turn)
  end), "us")
  local store <const> = open_store()
  local links <const> = {objects = {}, permanents = {}, make = function() return {} end}
  show("get", microseconds(GETS, function() assert(codec.decode(any(store, limit).payload, {}, links)) end), "us")
  local session <const> = open_session(store)
  local hot <const> = session.root.hot
  show("commit", microseconds(COMMITS, function(turn)
    local one <const> = hot[turn % HOT + 1]
    one.x = one.x + 1
    session.commit()
  end), "us")
  assert(store.close())
end

math.randomseed(1)
local store <const> = open_store()
if THERE == 0 then
  local session <const> = open_session(store)
  session.root.hot = {}
  for i = 1, HOT do session.root.hot[i] = record(i) end
  session.commit()
end
local before <const> = store.info().bytes_written
local limit <const>, each <const> = insert(store, SIZE - THERE, THERE)
show("insert", each, "us")
show("bytes", (store.info().bytes_written - before) / (SIZE - THERE), "bytes")
assert(store.close())
measure(limit)
