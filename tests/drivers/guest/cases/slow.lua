-- A disk so slow that a DMA read runs into its timeout: the controller is stopped, the drive reset, and both work again after it.

local core <const>, check <const>, machine <const> = ...
local ata <const> = require "drivers.ata"
local bus_master <const> = require "drivers.ata.bus_master"
local pci <const> = require "drivers.pci"

local COUNT <const>, TRIES <const> = 256, 40

local bus <const> = pci.new{configuration = core.ports(0xCF8, 8)}
local place <const> = bus.ide_channels()[1]
bus.enable_master(place.pci)
local first <const> = place.bus_master.first
local status <const> = core.ports(bus_master.status_port(first), 1)
local channel <const> = ata.new{
  command = core.ports(place.command.first, place.command.count), control = core.ports(place.control.first, place.control.count),
  irq = core.irq(place.irq_line), clock = machine.clock, sleep = machine.sleep, memory = machine.memory, name = "ata0",
  bus_master = {engine = core.dma(bus_master.description(first)), status = status}, timeouts = {command = 0.2, trial = 5},
}
local device <const> = check("a disk", channel.devices[1])
check("by DMA", device.description:find("DMA$"), device.description)

-- How many reads QEMU lets pass before it slows down is its affair.
local err
for turn = 1, TRIES do
  local data
  data, err = device.read(turn * COUNT, COUNT)
  if not data or device.statistics().dma_failures > 0 then break end
end
local statistics <const> = device.statistics()
print("after", err and err.code, tostring(err), statistics.resets, statistics.dma_failures)
check("it was too slow", statistics.resets > 0)
check("stopped", status:in8(0) & bus_master.status.ACTIVE == 0)
machine.sleep(3)
local data
for _ = 1, 3 do
  data, err = device.read(0, 1)
  if data then break end
  machine.sleep(3)
end
check("works again", data, tostring(err))
print("crc", ("%08x"):format(core.crc32c(data or "")))
