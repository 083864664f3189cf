-- The supervisor of the disk bench: the ATA driver against loops in C on the same disk, in turn, in one boot.
--
-- Prints lines of name, our rate, the peer's rate, tabs between them; a rate is "median least greatest" in bytes
-- a second. Then ends QEMU through the isa-debug-exit device.

local core <const> = ...

table.insert(package.searchers, 2, function(name)
  local source <const>, chunk <const> = core.source(name)
  if not source then return "no module " .. name end
  return assert(load(source, chunk, "t")), chunk
end)

local ata <const> = require "drivers.ata"
local bus_master <const> = require "drivers.ata.bus_master"
local pci <const> = require "drivers.pci"

local DEBUG_EXIT_PORT <const> = 0x501
local ROUNDS <const> = 21
local SECTORS <const>, SECTOR_BYTES <const> = 256, 512
local DMA_COMMANDS <const>, PIO_COMMANDS <const> = 64, 8
local NANOSECONDS <const> = 1000000000

local function sleep(seconds)
  local deadline <const> = core.clock() + math.tointeger(seconds * NANOSECONDS // 1)
  while core.clock() < deadline do core.halt(deadline) end
end

local bus <const> = assert(pci.new{configuration = core.ports(0xCF8, 8)})
local place <const> = bus.ide_channels()[1]
bus.enable_master(place.pci)
local command <const>, master <const> = place.command.first, place.bus_master.first

local function open(with_dma)
  local half <const> = with_dma and {
    engine = core.dma(bus_master.description(master)), status = core.ports(bus_master.status_port(master), 1),
  } or nil
  local channel <const> = ata.new{
    command = core.ports(command, 8), control = core.ports(place.control.first, 1), irq = core.irq(place.irq_line),
    bus_master = half, clock = core.clock, sleep = sleep, memory = core.memory,
  }
  local device <const> = assert(channel.devices[1])
  assert(device.statistics().transfer == (with_dma and "DMA" or "PIO"))
  return device
end

local by_dma <const>, by_pio <const> = open(true), open(false)
local BLOCK_SECTORS <const> = by_pio.identity.multiple_maximum

local function rate(act, commands)
  collectgarbage()
  local before <const> = core.clock()
  act(commands)
  return commands * SECTORS * SECTOR_BYTES * NANOSECONDS / (core.clock() - before)
end

local function figure(list)
  table.sort(list)
  return ("%.0f %.0f %.0f"):format(list[#list // 2 + 1], list[1], list[#list])
end

--- {function, commands} of each. Both in turn, so that they see the same host.
local function compare(name, ours, peer)
  local our_rates <const>, peer_rates <const> = {}, {}
  for round = 1, ROUNDS do
    if round % 2 == 0 then peer_rates[round] = rate(peer[1], peer[2]) end
    our_rates[round] = rate(ours[1], ours[2])
    if round % 2 == 1 then peer_rates[round] = rate(peer[1], peer[2]) end
  end
  print(table.concat({name, figure(our_rates), figure(peer_rates)}, "\t"))
end

-- Into the driver's buffer, which is what the loops in C do, too; and as a string.
local function fetching(device, commands)
  return {function(count)
    for _ = 1, count do assert(device.fetch(0, SECTORS)) end
  end, commands}
end

local function reading(device, commands)
  return {function(count)
    for _ = 1, count do assert(device.read(0, SECTORS)) end
  end, commands}
end

local function dma_loop(strings)
  return {function(count) core.dma_loop(command, master, count, SECTORS, strings) end, DMA_COMMANDS}
end

local function pio_loop(strings)
  return {function(count) core.pio_loop(command, count, SECTORS, BLOCK_SECTORS, strings) end, PIO_COMMANDS}
end

compare("dma_read_128k_vs_c_loop", fetching(by_dma, DMA_COMMANDS), dma_loop(false))
compare("dma_read_128k_string_vs_c_loop", reading(by_dma, DMA_COMMANDS), dma_loop(true))
compare("pio_multiple_vs_c_loop", fetching(by_pio, PIO_COMMANDS), pio_loop(false))
compare("dma_vs_pio", fetching(by_dma, DMA_COMMANDS), fetching(by_pio, PIO_COMMANDS))
compare("dma_string_vs_pio", reading(by_dma, DMA_COMMANDS), reading(by_pio, PIO_COMMANDS))
core.ports(DEBUG_EXIT_PORT, 1):out8(0, 0)
