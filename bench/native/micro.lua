-- What the codec and CRC32C cost, natively: micro.lua LUA_FOLDER COUNT MESSAGEPACK NAME…. Prints lines "NAME OURS PEER UNIT" of the
-- rows that are named. MESSAGEPACK: the file of lua-MessagePack.
-- Both sides of a row take turns; each figure is the median of ROUNDS, followed by the least and the greatest, in CPU time, since
-- nothing here waits for anything.

local native <const>, folder <const>, count_text <const>, messagepack_path <const> = ...
local wanted <const> = {}
for i = 5, select("#", ...) do wanted[select(i, ...)] = true end
package.path = folder .. "/?.lua"

local reference <const> = require "fs.codec"
local codec <const> = native.codec
local ROUNDS <const> = 7
local COUNT <const> = math.tointeger(count_text)

local function seconds(act)
  collectgarbage()
  collectgarbage()
  local _, before <const> = native.clock()
  act()
  local _, after <const> = native.clock()
  return (after - before) / 1e9
end

local function summary(times)
  table.sort(times)
  return ("%.9g %.9g %.9g"):format(times[#times // 2 + 1], times[1], times[#times])
end

-- work: how much one call does, in units.
local function compare(name, ours, peer, work, unit)
  if not wanted[name] then return end
  local a, b = {}, {}
  for round = 1, ROUNDS do
    if round % 2 == 0 then a[round] = work / seconds(ours) end
    b[round] = work / seconds(peer)
    if round % 2 == 1 then a[round] = work / seconds(ours) end
  end
  print(table.concat({name, summary(a), summary(b), unit}, "\t"))
end

-- --- records as the objects of a program ---------------------------------------------------------------------------------

local names <const>, loaded <const>, payloads <const> = setmetatable({}, {__mode = "k"}), {}, {}
for id = 1, COUNT do
  local t <const> = {name = "object number " .. id, x = id * 0.5, count = id, parent = loaded[id // 2]}
  loaded[id], names[t] = t, id
end
local links <const> = {objects = loaded, permanents = {}}
for id = 1, COUNT do
  payloads[id] = codec.encode(loaded[id], names)
end

local function encode_all(encode)
  return function()
    local changed = 0
    for id, t in next, loaded do
      if encode(t, names, getmetatable(t)) ~= payloads[id] then changed = changed + 1 end
    end
    assert(changed == 0)
  end
end

local function decode_all(decode)
  return function()
    for id = 1, COUNT do
      assert(decode(payloads[id], {}, links))
    end
  end
end

compare("codec_encode_vs_lua", encode_all(codec.encode), encode_all(reference.encode), COUNT, "tables/s")
compare("codec_decode_vs_lua", decode_all(codec.decode), decode_all(reference.decode), COUNT, "tables/s")

-- lua-MessagePack knows no references: of the same records without their parents.
if wanted.codec_encode_vs_lua_messagepack or wanted.codec_decode_vs_lua_messagepack then
  local messagepack <const> = dofile(messagepack_path)
  local packed <const> = {}
  for id = 1, COUNT do
    loaded[id].parent = nil
    payloads[id] = codec.encode(loaded[id], names)
    packed[id] = messagepack.pack(loaded[id])
  end
  compare("codec_encode_vs_lua_messagepack", encode_all(codec.encode), function()
    for id = 1, COUNT do messagepack.pack(loaded[id]) end
  end, COUNT, "tables/s")
  compare("codec_decode_vs_lua_messagepack", decode_all(codec.decode), function()
    for id = 1, COUNT do messagepack.unpack(packed[id]) end
  end, COUNT, "tables/s")
end

-- --- CRC32C --------------------------------------------------------------------------------------------------------------

local BLOCK <const>, BLOCKS <const> = ("0123456789abcdef"):rep(256), 4000
local function checksums(crc)
  return function() for _ = 1, BLOCKS do crc(BLOCK) end end
end
compare("crc32c_vs_c_slicing8", checksums(native.crc32c), checksums(native.crc32c_sliced), BLOCKS * #BLOCK / 1e6, "MB/s")
