-- The supervisor of the bench image: how much pre-emption and our coroutine library cost, as ratios measured in one boot.
--
-- Prints "NAME\tRATIO" lines, then ends QEMU through the isa-debug-exit device. core.plain_coroutine is Lua's own library
-- (plain_coroutine.c). Every figure is the median of ROUNDS, because the host has other things to do.

local core <const> = ...

local DEBUG_EXIT_PORT <const> = 0x501
local ROUNDS <const> = 15
local MEMORY <const> = 8 << 20

local LOOP <const> = "local n = 0 for i = 1, 3e6 do n = n + (i & 7) end return n"
local SWITCHES <const> = [[
  local coroutine = ...
  local resume, yield = coroutine.resume, coroutine.yield
  local co = coroutine.create(function() while true do yield() end end)
  for i = 1, 1e5 do resume(co) end
]]

local function seconds(act)
  collectgarbage()
  local before <const> = core.clock()
  act()
  return (core.clock() - before) / 1e9
end

--- The median of the ratios of two that are measured in turn, so that both see the same host.
local function ratio(act, reference)
  local ratios <const> = {}
  for round = 1, ROUNDS do
    local after <const> = round % 2 == 0 and seconds(reference)
    local taken <const> = seconds(act)
    ratios[round] = taken / (after or seconds(reference))
  end
  table.sort(ratios)
  return ratios[ROUNDS // 2 + 1]
end

-- A process that runs the text to its end, `slice` ticks at a time.
local function process(text, slice)
  return function()
    local handle <const> = assert(core.process{name = "bench", memory = MEMORY})
    assert(handle:load(text, "=bench"))
    local why, what
    repeat why, what = handle:run(slice) until why ~= "preempted" and why ~= "parked"
    assert(why == "finished", what)
    handle:kill()
  end
end

local function with(library)
  local chunk <const> = assert(load(SWITCHES, "=switches"))
  return function() chunk(library) end
end

local NEVER <const> = 1 << 30
print(("preempt_1000hz_vs_none\t%.4f"):format(ratio(process(LOOP, 1), process(LOOP, NEVER))))
print(("switch_vs_lua_coroutine\t%.4f"):format(ratio(with(coroutine), with(core.plain_coroutine))))
core.ports(DEBUG_EXIT_PORT, 1):out8(0, 0)
