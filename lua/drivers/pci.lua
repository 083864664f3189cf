-- PCI configuration space: what is plugged in, and where the IDE channels are.
--
-- Mechanism #1: an address goes to port 0xCF8, its double word appears at 0xCFC. The firmware has
-- configured everything but one bit that it leaves to drivers: whether a function may be bus master.
--
-- Sources: PCI Local Bus Specification 3.0, section 3.2.2.3.2 (mechanism #1), chapter 6
-- (configuration header); PCI IDE Controller Specification 1.0, section 2 (native and compatibility
-- mode), section 5 of the Bus Master IDE programming interface 1.0 (BAR 4); PCI Code and ID
-- Assignment Specification (classes).

local failure <const> = require "drivers.failure"
local registers <const> = require "drivers.registers"

local pci <const> = {}

local PORT <const> = registers.offsets{
  {"address", 0, "rw", "CONFIG_ADDRESS: which double word is at CONFIG_DATA", "PCI 3.0 3.2.2.3.2"},
  {"data",    4, "rw", "CONFIG_DATA",                                        "PCI 3.0 3.2.2.3.2"},
}
local ENABLE <const> = 0x80000000   -- bit 31 of CONFIG_ADDRESS

-- The header of a function; offsets of the double words that are read.
local HEADER <const> = registers.offsets{
  {"identity",    0x00, "r", "device id 31:16, vendor id 15:0; all ones: nothing here", "PCI 3.0 6.2.1"},
  {"command",     0x04, "rw", "status 31:16, of which a 1 that is written clears its bit, command 15:0", "PCI 3.0 6.2.2"},
  {"class",       0x08, "r", "class 31:24, subclass 23:16, programming interface 15:8, revision 7:0", "PCI 3.0 6.2.1"},
  {"header_type", 0x0C, "r", "byte 2: bit 7 several functions, bits 6:0 layout",        "PCI 3.0 6.2.1"},
  {"bar_0",       0x10, "r", "first base address register",                             "PCI 3.0 6.2.5"},
  {"buses",       0x18, "r", "bridges: byte 1 is the bus behind it",                    "PCI bridge 1.2 3.2.5"},
  {"interrupt",   0x3C, "r", "byte 0: interrupt line, byte 1: pin",                     "PCI 3.0 6.2.4"},
}

local COMMAND <const> = registers.masks{
  {"MASTER", 0x0004, "rw", "the function may access memory by itself", "PCI 3.0 6.2.2, table 6-1"},
}
local COMMAND_BITS <const> = 0xFFFF

local LAYOUT_DEVICE <const>, LAYOUT_BRIDGE <const> = 0, 1
local BARS <const> = {[LAYOUT_DEVICE] = 6, [LAYOUT_BRIDGE] = 2}
local LAST_DEVICE <const>, LAST_FUNCTION <const> = 31, 7

local CLASS_STORAGE <const>, SUBCLASS_IDE <const> = 0x01, 0x01

-- Programming interface of an IDE controller (PCI IDE 1.0, section 2.1).
local IDE_MODE <const> = registers.masks{
  {"primary_native",   0x01, "r", "the primary channel's ports are in BARs 0 and 1"},
  {"secondary_native", 0x04, "r", "the secondary channel's ports are in BARs 2 and 3"},
  {"bus_master",       0x80, "r", "BAR 4 has bus-master registers, eight for each channel"},
}

-- Compatibility mode: fixed addresses (PCI IDE 1.0, section 2.1, table 1).
local COMPATIBILITY <const> = {
  {command = 0x1F0, control = 0x3F6, irq_line = 14},
  {command = 0x170, control = 0x376, irq_line = 15},
}
local COMMAND_PORTS <const>, CONTROL_PORTS <const>, BUS_MASTER_PORTS <const> = 8, 1, 8
local LINES <const>, LINE_TIMER <const>, LINE_CASCADE <const> = 16, 0, 2
local CONTROL_IN_BAR <const> = 2     -- Device Control is the third of a native control block's four ports

--- Names of classes and of a few well-known devices, for listings.
pci.class_names = {
  [0x0100] = "SCSI controller", [0x0101] = "IDE controller", [0x0106] = "SATA controller", [0x0108] = "NVMe controller",
  [0x0200] = "Ethernet controller", [0x0300] = "VGA controller", [0x0401] = "Audio device", [0x0403] = "Audio device",
  [0x0500] = "RAM", [0x0600] = "Host bridge", [0x0601] = "ISA bridge", [0x0604] = "PCI bridge", [0x0680] = "Bridge",
  [0x0C03] = "USB controller", [0x0C05] = "SMBus controller",
}
pci.device_names = {
  [0x80861237] = "Intel 82441FX (i440FX)", [0x80867000] = "Intel PIIX3 ISA", [0x80867010] = "Intel PIIX3 IDE",
  [0x80867111] = "Intel PIIX4 IDE", [0x80867113] = "Intel PIIX4 ACPI", [0x808629C0] = "Intel Q35", [0x80862918] = "Intel ICH9 LPC",
  [0x80862922] = "Intel ICH9 AHCI", [0x80862930] = "Intel ICH9 SMBus", [0x8086100E] = "Intel 82540EM (e1000)",
  [0x808610D3] = "Intel 82574L (e1000e)", [0x12341111] = "QEMU standard VGA", [0x10130088] = "Cirrus GD5446",
  [0x1AF41000] = "virtio network", [0x1AF41001] = "virtio disk", [0x1AF41005] = "virtio random", [0x1B360010] = "QEMU NVMe",
  [0x10EC8139] = "Realtek 8139", [0x80EE1234] = "VirtualBox graphics",
}

local function base_address(value)
  if value & 1 == 1 then return {space = "io", address = value & ~3} end
  return {space = "memory", address = value & ~0xF, wide = value >> 1 & 3 == 2}
end

-- All six (or two) base address registers; a 64-bit one swallows its successor.
local function base_addresses(read, layout)
  local bars, index = {}, 0
  while index < (BARS[layout] or 0) do
    local value = read(HEADER.bar_0 + index * 4)
    if value ~= 0 then
      local bar = base_address(value)
      bars[index] = bar
      if bar.wide and index + 1 < BARS[layout] then
        index = index + 1
        bar.address = bar.address | read(HEADER.bar_0 + index * 4) << 32
      end
    end
    index = index + 1
  end
  return bars
end

local function read_function(read, bus, device, number)
  local identity = read(HEADER.identity)
  if identity & 0xFFFF == 0xFFFF then return nil end
  local class, header_type, interrupt = read(HEADER.class), read(HEADER.header_type), read(HEADER.interrupt)
  local layout = header_type >> 16 & 0x7F
  return {
    bus = bus, device = device, number = number,
    vendor_id = identity & 0xFFFF, device_id = identity >> 16,
    class = class >> 24, subclass = class >> 16 & 0xFF, interface = class >> 8 & 0xFF, revision = class & 0xFF,
    several = header_type >> 23 & 1 == 1, layout = layout,
    secondary_bus = layout == LAYOUT_BRIDGE and read(HEADER.buses) >> 8 & 0xFF or nil,
    interrupt_line = interrupt & 0xFF, interrupt_pin = interrupt >> 8 & 0xFF,
    bars = base_addresses(read, layout),
  }
end

-- Walks one bus and the buses behind its bridges; `seen` stops a bridge that points back.
local function walk(reader, bus, seen, found)
  if seen[bus] then return found end
  seen[bus] = true
  for device = 0, LAST_DEVICE do
    local number, last = 0, 0
    while number <= last do
      local item = read_function(reader(bus, device, number), bus, device, number)
      if item then
        found[#found + 1] = item
        if number == 0 and item.several then last = LAST_FUNCTION end
        if item.secondary_bus then walk(reader, item.secondary_bus, seen, found) end
      end
      number = number + 1
    end
  end
  return found
end

local function io_bar(item, index)
  local bar = item.bars[index]
  return bar and bar.space == "io" and bar.address ~= 0 and bar.address or nil
end

-- The interrupt line of a function | nil when it has none that a driver could use (255: unknown, PCI 3.0 6.2.4).
local function usable_line(line)
  return line < LINES and line ~= LINE_TIMER and line ~= LINE_CASCADE and line or nil
end

-- Channel 0 or 1 of an IDE function → description | nil when it is in native mode without
-- addresses.
local function ide_channel(item, index)
  local native = item.interface & (index == 0 and IDE_MODE.primary_native or IDE_MODE.secondary_native) ~= 0
  local fixed = COMPATIBILITY[index + 1]
  local command, control, irq_line = fixed.command, fixed.control, fixed.irq_line
  if native then
    command, control = io_bar(item, index * 2), io_bar(item, index * 2 + 1)
    if not command or not control then return nil end
    control, irq_line = control + CONTROL_IN_BAR, usable_line(item.interrupt_line)
  end
  local bus_master = item.interface & IDE_MODE.bus_master ~= 0 and io_bar(item, 4)
  return {
    command = {first = command, count = COMMAND_PORTS}, control = {first = control, count = CONTROL_PORTS},
    irq_line = irq_line, native = native, pci = item,
    bus_master = bus_master and {first = bus_master + index * BUS_MASTER_PORTS, count = BUS_MASTER_PORTS} or nil,
  }
end

local function named(channels)
  for index, channel in ipairs(channels) do channel.name = "ata" .. index - 1 end
  return channels
end

--- The two channels at their fixed addresses, for machines without PCI.
function pci.legacy_ide_channels()
  local channels = {}
  for index, fixed in ipairs(COMPATIBILITY) do
    channels[index] = {
      command = {first = fixed.command, count = COMMAND_PORTS}, control = {first = fixed.control, count = CONTROL_PORTS},
      irq_line = fixed.irq_line, native = false,
    }
  end
  return named(channels)
end

--- One line about a function: "00:01.1 IDE controller: Intel PIIX3 IDE [8086:7010]".
function pci.describe(item)
  local class = pci.class_names[item.class << 8 | item.subclass] or ("class %02x%02x"):format(item.class, item.subclass)
  local name = pci.device_names[item.vendor_id << 16 | item.device_id] or "unknown"
  return ("%02x:%02x.%x %s: %s [%04x:%04x]"):format(item.bus, item.device, item.number, class, name,
    item.vendor_id, item.device_id)
end

--- pci.new{configuration=ports(0xCF8, 8)} → bus | nil, failure when there is no mechanism #1.
function pci.new(parts)
  local ports <const> = assert(parts.configuration, "pci needs its configuration ports")
  ports:out32(PORT.address, ENABLE)
  if ports:in32(PORT.address) ~= ENABLE then return nil, failure.new("absent", "no PCI configuration mechanism #1") end

  local function reader(bus, device, number)
    local base = ENABLE | bus << 16 | device << 11 | number << 8
    return function(offset)
      ports:out32(PORT.address, base | offset & 0xFC)
      return ports:in32(PORT.data)
    end
  end

  local bus = {}

  --- Every function that answers, in the order bus, device, function: {bus=, device=, number=,
  --- vendor_id=, device_id=, class=, subclass=, interface=, revision=,
  --- bars={[0]={space="io"|"memory", address=}}, interrupt_line=, interrupt_pin=, secondary_bus=}.
  function bus.functions() return walk(reader, 0, {}, {}) end

  --- Channels of every IDE controller (class 01/01), in order; {} when there is none.
  function bus.ide_channels()
    local channels = {}
    for _, item in ipairs(bus.functions()) do
      if item.class == CLASS_STORAGE and item.subclass == SUBCLASS_IDE then
        for index = 0, 1 do channels[#channels + 1] = ide_channel(item, index) end
      end
    end
    return named(channels)
  end

  --- Lets a function of `functions` access memory. The bits of its status are left as they are.
  function bus.enable_master(item)
    ports:out32(PORT.address, ENABLE | item.bus << 16 | item.device << 11 | item.number << 8 | HEADER.command)
    ports:out32(PORT.data, ports:in32(PORT.data) & COMMAND_BITS | COMMAND.MASTER)
  end

  return bus
end

return pci
