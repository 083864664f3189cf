-- The supervisor of the drivers' test image: gives `require` the embedded modules, runs the case that the kernel's command line
-- names ("NAME" or "NAME ARGUMENT"), and ends QEMU.
--
-- A case is a chunk called with (core, check, machine, argument). check(name, condition, ...) reports one line, "ok NAME" or "FAIL
-- NAME values". `machine` has what constructors want: clock, memory, sleep. QEMU's exit status is 1 when the case ran to its
-- end and returned nothing, 255 after a panic.

local core = ...

local DEBUG_EXIT_PORT <const> = 0x501

table.insert(package.searchers, 2, function(name)
  local source, chunkname = core.source(name)
  if not source then return "no embedded module " .. name end
  return assert(load(source, chunkname, "t")), name
end)

local function check(name, condition, ...)
  print((condition and "ok " or "FAIL ") .. name, ...)
  return condition
end

local machine <const> = {clock = core.clock, memory = core.memory}

function machine.sleep(seconds)
  local deadline = core.clock() + math.tointeger(seconds * 1000000000 // 1)
  while core.clock() < deadline do core.halt(deadline) end
end

local words = {}
for word in core.command_line:gmatch("%g+") do words[#words + 1] = word end
local case = assert(load(assert(core.source("cases." .. words[1]), words[1]), "=" .. words[1]))
case(core, check, machine, words[2])
print("end")
core.ports(DEBUG_EXIT_PORT, 1):out8(0, 0)
