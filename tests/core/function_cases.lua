-- Cases of functions that travel: kernel/sandbox/functions.c and lua/kernel/functions.lua in a process, by way of the supervisor
-- and back into the same process, where both can be compared. Each runs in a fresh host program.

local core <const>, host <const>, folder <const>, name <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local cases <const> = {}

local BEGINNING <const> = [[
  local kernel, own_text = ...
  local PROCESS <const> = {__name = "process"}
  local texts <const> = {["=case"] = own_text}
  local functions <const> = load(kernel.source("kernel.functions"))().new{
    raw = kernel.raw, known = {[_G] = "_G", [string] = "string", [print] = "_G.print", [string.rep] = "string.rep"},
    known_by_name = function(name) return ({_G = _G, string = string, ["_G.print"] = print, ["string.rep"] = string.rep})[name] end,
    text_of = function(name) return texts[name] end, process_metatable = PROCESS,
  }
  local function compile(name, text)
    texts[name] = text
    return assert(load(text, name, "t"))
  end
  local function travel(...)
    local parcel, why = functions.pack({...}, select("#", ...))
    if not parcel then error(why, 0) end
    return functions.unpack((kernel.call("echo", 0, parcel)))
  end
  local function refusal(...)
    local parcel, why = functions.pack({...}, select("#", ...))
    assert(parcel == nil)
    return why
  end
]]

local function run(text, ...)
  text = BEGINNING .. text
  return harness.run(core, text, {echo = function(process) return process:payload() end}, text, ...)
end

function cases.a_function_comes_with_copies_of_its_upvalues()
  run[[
    local count, list = 1, {10, 20}
    list.self = list
    local function add(n) count = count + n return count end
    local f = travel(function(n) list[3] = add(n) return count, list end)
    local value, other = f(5)
    assert(value == 6 and other[3] == 6 and other.self == other and other ~= list)
    assert(count == 1 and list[3] == nil)
    assert(f(1) == 7)
  ]]
end

function cases.functions_share_their_upvalues()
  run[[
    local count = 0
    local function up() count = count + 1 return count end
    local function down() count = count - 1 return count end
    local object = travel({up = up, down = down, both = {up, down}, [up] = "key"})
    assert(object.up() == 1 and object.up() == 2 and object.down() == 1 and count == 0)
    assert(object.both[1] == object.up and object[object.up] == "key")
    local a, b = travel(up, down)
    assert(a() == 1 and b() == 0)
  ]]
end

function cases.recursion_and_functions_of_functions()
  run[[
    local even, odd
    function even(n) return n == 0 or odd(n - 1) end
    function odd(n) return n ~= 0 and even(n - 1) end
    local f = travel(even)
    assert(f(100) and not f(7))
    local function adder(n) return function(m) return function(k) return n + m + k end end end
    local g = travel(adder(1)(2))
    assert(g(3) == 6)
    assert(travel(adder)(4)(5)(6) == 15)
    local Y = travel(function(h) return (function(x) return x(x) end)(function(x) return h(function(...) return x(x)(...) end) end) end)
    assert(Y(function(self) return function(n) return n == 0 and 1 or n * self(n - 1) end end)(5) == 120)
  ]]
end

function cases.constants_of_outer_functions_are_right()
  run[[
    local WIDTH <const>, NAME <const>, YES <const>, NOTHING <const> = 7, "name", true, nil
    local f = travel(function() return WIDTH, NAME, YES, NOTHING end)
    local a, b, c, d = f()
    assert(a == 7 and b == "name" and c == true and d == nil)
  ]]
end

function cases.what_every_process_has_travels_by_name()
  run[[
    local say, rep, library = print, string.rep, string
    local f = travel(function() return say, rep, library, _ENV end)
    local a, b, c, d = f()
    assert(a == print and b == string.rep and c == string and d == _G)
    global_of_mine = 3
    assert(travel(function() return global_of_mine end)() == 3)
    local mine <const> = {x = 1}
    local h
    do local _ENV = {y = mine} h = travel(function() return y end) end
    assert(h() ~= mine and h().x == 1)
  ]]
end

function cases.chunks_with_names_need_their_texts()
  run[[
    local f = compile("=named", "local n = ... return function() n = n + 1 return n end, function() return n end")(5)
    assert(travel(f)() == 6)
    texts["=named"] = nil
    assert(refusal(f) == "the function: the text it was compiled from is not known")
    texts["=named"] = "local n = ... return function() n = n + 2 return n end, function() return n end"
    assert(refusal(f) == "the function: the text it was compiled from is not known")
    texts["=named"] = "not Lua ("
    assert(refusal(f) == "the function: the text it was compiled from is not known")
    assert(travel(load("return function(a) return a .. a end")())("x") == "xx")
  ]]
end

-- Two functions on the same line differ by what they do; two that are the same are the same.
function cases.functions_of_one_line_are_told_apart()
  run[[
    local a, b, c, d = compile("=line", "return function() return 1 end, function() return 2 end, function() return 1.0 end, function() return '1' end")()
    local f, g, h, i = travel(a, b, c, d)
    assert(f() == 1 and g() == 2 and math.type(h()) == "float" and i() == "1")
  ]]
end

function cases.what_cannot_travel_is_named_by_its_path()
  run[[
    local thread, file = coroutine.create(print), {deep = {coroutine.create(print)}}
    assert(refusal(function() return thread end) == "the function.thread: it is a coroutine")
    assert(refusal(function() return file end) == "the function.file.deep[1]: it is a coroutine")
    assert(refusal(print, {select}) == "argument 1[1]: it is written in C")
    local system = load("return function() end", "=lua/init.lua")()
    assert(refusal(function() return system end):find("^the function.system: it is one of the system's own"))
    local done, why = pcall(travel, function() return io.stdout end, {io.stdout})
    assert(not done and why:find("no live capability"), why)
  ]]
end

function cases.processes_keep_their_methods_and_blocks_move()
  run[[
    function PROCESS.__index(process, key) return key .. process.id end
    local process, block = setmetatable({id = 7}, PROCESS), kernel.memory(16)
    block:write(0, "cargo")
    local f = travel(function() return process, block end)
    local p, b = f()
    assert(getmetatable(p) == PROCESS and p.kill == "kill7" and b:read(0, 5) == "cargo")
    assert(not pcall(block.u8, block, 0))
  ]]
end

function cases.nothing_is_run_when_it_arrives()
  run[[
    ran = 0
    local f = compile("=chunk", "ran = ran + 1 return function() return ran end")()
    assert(ran == 1)
    assert(travel(f)() == 1 and ran == 1)
    local chunk = compile("=again", "ran = ran + 10 return ...")
    assert(travel(chunk)("x") == "x" and ran == 11)
  ]]
end

function cases.numbers_that_are_none()
  run[[
    local raw = kernel.raw
    local chunk = load("return function() return function() end, 1 end")
    assert(raw.function_at(chunk, 0) and raw.function_at(chunk, 1) and raw.function_at(chunk, 2))
    assert(raw.function_at(chunk, 3) == nil and raw.function_at(chunk, math.maxinteger) == nil)
    for _, bad in ipairs{-1, math.mininteger} do assert(not pcall(raw.function_at, chunk, bad)) end
    for _, bad in ipairs{print, 1, "x", {}} do
      assert(not pcall(raw.function_at, bad, 0) and not pcall(raw.number_of, bad, chunk) and not pcall(raw.number_of, chunk, bad))
      assert(not pcall(raw.dump, bad))
    end
    assert(raw.number_of(chunk, function() end) == nil and raw.number_of(chunk, chunk) == 0)
    assert(not pcall(raw.function_at) and not pcall(raw.number_of, chunk))
  ]]
end

function cases.closures_live_on_their_own()
  harness.run(core, [[
    collectgarbage("generational")
    local raw = (...).raw
    local kept = {}
    for round = 1, 200 do
      local main = load("local n, m = 0 return function(a) n = (n or a) + 1 m = {n} return n, function() return n end end")
      kept[round % 7] = raw.function_at(main, 1)
      main = nil
      collectgarbage("step")
      for _, f in pairs(kept) do
        local n, inner = f(round)
        assert(inner() == n)
      end
    end
    collectgarbage()
    for _, f in pairs(kept) do assert(math.type(f(0)) == "integer") end
  ]])
end

function cases.every_allocation_may_fail()
  harness.run(core, [[
    local raw = (...).raw
    local text = "local a, b, c return function() return a, b, c, function() return a end end"
    local main = load(text)
    for _, f in ipairs{function(m) return raw.function_at(m, 1) end, raw.dump} do
      local held, failures = {}, 0
      -- Fills the memory with ever smaller pieces.
      local function take(size) held = { held, ("x"):rep(size) .. size } end
      for size = 20, 0, -1 do
        while pcall(take, 1 << size) do end
        if not pcall(f, main) then failures = failures + 1 end
      end
      held = nil
      collectgarbage()
      assert(f(main))
      assert(failures > 0, failures)
    end
  ]])
end

-- Random chunks of nested functions: every one that they make is found, and does there what it does here.
function cases.random_chunks()
  math.randomseed(tonumber(os.getenv("SEED") or "7"))
  local function body(depth)
    local lines <const> = {}
    for _ = 1, math.random(0, 3) do
      local kind <const> = math.random(5)
      if kind == 1 and depth > 0 then lines[#lines + 1] = "local f" .. depth .. " = function(...) " .. body(depth - 1) .. " end keep(f" .. depth .. ")"
      elseif kind == 2 and depth > 0 then lines[#lines + 1] = "keep(function() n = n + " .. math.random(9) .. " " .. body(depth - 1) .. " end)"
      elseif kind == 3 then lines[#lines + 1] = "local v = n * " .. math.random(9) .. (math.random(2) == 1 and "\n" or "")
      elseif kind == 4 then lines[#lines + 1] = "local C <const> = " .. math.random(99) .. " keep(function() return C + n end)"
      else lines[#lines + 1] = "do local x = {" .. math.random(9) .. "} end" end
    end
    lines[#lines + 1] = "return n"
    return table.concat(lines, " ")
  end
  for round = 1, 60 do
    run([[
      local _, _, text = ...
      made = {}
      function keep(f) made[#made + 1] = f end
      compile("=random", "local n = 3 " .. text)()
      for place = 1, math.min(#made, 20) do made[place]() end
      for place = 1, math.min(#made, 40) do
        local here <const>, there <const> = made[place], travel(made[place])
        for _ = 1, 3 do assert(here() == there()) end
      end
    ]], body(4))
  end
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
