-- The codec in C against the reference in Lua: codec_fuzz.lua SEED PAYLOADS. Random tables are encoded and decoded by both,
-- with and without nameless values; random and mutated payloads are decoded by both. Same seed, same payloads.
-- Prints one line a payload, for the Python codec to judge: "accepted HEX", "refused HEX", or "unknown HEX", which names a permanent
-- that nobody knows.

local core <const>, host <const>, folder <const>, seed_text <const>, count_text <const> = ...
table.insert(package.searchers, 2, function(name)
  local source <const>, chunk <const> = core.source(name)
  return source and assert(load(source, chunk, "t")) or nil
end)
local pair <const> = dofile(folder .. "/codec_pair.lua")(core.codec, require "fs.codec")
local layout <const>, references <const> = require "fs.layout", require "fs.references"
local material <const> = dofile(folder .. "/codec_material.lua")
local random <const> = math.random
local fingerprinter <const> = core.codec.fingerprinter()
local PAYLOADS_OF_A_WORLD <const> = 500

math.randomseed(math.tointeger(seed_text))

local function hexadecimal(s)
  return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local nameless <const> = {function() return {} end, function() return function() end end, function() return io.stdout end,
  function() return coroutine.create(print) end}

-- Names for tables alone, and not for all of them.
local function chooser()
  local next_id = 1000
  return function(value)
    next_id = next_id + 1
    return type(value) == "table" and random(20) > 1 and next_id or nil
  end
end

-- Both must name the same ones, though each asks for itself.
local function same_chance(chosen)
  local given <const> = {}
  return function(value)
    if given[value] == nil then given[value] = chosen(value) or false end
    return given[value] or nil
  end
end

-- The ids that C finds are those that the reference finds. What the decoder refuses, and only that, C refuses; at a permanent
-- that is unknown to it the decoder stops.
local function check_references(payload, verdict)
  local found <const>, expected <const> = {count = 0}, {count = 0}
  local accepts <const> = core.codec.references(payload, found) ~= nil
  assert(verdict == "unknown" or accepts == (verdict == "accepted"))
  if accepts and references.scan(layout.KIND_TABLE, payload, expected) then
    assert(found.count == expected.count)
    for i = 1, found.count do assert(found[i] == expected[i]) end
  end
end

local function judge(payload, world)
  local t <const>, extra <const> = pair.decode(payload, world)
  local verdict <const> = t and "accepted" or extra.code == "malformed" and "refused" or "unknown"
  print(verdict .. " " .. hexadecimal(payload))
  if t then assert(pair.encode(t, extra, world, false) == payload) end
  host.read_exactly(payload)
  check_references(payload, verdict)
  pair.decode_value(payload, random(1, #payload + 1), world)
  return t
end

-- As a fingerprint sees it; `t` has the metatable on.
local function check_fingerprint(t, payload, metatable, world)
  if not fingerprinter:same(t, payload, world.names) then
    for _, value in next, t do
      if world.long_ids[value] then return end      -- is an object of its own, of which the payload knows the id
    end
    error "it does not know the table again"
  end
  local key <const> = random(3) > 1 and next(t) or material.value(world)
  if key ~= nil and key == key then
    local value <const> = t[key]
    t[key] = random(4) > 1 and material.value(world) or nil
    local now <const> = pair.reference.encode(t, world.names, metatable, function(text) return world.long_ids[text] end)
    assert(fingerprinter:same(t, payload, world.names) == (now == payload), "it does not see what encoding sees")
    t[key] = value
  end
  assert(fingerprinter:same(t, payload, world.names))
end

local function a_table(world)
  local t <const>, metatable <const> = material.table(world), material.metatable(world)
  local payload <const> = assert(pair.encode(t, metatable, world, false))
  if type(metatable) ~= "function" then
    check_fingerprint(setmetatable(t, metatable), payload, metatable, world)
    setmetatable(t, nil)
  end
  assert(judge(payload, world))
  judge(material.mutated(payload), world)
  return 2
end

local function with_nameless_values(world)
  local t <const> = material.table(world, function() return nameless[random(#nameless)]() end)
  pair.encode(t, random(8) == 1 and {} or nil, world, random(3) > 1 and same_chance(chooser()) or false)
  pair.encode_value(material.value(world, nameless[1]), world, same_chance(chooser()))
  return 0
end

local function parts(world)
  judge(material.parts(), world)
  return 1
end

local world
local done, since = 0, PAYLOADS_OF_A_WORLD
while done < math.tointeger(count_text) do
  if since >= PAYLOADS_OF_A_WORLD then
    world, since = pair.world(), 0
    for _, name in ipairs{"print", "string.format", ""} do world.permanent(name) end
  end
  local kind <const> = random(3)
  local judged <const> = kind == 1 and a_table(world) or kind == 2 and parts(world) or with_nameless_values(world)
  done, since = done + judged, since + judged
end
