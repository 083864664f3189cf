-- Four disks: each is read whole (the host has filled it), rewritten in pieces of odd sizes by a rule that the host knows, and flushed.

local core <const>, check <const>, machine <const> = ...
local ata <const> = require "drivers.ata"
local pci <const> = require "drivers.pci"

local bus = check("pci", pci.new{configuration = core.ports(0xCF8, 8)})
for _, item in ipairs(bus.functions()) do print("lspci", pci.describe(item)) end

local channels = bus.ide_channels()
check("two ide channels", #channels == 2, #channels)

local devices = {}
local started = core.clock()
for _, place in ipairs(channels) do
  local channel = ata.new{
    command = core.ports(place.command.first, place.command.count), control = core.ports(place.control.first, place.control.count),
    irq = core.irq(place.irq_line), clock = machine.clock, sleep = machine.sleep, memory = machine.memory, name = place.name,
  }
  for _, finding in ipairs(channel.findings) do print("found", channel.name, finding.position, finding.kind, finding.reason) end
  for _, device in ipairs(channel.devices) do devices[#devices + 1] = device end
end
print("probe_microseconds", (core.clock() - started) // 1000)

-- The sector that the host expects: its number and the disk's, repeated.
local function pattern(disk, lba) return ("<I8 I8"):pack(lba, disk):rep(32) end

local SIZES <const> = {1, 2, 7, 16, 17, 100, 256, 300}

for number, device in ipairs(devices) do
  print("disk", device.description)
  local crc, lba = 0, 0
  while lba < device.sector_count do
    local count = math.min(256, device.sector_count - lba)
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
