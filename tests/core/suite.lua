-- Runs a text that tests/support/lua_suite.py makes of Lua's test suite in a process that is pre-empted far more often
-- than on the machine: --lua DIR has the text as suite.lua, arguments are this folder and the microseconds of a tick.
-- Prints what the process writes, and how often it was stopped.

local core <const>, host <const>, folder <const>, microseconds <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")

-- As lua/kernel/runtime.lua and lua/services/runner.lua do it.
local RUNNER <const> = [[
  local kernel, text = ...
  kernel.writer(function(text, is_error) kernel.call("write", 2, text, is_error) end)
  local ran, value, trace = kernel.evaluate(assert(load(text, "@suite.lua")))
  if not ran then error(tostring(value) .. "\n" .. tostring(trace), 0) end
]]
local MEMORY_BYTES <const> = 512 << 20

local process <const> = assert(core.process{name = "suite", memory = MEMORY_BYTES, unsafe = true})
assert(process:load(RUNNER, "=runner", core.source("suite")))
host.tick_every(math.tointeger(microseconds))
local why <const>, message <const> = harness.finish(process, {write = function(_, text, is_error)
  if not (is_error and text == ".") then io.write(text) end       -- the collector's dots
  return true
end}, 1)
host.tick_every(0)
if why ~= "finished" then error(why .. ": " .. tostring(message), 0) end
local left <const> = host.pages()
process:kill()
print(("stopped: %d at an instruction, %d parked, %d at a call"):format(
  harness.stops.preempted, harness.stops.parked, harness.stops.call))
assert(host.pages() < left)
