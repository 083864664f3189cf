-- Cases of kernel/sandbox/hosted.c: Lua's own print, io, os and warn over what a process has. Each runs in a fresh
-- host program.

local core <const>, host <const>, folder <const>, name <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local cases <const> = {}

local BEGINNING <const> = [[
  local kernel = ...
  kernel.writer(function(text, is_error) kernel.call("write", 2, is_error and "err" or "out", text) end)
]]

--- Runs the text in a process that writes to the supervisor; → what was written, as "out:text" or "err:text" each, and
--- the text's results.
local function written(text, options)
  local process <const> = assert(core.process{
    name = "case", memory = 16 << 20, unsafe = not (options and options.sandboxed)})
  assert(process:load(BEGINNING .. text, "=case"))
  local log <const> = {}
  local ended <const> = table.pack(harness.finish(process, {
    write = function(_, stream, bytes)
      log[#log + 1] = stream .. ":" .. bytes
      return true
    end,
    mark = function() log[#log + 1] = "mark" end,
  }, options and options.slice))
  assert(ended[1] == "finished", ("%s: %s\n%s"):format(ended[1], ended[2], ended[3]))
  process:kill()
  return log, table.unpack(ended, 2, ended.n)
end

local function expect(text, expected, options)
  local log <const> = written(text, options)
  if #log ~= #expected then error(("%d writes, not %d: %s"):format(#log, #expected, table.concat(log, " | ")), 2) end
  for place, each in ipairs(expected) do
    if log[place] ~= each then error(("write %d is %q, not %q"):format(place, log[place], each), 2) end
  end
end

function cases.a_line_is_one_write()
  for _, sandboxed in ipairs{false, true} do
    expect([[
      print(1, nil, "x", setmetatable({}, {__tostring = function() return "T" end}))
      io.write("a", 1, "b", 2.5, "\n")
      io.stdout:write("two\nlines\nand a rest")
      print()
    ]], {"out:1\tnil\tx\tT\n", "out:a1b2.5\n", "out:two\nlines\nand a rest", "out:\n"}, {sandboxed = sandboxed})
  end
end

function cases.what_is_held_back_goes_out_before_a_call_and_at_the_end()
  expect('io.write("a", "b") kernel.call("mark", 0) io.write("c")', {"out:ab", "mark", "out:c"})
  expect('io.write("a") io.stdout:flush() io.write("b") io.flush()', {"out:a", "out:b"})
  local process <const> = assert(core.process{name = "case", memory = 16 << 20})
  assert(process:load(BEGINNING .. 'io.write("last words") error("no")', "=case"))
  local last
  local why <const>, message <const> = harness.finish(process, {write = function(_, _, text) last = text end})
  assert(why == "error" and message == "case:3: no" and last == "last words")
end

function cases.stdout_goes_before_stderr()
  expect('io.write("a") io.stderr:write("b", "c") io.write("d\\n")', {"out:a", "err:b", "err:c", "out:d\n"})
end

function cases.finalizers_that_write_overflow_no_buffer()
  local log <const> = written([[
    local writes = 0
    kernel.writer(function(text)
      writes = writes + 1
      kernel.call("write", 2, "out", #text)
      collectgarbage("step")
    end)
    local function again() io.write(("f"):rep(600)) end
    for i = 1, 300 do
      setmetatable({}, {__gc = again})
      io.write(("x"):rep(1000))
    end
    setmetatable({}, {__gc = again})
    collectgarbage()
    return writes
  ]])
  local bytes = 0
  for _, each in ipairs(log) do bytes = bytes + tonumber(each:match("%d+")) end
  assert(bytes == 300 * 1000 + 301 * 600, bytes)
end

function cases.much_text_is_complete_and_in_order()
  for _, mode in ipairs{"line", "full", "no"} do
    local log <const>, sum <const> = written(([[
      io.stdout:setvbuf(%q)
      local state = 7
      local all = {}
      for i = 1, 2000 do
        state = state * 16807 %% 2147483647
        local text = string.rep(string.char(32 + state %% 90), state // 100 %% (i %% 50 == 0 and 5000 or 60))
        if state %% 5 == 0 then text = text .. "\n" end
        all[#all + 1] = text
        io.write(text)
      end
      return kernel.crc32c(table.concat(all))
    ]]):format(mode))
    for place, each in ipairs(log) do log[place] = each:sub(5) end
    assert(core.crc32c(table.concat(log)) == sum, mode)
    assert(mode ~= "no" or #log > 1900)
    assert(mode ~= "full" or #log < 600)
  end
end

function cases.setvbuf_decides_when()
  expect('io.stdout:setvbuf("no") io.write("a", "b\\n")', {"out:a", "out:b\n"})
  expect('io.stdout:setvbuf("full") io.write("a\\n") print("b") io.write("c\\n")', {"out:a\nb\n", "out:c\n"})
  expect('io.write("a") io.stdout:setvbuf("no") io.write("b")', {"out:a", "out:b"})
end

function cases.a_finalizer_that_prints_loses_nothing()
  local log <const> = written([[
    collectgarbage("generational")
    local function garbage() return setmetatable({}, {__gc = function() print("gc") end}) end
    for i = 1, 300 do
      garbage()
      io.write("line ", i, (" "):rep(i % 700), "end\n")
    end
  ]])
  local all <const> = table.concat(log, "\n")
  for i = 1, 300 do assert(all:find("line " .. i .. (" "):rep(i % 700) .. "end\n", 1, true), i) end
  assert(all:find("gc"))
end

function cases.warnings()
  expect([[
    warn("one")
    warn("in ", "three ", "pieces")
    warn("@off")
    warn("not this")
    warn("@on")
    warn("@unknown")
    warn("@", "on")
    setmetatable({}, {__gc = function() error("in a finalizer") end})
    collectgarbage()
  ]], {
    "err:Lua warning: ", "err:one", "err:\n", "err:Lua warning: ", "err:in ", "err:three ", "err:pieces", "err:\n",
    "err:Lua warning: ", "err:@", "err:on", "err:\n",
    "err:Lua warning: ", "err:error in ", "err:__gc", "err: (", "err:case:10: in a finalizer", "err:)", "err:\n",
  })
end

function cases.streams_are_luas_own()
  written([[
    assert(type(io.stdout) == "userdata" and io.type(io.stdout) == "file" and tostring(io.stderr):find("^file %("))
    assert(getmetatable(io.stdin).__name == "FILE*" and io.output() == io.stdout and io.input() == io.stdin)
    assert(io.stdout:write("") == io.stdout)
    local ok, message = pcall(io.write, {})
    assert(not ok and message:find("bad argument #1 to '.-write' %(string expected, got table%)"), message)
    for _, stream in ipairs{io.stdin, io.stdout, io.stderr} do
      local result, text = stream:close()
      assert(result == nil and text == "cannot close standard file")
      local place, reason, number = stream:seek("set", 0)
      assert(place == nil and math.type(number) == "integer" and #reason > 0)
    end
  ]])
end

function cases.stdin_is_at_its_end()
  written([[
    assert(io.read() == nil and io.read("n") == nil and io.read(0) == nil and io.read(5) == nil and io.read("L") == nil)
    assert(io.read("a") == "" and select("#", io.read("a", "l", "l")) == 2)
    assert(io.lines()() == nil)
    local result, text, number = io.stdout:read("a")
    assert(result == nil and text == "Bad file descriptor" and math.type(number) == "integer")
    result, text, number = io.stdin:write("x")
    assert(result == nil and text == "Bad file descriptor" and math.type(number) == "integer")
    debug.debug()
  ]])
end

function cases.there_are_no_files_programs_or_environment()
  written([[
    local function fails(pattern, f, ...)
      local result, text, number = f(...)
      assert(not result and text:find(pattern) and math.type(number) == "integer", text)
    end
    fails("^x: No such file", io.open, "x")
    fails("^x: No such file", io.open, "x", "r+")
    fails("^x: Read%-only", io.open, "x", "w")
    fails("^x: Read%-only", io.open, "x", "a+b")
    fails("Read%-only", io.tmpfile)
    fails("^x: No such file", os.remove, "x")
    fails("^No such file", os.rename, "x", "y")
    fails("not implemented", os.execute, "true")
    assert(os.execute() == false and os.getenv("PATH") == nil)
    assert(not pcall(io.lines, "x") and not pcall(io.input, "x") and not pcall(io.output, "x"))
    assert(not pcall(os.tmpname) and not pcall(dofile, "x") and not pcall(io.open, "x", "bad"))
    assert(dofile() == nil and loadfile()() == nil)               -- stdin is empty
    local chunk, text = loadfile("x.lua")
    assert(chunk == nil and text:find("^cannot open x.lua: No such file"), text)
    assert(select("#", package.searchpath("x", "./?.lua;?")) == 2)
    assert(package.loadlib("x", "*") == nil)
    for _, category in ipairs{"all", "collate", "ctype", "monetary", "numeric", "time"} do
      assert(os.setlocale(nil, category) == "C" and os.setlocale("", category) == "C")
      assert(os.setlocale("POSIX", category) == "C" and os.setlocale("pt_BR", category) == nil)
    end
    local busy = os.clock()
    for i = 1, 2e6 do end
    assert(os.clock() > busy and os.clock() < 60)
    assert(os.date("!%Y", 86400 * 365) == "1971" and os.date("*t", 0).year)
  ]])
end

function cases.hooks_do_not_see_the_writer()
  local _ <const>, seen <const> = written([[
    local seen = {}
    local function hook(event)
      local source = debug.getinfo(2, "S").short_src
      if not seen[source] then seen[source], seen[#seen + 1] = true, source end
    end
    local function say(text) print(text) return text end
    debug.sethook(hook, "crl", 1)
    say("a line")
    debug.sethook()
    table.sort(seen)
    return table.concat(seen, " ")
  ]])
  assert(seen == "[C] case", seen)
  -- The writer's lines are case:2; none of them was shown.
  local _ <const>, lines <const> = written([[
    local lines = {}
    debug.sethook(function(_, line) lines[#lines + 1] = line end, "l")
    print("a line")
    debug.sethook()
    return table.concat(lines, " ")
  ]])
  assert(lines == "5 6", lines)
end

function cases.hooks_are_back_after_a_writer_that_fails()
  harness.run(core, [[
    local kernel = ...
    local evaluate = kernel.evaluate
    kernel.writer(function() error("broken") end)
    local ok, message = pcall(print, "x")
    assert(not ok and message:find("broken"))
    ok = coroutine.wrap(function() return pcall(print, "x") end)()
    assert(not ok)
    local co = coroutine.create(function() print("x") end)
    assert(not coroutine.resume(co))
    local stop = kernel.clock() + 50000000
    while kernel.clock() < stop do end
  ]])
  host.tick_every(500)
  local process <const> = harness.process(core, [[
    local kernel = ...
    kernel.writer(function() error("broken") end)
    coroutine.wrap(function() pcall(print, "x") end)()
    pcall(print, "x")
    local stop = kernel.clock() + 100000000
    while kernel.clock() < stop do end
  ]])
  local why <const>, message <const> = harness.finish(process, nil, 1)
  assert(why == "finished", message)
  assert(harness.stops.preempted > 5, "it is pre-empted at its instructions again")
end

function cases.who_only_writes_can_be_interrupted()
  local process <const> = harness.process(core, BEGINNING .. [[
    local outcome = table.pack(kernel.evaluate(function()
      coroutine.wrap(function() while true do pcall(print, "more") end end)()
    end))
    return table.unpack(outcome, 1, outcome.n)
  ]])
  local writes = 0
  local why <const>, ran <const>, reason <const> = harness.finish(process, {write = function()
    writes = writes + 1
    if writes == 10 then assert(process:interrupt()) end
    assert(writes < 20, "it goes on")
    return true
  end})
  assert(why == "finished" and ran == nil and reason == "interrupted", ("%s %s %s"):format(why, ran, reason))
end

function cases.processes_share_no_stream()
  host.tick_every(200)
  local processes <const>, texts <const> = {}, {}
  for i = 1, 4 do
    texts[i] = {}
    processes[i] = harness.process(core, BEGINNING .. [[
      local _, me = ...
      io.stdout:setvbuf("full")
      for n = 1, 3000 do
        io.write(me, ":", n, ";")
        if n % 100 == 0 then
          local _, _, number = io.stdin:seek()
          assert(not io.stdout:read() and not io.stdin:seek() and number == select(3, io.stdin:seek()))
        end
      end
    ]], i)
  end
  local left = #processes
  while left > 0 do
    for i, process in pairs(processes) do
      local why <const>, operation <const>, _, text <const> = process:run(1)
      if why == "call" then
        assert(operation == "write")
        table.insert(texts[i], text)
        process:answer(true)
      elseif why == "finished" then
        processes[i] = nil
        left = left - 1
      else
        assert(why == "preempted" or why == "parked", tostring(operation))
      end
    end
  end
  host.tick_every(0)
  for i, pieces in ipairs(texts) do
    local expected <const> = {}
    for n = 1, 3000 do expected[n] = i .. ":" .. n .. ";" end
    assert(table.concat(pieces) == table.concat(expected), i)
  end
end

function cases.a_sandbox_has_no_name_for_files()
  written([[
    for _, gone in ipairs{"open", "popen", "lines", "tmpfile"} do assert(io[gone] == nil) end
    for _, gone in ipairs{"loadlib", "searchpath", "path", "cpath"} do assert(package[gone] == nil) end
    assert(not dofile and not loadfile and not string.dump and not os.remove)
    assert(io.read() == nil and io.write("") == io.stdout and io.type(io.stdin) == "file")
    package.searchers = {package.searchers[1]}
    package.preload.mine = function(...) return {...} end
    local mine, from = require "mine"
    assert(mine[1] == "mine" and from == ":preload:" and require "mine" == mine and require "string" == string)
    local ok, message = pcall(require, "other")
    assert(not ok and message:find("module 'other' not found:\n\tno field package.preload%['other'%]"), message)
  ]], {sandboxed = true})
end

assert(cases[name], "no such case")()
