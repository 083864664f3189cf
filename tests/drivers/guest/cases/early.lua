-- Somebody types on COM2 before there is a driver: waits a moment, then makes it and reads.

local core <const>, check <const>, machine <const> = ...
local serial <const> = require "drivers.serial"

machine.sleep(0.2)
local com2 = check("COM2", serial.new{ports = core.ports(0x2F8, 8), irq = core.irq(3), clock = machine.clock, sleep = machine.sleep,
  memory = machine.memory})
local received, bytes = {}, 0
while bytes < 3000 and com2.wait(5) do
  received[#received + 1] = com2.read()
  bytes = bytes + #received[#received]
end
print("received", bytes, ("%08x"):format(core.crc32c(table.concat(received))))
