-- Cases of what user code sees of threads and hooks while ticks come: nothing that Lua alone would not show it.

local core <const>, host <const>, folder <const>, name <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local cases <const> = {}

--- Runs the text to its end, with all of Lua's libraries if `unsafe`, while a tick comes every `microseconds`.
local function run_with_ticks(microseconds, text, unsafe)
  local process <const> = assert(core.process{name = "case", memory = 16 << 20, unsafe = unsafe})
  assert(process:load(text, "=case"))
  host.tick_every(microseconds)
  local ended <const> = table.pack(harness.finish(process, nil, 1))
  host.tick_every(0)
  assert(ended[1] == "finished", ("%s: %s\n%s"):format(ended[1], ended[2], ended[3]))
  return table.unpack(ended, 2, ended.n)
end

-- With all of Lua's libraries too: its own coroutine library would tell the truth about threads and ticks.
function cases.an_evaluation_runs_in_what_it_takes_for_the_main_thread()
  local text <const> = [[
    local kernel = ...
    local function is_main()
      local thread, main = coroutine.running()
      assert(main and coroutine.status(thread) == "running")
      assert(not coroutine.isyieldable() and not coroutine.isyieldable(thread))
      for _, f in ipairs{coroutine.yield, coroutine.close} do
        local ok, message = pcall(f)
        assert(not ok and message:find(f == coroutine.yield and "outside a coroutine" or "main thread"), message)
      end
      return true
    end
    assert(is_main() and kernel.evaluate(is_main))
    assert(kernel.evaluate(function()
      assert(kernel.evaluate(is_main))                        -- one within another
      local inner = coroutine.wrap(function()
        assert(select(2, coroutine.running()) == false and coroutine.isyieldable())
        assert(kernel.evaluate(is_main))
        coroutine.yield(1)
        return 2
      end)
      assert(inner() == 1 and inner() == 2)
      return is_main()
    end))
    assert(is_main())
  ]]
  run_with_ticks(500, text, false)
  run_with_ticks(500, text, true)
end

function cases.the_first_thread_of_the_supervisor_alone_is_its_main_one()
  assert(select(2, coroutine.running()) == true)
  assert(select(2, coroutine.wrap(function() return coroutine.running() end)()) == false)
end

-- A hook that yields marks its frame, and Lua passes over the frame's next event.
function cases.a_tick_takes_no_event_from_a_hook_of_user_code()
  run_with_ticks(100, [[
    local kernel = ...
    local function count_events(mask, count)
      local events = 0
      local function hook() events = events + 1 end
      local stop = kernel.clock() + 300000
      while kernel.clock() < stop do end
      debug.sethook(hook, mask, count)
      local a = 1
      local b = 2
      debug.sethook()
      return events
    end
    local lines, instructions = count_events("l"), count_events("", 1)
    assert(lines == 3, lines)
    for i = 1, 100 do
      assert(count_events("l") == lines, "a line was lost")
      assert(count_events("", 1) == instructions, "an instruction was lost")
    end
    local inside = coroutine.wrap(function()
      for i = 1, 100 do coroutine.yield(count_events("l")) end
    end)
    for i = 1, 100 do assert(inside() == lines, "a line was lost in a coroutine") end
  ]], true)
  assert(harness.stops.preempted > 50)
end

-- Each time a thread has yielded, Lua counts its C levels from the start.
function cases.a_recursion_through_c_ends_where_it_does_without_ticks()
  local text <const> = [[
    local kernel = ...
    local deepest = 0
    local function loop(depth)
      local stop = kernel.clock() + 30000
      while kernel.clock() < stop do end
      deepest = depth
      if depth > 2000 then return true end
      assert(pcall(loop, depth + 1))
    end
    local ran, message = kernel.evaluate(loop, 1)
    return deepest, message
  ]]
  local undisturbed <const>, reason <const> = harness.run(core, text)
  assert(undisturbed < 200 and reason:find("C stack overflow"), reason)
  local depth <const>, message <const> = run_with_ticks(100, text)
  assert(depth < undisturbed + 200 and message:find("C stack overflow"), depth)
  assert(harness.stops.preempted > 20)
end

-- What would end only after minutes can be abandoned all the same.
function cases.a_deep_evaluation_can_be_abandoned()
  local process <const> = harness.process(core, [[
    local kernel = ...
    local function down(depth)
      if depth > 0 then return 1 + down(depth - 1) end
      while true do end
    end
    local outcome = table.pack(kernel.evaluate(down, 5000))
    return table.unpack(outcome, 1, outcome.n)
  ]])
  host.tick_every(500)
  for _ = 1, 20 do process:run(1) end
  assert(process:interrupt())
  local why <const>, ran <const>, reason <const> = harness.finish(process, nil, 1)
  host.tick_every(0)
  assert(why == "finished" and ran == nil and reason == "interrupted", reason)
end

function cases.gethook_shows_no_hook_but_the_users()
  run_with_ticks(100, [[
    local clock, gethook, sethook = (...).clock, debug.gethook, debug.sethook
    local stop = clock() + 200000000
    while clock() < stop do
      for i = 1, 1000 do
        local hook = gethook()
        if hook ~= nil then error(hook) end
      end
    end
    local function f() end
    sethook(f, "c", 7)
    local hook, mask, count = gethook()
    assert(hook == f and mask == "c" and count == 7)
    sethook()
    assert(gethook() == nil and select("#", gethook()) == 1)
  ]], true)
end

assert(cases[name], "no such case")()
