-- A process that ends while the controller moves data into its memory, on a disk that is slow: the transfer ends with it, and
-- whoever gets the memory next keeps what he writes there. Then the same controller serves somebody else.

local core <const>, check <const>, machine <const>, way <const> = ...
local ata <const> = require "drivers.ata"
local bus_master <const> = require "drivers.ata.bus_master"
local pci <const> = require "drivers.pci"

local ACTIVE <const> = bus_master.status.ACTIVE
local PIECE_BYTES <const>, KEPT_BYTES <const> = 131072, 1 << 20
local READ_SECONDS <const> = 2              -- longer than the transfer would take

-- READ DMA of 256 sectors, by hand.
local PROGRAM <const> = [[
  local kernel, engine, command, control, way = ...
  local block = engine:memory(131072)
  local function read(lba)
    engine:prepare("in", block, 0, 131072)
    repeat until control:in8(0) & 0x88 == 0
    command:out8(6, 0xE0)
    command:out8(2, 0) command:out8(3, lba) command:out8(4, 0) command:out8(5, 0)
    command:out8(7, 0xC8)
    engine:start()
  end
  read(0)
  repeat until control:in8(0) & 0x88 == 0
  engine:stop()
  read(16)
  kernel.call("started", 0)
  if way == "error" then error("by an error") end
  if way == "free" then block:free() kernel.call("freed", 0) end
  while true do end
]]

local bus <const> = pci.new{configuration = core.ports(0xCF8, 8)}
local place <const> = bus.ide_channels()[1]
bus.enable_master(place.pci)
local first <const> = place.bus_master.first
local status <const> = core.ports(bus_master.status_port(first), 1)

local function run_until(process, operation)
  local why, what
  repeat
    why, what = process:run(5)
    if why == "call" then process:answer() end
  until why ~= "preempted" and why ~= "parked"
  return why == "call" and what == operation, why, what
end

local process <const> = core.process{name = "victim", memory = 1 << 20}
process:load(PROGRAM, "=victim", core.dma(bus_master.description(first)),
  core.ports(place.command.first, place.command.count), core.ports(place.control.first, place.control.count), way)
check("started", run_until(process, "started"))
check("it moves", status:in8(0) & ACTIVE ~= 0)
if way == "error" then check("ends", select(2, run_until(process)) == "error") end
if way == "free" then check("freed", run_until(process, "freed")) end
if way ~= "free" then process:kill() end
check("it has stopped", status:in8(0) & ACTIVE == 0)

local pieces <const> = {}
while core.free_bytes() > KEPT_BYTES do
  local done <const>, piece <const> = pcall(core.memory, PIECE_BYTES)
  if not done then break end
  piece:fill(0xA5)
  pieces[#pieces + 1] = piece
end
machine.sleep(READ_SECONDS)
local intact = 0
for _, piece in ipairs(pieces) do
  if piece:compare(0, pieces[1], 0, PIECE_BYTES) == 0 then intact = intact + 1 end
end
check("nobody wrote into it", intact == #pieces and pieces[1]:u8(0) == 0xA5 and #pieces > 200, intact, #pieces)
for _, piece in ipairs(pieces) do piece:free() end
if way == "free" then process:kill() end

local channel <const> = ata.new{
  command = core.ports(place.command.first, place.command.count), control = core.ports(place.control.first, place.control.count),
  irq = core.irq(place.irq_line), clock = machine.clock, sleep = machine.sleep, memory = machine.memory, name = "ata0",
  bus_master = {engine = core.dma(bus_master.description(first)), status = status}, reset = true,
}
local device <const> = check("a disk", channel.devices[1])
check("by DMA", device.description:find("DMA$"), device.description)
check("readable", device.read(0, 1) ~= nil)
