-- Cases of messages: what arrives is what was sent, capabilities move, nothing else passes.

local core <const>, host <const>, folder <const>, name <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local cases <const> = {}

local function passed(...)
  return core.unpack(core.pack(...))
end

function cases.scalars()
  local values <const> = {
    true, false, 0, -1, math.maxinteger, math.mininteger, 0.0, -0.0, 1.5, math.huge, -math.huge, "", "text",
    ("\0\xff"):rep(100),
  }
  for _, value in ipairs(values) do
    local copy <const> = passed(value)
    assert(copy == value and math.type(copy) == math.type(value))
  end
  assert(1 / passed(-0.0) == -math.huge)
  local nan <const> = passed(0 / 0)
  assert(nan ~= nan)
  assert(select("#", passed(nil, nil, nil)) == 3 and select("#", passed()) == 0)
end

function cases.sharing_and_cycles()
  local shared <const> = {1}
  local graph <const> = {a = shared, b = {shared, shared}, [shared] = "key", list = {1, 2, 3, nil, 5}}
  graph.self = graph
  graph.b.up = graph
  local copy <const> = passed(graph)
  assert(copy.self == copy and copy.b.up == copy and copy.a == copy.b[1] and copy.b[1] == copy.b[2])
  assert(copy[copy.a] == "key" and copy ~= graph and copy.list[5] == 5)
  assert(harness.same(graph.list, copy.list))
  local one, two = passed(shared, shared)
  assert(one == two)
end

function cases.metatables_stay_behind()
  local copy <const> = passed(setmetatable({1, x = 2}, {__index = {y = 3}, __pairs = error}))
  assert(copy[1] == 1 and copy.x == 2 and copy.y == nil and getmetatable(copy) == nil)
end

function cases.deep_nesting()
  local deep = {}
  for _ = 1, 500000 do deep = {deep} end
  local copy, depth = passed(deep), 0
  while copy[1] do copy, depth = copy[1], depth + 1 end
  assert(depth == 500000)
end

function cases.large()
  local many <const> = {}
  for i = 1, 200000 do many[i] = {i, name = "n" .. i} end
  local copy <const> = passed(many)
  assert(#copy == 200000 and copy[777].name == "n777")
  assert(#passed(("x"):rep(20 << 20)) == 20 << 20)
end

function cases.random_graphs()
  math.randomseed(tonumber(os.getenv("SEED") or "20"))
  for _ = 1, 300 do
    local tables <const> = {}
    for i = 1, math.random(60) do tables[i] = {} end
    local function value()
      local kind <const> = math.random(7)
      if kind <= 3 then return tables[math.random(#tables)] end
      if kind == 4 then return math.random(0) end
      if kind == 5 then return math.random() end
      if kind == 6 then return ("s"):rep(math.random(0, 40)) .. math.random(1000) end
      return math.random(2) == 1
    end
    for _, t in ipairs(tables) do
      for i = 1, math.random(0, 8) do t[i] = value() end
      for _ = 1, math.random(0, 8) do t["k" .. math.random(100)] = value() end
    end
    assert(harness.same(tables, passed(tables)))
  end
end

function cases.what_cannot_be_sent_is_named_by_path()
  local function refused(pattern, ...) harness.raises(pattern, core.pack, ...) end
  refused("cannot send argument 1: function", print)
  refused("cannot send argument 2: thread", 1, coroutine.create(print))
  refused("cannot send argument 1%.ship%.crew%[2%]: function", {ship = {crew = {1, print}}})
  refused("cannot send argument 3%.a%.b%.c: function", 1, 2, {a = {b = {c = print}}})
  refused("cannot send argument 1: it is no live capability", io.stdout)
  refused("argument 1", {[print] = 1})
  local deep = {print}
  for _ = 1, 100 do deep = {deep} end
  refused("cannot send …", deep)
end

function cases.capabilities_move()
  local block <const> = core.memory(100)
  block:write(0, "hello")
  local a, b = passed({block, block})
  assert(a[1] == a[2] and a[1]:read(0, 5) == "hello" and b == nil)
  harness.raises("sent away", block.read, block, 0, 1)
  assert(tostring(block):find("dead"))
  harness.raises("no live capability", core.pack, block)
end

function cases.a_refused_message_takes_nothing()
  local block <const> = core.memory(100)
  harness.raises("function", core.pack, block, print)
  assert(#block == 100)
end

function cases.a_sliced_block_stays()
  local block <const> = core.memory(100)
  local slice <const> = block:slice(0, 10)
  harness.raises("slices", core.pack, block)
  harness.raises("slices", core.pack, slice)
  assert(#slice == 10)
  local other <const> = core.memory(10)
  other:free()
  harness.raises("freed", core.pack, other)
end

function cases.endpoints_are_copied()
  local endpoint <const> = core.endpoint(7, 3)
  local copy <const> = passed(endpoint)
  assert(copy:process() == 7 and endpoint:process() == 7 and copy:badge() == 3 and copy ~= endpoint)
end

function cases.messages_that_nobody_takes_are_collected()
  local function fill() for _ = 1, 200 do core.pack(("x"):rep(5000), core.memory(8192)) end end
  fill()
  collectgarbage()
  collectgarbage()
  local before <const> = host.pages()
  fill()
  collectgarbage()
  collectgarbage()
  assert(math.abs(host.pages() - before) < 8)
end

function cases.no_memory_anywhere_leaks_nothing()
  local text <const> = [[
    local kernel = ...
    local t = {}
    for i = 1, 200 do t[i] = {i, ("x"):rep(i)} end
    while true do
      local ok, back = pcall(kernel.call, "echo", 0, t, kernel.memory(5000))
      collectgarbage()
    end
  ]]
  local function cycle(budget)
    host.page_budget(budget)
    local process <const> = core.process{name = "poor", memory = 1 << 20}
    if process then
      if process:load(text, "=poor") then
        for _ = 1, 12 do
          local why = process:run(2)
          if why ~= "call" then break end
          if not process:answer(process:payload()) then process:answer() end
        end
      end
      process:kill()
    end
    host.page_budget()
    collectgarbage()
    collectgarbage()
  end
  cycle(400)
  cycle(10000)
  local before <const> = host.pages()
  for budget = 128, 400, 3 do pcall(cycle, budget) host.page_budget() end
  collectgarbage()
  collectgarbage()
  assert(math.abs(host.pages() - before) <= 8, ("%d before, %d after"):format(before, host.pages()))
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
