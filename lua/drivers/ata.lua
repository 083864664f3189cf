-- ATA disks (IDE), by bus-master DMA or programmed input/output.
--
-- ata.new probes one channel and gives its disks the device interface of lua/fs: sector_count,
-- read, write, flush. It is handed its ports, interrupt line, clock and memory; it relies on
-- nothing else.
--
--     ata.lua            this file: constructor
--     ata/probe.lua      what is connected
--     ata/drive.lua      one disk: range, splitting, flush, what a reset means
--     ata/dma.lua        transfer strategy: the controller moves the data
--     ata/pio.lua        transfer strategy: the CPU does, through the data port
--     ata/bus_master.lua the controller's registers for DMA
--     ata/channel.lua    selection, commands, waits, reset
--     ata/errors.lua     Status and Error as failures
--     ata/identify.lua   IDENTIFY DEVICE decoded
--     ata/registers.lua  every number of the standard
--
-- Source: ATA/ATAPI-6 (T13/1410D). Packet devices (CD drives) are recognised and left alone.

local bus_master <const> = require "drivers.ata.bus_master"
local channel <const> = require "drivers.ata.channel"
local dma <const> = require "drivers.ata.dma"
local drive <const> = require "drivers.ata.drive"
local pio <const> = require "drivers.ata.pio"
local probe <const> = require "drivers.ata.probe"

local ata <const> = {}

-- One buffer a channel, since one command at a time runs on it.
local function make_buffer(bus)
  if bus.bus_master then return bus.bus_master.engine:memory(dma.BUFFER_BYTES) end
  return bus.memory(pio.BUFFER_BYTES)
end

local function with_bus_master(parts)
  if not parts.bus_master then return parts end
  local copy = {}
  for name, value in pairs(parts) do copy[name] = value end
  copy.bus_master = bus_master.new(parts.bus_master)
  return copy
end

--- ata.new{command=, control=, irq=, bus_master={engine=, status=}, clock=, sleep=, memory=, name=,
--- timeouts=, reset=} → {name=, devices=, findings=}. Always succeeds; what is wrong with a position
--- stands in `findings` (see README.md).
function ata.new(parts)
  local bus = channel.new(with_bus_master(parts))
  if parts.reset then bus:reset() end
  local findings = {probe.drive(bus, 0), probe.drive(bus, 1)}
  local found = {}
  for index, finding in ipairs(findings) do
    if finding.kind == "disk" then
      found[#found + 1] = {finding, drive.new(bus, index - 1, finding.identity, finding.wide_port)}
    end
  end
  bus:interrupts(true)
  if #found > 0 then bus.buffer = make_buffer(bus) end
  local devices = {}
  for _, pair in ipairs(found) do
    local finding, disk = pair[1], pair[2]
    disk:attach(pio.new(disk), bus.bus_master and disk.identity.dma and dma.new(disk) or nil)
    finding.device = disk:device()
    devices[#devices + 1] = finding.device
  end
  return {name = bus.name, devices = devices, findings = findings}
end

return ata
