-- What each service is handed: its ports, interrupt lines and device memory, and nothing else.
--
--     local grants, lines = capabilities.grant(core, capabilities.console)
-- grants.com1 = {ports = range, irq = line, line = number, …}; `lines` is the set of interrupt lines that the process may
-- wait for. A row: ports or other port ranges by name = {first, count}, memory = {address, bytes}, irq = line number,
-- bus_master = {dma = what core.dma takes, status = port}, of which {engine =, status = range} is granted.
-- The numbers are those of the PC (IBM PC/AT Technical Reference); which devices are really there is for the drivers to
-- find out. Where the disk channels are is for PCI to say (kernel.machine).

local capabilities <const> = {}

capabilities.console = {
  com1 = {ports = {0x3F8, 8}, irq = 4},
  com2 = {ports = {0x2F8, 8}},
  keyboard = {ports = {0x60, 5}, irq = 1},
  screen = {crtc = {0x3D4, 2}, memory = {0xB8000, 4000}},
}

--- The same where the screen is a picture (core.framebuffer) and not VGA's text screen; nil: it is that.
function capabilities.console_on(framebuffer)
  if not framebuffer then return capabilities.console end
  local rows <const> = {screen = {memory = {framebuffer.address, framebuffer.bytes}}}
  for device, row in pairs(capabilities.console) do rows[device] = rows[device] or row end
  return rows
end

--- When a program runs without a person: only the two lines it writes to.
capabilities.run_console = {
  com1 = {ports = {0x3F8, 8}},
  com2 = {ports = {0x2F8, 8}},
}

capabilities.firmware = {ports = {0x510, 2}}
capabilities.pci = {ports = {0xCF8, 8}}
capabilities.clock_chip = {ports = {0x70, 2}}

local function capability(core, name, value)
  if name == "irq" then return core.irq(value) end
  if name == "memory" then return core.physical(value[1], value[2]) end
  if name == "bus_master" then return {engine = core.dma(value.dma), status = core.ports(value.status, 1)} end
  return core.ports(value[1], value[2])
end

function capabilities.grant(core, rows)
  local grants <const>, lines <const> = {}, {}
  for device, row in pairs(rows) do
    local granted <const> = {line = row.irq}
    for name, value in pairs(row) do granted[name] = capability(core, name, value) end
    grants[device] = granted
    if row.irq then lines[row.irq] = true end
  end
  return grants, lines
end

return capabilities
