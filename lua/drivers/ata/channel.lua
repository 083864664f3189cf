-- One ATA channel: two drives that share registers and an interrupt line.
--
-- The channel selects a drive, writes a command, waits for the drive, and resets. It knows
-- protocols, not what is read or written: that is pio.lua, dma.lua and drive.lua.
--
-- How a wait works. The drive's Status decides; the interrupt only says when to look. So an
-- interrupt that comes early, twice or never costs time, not correctness:
--
--     look at Alternate Status ── BSY clear ──→ read Status (acknowledges the interrupt) → done
--            ↑          └ BSY set ─→ irq:wait(slice), which gives the CPU away ─┐
--            └──────────────────────────────────────────────────────────────────┘
--     A slice that passes without an interrupt, after which the drive is ready, counts as a lost interrupt. After
--     LOST_LIMIT in a row the channel polls; it goes back to interrupts when the line fires again.
--
-- After a command or a data block has been given to the drive, Status may be stale for 400 ns
-- (ATA-6 9.2-9.6, "wait 400 ns"): `settle` is called before every look that could see it. A DMA
-- command needs none: the bus master's word is waited for, and the drive is looked at long after it.
--
-- Sources: ATA/ATAPI-6 9.2 (software reset), 9.3 (bus idle and selection), 9.4 (non-data), 9.5 and
-- 9.6 (PIO).

local waiting <const> = require "drivers.waiting"
local ata <const> = require "drivers.ata.registers"
local errors <const> = require "drivers.ata.errors"

local REGISTER <const>, CONTROL <const> = ata.command, ata.control
local STATUS <const>, DEVICE <const>, SWITCH <const> = ata.status, ata.device, ata.device_control

--- Seconds. Each may be given to ata.new in `timeouts`.
local TIMEOUTS <const> = {
  select = 1,      -- a drive that was idle answers at once
  identify = 5,
  command = 10,    -- a data block; drives retry a weak sector for some seconds
  flush = 60,      -- may take longer than 30 s (ATA-6 8.12)
  data_request = 0.1, -- from BSY clear to DRQ; the standard says at once
  trial = 2,       -- the first DMA transfer, of a sector that has just been read
  reset = 31,      -- ATA-6 9.2
}

local SETTLE_NANOSECONDS <const> = 400
local RESET_PULSE_SECONDS <const> = 0.000005   -- ATA-6 9.2: at least 5 µs
local RESET_REST_SECONDS <const> = 0.002       -- ATA-6 9.2: at least 2 ms before the first look
local NANOSECONDS <const> = 1000000000
local INTERRUPT_SLICE_SECONDS <const> = 0.01
local POLL_SLEEP_SECONDS <const> = 0.001
local POLL_SPINS <const> = 100
local LOST_LIMIT <const> = 4

-- Either of them: not the time to write registers.
local BUSY <const> = STATUS.BSY | STATUS.DRQ

-- A bus that nobody drives reads as all ones, or as all ones but a pulled-down bit 7 (ATA-6 9.1).
local FLOATING <const> = {[0xFF] = true, [0x7F] = true}

local Channel <const> = {}
Channel.__index = Channel

local channel <const> = {}

--- channel.new{command=, control=, irq=, bus_master=, clock=, sleep=, memory=, name=, timeouts=} →
--- channel, interrupts off.
function channel.new(parts)
  assert(parts.command and parts.control, "an ATA channel needs its command and control ports")
  assert(parts.clock and parts.memory, "an ATA channel needs clock and memory")
  local timeouts = {}
  for name, seconds in pairs(TIMEOUTS) do timeouts[name] = (parts.timeouts or {})[name] or seconds end
  local self = setmetatable({
    name = parts.name or "ata",
    ports = parts.command, control_port = parts.control, irq = parts.irq,
    bus_master = parts.bus_master,     -- of bus_master.lua, or nil
    clock = parts.clock, sleep = parts.sleep, memory = parts.memory,
    timeouts = timeouts,
    selected = nil,          -- 0 or 1: the drive whose DEV bit was written last
    drives = {},             -- drive objects that want to know of a reset
    polling = parts.irq == nil,
    lost_in_a_row = 0,
    counters = {interrupts_lost = 0, resets = 0},
  }, Channel)
  self:interrupts(false)
  return self
end

--- Turns the drives' interrupt output on or off (nIEN). It stays off when nobody listens: neither
--- an interrupt line nor a bus master.
function Channel:interrupts(on)
  local value = (on and (self.irq or self.bus_master)) and 0 or SWITCH.nIEN
  self.device_control = value
  self.control_port:out8(CONTROL.device_control, value)
end

--- Status without a side effect.
function Channel:look() return self.control_port:in8(CONTROL.alternate_status) end

--- Status; acknowledges the interrupt.
function Channel:status() return self.ports:in8(REGISTER.status) end

--- Whether a status byte comes from a bus without a drive.
function Channel:floating(status) return FLOATING[status] or false end

--- Lets 400 ns pass, after which Status speaks of what was just done.
function Channel:settle()
  local clock, port = self.clock, self.control_port
  local start = clock()
  repeat
    local _ <const> = port:in8(CONTROL.alternate_status)
  until clock() - start >= SETTLE_NANOSECONDS
end

-- One pause between two looks, of `seconds` at most. → true if an interrupt came, false if one was waited for in vain, or nil.
local function pause(self, seconds, spins, expects_interrupt)
  if self.polling and self.irq and self.irq:count() ~= self.count_when_given_up then
    self.polling, self.lost_in_a_row = false, 0
  end
  if expects_interrupt and not self.polling then
    return self.irq:wait(seconds < INTERRUPT_SLICE_SECONDS and seconds or INTERRUPT_SLICE_SECONDS) or false
  end
  if self.sleep and spins > POLL_SPINS then self.sleep(POLL_SLEEP_SECONDS) end
  return nil
end

local function note_lost(self)
  self.counters.interrupts_lost = self.counters.interrupts_lost + 1
  self.lost_in_a_row = self.lost_in_a_row + 1
  if self.lost_in_a_row >= LOST_LIMIT then
    self.polling, self.count_when_given_up = true, self.irq:count()
  end
end

-- A wait has ended well; `heard` as `pause` says. An interrupt that came just after its slice is not lost.
local function note_heard(self, heard)
  if heard or heard == false and self.irq:wait(0) then
    self.lost_in_a_row = 0
  elseif heard == false then
    note_lost(self)
  end
end

-- Pauses and looks in turn. Nearly every wait ends with the first interrupt, so the clock is asked only after it.
local function keep_looking(self, seconds, expects_interrupt, ready)
  local spins, left, began = 0, seconds, nil
  while true do
    spins = spins + 1
    local heard = pause(self, left, spins, expects_interrupt)
    local done, code = ready(self, heard == false or spins > POLL_SPINS)
    if done == nil then return nil, code end
    if done then
      note_heard(self, heard)
      return done
    end
    if left <= 0 then return nil, "timeout" end
    began = began or self.clock()
    left = seconds - (self.clock() - began) / NANOSECONDS     -- none: one more look, then give up
  end
end

--- Waits until ready(self, long) is true → that | nil, "timeout" | nil, "gone". `ready` looks at the
--- device and says something true, false, or nil and "gone"; `long`: an interrupt was waited for and did not
--- come, or many looks were in vain. `expects_interrupt`: the protocol says that the drive interrupts
--- here, so the CPU may be given away.
function Channel:wait_until(seconds, expects_interrupt, ready)
  local done, code = ready(self, false)
  if done then return done end
  if done == nil then return nil, code end
  return keep_looking(self, seconds, expects_interrupt, ready)
end

--- The same for the end of a command that takes a while and interrupts: the first look comes after the interrupt.
function Channel:wait_interrupt(seconds, ready) return keep_looking(self, seconds, true, ready) end

local function is_idle(self)
  local status = self:look()
  if FLOATING[status] then return nil, "gone" end
  return status & STATUS.BSY == 0
end

--- Waits until BSY is clear → status | nil, "timeout" | nil, "gone".
function Channel:wait_idle(seconds, expects_interrupt)
  local idle, code = self:wait_until(seconds, expects_interrupt, is_idle)
  if not idle then return nil, code end
  return self:status()
end

--- Waits for a data request after a command or block → status | nil, code. An error status is
--- returned as a status.
function Channel:wait_data(seconds, expects_interrupt)
  local status, code = self:wait_idle(seconds, expects_interrupt)
  if not status then return nil, code end
  local wanted <const> = STATUS.DRQ | STATUS.ERR | STATUS.DF
  if status & wanted ~= 0 then return status end
  local asked = waiting.poll(self.clock, self.sleep, self.timeouts.data_request, function()
    return self:look() & (wanted | STATUS.BSY) ~= 0
  end)
  if not asked then return nil, "protocol" end
  status, code = self:wait_idle(seconds, false)
  if not status then return nil, code end
  if status & wanted == 0 then return nil, "protocol" end
  return status
end

-- Bus idle for whichever drive is selected: BSY and DRQ clear. A floating bus has one of them set.
local function wait_quiet(self, seconds)
  local now = self:look()
  if now & BUSY == 0 then return now end
  local status, code = self:wait_idle(seconds, false)
  if not status then return nil, code end
  if status & STATUS.DRQ ~= 0 then return nil, "protocol" end
  return status
end

--- Selects drive 0 or 1. → true | nil, code. ATA-6 9.3: BSY and DRQ must be clear before Device is written and after it.
function Channel:select(position)
  local value = DEVICE.obsolete | (position == 1 and DEVICE.DEV or 0)
  if self.selected == position then
    local status, code = wait_quiet(self, self.timeouts.select)
    if not status then return nil, code end
    self.ports:out8(REGISTER.device, value)
    return true
  end
  -- The other drive may be one that is not there: what it shows is not asked for, only that it is
  -- not busy.
  if self.selected then
    local status, code = wait_quiet(self, self.timeouts.select)
    if not status and code ~= "gone" then return nil, code end
  end
  self.ports:out8(REGISTER.device, value)
  self.selected = position
  self:settle()
  local status, code = wait_quiet(self, self.timeouts.select)
  if not status then return nil, code end
  return true
end

-- Device as commands want it, by position.
local DEVICES <const> = {[0] = DEVICE.obsolete | DEVICE.LBA, DEVICE.obsolete | DEVICE.LBA | DEVICE.DEV}
local ADDRESS <const> = DEVICE.address
local SELECT <const>, SECTOR_COUNT <const>, COMMAND <const> = REGISTER.device, REGISTER.sector_count, REGISTER.command
local LBA_LOW <const>, LBA_MID <const>, LBA_HIGH <const> = REGISTER.lba_low, REGISTER.lba_mid, REGISTER.lba_high

--- What gives the drive at `position` a command with a 28-bit address: registers and their values, as out8_each takes them.
function channel.registers_28(position, operation, lba, count)
  return SELECT, DEVICES[position] | lba >> 24 & ADDRESS, SECTOR_COUNT, count & 0xFF,
    LBA_LOW, lba & 0xFF, LBA_MID, lba >> 8 & 0xFF, LBA_HIGH, lba >> 16 & 0xFF, COMMAND, operation
end

--- With a 48-bit address. The registers are two bytes deep: what is written first becomes the high half.
function channel.registers_48(position, operation, lba, count)
  return SELECT, DEVICES[position],
    SECTOR_COUNT, count >> 8 & 0xFF, LBA_LOW, lba >> 24 & 0xFF, LBA_MID, lba >> 32 & 0xFF, LBA_HIGH, lba >> 40 & 0xFF,
    SECTOR_COUNT, count & 0xFF, LBA_LOW, lba & 0xFF, LBA_MID, lba >> 8 & 0xFF, LBA_HIGH, lba >> 16 & 0xFF,
    COMMAND, operation
end

local registers_28 <const>, registers_48 <const> = channel.registers_28, channel.registers_48

--- Selects the drive at `position` unless it is, and sees that it may be given a command → true | nil, code.
function Channel:prepare(position)
  if self.selected == position and self:look() & BUSY == 0 then return true end
  return self:select(position)
end

--- Gives the drive a command. `request` = {operation=, position=, lba=, count=, wide=, features=}:
--- `wide` is a 48-bit command. → true | nil, code. Status is not valid yet.
function Channel:issue(request)
  local ok <const>, code <const> = self:prepare(request.position)
  if not ok then return nil, code end
  if request.features then self.ports:out8(REGISTER.features, request.features) end
  local registers <const> = request.wide and registers_48 or registers_28
  self.ports:out8_each(registers(request.position, request.operation, request.lba or 0, request.count or 0))
  return true
end

--- The same; afterwards Status is valid (400 ns have passed).
function Channel:start(request)
  local ok, code = self:issue(request)
  if not ok then return nil, code end
  self:settle()
  return true
end

--- After an error: the address the drive reports, as an LBA.
function Channel:failing_lba(wide)
  local ports = self.ports
  local low = ports:in8(REGISTER.lba_low) | ports:in8(REGISTER.lba_mid) << 8 | ports:in8(REGISTER.lba_high) << 16
  if not wide then return low | (ports:in8(REGISTER.device) & DEVICE.address) << 24 end
  self.control_port:out8(CONTROL.device_control, self.device_control | SWITCH.HOB)
  local high = ports:in8(REGISTER.lba_low) | ports:in8(REGISTER.lba_mid) << 8 | ports:in8(REGISTER.lba_high) << 16
  self.control_port:out8(CONTROL.device_control, self.device_control)
  return high << 24 | low
end

function Channel:error_bits() return self.ports:in8(REGISTER.error) end

--- Runs a non-data command: → true | nil, failure. `what` names it in messages.
function Channel:run(request, what, seconds, name)
  local ok, code = self:start(request)
  if not ok then return nil, self:failed(code, what, name) end
  local status
  status, code = self:wait_idle(seconds, true)
  if not status then return nil, self:failed(code, what, name) end
  return self:completed(status, request, what, name)
end

--- Judges the status after which nothing is left to transfer → true | nil, failure.
function Channel:completed(status, request, what, name)
  if status & (STATUS.ERR | STATUS.DF) ~= 0 then return nil, self:refused(status, request, what, name) end
  -- A drive that has let go of the bus while the other one answers for it shows a status of 0: not
  -- a success.
  if status & STATUS.DRDY == 0 then return nil, self:failed("gone", what, name) end
  if status & STATUS.DRQ ~= 0 then return nil, self:failed("protocol", what, name) end
  return true
end

--- The failure behind a status with ERR or DF. `first`, `last`: the LBAs the drive may name;
--- anything else is not believed.
function Channel:refused(status, request, what, name, first, last)
  local error_bits = self:error_bits()
  local lba
  if first then
    lba = self:failing_lba(request.wide)
    if lba < first or lba > last then lba = first end
  elseif what == "flush" then
    lba = self:failing_lba(request.wide)
  end
  if status & STATUS.DRQ ~= 0 then self:reset() end   -- some drives offer the flawed data: drop it
  return errors.from_registers(name or self.name, what, status, error_bits, lba)
end

local PROSE <const> = {
  timeout = "no answer in time",
  gone = "the drive is gone",
  protocol = "the drive does not follow the protocol",
  bus = "the controller could not reach memory",
}

--- The failure for `code`; resets the channel, so that the next command meets drives in a known
--- state.
function Channel:failed(code, what, name, lba)
  local status = self:look()
  local revived = self:reset()
  local prose = PROSE[code] .. (revived and "; channel reset" or "; reset did not help")
  return errors.plain(name or self.name, code, what, prose, {lba = lba, status = status})
end

-- After SRST: waits until the drive at `position` is not busy → true | nil.
local function came_back(self, position, deadline)
  self.ports:out8(REGISTER.device, DEVICE.obsolete | DEVICE.LBA | (position == 1 and DEVICE.DEV or 0))
  self.selected = position
  self:settle()
  local status = self:wait_idle(waiting.remaining(self.clock, deadline), false)
  return status and status & STATUS.DRQ == 0
end

--- Software reset of both drives (ATA-6 9.2) → true if every known drive came back. Drives are
--- told, since they lose their multiple mode and perhaps their cache.
function Channel:reset()
  self.counters.resets = self.counters.resets + 1
  if self.bus_master then self.bus_master.stop() end
  local quiet = self.device_control
  self.control_port:out8(CONTROL.device_control, SWITCH.SRST | SWITCH.nIEN)
  waiting.pause(self.clock, nil, RESET_PULSE_SECONDS)
  self.control_port:out8(CONTROL.device_control, SWITCH.nIEN)
  self.selected = 0        -- a reset clears DEV (ATA-6 9.12)
  waiting.pause(self.clock, self.sleep, RESET_REST_SECONDS)
  local deadline = waiting.deadline(self.clock, self.timeouts.reset)
  local all = true
  for position = 0, 1 do
    local drive = self.drives[position]
    if drive then
      local back = came_back(self, position, deadline) or false
      drive:after_reset(back)
      all = all and back
    end
  end
  self.control_port:out8(CONTROL.device_control, quiet)
  return all
end

return channel
