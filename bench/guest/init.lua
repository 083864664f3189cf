-- The supervisor of the bench image: how much pre-emption and our coroutine library cost, measured in one boot.
--
-- Prints lines "NAME\tOURS\tPEER", of seconds: median, least, greatest; then ends QEMU through the isa-debug-exit device.
-- core.plain_coroutine is Lua's own library (plain_coroutine.c). Both sides take turns for ROUNDS, many and short, because the
-- host has other things to do.

local core <const> = ...

local DEBUG_EXIT_PORT <const> = 0x501
local ROUNDS <const> = 75
local MEMORY <const> = 8 << 20

local LOOP <const> = "local n = 0 for i = 1, 6e5 do n = n + (i & 7) end return n"
local SWITCHES <const> = [[
  local coroutine = ...
  local resume, yield = coroutine.resume, coroutine.yield
  local co = coroutine.create(function() while true do yield() end end)
  for i = 1, 2e4 do resume(co) end
]]

local function seconds(act)
  collectgarbage()
  local before <const> = core.clock()
  act()
  return (core.clock() - before) / 1e9
end

local function summary(times)
  table.sort(times)
  return ("%.6g %.6g %.6g"):format(times[ROUNDS // 2 + 1], times[1], times[ROUNDS])
end

--- Prints the times of two that are measured in turn, so that both see the same host.
local function compare(name, act, reference)
  local ours <const>, peer <const> = {}, {}
  for round = 1, ROUNDS do
    if round % 2 == 0 then peer[round] = seconds(reference) end
    ours[round] = seconds(act)
    if round % 2 == 1 then peer[round] = seconds(reference) end
  end
  print(("%s\t%s\t%s"):format(name, summary(ours), summary(peer)))
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
compare("preempt_1000hz_vs_none", process(LOOP, 1), process(LOOP, NEVER))
compare("switch_vs_lua_coroutine", with(coroutine), with(core.plain_coroutine))
core.ports(DEBUG_EXIT_PORT, 1):out8(0, 0)
