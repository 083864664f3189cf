-- Cases of abandoned evaluations (Ctrl-C) where no yield can pass: comparators, finalizers, patterns, threads in all of them.
-- Nothing of an evaluation can catch its end; the process goes on, sound, with what it held. Each runs in a fresh host program.

local core <const>, host <const>, folder <const>, name <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local cases <const> = {}

-- What is evaluated never ends by itself. `caught` counts what pcall, xpcall and __close have seen of the end, for good measure.
local ENDLESS <const> = {
  a_comparator = "table.sort({3, 1, 2}, function() while true do end end)",
  a_comparator_with_pcall = "table.sort({3, 1, 2}, function() while true do pcall(error) end end)",
  a_comparator_under_pcalls = [[
    pcall(xpcall, function() pcall(table.sort, {3, 1, 2}, function() while true do end end) caught = caught + 1 end,
      function() caught = caught + 1 end)
    caught = caught + 1 while true do end]],
  a_callback_of_gsub = "(('x'):rep(9)):gsub('x', function() while true do end end)",
  a_finalizer = "setmetatable({}, {__gc = function() while true do end end}) collectgarbage() while true do end",
  a_finalizer_in_generational_mode = [[collectgarbage('generational')
    setmetatable({}, {__gc = function() while true do end end}) while true do local t = {} end]],
  a_finalizer_in_a_step = "setmetatable({}, {__gc = function() while true do end end}) while true do collectgarbage('step') end",
  a_finalizer_made_by_a_finalizer = [[
    setmetatable({}, {__gc = function() setmetatable({}, {__gc = function() while true do end end}) end})
    while true do collectgarbage() end]],
  a_thread_in_a_finalizer = [[
    setmetatable({}, {__gc = function()
      table.sort({2, 1}, function() coroutine.wrap(function() while true do end end)() end) caught = caught + 1
    end})
    while true do collectgarbage() end]],
  a_closing_variable = "do local x <close> = setmetatable({}, {__close = function() while true do end end}) end",
  closing_variables_of_an_error = [[
    local function close() return setmetatable({}, {__close = function() while true do end end}) end
    local a <close>, b = close() local c <close> = close() error('x')]],
  a_closed_thread = [[
    local co = coroutine.create(function()
      local a <close> = setmetatable({}, {__close = function() while true do end end})
      local b <close> = setmetatable({}, {__close = function() while true do end end})
      coroutine.yield()
    end)
    coroutine.resume(co) coroutine.close(co) caught = caught + 1]],
  a_thread_that_closes_itself = [[
    coroutine.wrap(function()
      local a <close> = setmetatable({}, {__close = function() while true do end end}) coroutine.close()
    end)()
    caught = caught + 1]],
  a_wrapped_thread_that_failed = [[
    pcall(coroutine.wrap(function()
      local a <close> = setmetatable({}, {__close = function() while true do end end}) error('x')
    end))
    caught = caught + 1 while true do end]],
  threads_in_a_comparator = [[
    table.sort({3, 1, 2}, function()
      coroutine.wrap(function()
        table.sort({3, 1, 2}, function() coroutine.wrap(function() while true do end end)() end)
      end)()
      caught = caught + 1
    end)]],
  a_pattern = "return (('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40) .. 'b')",
  a_pattern_in_a_comparator = [[
    table.sort({3, 1, 2}, function() return (('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40) .. 'b') end)]],
  a_pattern_in_a_thread = [[
    pcall(coroutine.wrap(function() return (('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40) .. 'b') end))
    caught = caught + 1]],
  a_move_without_end = [[
    local t = setmetatable({}, {__index = function() return 1 end, __newindex = function() end})
    table.move(t, 1, 1 << 60, 2)]],
  a_table_that_says_it_is_long = "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 1)",
  collections = "local t = {} for i = 1, 3e4 do t[i] = {} end while true do collectgarbage() end",
  long_strings = "while true do local s = ('x'):rep(2000000) end",
  compiling = "local s = ('x = 1 '):rep(30000) while true do load(s) end",
  a_reader = "while true do load(function() while true do end end) end",
  a_call_in_a_comparator = "table.sort({3, 1, 2}, function() while true do kernel.call('wait', 0, 1) end end)",
  -- What waits to be finalized is finalized after the end as well, so this one does end.
  a_finalizer_while_a_message_is_packed = [[
    local t, packing = {}, false
    for i = 1, 2000 do t[i] = {i} end
    setmetatable({}, {__gc = function(o) if packing then for _ = 1, 1e8 do end end setmetatable({}, getmetatable(o)) end})
    while true do
      packing = true
      kernel.call('wait', 0, t, kernel.memory(5000))
      packing = false
    end]],
  a_name_in_a_refusal = [[
    local key = setmetatable({}, {__tostring = function() while true do end end})
    while true do kernel.call('wait', 0, ('x'):rep(1e5), {[key] = {[key] = print}}) end]],
  an_evaluation_in_it = "while true do kernel.evaluate(function() while true do end end) caught = caught + 1 end",
  an_evaluation_in_a_comparator = [[
    table.sort({3, 1, 2}, function() kernel.evaluate(function() while true do end end) caught = caught + 1 end)]],
  printing = "while true do print('x') end",
}

local PROGRAM <const> = [[
  local kernel, source = ...
  caught = 0
  _G.kernel = kernel
  kernel.writer(function(text) kernel.call("write", 0, text) end)
  local f = assert(load(source))
  local rounds = {}
  local kept = {kernel.memory(4096)}
  for round = 1, 4 do
    kernel.call("begin", 0)
    local done, why = kernel.evaluate(f)
    assert(done == nil and why == "interrupted", tostring(done) .. " " .. tostring(why))
    assert(caught == 0, "the end was caught")
    -- Sound afterwards: collector, coroutines, messages, strings, errors.
    collectgarbage("restart") collectgarbage("incremental")
    setmetatable({}, {__gc = function() rounds[round] = (rounds[round] or 0) + 1 end})
    for _ = 1, 3 do collectgarbage() end
    assert(rounds[round] == 1 and collectgarbage("isrunning"))
    local co = coroutine.wrap(function(a) return coroutine.yield(a + 1) + kernel.call("one", 0) end)
    assert(co(1) == 2 and co(2) == 3)
    assert(select(2, pcall(error, "e")) == "e" and ("x"):rep(5000):find("xy") == nil)
    local t = {} for i = 1, 2000 do t[i] = i * 7 % 1999 end
    table.sort(t)
    kept[1]:write(0, "sound")
    assert(kept[1]:read(0, 5) == "sound")
    assert(kernel.evaluate(function() return 1 end))
    kernel.call("used", 1, (kernel.heap()))
  end
  return "well"
]]

-- Runs the program; whatever it evaluates is interrupted after a while. Once is enough: it must end within RUNS_MOST slices.
local RUNS_MOST <const> = 4000

local function abandon(source, options)
  local process <const> = assert(core.process{name = "case", memory = 64 << 20, unsafe = options and options.unsafe})
  assert(process:load(PROGRAM, "=case", source))
  host.tick_every(options and options.tick or 700)
  local begun, asked, used = nil, false, {}
  local runs = 0
  while true do
    local stopped <const> = table.pack(process:run(2))
    local why <const>, operation <const> = stopped[1], stopped[2]
    runs = runs + 1
    if why == "call" then
      if operation == "begin" then begun, asked = runs, false end
      if operation == "used" then used[#used + 1] = stopped[3] end
      process:payload()
      process:answer(1)
    elseif why ~= "preempted" and why ~= "parked" then
      host.tick_every(0)
      assert(why == "finished" and stopped[2] == "well", ("%s: %s\n%s"):format(why, stopped[2], stopped[3]))
      break
    end
    if begun and not asked and runs > begun + 8 then
      asked = process:interrupt()
      begun = runs
    end
    assert(not asked or runs < begun + RUNS_MOST, "it is not abandoned")
  end
  -- What was left in the middle is not kept for ever.
  assert(used[4] < used[2] + (64 << 10), ("%d bytes in use, then %d"):format(used[2], used[4]))
  process:kill()
end

for each, source in pairs(ENDLESS) do
  cases[each] = function() abandon(source) end
end

-- All of Lua's libraries: a hook of the user's own does not keep it.
function cases.a_hook_of_the_users()
  abandon("debug.sethook(function() while true do end end, '', 1) while true do end", {unsafe = true})
  abandon("debug.sethook(function() end, 'l') table.sort({3, 1, 2}, function() while true do end end)", {unsafe = true})
end

-- A thread that was left is dead, whoever holds it: it stood in the middle of C functions.
function cases.threads_that_were_left_are_dead()
  host.tick_every(500)
  local process <const> = harness.process(core, [[
    local kernel = ...
    local inner, outer, value
    local function wait() value = "in a closure" while true do end end
    inner = coroutine.create(function() local held <const> = {} table.sort({2, 1}, wait) return held end)
    outer = coroutine.create(function() table.sort({2, 1}, function() return coroutine.resume(inner) end) end)
    local done, why = kernel.evaluate(function() coroutine.resume(outer) end)
    assert(done == nil and why == "interrupted")
    assert(coroutine.status(inner) == "dead" and coroutine.status(outer) == "dead")
    local ran, message = coroutine.resume(inner)
    assert(not ran and message == "cannot resume dead coroutine")
    assert(not pcall(coroutine.wrap(function() error(select(2, coroutine.resume(outer))) end)))
    coroutine.close(inner) coroutine.close(outer)
    collectgarbage()
    return value
  ]])
  for _ = 1, 5 do process:run(2) end
  assert(process:interrupt())
  local why <const>, value <const> = harness.finish(process)
  host.tick_every(0)
  assert(why == "finished" and value == "in a closure", value)
end

-- Nothing to abandon: it says so, and nothing that comes later is touched.
function cases.without_an_evaluation_there_is_nothing_to_abandon()
  local process <const> = harness.process(core, [[
    local kernel = ...
    kernel.call("ask", 0)
    assert(kernel.evaluate(function() return true end))
    kernel.call("ask", 0)
    local n = 0
    table.sort({5, 4, 3, 2, 1}, function(a, b) for i = 1, 1e5 do n = n + 1 end return a < b end)
    return n > 0
  ]])
  host.tick_every(500)
  local why <const>, ended <const> = harness.finish(process, {ask = function() assert(not process:interrupt()) end})
  host.tick_every(0)
  assert(why == "finished" and ended == true, ended)
end

local case <const> = cases[name]
if not case then
  local names <const> = {}
  for each in pairs(cases) do names[#names + 1] = each end
  table.sort(names)
  print(table.concat(names, "\n"))
else
  case()
end
