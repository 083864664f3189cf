-- Switches the machine off, or reboots it: QEMU says by which of the two it ended.

local core <const>, check <const>, machine <const>, way <const> = ...
local power <const> = require "drivers.power"

local switch = power.new{physical = core.physical, ports = core.ports, clock = machine.clock, sleep = machine.sleep, rsdp = core.rsdp}
print("power", switch.describe())
check("by ACPI", switch.describe():find("off by ACPI", 1, true))
check("century", switch.century_register() == 0x32, switch.century_register())
print("end")
switch[way]()
check("still here", false)
