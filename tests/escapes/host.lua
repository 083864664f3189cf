-- The supervisor of the host build for escape attempts: lua/kernel with a service and the director, no devices.
--
--     host --lua DIR host.lua ATTEMPTS [unsafe | in_process]     prints the director's lines
-- ATTEMPTS is a Lua file that returns the director's text and the list of attempts. A port access outside the granted range (guards.c counts them)
-- makes the line of its attempt end in "escaped: stray port access".

local core <const>, host <const>, attempts_file <const>, control <const> = ...

package.searchers = {function(name)
  local source <const>, chunk <const> = core.source(name)
  if not source then return "no module " .. name end
  return assert(load(source, chunk, "t")), chunk
end}

local SERVICE <const> = [[
local system = require "system"
while true do
  local function answer(from, ...) if from and from.kind == "call" then system.reply(from, "the service answers") end end
  answer(system.receive())
end
]]
local PORT_FIRST <const>, PORT_COUNT <const> = 0x100, 4
local ENGINE_PORT <const> = 0x40

local scheduler <const> = require("kernel.scheduler").new(core)
local ipc <const> = require("kernel.ipc").new(scheduler, core)
local processes <const> = require("kernel.processes").new(core, scheduler, ipc)
local calls <const> = require("kernel.calls").new{
  core = core, scheduler = scheduler, ipc = ipc, processes = processes, log = function() end,
  power = function() return "off" end,
}
scheduler.on_stop = calls.stopped

local director <const>, attempts <const> = dofile(attempts_file)
local ports <const>, engines <const> = {}, {}
for place, attempt in ipairs(attempts) do
  attempt.unsafe = control == "unsafe"
  if attempt.ports then ports[place] = core.ports(PORT_FIRST, PORT_COUNT) end
  if attempt.engine then
    engines[#engines + 1] =
      core.dma{command = ENGINE_PORT, table = ENGINE_PORT + 4, start = 1, into_memory = 8, from_memory = 0}
  end
end
local packed <const> = {}
for _, range in pairs(ports) do packed[#packed + 1] = range end

local ended
assert(processes.create{name = "service", payload = core.pack(SERVICE, {n = 0}), chunk = "=service", service = true})
assert(processes.create{
  name = "director", chunk = "=director", memory = 512 << 20, operator = true,
  payload = core.pack(director, table.pack({ports = packed, engines = engines}, attempts, control == "in_process")),
  privileges = {unsafe = control == "unsafe"}, on_end = function(_, outcome) ended = outcome end,
})
host.tick_every(1000)
while not ended do scheduler.step() end
host.tick_every(0)
if ended.how ~= "finished" then
  error(("the director was %s: %s\n%s"):format(ended.how, tostring(ended[1]), tostring(ended[2])))
end
local strays <const> = core.stray_port_accesses()
print(ended[1] .. (strays > 0 and ("\nstrays\tescaped: %d stray port accesses"):format(strays) or ""))
