-- Cases of processes: life and death, pre-emption, system calls, coroutines, quotas. Each runs in a fresh host program.

local core <const>, host <const>, folder <const>, name <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local run <const>, finish <const> = harness.run, harness.finish
local cases <const> = {}

function cases.arguments_and_results_are_copied()
  local shared <const> = {1, 2}
  local a, b, c = run(core, "local _, x, y = ... return x, y, 1.0", nil, {shared, shared, n = "v"}, nil)
  assert(a[1] == a[2] and a[1][2] == 2 and a.n == "v" and b == nil and math.type(c) == "float")
end

function cases.an_error_has_message_and_traceback()
  local process <const> = harness.process(core, "local function f() error('boom') end\nf()\nreturn 1")
  local why, message, trace = finish(process)
  assert(why == "error" and message == "case:1: boom", message)
  assert(trace:find("case:1: in") and trace:find("case:2: in main chunk"), trace)
  assert(process:ended())
  harness.raises("has ended", process.run, process, 1)
end

function cases.a_syntax_error_is_an_error()
  local why, message = finish(harness.process(core, "x = = 1"))
  assert(why == "error" and message:find("case:1: unexpected symbol"), message)
end

function cases.error_objects_are_described()
  local why, message = finish(harness.process(core, "error({message = 'from a field'})"))
  assert(why == "error" and message == "from a field")
  why, message = finish(harness.process(core, "error(setmetatable({}, {__tostring = function() return 'as text' end}))"))
  assert(why == "error" and message == "as text")
  why, message = finish(harness.process(core, "error()"))
  assert(why == "error" and message == "<no error object>" or message == "nil", message)
end

function cases.system_calls_pass_through_coroutines()
  local log <const> = {}
  local result = run(core, [[
    local kernel = ...
    local inner = coroutine.wrap(function(a)
      local b = kernel.call("add", 2, a, 1)
      local c = coroutine.yield(b)
      return kernel.call("add", 2, c, 10)
    end)
    local outer = coroutine.create(function()
      local first = inner(1)
      local ok, second = pcall(inner, first)
      assert(ok)
      return first, second
    end)
    local ok, first, second = coroutine.resume(outer)
    assert(ok, first)
    assert(coroutine.status(outer) == "dead")
    return first * 100 + second
  ]], {add = function(_, a, b)
    log[#log + 1] = a
    return a + b
  end})
  assert(result == 212 and #log == 2)
end

function cases.system_calls_work_where_nothing_can_yield()
  local result = run(core, [[
    local kernel = ...
    local seen = {}
    table.sort({3, 1, 2}, function(a, b) seen[#seen + 1] = kernel.call("add", 2, a, b) return a < b end)
    local text = ("abc"):gsub("%w", function(c) return kernel.call("upper", 1, c) end)
    local mt = setmetatable({}, {__close = function() seen.closed = kernel.call("upper", 1, "x") end})
    do local held <close> = mt end
    local co = coroutine.wrap(function() return kernel.call("upper", 1, "q") end)
    table.sort({2, 1}, function(a, b) seen.co = seen.co or co() return a < b end)
    return #seen > 0 and text .. seen.closed .. seen.co
  ]], {add = function(_, a, b) return a + b end, upper = function(_, c) return c:upper() end})
  assert(result == "ABCXQ", result)
end

function cases.answers_may_be_many()
  local count, last = run(core, [[
    local kernel = ...
    local all = table.pack(kernel.call("many", 0))
    return all.n, all[all.n]
  ]], {many = function() return table.unpack({}, 1, 200) end})
  assert(count == 200 and last == nil)
end

function cases.a_payload_passes_unopened()
  local kept
  local sum = run(core, [[
    local kernel = ...
    kernel.call("put", 1, "name", {1, 2, 3}, "rest")
    local t, rest = kernel.call("get", 0)
    return #t + #rest
  ]], {
    put = function(process, control)
      kept = process:payload()
      assert(control == "name" and #kept > 0 and process:payload() == nil)
    end,
    get = function() return kept end,
  })
  assert(sum == 7)
end

-- --- pre-emption -------------------------------------------------------------------------------------------------------

local function preempted(text, ...)
  host.tick_every(1000)
  local results <const> = table.pack(run(core, text, nil, ...))
  host.tick_every(0)
  return table.unpack(results, 1, results.n)
end

function cases.a_loop_is_preempted_at_an_instruction()
  local sum = preempted("local n = 0 for i = 1, 4e7 do n = n + (i & 3) end return n")
  -- On a host that is busy with other things, two ticks may pass between two instructions.
  local stops <const> = harness.stops
  assert(sum == 60000000 and stops.preempted > 3 and stops.parked * 10 < stops.preempted, stops.preempted)
end

function cases.preemption_is_invisible_to_coroutines()
  local total = preempted([[
    local total = 0
    for round = 1, 200 do
      local co = coroutine.wrap(function(a)
        for i = 1, 2000 do
          local b = coroutine.yield(a + i)
          if b ~= i then error("wrong value passed in") end
        end
        return "done"
      end)
      local value = co(0)
      for i = 1, 2000 do
        if i < 2001 and value ~= i and value ~= "done" then error("wrong value passed out") end
        total = total + 1
        value = co(i)
      end
      if value ~= "done" then error("ended early") end
    end
    return total
  ]])
  assert(total == 400000 and harness.stops.preempted > 1)
end

function cases.deep_coroutine_chains_are_preempted()
  local sum = preempted([[
    local function nest(depth)
      if depth == 0 then local n = 0 for i = 1, 2e7 do n = n + 1 end return n end
      return coroutine.wrap(nest)(depth - 1)
    end
    return nest(100)
  ]])
  assert(sum == 20000000 and harness.stops.preempted > 1)
end

function cases.what_cannot_yield_is_left_with_its_stack()
  local n = preempted([[
    local n = 0
    table.sort({5, 3, 1, 4, 2}, function(a, b) for i = 1, 1e7 do n = n + 1 end return a < b end)
    return n
  ]])
  assert(n >= 4e7 and harness.stops.preempted + harness.stops.parked > 3)
end

function cases.c_code_is_parked()
  local ok = preempted([[
    local text = ("a"):rep(24)
    return (text .. "b"):find(("a?"):rep(24) .. ("a"):rep(24) .. "c") == nil
  ]])
  assert(ok == true and harness.stops.parked > 2, harness.stops.parked)
end

function cases.floating_point_survives_parking()
  local wrong = preempted([[
    local wrong = 0
    for round = 1, 60 do
      local text = ("x"):rep(2e5):gsub("x", function() return string.format("%.17g", math.sin(round)) end)
      if #text ~= 2e5 * #string.format("%.17g", math.sin(round)) then wrong = wrong + 1 end
    end
    return wrong
  ]])
  assert(wrong == 0)
end

function cases.deep_recursion_is_preempted_quickly()
  harness.memory = 64 << 20
  local depth = preempted([[
    local function down(n) if n == 0 then local x = 0 for i = 1, 2e7 do x = x + i end return 0 end return 1 + down(n - 1) end
    return down(190000)
  ]])
  assert(depth == 190000 and harness.stops.preempted > 1)
end

function cases.hooks_do_not_stay_behind()
  local ok = preempted([[
    local made = {}
    for i = 1, 3e5 do made[i % 100] = coroutine.create(function() return i end) end
    for _, co in pairs(made) do assert(coroutine.resume(co)) end
    return true
  ]])
  assert(ok)
end

-- --- coroutine library -------------------------------------------------------------------------------------------------

function cases.the_main_thread_looks_like_one()
  run(core, [[
    local co, main = coroutine.running()
    assert(main == true and coroutine.isyieldable() == false)
    local ok, message = pcall(coroutine.yield, 1)
    assert(not ok and message:find("outside a coroutine"), message)
    ok, message = pcall(coroutine.close, co)
    assert(not ok and message:find("main thread"), message)
    local inner = coroutine.create(function()
      local self, is_main = coroutine.running()
      assert(not is_main and coroutine.isyieldable() and coroutine.status(co) == "normal")
      assert(coroutine.status(self) == "running")
      local closed, why = pcall(coroutine.close, co)
      assert(not closed and why:find("normal"))
      coroutine.yield()
    end)
    assert(coroutine.status(inner) == "suspended")
    assert(coroutine.resume(inner))
    assert(coroutine.status(inner) == "suspended")
    assert(coroutine.close(inner) and coroutine.status(inner) == "dead")
    assert(not coroutine.resume(inner))
  ]])
end

function cases.wrap_passes_errors_on()
  run(core, [[
    local f = coroutine.wrap(function() error("inner") end)
    local ok, message = pcall(f)
    assert(not ok and message:find("inner"), message)
    ok, message = pcall(f)
    assert(not ok and message:find("dead"), message)
    local t = {}
    local g = coroutine.wrap(function() local x <close> = setmetatable({}, {__close = function() t.closed = true end}) error({}) end)
    ok, message = pcall(g)
    assert(not ok and type(message) == "table" and t.closed)
  ]])
end

function cases.a_coroutine_closes_itself()
  run(core, [[
    local log = {}
    local co = coroutine.create(function()
      local x <close> = setmetatable({}, {__close = function() log[1] = "closed" end})
      coroutine.close()
    end)
    local ok = coroutine.resume(co)
    assert(ok and log[1] == "closed" and coroutine.status(co) == "dead")
  ]])
end

-- --- evaluate --------------------------------------------------------------------------------------------------------------

function cases.evaluate_gives_results_and_errors()
  run(core, [[
    local kernel = ...
    local ok, a, b = kernel.evaluate(function(x, y) return y, x end, 1, 2)
    assert(ok == true and a == 2 and b == 1)
    local done, err, trace = kernel.evaluate(function() local t = nil; t.x = 1 end)
    assert(done == false and err:find("index a nil"), err)
    assert(trace:find("traceback"), trace)
    local closed
    done, err = kernel.evaluate(function()
      local x <close> = setmetatable({}, {__close = function() closed = true end})
      error({7})
    end)
    assert(done == false and err[1] == 7 and closed)
  ]])
end

function cases.an_evaluation_is_abandoned_from_outside()
  host.tick_every(1000)
  local process <const> = harness.process(core, [[
    local kernel = ...
    local caught = 0
    local done, why = kernel.evaluate(function()
      while true do pcall(function() while true do end end) caught = caught + 1 end
    end)
    return done, why, caught
  ]])
  for _ = 1, 5 do assert(process:run(2) ~= "finished") end
  assert(process:interrupt())
  local why, done, reason, caught = finish(process)
  assert(why == "finished" and done == nil and reason == "interrupted" and caught == 0)
end

function cases.a_waiting_evaluation_is_abandoned()
  local process <const> = harness.process(core, [[
    local kernel = ...
    local done, why = kernel.evaluate(function() kernel.call("wait", 0) error("not reached") end)
    return why, kernel.call("next", 0)
  ]])
  assert(process:run(2) == "call")
  assert(process:interrupt() == true)
  process:answer()
  local why, reason, answer = finish(process, {next = function() return "went on" end})
  assert(why == "finished" and reason == "interrupted" and answer == "went on")
  assert(harness.process(core, "return 1"):interrupt() == false)
end

-- --- ends --------------------------------------------------------------------------------------------------------------------

function cases.killing_gives_everything_back()
  host.tick_every(500)
  local function once(count)
    for i = 1, count do
      local process <const> = harness.process(core, [[
        local kernel, n = ...
        local held = {kernel.memory(20000), kernel.memory(100)}
        local slice = held[1]:slice(10, 100)
        local t = {}
        for i = 1, 1e9 do
          t[i % 1000] = {("x"):rep(i % 3000), i}
          if i % 50 == 0 then kernel.call("put", 0, t[1], kernel.memory(4096)) end
          if i % 90 == 0 then table.sort(t, function(a, b) return a[2] > b[2] end) end
        end
      ]], i)
      for _ = 1, i % 7 + 1 do
        local why = process:run(1)
        if why == "call" then process:answer(i % 2 == 0 and process:payload() or nil) end
      end
      process:kill()
    end
    collectgarbage()
    collectgarbage()
  end
  once(20)
  local before <const> = host.pages()
  once(200)
  host.tick_every(0)
  collectgarbage()
  assert(math.abs(host.pages() - before) <= 8, ("%d pages before, %d after"):format(before, host.pages()))
end

function cases.memory_bombs_end_in_the_culprit()
  for _, bomb in ipairs{
    "local t = {} while true do t[#t + 1] = {} end",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
    "local t = {} while true do local n = #t; t[n + 1] = function() return n end end",
    "return ('x'):rep(1 << 40)",
    "local kernel = ... local t = {} while true do t[#t + 1] = kernel.memory(4096) end",
    "local t = {} for i = 1, 1e9 do t[i] = ('y'):rep(1000) .. i end return table.concat(t)",
    "local function f() return f() + 1 end f()",
    "local kernel = ... local t = {} for i = 1, 1e9 do t[i] = i end kernel.call('put', 0, t)",
  } do
    harness.memory = 4 << 20
    local process <const> = harness.process(core, bomb)
    local why, message = finish(process)
    assert(why == "error" and (message:find("memory") or message:find("stack overflow") or message:find("too large")),
      bomb .. ": " .. tostring(message))
    local held, limit = process:memory()
    assert(held <= limit + 4096, ("%s holds %d of %d"):format(bomb, held, limit))
    process:kill()
  end
end

-- It has ended when it says so, wherever it was stopped on the way.
function cases.a_tick_at_every_instruction_of_its_end()
  local ENDS <const> = {finished = true, error = true}
  local function step_through(text, every)
    local process <const> = harness.process(core, "local kernel = ... kernel.call('begin', 0) " .. text)
    assert(process:run(1 << 30) == "call")
    process:answer()
    host.step_every(every)
    host.tick_every(40)
    local parked, why = 0, nil
    repeat
      why = process:run(1)
      if why == "parked" then parked = parked + 1 end
      assert(process:ended() == (ENDS[why] or false), why)
    until ENDS[why]
    host.tick_every(0)
    host.step_every(0)
    process:kill()
    return parked
  end
  for _, text in ipairs{"return 1, {2}, 'three'", "error('x')"} do
    local parked = 0
    repeat parked = parked + step_through(text, 1) until parked > 2000       -- not every time does a tick come early enough
  end
end

function cases.an_account_bounds_what_several_hold_together()
  local STACK <const> = 512 << 10
  local account <const> = core.account(12 << 20)
  local function start(text)
    local process <const> = core.process{name = "case", memory = 8 << 20, account = account, stack = STACK}
    if process and process:load(text, "=case") then return process end
    if process then process:kill() end
  end
  local BOMB <const> = [[
    local kernel = ...
    local held, blocks = {}, {}
    while pcall(function()
      held[#held + 1] = ("x"):rep(60000) .. #held
      blocks[#blocks + 1] = kernel.memory(20000)
    end) do end
    return kernel.call("done", 1, (#held + #blocks) * 40000)
  ]]
  local function fill()
    local together, processes = 0, {}
    while true do
      local process <const> = start(BOMB)
      if not process then break end
      processes[#processes + 1] = process
      local why <const>, _, bytes <const> = process:run(1 << 30)
      assert(why == "call", why)
      together = together + bytes
      local used <const>, limit <const> = account:used()
      assert(used <= limit + 8192 and limit == 12 << 20, used)
    end
    assert(together > 8 << 20 and together < 12 << 20, together)
    assert(#processes >= 2 and #processes < 12, #processes)
    for _, process in ipairs(processes) do process:kill() end
    assert(account:used() == 0, account:used())
  end
  for _ = 1, 3 do fill() end
  harness.raises("only the supervisor holds accounts", core.pack, account)
end

-- It is given back in steps (core.reap); whoever finds no memory meanwhile takes the next step himself.
function cases.what_the_killed_held_is_there_for_who_needs_it()
  local account <const> = core.account(12 << 20)
  local left <const> = host.pages()
  local function fill()
    local process <const> = assert(core.process{name = "case", memory = 8 << 20, account = account})
    assert(process:load([[
      local kernel = ...
      local strings, blocks = {}, {}
      for i = 1, 30 do
        strings[i] = ("x"):rep(100000) .. i
        blocks[i] = kernel.memory(50000)
      end
      kernel.call("full", 0, ("y"):rep(500000))
    ]], "=case"))
    local why <const>, message <const> = process:run(1 << 30)
    assert(why == "call", message)
    process:kill(0)
  end
  for _ = 1, 6 do fill() end
  assert(account:used() > 4 << 20 and not core.reap(5))
  while not core.reap(100) do end
  assert(account:used() == 0 and host.pages() <= left, host.pages() - left)
end

function cases.an_account_lives_as_long_as_anybody_refers_to_it()
  local process <const> = core.process{name = "case", memory = 1 << 20, account = core.account(3 << 20)}
  process:load("local kernel = ... kernel.call('wait', 0) return ('x'):rep(1e5) ~= nil", "=case")
  for _ = 1, 3 do collectgarbage() end
  assert(process:run(1 << 30) == "call")
  process:answer()
  local why <const>, done <const> = finish(process)
  assert(why == "finished" and done == true)
  process:kill()
  assert(core.process{name = "none", memory = 1 << 20, account = core.account(1000)} == nil)
  harness.raises("account expected", core.process, {name = "none", account = core.memory(5)})
end

function cases.a_message_is_charged_to_its_receiver()
  harness.memory = 2 << 20
  local process <const> = harness.process(core, [[
    local kernel = ...
    local big, why = kernel.call("big", 0)
    assert(big == nil and why == "memory", why)
    return #kernel.call("small", 0)
  ]])
  local why, length = finish(process, {
    big = function()
      local paid, reason = process:answer(("x"):rep(3 << 20))
      assert(paid == nil and reason == "memory")
      return nil, reason
    end,
    small = function() return ("x"):rep(1 << 18) end,
  })
  assert(why == "finished" and length == 1 << 18, length)
end

function cases.unpacking_without_memory_is_an_error_there()
  harness.memory = 2 << 20
  local process <const> = harness.process(core, [[
    local kernel = ...
    local ok, message = pcall(kernel.call, "many", 0)
    return ok, message
  ]])
  local many <const> = {}
  for i = 1, 30000 do many[i] = {} end
  local why, ok, message = finish(process, {many = function() return many end})
  assert(why == "finished" and ok == false and message:find("memory"), message)
end

function cases.a_stack_overflow_in_c_is_lua_s_own_error()
  local why, message = finish(harness.process(core, [[
    local function deep(n) return (("x"):gsub("x", function() return deep(n + 1) end)) end
    return deep(1)
  ]]))
  assert(why == "error" and message:find("C stack overflow"), message)
end

function cases.a_small_c_stack_ends_in_a_fault_not_in_a_crash()
  local process <const> = core.process{name = "small", memory = 8 << 20, stack = 65536}
  process:load([[
    local function deep(n) return (("x"):gsub("x", function() return deep(n + 1) end)) end
    return deep(1)
  ]], "=small")
  local why, message = finish(process)
  assert(why == "fault" and message:find("CPU exception"), message)
  process:kill()
end

function cases.fifty_busy_processes_share()
  host.tick_every(1000)
  local processes <const>, done = {}, 0
  for i = 1, 50 do
    processes[i] = harness.process(core, "local kernel, i = ... local n = 0 for k = 1, 2e6 do n = n + i end return n", i)
  end
  local turns = 0
  while done < 50 do
    for i, process in pairs(processes) do
      turns = turns + 1
      local why, result = process:run(1)
      if why == "finished" then
        assert(result == 2e6 * i)
        processes[i] = nil
        done = done + 1
      end
    end
  end
  assert(turns >= 50)
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
