-- The bus-master half of an IDE channel: eight ports beside the command block, by which the controller moves data
-- between drive and memory itself.
--
--     bus_master.description(first)       what core.dma takes to make the engine whose registers begin at that port
--     bus_master.new{engine=, status=}    the half of one channel: the engine, and its Status register as a range of one port
--
-- Two of the three registers tell the controller where memory is: they are the engine's own (kernel/lua_dma.c), and no port
-- range that a driver holds includes them. What the engine does between start and stop:
--
--     Interrupt  Active                                                                        (section 3.3)
--         0        1     the transfer is under way
--         1        0     done: the drive has interrupted, its data are in memory, all descriptors are used up
--         1        1     the drive has interrupted before all that was described was moved
--         0        0     Error set: the controller could not reach memory · not set: more data than was described
--
-- Source: Programming Interface for Bus Master IDE Controller, revision 1.0 (Intel, 1994).

local registers <const> = require "drivers.registers"

local bus_master <const> = {}

bus_master.rows = {
  {"command", 0, "rw", "Bus Master IDE Command",             "BMIDE 1.0 2.1"},
  {"status",  2, "rw", "Bus Master IDE Status",              "BMIDE 1.0 2.2"},
  {"table",   4, "rw", "Descriptor Table Pointer, 32 bits",  "BMIDE 1.0 2.3"},
}
local REGISTER <const> = registers.offsets(bus_master.rows)

bus_master.command_rows = {
  {"START",       0x01, "rw", "the controller moves data; cleared, it stops and forgets the transfer", "BMIDE 1.0 2.1"},
  {"INTO_MEMORY", 0x08, "rw", "direction: from the drive into memory; must not change while it is active", "BMIDE 1.0 2.1"},
}
local COMMAND <const> = registers.masks(bus_master.command_rows)

bus_master.status_rows = {
  {"ACTIVE",          0x01, "r",  "the transfer is under way",                               "BMIDE 1.0 2.2"},
  {"ERROR",           0x02, "rw", "the controller could not reach memory; written as 1: cleared", "BMIDE 1.0 2.2, 3.4"},
  {"INTERRUPT",       0x04, "rw", "the drive has interrupted, and what it sent is in memory; written as 1: cleared",
                                                                                             "BMIDE 1.0 2.2, 3.2"},
  {"DRIVE_0_CAPABLE", 0x20, "rw", "a note of the firmware's",                                "BMIDE 1.0 2.2"},
  {"DRIVE_1_CAPABLE", 0x40, "rw", "a note of the firmware's",                                "BMIDE 1.0 2.2"},
  {"SIMPLEX",         0x80, "r",  "one channel at a time",                                   "BMIDE 1.0 2.2"},
}
local STATUS <const> = registers.masks(bus_master.status_rows)
bus_master.status = STATUS

local NOTES <const> = STATUS.DRIVE_0_CAPABLE | STATUS.DRIVE_1_CAPABLE

--- The port of the Status register of the half that begins at port `first`.
function bus_master.status_port(first) return first + REGISTER.status end

function bus_master.description(first)
  return {
    command = first + REGISTER.command, table = first + REGISTER.table,
    start = COMMAND.START, into_memory = COMMAND.INTO_MEMORY, from_memory = 0,
  }
end

--- Looks up the engine's methods once: a command uses each of them.
function bus_master.new(parts)
  assert(parts.engine and parts.status, "a bus master needs its engine and its status port")
  local engine <const>, port <const> = parts.engine, parts.status
  local launch <const>, stop <const>, read <const> = engine.launch, engine.stop, port.in8
  local cleared <const> = read(port, 0) & NOTES | STATUS.INTERRUPT | STATUS.ERROR
  local self <const> = {engine = engine}

  --- Tells the controller of a transfer, "in" or "out", of so many bytes of the block, gives the drive its command by the
  --- writes that follow, and lets the data move.
  function self.launch(direction, block, position, bytes, ...)
    launch(engine, direction, block, position, bytes, port, 0, cleared, ...)
  end

  --- Status as it is now.
  function self.look() return read(port, 0) end

  --- Ends the transfer, however far it is.
  function self.stop() stop(engine) end

  return self
end

return bus_master
