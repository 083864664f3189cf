-- What is connected to an ATA channel.
--
-- Order of the questions, the cheapest first, so that an empty channel costs microseconds and not a
-- timeout:
--   1. select the drive; a floating bus (0xFF, 0x7F) → absent
--   2. do Sector Count and LBA Low keep what is written? no → absent (a busy drive is waited for first: it may be spinning up)
--   3. IDENTIFY DEVICE; a status of 0 afterwards → absent (drive 0 answers so for a missing drive 1, ATA-6 9.16)
--   4. an error, and the signature of a packet device in LBA Mid/High → atapi, left alone
--   5. data → IDENTIFY read in 16-bit words and once more in 32-bit ones: if both agree, the data port takes 32 bits
--
-- Sources: ATA/ATAPI-6 8.15 (IDENTIFY DEVICE), 9.12 (signature), 9.16 (single drive
-- configurations).

local ata <const> = require "drivers.ata.registers"
local identify <const> = require "drivers.ata.identify"
local pio <const> = require "drivers.ata.pio"

local REGISTER <const>, STATUS <const>, DEVICE <const> = ata.command, ata.status, ata.device

local probe <const> = {}

local function select_bare(channel, position)
  channel.ports:out8(REGISTER.device, DEVICE.obsolete | DEVICE.LBA | (position == 1 and DEVICE.DEV or 0))
  channel.selected = position
  channel:settle()
end

-- Two patterns, so that neither a stuck bus nor a value left over from before passes.
local function keeps_what_is_written(channel)
  for _, pattern in ipairs{0x55, 0xAA} do
    channel.ports:out8(REGISTER.sector_count, pattern)
    channel.ports:out8(REGISTER.lba_low, ~pattern & 0xFF)
    if channel.ports:in8(REGISTER.sector_count) ~= pattern
      or channel.ports:in8(REGISTER.lba_low) ~= ~pattern & 0xFF then return false end
  end
  return true
end

-- → true | nil, kind, reason. Leaves the drive selected and idle.
local function answers(channel, position)
  select_bare(channel, position)
  local status = channel:look()
  if channel:floating(status) then return nil, "absent", "the bus floats" end
  if status & STATUS.BSY ~= 0 then
    if not channel:wait_idle(channel.timeouts.reset, false) then return nil, "broken", "busy without end" end
    status = channel:look()
  end
  if status & STATUS.DRQ ~= 0 then     -- firmware left a command unfinished
    channel:reset()
    select_bare(channel, position)
    if not channel:wait_idle(channel.timeouts.reset, false) then return nil, "broken", "busy after a reset" end
  end
  if not keeps_what_is_written(channel) then return nil, "absent", "no registers" end
  return true
end

local function signature(channel)
  return ata.signatures[channel.ports:in8(REGISTER.lba_mid) | channel.ports:in8(REGISTER.lba_high) << 8]
end

-- IDENTIFY DEVICE → 512 bytes | nil, kind, reason.
local function identify_bytes(channel, position, wide_port)
  local ok, code = channel:start{operation = ata.operation.IDENTIFY_DEVICE, position = position}
  if not ok then return nil, "broken", "not ready for a command: " .. code end
  if channel:look() == 0 then return nil, "absent", "no answer to IDENTIFY" end
  local status
  status, code = channel:wait_idle(channel.timeouts.identify, false)
  if not status then
    channel:reset()
    return nil, code == "gone" and "absent" or "broken", "IDENTIFY: " .. code
  end
  if status & (STATUS.ERR | STATUS.DF) ~= 0 then
    if signature(channel) == "atapi" then return nil, "atapi", "packet device" end
    return nil, "absent", "IDENTIFY refused"
  end
  if status & STATUS.DRQ == 0 then return nil, "absent", "IDENTIFY gave no data" end
  local block = channel.memory(ata.SECTOR_BYTES)
  pio.move_in(channel, wide_port, block, 0, ata.SECTOR_BYTES)
  channel:settle()
  status = channel:wait_idle(channel.timeouts.identify, false)
  if not status or status & STATUS.DRQ ~= 0 then
    channel:reset()
    return nil, "broken", "IDENTIFY does not end"
  end
  return block:read(0, ata.SECTOR_BYTES)
end

-- Whether the data port passes 32 bits: an adapter that does not makes two odd accesses of it and
-- the data differ.
local function takes_32_bits(channel, position, expected)
  return identify_bytes(channel, position, true) == expected
end

--- probe.drive(channel, position) → finding {position="master"|"slave", kind=, reason=, identity=,
--- wide_port=}. Interrupts must be off.
function probe.drive(channel, position)
  local finding = {position = position == 0 and "master" or "slave"}
  local ok, kind, reason = answers(channel, position)
  local bytes
  if ok then bytes, kind, reason = identify_bytes(channel, position, false) end
  if not bytes then
    finding.kind, finding.reason = kind, reason
    return finding
  end
  finding.identity = identify.decode(bytes)
  finding.reason = identify.objection(finding.identity)
  finding.kind = finding.reason and "unsupported" or "disk"
  finding.wide_port = not finding.reason and takes_32_bits(channel, position, bytes)
  return finding
end

return probe
