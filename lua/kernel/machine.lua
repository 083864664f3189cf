-- The few devices that the supervisor itself drives, each loaded when it is first needed: the firmware's configuration
-- (what to run), the clock chip (once), the power switch (last).
--
--     local machine = require("kernel.machine").new(core, drivers)      drivers.fwcfg() → the module, and so on
--     machine.configuration(name) → string | nil          QEMU's fw_cfg item opt/khoros/NAME
--     machine.options() → table of the key=value lines of opt/khoros/options and of the kernel command line
--     machine.disk_channels(with_dma) → rows of kernel.capabilities by name: "ata0", "ata1", …
--     machine.set_clock() → microseconds from 1970 to boot (0 when there is no usable clock)
--     machine.power(what) → nil, failure (it does not return when it works)

local capabilities <const> = require "kernel.capabilities"

local machine <const> = {}

local MICROSECONDS <const> = 1000000
local CONFIGURATION_PREFIX <const> = "opt/khoros/"

function machine.new(core, drivers)
  local self <const> = {}
  local firmware

  local function ports_of(row)
    return core.ports(row.ports[1], row.ports[2])
  end

  function self.configuration(name)
    if firmware == nil then
      firmware = drivers.fwcfg().new{ports = ports_of(capabilities.firmware), memory = core.memory} or false
    end
    return firmware and firmware.read(CONFIGURATION_PREFIX .. name) or nil
  end

  function self.options()
    local options <const> = {}
    local text <const> = (self.configuration("options") or "") .. "\n" .. (core.command_line or ""):gsub("%s", "\n")
    for key, value in text:gmatch("([%w_]+)=([^\n]*)") do options[key] = value end
    -- The boot menu's word for a start that changes nothing.
    if (" " .. (core.command_line or "") .. " "):find("%ssafe%s") then options.safe = "1" end
    return options
  end

  -- With a bus master where the controller has one, which from now on may access memory: what it does there is for its
  -- engine alone to say (core.dma).
  local function channel_row(pci, channel, with_dma)
    local row <const> = {
      command = {channel.command.first, channel.command.count}, control = {channel.control.first, channel.control.count},
      irq = channel.irq_line,
    }
    if channel.bus_master and with_dma then
      pci.enable_master(channel.pci)
      local half <const>, first <const> = drivers.bus_master(), channel.bus_master.first
      row.bus_master = {dma = half.description(first), status = half.status_port(first)}
    end
    return row
  end

  function self.disk_channels(with_dma)
    local driver <const> = drivers.pci()
    local pci <const> = driver.new{configuration = ports_of(capabilities.pci)}
    local channels = pci and pci.ide_channels() or {}
    if #channels == 0 then channels = driver.legacy_ide_channels() end
    local rows <const> = {}
    for _, channel in ipairs(channels) do rows[channel.name] = channel_row(pci, channel, with_dma) end
    return rows
  end

  function self.set_clock()
    local chip <const> = drivers.rtc().new{ports = ports_of(capabilities.clock_chip), clock = core.clock}
    local seconds <const> = chip.read()
    local epoch <const> = seconds and seconds * MICROSECONDS - core.clock() // 1000 or 0
    core.set_epoch(epoch)
    return epoch
  end

  function self.power(what)
    local switch <const> = drivers.power().new{
      physical = core.physical, ports = core.ports, clock = core.clock, rsdp = core.rsdp,
    }
    if what == "reboot" then return switch.reboot() end
    return switch.off()
  end

  return self
end

return machine
