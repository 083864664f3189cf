-- A disk with a sector that QEMU refuses to read and one that it refuses to write (blkdebug); by PIO with the argument "pio".

local core <const>, check <const>, machine <const>, argument <const> = ...
local ata <const> = require "drivers.ata"
local bus_master <const> = require "drivers.ata.bus_master"
local pci <const> = require "drivers.pci"

local function half()
  if argument == "pio" then return nil end
  local bus <const> = pci.new{configuration = core.ports(0xCF8, 8)}
  local place <const> = bus.ide_channels()[1]
  bus.enable_master(place.pci)
  local first <const> = place.bus_master.first
  return {engine = core.dma(bus_master.description(first)), status = core.ports(bus_master.status_port(first), 1)}
end

local channel = ata.new{
  command = core.ports(0x1F0, 8), control = core.ports(0x3F6, 1), irq = core.irq(14), bus_master = half(),
  clock = machine.clock, sleep = machine.sleep, memory = machine.memory, name = "ata0",
}
local device = check("a disk", channel.devices[1])
check("good sectors", (device.read(0, 64) or "") == ("\0"):rep(64 * 512))
local data, err = device.read(64, 64)
check("bad sector", data == nil and err.lba >= 64 and err.lba <= 100, tostring(err))
print("read error", err and err.code, err and err.lba, tostring(err))
check("alone", device.read(100, 1) == nil)
check("its neighbours", device.read(96, 1) ~= nil and device.read(104, 1) ~= nil)
check("after an error", device.read(200, 64) ~= nil)
local ok
ok, err = device.write(300, ("x"):rep(512 * 8))
print("write error", ok, err and err.code, tostring(err))
check("write refused", not ok)
check("write elsewhere", device.write(320, ("x"):rep(512 * 8)))
ok, err = device.flush()
print("flush", ok, tostring(err))
check("by the same way", device.statistics().transfer == (argument == "pio" and "PIO" or "DMA"))
check("counted", device.statistics().errors >= 3, device.statistics().errors)
