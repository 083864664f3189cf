-- Cases of `prototypes` (kernel/sandbox/prototypes.c). That it agrees with lua/fs/prototypes.lua is shown by prototypes.lua.

local core <const>, _ <const>, folder <const>, name <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local cases <const> = {}

function cases.only_lua_functions_are_taken_apart()
  harness.run(core, [[
    local prototypes = (...).raw.prototypes
    for _, f in pairs(prototypes) do
      for _, wrong in ipairs{1, "x", {}, print, coroutine.create(print)} do
        local ok, message = pcall(f, wrong, 0)
        assert(not ok and message:find("Lua function expected"), message)
      end
      assert(not pcall(f))
    end
    assert(not pcall(prototypes.instantiate, load"", "x"))
  ]])
end

function cases.closures_live_on_their_own()
  harness.run(core, [[
    collectgarbage("generational")
    local prototypes = (...).raw.prototypes
    local kept = {}
    for round = 1, 200 do
      local main = load("local n, m = 0 return function(a) n = (n or a) + 1 m = {n} return n, function() return n end end")
      kept[round % 7] = prototypes.instantiate(main, 1)
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
    local prototypes = (...).raw.prototypes
    local text = "local a, b, c return function() return a, b, c, function() return a end end"
    local main = load(text)
    for _, f in ipairs{prototypes.lines, function(m) return prototypes.instantiate(m, 1) end, prototypes.dump} do
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

local case <const> = cases[name]
if not case then
  local names <const> = {}
  for each in pairs(cases) do names[#names + 1] = each end
  table.sort(names)
  print(table.concat(names, "\n"))
else
  case()
end
