-- What the codec is fuzzed with: random tables of every kind that there is, payloads of MessagePack's parts in any of their
-- forms, mutations. All chance comes from math.random.

local material <const> = {}
local random <const> = math.random

local function pick(list) return list[random(#list)] end

local INTEGERS <const> = {0, 1, 31, 32, 127, 128, 255, 256, 32767, 32768, 65535, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
  1 << 32, 1 << 53, math.maxinteger, -1, -32, -33, -128, -129, -32768, -32769, -(1 << 31), -(1 << 31) - 1, math.mininteger}
local FLOATS <const> = {0.0, -0.0, 0.5, -0.5, 1.0, 1e300, -1e-300, 2.0 ^ 63, math.huge, -math.huge, 5e-324}
local ODD <const> = {"\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", "\xf8\x88\x80\x80\x80", "\xf4\x8f\xbf\xbf",
  "\xef\xbf\xbf", "a\0b", "\xc3", "\xe2\x82", "\xed\x9f\xbf", "\xff", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80\x80", "\xf0\x90\x80"}
local LENGTHS <const> = {0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 41, 255, 256, 300, 65535, 65536}
local IDS <const> = {1, 2, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32, (1 << 48) - 1}
local IDS_OF_FUNCTIONS <const> = {301, 65537, (1 << 32) + 1, (1 << 48) - 2}      -- no object's
local NAMES <const> = {"print", "string.format", "gr\xc3\xb6\xc3\x9fe", ("x"):rep(16), ("y"):rep(300), "a\"\\\n\r\0001", ""}

local function nan() return pick{0 / 0, -(0 / 0), (string.unpack("<d", "\1\0\0\0\0\0\xf0\x7f"))} end

local function text()
  local kind <const> = random(20)
  if kind <= 12 then
    local bytes <const> = {}
    for i = 1, random(0, 12) do bytes[i] = string.char(random(97, 122)) end
    return table.concat(bytes)
  elseif kind <= 15 then return pick(ODD) .. (random(2) == 1 and pick(ODD) or "")
  elseif kind == 16 then return pick{"a", "\xff", "\xc3\xa9"}:rep(pick(LENGTHS) // 2 + 1):sub(1, pick(LENGTHS)) end
  return pick{"name", "id", "x", "position", "\xc3\xa9t\xc3\xa9", "a", "ab", "abcdefgh", "abcdefghi", "abcdefgha"}
end

local function integer() return random(3) == 1 and pick(INTEGERS) or random(-300, 300) end
local function float() return random(8) == 1 and nan() or random(2) == 1 and pick(FLOATS) or random() * 10 ^ random(-20, 20) end

-- world: see codec_pair; nameless(): a table or function that has no name.
local function value(world, nameless)
  local kind <const> = random(16)
  if kind <= 5 then return integer()
  elseif kind <= 8 then return text()
  elseif kind <= 10 then return float()
  elseif kind == 11 then return random(2) == 1
  elseif kind <= 14 then return world.object(random(2) == 1 and pick(IDS) or random(300))
  elseif kind == 15 then return world.permanent(pick(NAMES)) end
  if random(3) == 1 then return world.callable(random(2) == 1 and pick(IDS_OF_FUNCTIONS) or random(1000, 1300)) end
  if random(300) == 1 then return world.long(random(4)) end
  return nameless and nameless() or integer()
end

local function key(world, nameless)
  local k
  repeat k = value(world, nameless) until k == k
  return k
end

-- Now and then with holes, and grown and shrunk, so that Lua lays it out in different ways.
local function fill_array(t, world, nameless)
  local kind <const>, n <const> = random(10), random(4) == 1 and random(0, 200) or random(0, 20)
  local width <const> = pick{1 << 6, 1 << 14, 1 << 30, 1 << 62}
  for i = 1, n do
    if kind == 1 then t[i] = random(-width, width)
    elseif kind == 2 then t[i] = float()
    elseif kind == 3 then t[i] = i
    else t[i] = value(world, nameless) end
  end
  if n > 2 and random(6) == 1 then t[random(n)] = nil end
end

--- A random table; `nameless` (may be nil) gives values that have no name.
function material.table(world, nameless)
  local t <const> = {}
  if random(3) > 1 then fill_array(t, world, nameless) end
  local pairs_count <const> = random(8) == 1 and random(0, 120) or random(0, 8)
  for _ = 1, pairs_count do t[key(world, nameless)] = value(world, nameless) end
  if random(5) == 1 then
    local passing <const> = {}
    for i = 1, random(30) do passing[i] = key(world) end
    for _, k in ipairs(passing) do
      if t[k] == nil then t[k] = true; t[k] = nil end
    end
  end
  return t
end

material.value = value

function material.metatable(world)
  local kind <const> = random(6)
  if kind == 1 then return world.object(random(300)) end
  if kind == 2 then return world.permanent(pick(NAMES)) end
end

-- --- payloads of parts ----------------------------------------------------------------------------------------------------

local INTEGER_FORMS <const> = {{0xcc, ">B", 0, 0xff}, {0xcd, ">I2", 0, 0xffff}, {0xce, ">I4", 0, 0xffffffff},
  {0xcf, ">i8", math.mininteger, math.maxinteger}, {0xd0, ">b", -0x80, 0x7f}, {0xd1, ">i2", -0x8000, 0x7fff},
  {0xd2, ">i4", -0x80000000, 0x7fffffff}, {0xd3, ">i8", math.mininteger, math.maxinteger}}

local function integer_part()
  local number <const> = random(2) == 1 and pick(INTEGERS) or random(-5, 30)
  if number >= -32 and number < 128 and random(2) == 1 then return string.char(number & 0xff) end
  local form
  repeat form = pick(INTEGER_FORMS) until form[3] <= number and number <= form[4]
  if random(2) == 1 then       -- the shortest one
    for _, candidate in ipairs(INTEGER_FORMS) do
      if (number >= 0) == (candidate[1] < 0xd0) and candidate[3] <= number and number <= candidate[4] then form = candidate break end
    end
  end
  return string.char(form[1]) .. string.pack(form[2], number)
end

local LENGTH_FORMS <const> = {{">B", 0xff}, {">I2", 0xffff}, {">I4", 0xffffffff}}

-- fixed: first byte of the fixed form, up to fixed_max; heads: of the forms with 1, 2, 4 bytes of length, false for none.
local function head(n, fixed, fixed_max, heads)
  if fixed and n <= fixed_max and random(6) > 1 then return string.char(fixed + n) end
  local place
  repeat place = random(8) > 1 and (n <= 0xff and heads[1] and 1 or n <= 0xffff and 2 or 3) or random(3)
  until heads[place] and n <= LENGTH_FORMS[place][2]
  return string.char(heads[place]) .. string.pack(LENGTH_FORMS[place][1], n)
end

local function string_part()
  if random(4000) == 1 then
    local n <const> = pick{65535, 65536, 65537, 70000}
    return head(n, 0xa0, 31, {0xd9, 0xda, 0xdb}) .. pick{"x", "\xff"}:rep(n)
  end
  local body <const> = pick{"", "a", "ab", "b", "\xff", "\xc3\xa9", ("x"):rep(32), "\xed\xa0\x80", text()}
  if random(5) > 1 then return head(#body, 0xa0, 31, {0xd9, 0xda, 0xdb}) .. body end
  return head(#body, nil, nil, {0xc4, 0xc5, 0xc6}) .. body
end

local FIXED_EXTENSION <const> = {[1] = 0xd4, [2] = 0xd5, [4] = 0xd6, [8] = 0xd7, [16] = 0xd8}

local function extension_part(kind, body)
  local fixed <const> = FIXED_EXTENSION[#body]
  if fixed and random(10) > 1 then return string.char(fixed, kind) .. body end
  return head(#body, nil, nil, {0xc7, 0xc8, 0xc9}) .. string.char(kind) .. body
end

local function name_part()
  if random(3) == 1 then return extension_part(pick{2, 2, 2, 3, 4, 9}, pick{"", "print", "\xff", "unknown", pick(NAMES)}) end
  local id <const> = pick{0, 1, 2, 255, 256, 65536, 1 << 32, (1 << 48) - 1, 1 << 48, random(300)}
  local width = id <= 0xff and 1 or id <= 0xffff and 2 or id <= 0xffffffff and 4 or 8
  if random(6) == 1 then width = math.max(width, pick{1, 2, 4, 8, 3 }) end
  return extension_part(pick{1, 1, 1, 1, 1, 1, 5, 5, 6, random(60) == 1 and 4 or 1}, string.pack(">I" .. width, id))
end

local function part()
  local kind <const> = random(20)
  if kind <= 8 then return integer_part()
  elseif kind <= 12 then return string_part()
  elseif kind == 13 then return pick{"\xc2", "\xc3", "\xc2", "\xc3", "\xc0", "\xc1", "\xca\x3f\x80\0\0"}
  elseif kind <= 15 then return string.pack(">Bd", 0xcb, random(3) == 1 and nan() or float()) end
  return name_part()
end

local function array_part()
  local n <const> = pick{0, 0, 0, 1, 2, 3, 15, 16, 17}
  if random(10) <= 3 then
    local form <const> = pick{{1, 1}, {2, 2}, {3, 4}, {4, 8}, {5, 8}, {6, 8}, {0, 1}}
    local bytes <const> = {}
    for i = 1, form[2] * n do bytes[i] = string.char(random(0, 255)) end
    local body <const> = pick{("\0"):rep(form[2] * n), table.concat(bytes), ("\xff"):rep(form[2] * n)}
    return extension_part(pick{3, 3, 3, 3, 3, 3, 1, 2}, string.char(form[1]) .. body .. pick{"", "", "", "\0"})
  end
  local parts <const>, alike <const> = {}, random(2) == 1
  for i = 1, n do parts[i] = alike and n > 15 and integer_part() or part() end
  return head(n, 0x90, 15, {false, 0xdc, 0xdd}) .. table.concat(parts)
end

local function map_part()
  local n <const> = pick{0, 0, 1, 2, 3, 4, 5, 16}
  local keys <const> = {}
  for i = 1, n do keys[i] = part() end
  if random(3) > 1 then table.sort(keys) end
  for i = 1, n do keys[i] = keys[i] .. part() end
  return head(n, 0x80, 15, {false, 0xde, 0xdf}) .. table.concat(keys)
end

--- A payload whose parts are whole; about one in five is canonical.
function material.parts()
  return array_part() .. map_part() .. (random(8) == 1 and part() or "")
end

--- The payload with a few bytes changed, cut off, repeated or added.
function material.mutated(payload)
  for _ = 1, random(3) do
    local place <const>, kind <const> = random(1, #payload + 1), random(6)
    if kind == 1 then payload = payload:sub(1, place - 1)
    elseif kind == 2 then payload = payload:sub(1, place - 1) .. payload:sub(place + random(4))
    elseif kind == 3 then payload = payload:sub(1, place - 1) .. string.char(random(0, 255)) .. payload:sub(place)
    else payload = payload:sub(1, place - 1) .. string.char(random(2) == 1 and random(0, 255) or 0x80 + random(0, 95)) .. payload:sub(place + 1) end
  end
  return payload
end

return material
