-- The disks of all channels: each is read whole (the host has filled it), rewritten in pieces of odd sizes by a rule that the
-- host knows, and flushed. With the argument "pio" the bus masters are left alone.

local core <const>, check <const>, machine <const>, argument <const> = ...
local ata <const> = require "drivers.ata"
local bus_master <const> = require "drivers.ata.bus_master"
local pci <const> = require "drivers.pci"

local bus <const> = pci.new{configuration = core.ports(0xCF8, 8)}
for _, item in ipairs(bus and bus.functions() or {}) do print("lspci", pci.describe(item)) end
local channels <const> = bus and bus.ide_channels() or pci.legacy_ide_channels()
print("channels", #channels)

local function half_of(place)
  if not place.bus_master or argument == "pio" then return nil end
  bus.enable_master(place.pci)
  local first <const> = place.bus_master.first
  return {engine = core.dma(bus_master.description(first)), status = core.ports(bus_master.status_port(first), 1)}
end

local devices = {}
local started = core.clock()
for _, place in ipairs(channels) do
  local channel = ata.new{
    command = core.ports(place.command.first, place.command.count), control = core.ports(place.control.first, place.control.count),
    irq = place.irq_line and core.irq(place.irq_line), bus_master = half_of(place), clock = machine.clock, sleep = machine.sleep, memory = machine.memory, name = place.name,
  }
  for _, finding in ipairs(channel.findings) do print("found", channel.name, finding.position, finding.kind, finding.reason) end
  for _, device in ipairs(channel.devices) do devices[#devices + 1] = device end
end
print("probe_microseconds", (core.clock() - started) // 1000)

-- The sector that the host expects: its number and the disk's, repeated.
local function pattern(disk, lba) return ("<I8 I8"):pack(lba, disk):rep(32) end

local SIZES <const> = {1, 2, 7, 16, 17, 100, 256, 300, 1024, 1025}

for number, device in ipairs(devices) do
  print("disk", device.description)
  local crc, lba = 0, 0
  while lba < device.sector_count do
    local count = math.min(1000, device.sector_count - lba)
    local data, err = device.read(lba, count)
    if not check("read", data ~= nil, err) then return end
    crc = core.crc32c(data, crc)
    lba = lba + count
  end
  print("crc", number, ("%08x"):format(crc))
  lba = 0
  local turn = number
  while lba < device.sector_count do
    local count = math.min(SIZES[turn % #SIZES + 1], device.sector_count - lba)
    local parts = {}
    for i = 1, count do parts[i] = pattern(number, lba + i - 1) end
    local data = table.concat(parts)
    local ok, err = device.write(lba, data)
    if not ok then check("write", false, err) end
    local back
    back, err = device.read(lba, count)
    if back ~= data then check("read back", false, lba, err) end
    lba, turn = lba + count, turn + 1
  end
  check("flush", device.flush())
  local beyond, err = device.read(device.sector_count, 1)
  check("beyond the end", beyond == nil and err.code == "range")
  for name, value in pairs(device.statistics()) do print("statistics", number, name, value) end
  check("no lost interrupts", device.statistics().interrupts_lost == 0, device.statistics().interrupts_lost)
end
