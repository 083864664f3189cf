-- ATA disks (IDE), by programmed input/output.
--
-- ata.new probes one channel and gives its disks the device interface of lua/fs: sector_count,
-- read, write, flush. It is handed its ports, interrupt line, clock and memory; it relies on
-- nothing else.
--
--     ata.lua            this file: constructor
--     ata/probe.lua      what is connected
--     ata/drive.lua      one disk: range, splitting, flush, what a reset means
--     ata/pio.lua        transfer strategy: how data moves
--     ata/channel.lua    selection, commands, waits, reset
--     ata/errors.lua     Status and Error as failures
--     ata/identify.lua   IDENTIFY DEVICE decoded
--     ata/registers.lua  every number of the standard
--
-- Source: ATA/ATAPI-6 (T13/1410D). Packet devices (CD drives) are recognised and left alone.

local channel <const> = require "drivers.ata.channel"
local drive <const> = require "drivers.ata.drive"
local pio <const> = require "drivers.ata.pio"
local probe <const> = require "drivers.ata.probe"

local ata <const> = {}

--- ata.new{command=, control=, irq=, clock=, sleep=, memory=, name=, timeouts=} → {name=, devices=,
--- findings=}. Always succeeds; what is wrong with a position stands in `findings` (see README.md).
function ata.new(parts)
  local bus = channel.new(parts)
  local findings = {probe.drive(bus, 0), probe.drive(bus, 1)}
  local found = {}
  for index, finding in ipairs(findings) do
    if finding.kind == "disk" then
      found[#found + 1] = {finding, drive.new(bus, index - 1, finding.identity, finding.wide_port)}
    end
  end
  bus:interrupts(true)
  local devices = {}
  for _, pair in ipairs(found) do
    local finding, disk = pair[1], pair[2]
    disk:attach(pio.new(disk))
    finding.device = disk:device()
    devices[#devices + 1] = finding.device
  end
  return {name = bus.name, devices = devices, findings = findings}
end

return ata
