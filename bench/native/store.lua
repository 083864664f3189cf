-- A store in a file, natively: store.lua LUA_FOLDER IMAGE CODEC WORK COUNT [cpu]. CODEC: "c" or "lua". With cpu, time is that
-- of the CPU. Prints "RATE UNIT" of one work:
--
--     commit_1       commits of one changed object a second, through a session
--     commit_1000    new objects a second, 1000 a commit, each encoded and handed to the store
--     load_all       objects a second, through a session that touches all of what commit_1000 left
--     open           seconds from opening the file to one object's field
--     get            seconds of a read by path, each of another part, which holds a thousand references
--     nothing        commits in a session of COUNT loaded tables of which none has changed, tables looked at a second
--     nothing_encoded    the same without fingerprints

local native <const>, folder <const>, image <const>, codec_name <const>, work_name <const>, count_text <const>,
  clock_name <const> = ...
package.path = folder .. "/?.lua"

local layout <const> = require "fs.layout"
local objects <const> = require "fs.objects"
local store_module <const> = require "fs.store"
local codec <const> = codec_name == "c" and native.codec or require "fs.codec"
local COUNT <const> = math.tointeger(count_text)
local BATCH <const> = 1000
local GETS <const> = 10

local store
local function open_store()
  store = assert(store_module.open{device = native.device(image), primitives = {
    crc32c = native.crc32c, now = native.now, random = native.random,
    references = native.codec and native.codec.references, entries = native.codec and native.codec.entries,
  }})
  return store
end

local function open_session(of_codec)
  return objects.open{store = open_store(), codec = of_codec or codec, environment = {}}
end

local function now()
  local time <const>, of_cpu <const> = native.clock()
  return clock_name == "cpu" and of_cpu or time
end

local function seconds(act)
  local before <const> = now()
  act()
  return (now() - before) / 1e9
end

-- Of about 60 bytes, encoded.
local function record(number)
  return {name = "object number " .. number, x = number * 0.5, count = number, kind = "site"}
end

local works <const> = {}

function works.commit_1()
  local session <const> = open_session()
  session.root.one = record(1)
  session.commit()
  local one <const> = session.root.one
  return COUNT / seconds(function()
    for i = 1, COUNT do
      one.count = i
      session.commit()
    end
  end), "commits/s"
end

function works.commit_1000()
  open_store()
  local names <const>, list <const> = {}, {}
  local taken <const> = seconds(function()
    for first = 1, COUNT, BATCH do
      local id <const> = assert(store.allocate(BATCH))
      local entries <const> = {}
      for i = 1, BATCH do
        local t <const> = record(first + i - 1)
        entries[i] = {id = id + i - 1, kind = layout.KIND_TABLE, payload = codec.encode(t, names), expected = 0}
        list[#list + 1] = id + i - 1
      end
      assert(store.commit{entries = entries})
    end
  end)
  -- What load_all reads: a list of lists, from the root.
  local parts <const>, tables = {}, setmetatable({}, {__index = function(_, v) return math.type(v) and v end})
  for first = 1, COUNT, BATCH do
    local part <const> = {}
    for i = 1, BATCH do
      local stub <const> = {}
      rawset(tables, stub, list[first + i - 1])
      part[i] = stub
    end
    parts[#parts + 1] = part
  end
  local id <const> = assert(store.allocate(#parts))
  local entries <const>, root <const> = {}, {}
  for i, part in ipairs(parts) do
    local reference <const> = require "fs.codec"
    entries[i] = {id = id + i - 1, kind = layout.KIND_TABLE, payload = assert(reference.encode(part, tables)), expected = 0}
    rawset(tables, part, id + i - 1)
    root[i] = part
  end
  entries[#entries + 1] = {id = layout.ROOT_ID, kind = layout.KIND_TABLE, payload = require("fs.codec").encode(root, tables), expected = 0}
  assert(store.commit{entries = entries})
  assert(store.close())
  return COUNT / taken, "objects/s"
end

function works.load_all()
  local session <const> = open_session()
  local loaded, sum = 0, 0
  local taken <const> = seconds(function()
    for _, part in ipairs(session.root) do
      for i = 1, #part do
        sum = sum + part[i].count
        loaded = loaded + 1
      end
    end
  end)
  assert(loaded == COUNT and sum == COUNT * (COUNT + 1) // 2)
  store.close()
  return COUNT / taken, "objects/s"
end

function works.open()
  local taken <const> = seconds(function()
    local session <const> = open_session()
    local parts <const> = session.root
    assert(parts[(#parts + 1) // 2][500].count > 0)
  end)
  store.close()
  return taken, "s"
end

function works.get()
  local session <const> = open_session()
  local parts <const> = session.root
  local last <const>, found = #parts, 0
  local taken <const> = seconds(function()
    for number = 1, GETS do
      found = found + parts[(number - 1) * last // GETS + 1][number * 37 % BATCH + 1].count
    end
  end)
  assert(found > 0)
  store.close()
  return taken / GETS, "s"
end

local function commits_of_nothing(of_codec)
  local session <const> = open_session(of_codec)
  for first = 1, COUNT, BATCH do
    local part <const> = {}
    for i = 1, BATCH do part[i] = record(first + i - 1) end
    session.root[first // BATCH + 1] = part
  end
  session.commit()
  session.commit()
  local best = math.huge
  for _ = 1, 7 do best = math.min(best, seconds(session.commit)) end
  store.close()
  return COUNT / best, "tables/s"
end

function works.nothing() return commits_of_nothing(codec) end
function works.nothing_encoded()
  return commits_of_nothing{encode = codec.encode, decode = codec.decode, encode_value = codec.encode_value, decode_value = codec.decode_value}
end

print(("%.6g %s"):format(works[work_name]()))
