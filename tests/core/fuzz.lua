-- Random calls of the core's primitives: fuzz.lua SEED CALLS. What they do is checked against models in Lua where there is
-- one, and by the sanitizers always; an error that is raised must be one of ours. Same seed, same calls.
--
--     blocks     accessors with hostile offsets against a string model; slices, free, send
--     messages   random graphs there and back
--     processes  random programs in processes, run in random slices, killed, answered, fed
--     arena      arena_check.c

local core <const>, host <const>, folder <const>, seed_text <const>, calls_text <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local seed <const>, calls <const> = tonumber(seed_text), tonumber(calls_text)

math.randomseed(seed)
host.seed(seed)
local random <const> = math.random
local made = 0

local function pick(list) return list[random(#list)] end

-- --- blocks ------------------------------------------------------------------------------------------------------------

local HOSTILE <const> = {0, 1, -1, 7, 8, 99, 100, 101, 4095, 4096, math.maxinteger, math.mininteger, math.maxinteger - 7,
  1 << 32, -(1 << 32), (1 << 63) - 100}

local function offset(size)
  if random(4) == 1 then return pick(HOSTILE) end
  return random(0, size)
end

local NUMBERS <const> = {u8 = "<I1", u16 = "<I2", u32 = "<I4", u64 = "<i8", i8 = "<i1", i16 = "<i2", i32 = "<i4", i64 = "<i8",
  u16be = ">I2", u32be = ">I4", u64be = ">i8", i16be = ">i2", i32be = ">i4", i64be = ">i8"}
local NAMES <const> = {}
for name in pairs(NUMBERS) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

local function fits(size, at, length)
  return at >= 0 and length >= 0 and at <= size and length <= size - at
end

-- A block and its model: {block =, text =}, text being what it holds; false once it is dead.
local function new_pair()
  local size <const> = random(1, 300)
  return {block = core.memory(size), text = ("\0"):rep(size)}
end

local block_calls <const> = {}

function block_calls.number(pair)
  local name <const>, at <const> = pick(NAMES), offset(#pair.text)
  local format <const> = NUMBERS[name]
  local ok <const>, value <const> = pcall(pair.block[name], pair.block, at)
  local inside <const> = fits(#pair.text, at, string.packsize(format))
  assert(ok == inside, name)
  if ok then assert(value == string.unpack(format, pair.text, at + 1), name) end
end

function block_calls.set_number(pair)
  local name <const>, at <const> = pick{"u8", "u16", "u32", "u64", "u16be", "u32be", "u64be"}, offset(#pair.text)
  local format <const> = NUMBERS[name]
  local bytes <const> = string.packsize(format)
  local value <const> = bytes == 8 and random(0) or random(0, (1 << 8 * bytes) - 1)
  local ok <const> = pcall(pair.block["set_" .. name], pair.block, at, value)
  assert(ok == fits(#pair.text, at, bytes))
  if ok then pair.text = pair.text:sub(1, at) .. string.pack(format, value) .. pair.text:sub(at + bytes + 1) end
end

function block_calls.read(pair)
  local at <const>, length <const> = offset(#pair.text), offset(#pair.text)
  local ok <const>, bytes <const> = pcall(pair.block.read, pair.block, at, length)
  assert(ok == fits(#pair.text, at, length))
  if ok then assert(bytes == pair.text:sub(at + 1, at + length)) end
end

function block_calls.write(pair)
  local at <const>, bytes <const> = offset(#pair.text), ("w"):rep(random(0, 40)) .. random(9)
  local ok <const> = pcall(pair.block.write, pair.block, at, bytes)
  assert(ok == fits(#pair.text, at, #bytes))
  if ok then pair.text = pair.text:sub(1, at) .. bytes .. pair.text:sub(at + #bytes + 1) end
end

function block_calls.fill(pair)
  local at <const>, length <const>, value <const> = offset(#pair.text), offset(#pair.text), random(0, 255)
  local ok <const> = pcall(pair.block.fill, pair.block, value, at, length)
  assert(ok == fits(#pair.text, at, length))
  if ok then pair.text = pair.text:sub(1, at) .. string.char(value):rep(length) .. pair.text:sub(at + length + 1) end
end

function block_calls.copy(pair, other)
  local to <const>, from <const>, length <const> = offset(#pair.text), offset(#other.text), offset(60)
  local ok <const> = pcall(pair.block.copy, pair.block, to, other.block, from, length)
  assert(ok == (fits(#pair.text, to, length) and fits(#other.text, from, length)))
  if ok then
    pair.text = pair.text:sub(1, to) .. other.text:sub(from + 1, from + length) .. pair.text:sub(to + length + 1)
  end
end

function block_calls.compare(pair, other)
  local a <const>, b <const>, length <const> = offset(#pair.text), offset(#other.text), offset(30)
  local ok <const>, order <const> = pcall(pair.block.compare, pair.block, a, other.block, b, length)
  assert(ok == (fits(#pair.text, a, length) and fits(#other.text, b, length)))
  if ok then
    local one <const>, two <const> = pair.text:sub(a + 1, a + length), other.text:sub(b + 1, b + length)
    assert((order == 0) == (one == two))
  end
end

function block_calls.find(pair)
  local wanted <const> = pair.text:sub(random(#pair.text), random(#pair.text))
  local from <const>, to <const> = offset(#pair.text), offset(#pair.text)
  local ok <const>, at <const> = pcall(pair.block.find, pair.block, wanted, from, to)
  assert(ok == (to >= 0 and to <= #pair.text and from >= 0 and from <= to))
  if ok then
    local found <const> = pair.text:sub(1, to):find(wanted, from + 1, true)
    assert(at == (found and found - 1), "find")
  end
end

function block_calls.slice(pair)
  local at <const>, length <const> = offset(#pair.text), offset(#pair.text)
  local ok <const>, slice <const> = pcall(pair.block.slice, pair.block, at, length)
  assert(ok == fits(#pair.text, at, length))
  if not ok then return end
  assert(#slice == length and slice:read(0, length) == pair.text:sub(at + 1, at + length))
  assert(not pcall(slice.slice, slice, 0, length + 1) and not pcall(slice.u8, slice, length))
  assert(not pcall(core.pack, pair.block))
end

function block_calls.send(pair)
  collectgarbage()
  local old <const> = pair.block
  local ok <const>, moved <const> = pcall(function() return core.unpack(core.pack(old)) end)
  if ok then
    pair.block = moved
    assert(not pcall(old.u8, old, 0))
  end
  assert(pair.block:read(0, #pair.text) == pair.text)
end

function block_calls.free(pair)
  local old <const> = pair.block
  local slice <const> = old:slice(0, 1)
  old:free()
  assert(not pcall(old.u8, old, 0) and not pcall(slice.u8, slice, 0) and not pcall(old.free, old))
  local fresh <const> = new_pair()
  pair.block, pair.text = fresh.block, fresh.text
end

local block_names <const> = {}
for name in pairs(block_calls) do block_names[#block_names + 1] = name end
table.sort(block_names)

local pairs_of_blocks <const> = {}
for place = 1, 20 do pairs_of_blocks[place] = new_pair() end

local function fuzz_blocks()
  for _ = 1, 200 do
    block_calls[pick(block_names)](pick(pairs_of_blocks), pick(pairs_of_blocks))
    made = made + 1
  end
end

-- --- messages ------------------------------------------------------------------------------------------------------------

local function random_graph()
  local tables <const> = {}
  for place = 1, random(12) do tables[place] = {} end
  local function value()
    local kind <const> = random(8)
    if kind <= 3 then return pick(tables) end
    if kind == 4 then return random(0) end
    if kind == 5 then return random() end
    if kind == 6 then return ("s"):rep(random(0, 30)) .. random(50) end
    return random(2) == 1
  end
  for _, t in ipairs(tables) do
    for place = 1, random(0, 5) do t[place] = value() end
    for _ = 1, random(0, 5) do t[random(3) == 1 and random(0) or "k" .. random(30)] = value() end
  end
  return tables
end

local function fuzz_messages()
  local graph <const> = random_graph()
  assert(harness.same(graph, (core.unpack(core.pack(graph)))))
  made = made + 2
end

-- --- processes -----------------------------------------------------------------------------------------------------------

local STATEMENTS <const> = {
  "t[#t + 1] = ('x'):rep(R(3000))",
  "t = {}",
  "t[R(20)] = {R(9), t[R(20)]}",
  "kernel.call('echo', R(3), t, R(5), 'text', {1, {2}})",
  "pcall(kernel.call, 'echo', 0, print)",
  "pcall(kernel.call, 'echo', 0, kernel.memory(R(9000)))",
  "held[R(4)] = kernel.memory(R(9000))",
  "do local b = held[R(4)] if b then pcall(b.slice, b, R(100), R(9000)) end end",
  "do local b = held[R(4)] if b then pcall(b.free, b) end end",
  "table.sort(t, function(a, b) if R(40) == 1 then kernel.call('echo', 0, R(9)) end return tostring(a) < tostring(b) end)",
  "do local co = coroutine.wrap(function(a) while true do a = coroutine.yield(kernel.call('echo', 0, a)) end end) co(1) co(2) end",
  "pcall(coroutine.wrap(function() error({}) end))",
  "do local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() kernel.call('echo', 0) end}) "
    .. "coroutine.yield() end) coroutine.resume(co) coroutine.close(co) end",
  "setmetatable({}, {__gc = function() kernel.call('echo', 0, {1, 2}) for i = 1, 1000 do end end})",
  "collectgarbage(R(2) == 1 and 'step' or 'collect')",
  "collectgarbage(R(2) == 1 and 'generational' or 'incremental')",
  "for i = 1, R(3000) do n = n + i end",
  "kernel.evaluate(function() if R(3) == 1 then error('e') end return kernel.call('echo', 0, 1) end)",
  "pcall(load, ('x = x + 1 '):rep(R(200)))",
  "string.format('%g %s %q', R(99) / 7, n, 'text')",
  "(('ab'):rep(R(50))):gsub('%w', function(c) if R(60) == 1 then kernel.call('echo', 0) end end)",
  "io.write(('w'):rep(R(1500)))",
  "print(n, t[1])",
  "setmetatable({}, {__gc = function() io.write(('f'):rep(R(700))) end})",
  "kernel.evaluate(function() table.sort({3, 1, 2, 5, 4}, function() for i = 1, R(20000) do n = n + 1 end return R(2) == 1 end) end)",
  "kernel.evaluate(function() return (('a'):rep(14)):find(('a?'):rep(14) .. ('a'):rep(14) .. 'b') end)",
  "kernel.evaluate(function() setmetatable({}, {__gc = function() for i = 1, R(20000) do n = n + 1 end end}) collectgarbage() end)",
  "kernel.evaluate(function() kernel.call('echo', 0, {[setmetatable({}, {__tostring = function() for i = 1, R(9000) do n = n + 1 end "
    .. "return 'key' end})] = {print}}) end)",
  "do local raw, f = kernel.raw, load('local a, b = ... return function() return function() return a end, b end') "
    .. "local g = raw.function_at(f, R(0, 3)) if g then pcall(g) raw.dump(g) raw.number_of(f, g) end end",
  "if R(400) == 1 then error('the end') end",
  "if R(900) == 1 then t = ('x'):rep(1 << 30) end",
  "if R(700) == 1 then local function f() return f() + 1 end f() end",
}

local function random_program()
  local lines <const> = {
    "local kernel, seed = ... math.randomseed(seed) kernel.writer(function(text) kernel.call('echo', 0, #text) end) "
      .. "local R, t, held, n = math.random, {}, {}, 0 while true do",
  }
  for _ = 1, random(2, 9) do lines[#lines + 1] = pick(STATEMENTS) end
  lines[#lines + 1] = "if R(300) == 1 then return n, t end end"
  return table.concat(lines, "\n")
end

local processes <const> = {}
local accounts <const> = {}
for place = 1, 3 do accounts[place] = core.account(place * (4 << 20)) end

local function start(place)
  local process <const> = core.process{
    name = "fuzz", memory = random(1, 4) << 20, unsafe = random(8) == 1, account = accounts[random(#accounts + 1)],
  }
  if process and process:load(random_program(), "=fuzz", random(0)) then processes[place] = process end
end

local function answer(process, operation)
  local payload <const> = process:payload()
  local kind <const> = random(6)
  if operation ~= "echo" or kind == 1 then process:answer()
  elseif kind == 2 then process:answer(nil, "refused")
  elseif kind == 3 then process:answer(random_graph(), payload, 5)
  elseif kind == 4 then process:answer(core.memory(random(100)), core.endpoint(random(9)))
  elseif kind == 5 then process:answer(("y"):rep(random(100000)))
  else process:answer(payload) end
end

local function fuzz_processes()
  core.reap(random(100))
  for _ = 1, 40 do
    made = made + 1
    local place <const> = random(12)
    local process <const> = processes[place]
    if not process or process:ended() then
      if process then process:kill() end
      processes[place] = nil
      start(place)
    elseif random(200) == 1 then
      process:kill(random(0, 300))
      processes[place] = nil
    else
      if random(20) == 1 then process:interrupt() end
      local why <const>, operation <const> = process:run(random(2))
      if why == "call" and random(300) > 1 then answer(process, operation) end
      assert(why ~= "fault", operation)
      assert(process:ended() == (why == "finished" or why == "error"), why)
      process:memory()
    end
  end
end

-- --- all -------------------------------------------------------------------------------------------------------------------

local refused <const> = host.arena_check(seed, calls // 4)
assert(calls < 100000 or refused > 0)
made = made + calls // 4
host.tick_every(100 + random(900))
while made < calls do
  fuzz_blocks()
  fuzz_messages()
  fuzz_processes()
end
host.tick_every(0)
for _, process in pairs(processes) do process:kill(random(300)) end
while not core.reap(random(50)) do end
collectgarbage()            -- those that could not be loaded
collectgarbage()
for _, account in ipairs(accounts) do assert(account:used() == 0, account:used()) end
