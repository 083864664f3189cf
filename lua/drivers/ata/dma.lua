-- Bus-master DMA: the transfer strategy in which the controller moves the data (see pio.lua for what a strategy is).
--
--     prepare the engine → command → start the engine → [interrupt: done] → stop the engine → judge both statuses
-- (BMIDE 1.0, 3.1 "Standard Programming Sequence"; ATA/ATAPI-6 9.7 "DMA commands".)
--
-- Promises: the engine is stopped when a call returns, however it ends. Only both halves together are a success: the drive
-- without ERR, DF or DRQ, the controller without Error and with all data moved. A transfer that did not end resets the
-- channel.

local ata <const> = require "drivers.ata.registers"
local bus_master <const> = require "drivers.ata.bus_master"

local SECTOR_BYTES <const> = ata.SECTOR_BYTES
local OPERATION <const>, STATUS <const>, MASTER <const> = ata.operation, ata.status, bus_master.status
local DRIVE_FAILED <const> = STATUS.ERR | STATUS.DF
local OVER <const> = MASTER.INTERRUPT | MASTER.ERROR
local BUFFER_SECTORS <const> = 1024

local dma <const> = {BUFFER_BYTES = BUFFER_SECTORS * SECTOR_BYTES}

-- Operation by direction and by 48-bit or not.
local OPERATIONS <const> = {
  ["in"] = {[false] = OPERATION.READ_DMA, [true] = OPERATION.READ_DMA_EXT},
  out = {[false] = OPERATION.WRITE_DMA, [true] = OPERATION.WRITE_DMA_EXT},
}
local WHAT <const> = {["in"] = "read", out = "write"}

-- For Channel:wait_until. The controller says when the data are in memory, the drive does not (BMIDE 1.0, 3.2). If the
-- interrupt got lost, a drive that is idle after a long time is done as well.
local function is_over(channel, long)
  if channel.bus_master:look() & OVER ~= 0 then return true end
  if not long then return false end
  local status <const> = channel:look()
  if channel:floating(status) then return nil, "gone" end
  return status & (STATUS.BSY | STATUS.DRQ) == 0
end

-- Waits for the end of the transfer → drive's status, controller's status | nil, code. The engine is stopped.
local function finish(channel, seconds)
  local waited <const>, code <const> = channel:wait_until(seconds, true, is_over)
  local ended <const> = channel.bus_master:stop()
  if not waited then return nil, code end
  local status, why = channel:status(), nil
  if status & STATUS.BSY ~= 0 and ended & MASTER.ERROR == 0 then
    status, why = channel:wait_idle(seconds, false)
    if not status then return nil, why end
  end
  return status, ended
end

local function judge(drive, request, what, status, ended)
  local channel <const>, last <const> = drive.channel, request.lba + request.count - 1
  if status & STATUS.BSY == 0 and status & DRIVE_FAILED ~= 0 then
    return nil, channel:refused(status, request, what, drive.name, request.lba, last)
  end
  if ended & MASTER.ERROR ~= 0 then return nil, channel:failed("bus", what, drive.name, request.lba) end
  if ended & MASTER.ACTIVE ~= 0 then return nil, channel:failed("protocol", what, drive.name, request.lba) end
  return channel:completed(status, request, what, drive.name)
end

-- One command that moves `count` sectors between the drive and the buffer, from its sector `first` on → true | nil, failure.
local function transfer(drive, direction, lba, count, first, seconds)
  local channel <const>, what <const> = drive.channel, WHAT[direction]
  local wide <const> = not drive:is_narrow(lba, count)
  local request <const> = {
    operation = OPERATIONS[direction][wide], position = drive.position, lba = lba, count = count, wide = wide,
  }
  channel.bus_master:prepare(direction, channel.buffer, first * SECTOR_BYTES, count * SECTOR_BYTES)
  local started <const>, code <const> = channel:issue(request)
  if not started then
    channel.bus_master:stop()
    return nil, channel:failed(code, what, drive.name, lba)
  end
  channel.bus_master:start()
  local status <const>, ended <const> = finish(channel, seconds)
  if not status then return nil, channel:failed(ended, what, drive.name, lba) end
  return judge(drive, request, what, status, ended)
end

--- dma.new(drive) → transfer strategy. The buffer is the channel's: only one command runs on a channel at a time.
function dma.new(drive)
  local channel <const> = drive.channel
  local buffer <const>, timeouts <const> = channel.buffer, channel.timeouts
  local self <const> = {name = "DMA", maximum_sectors = drive.identity.lba48 and BUFFER_SECTORS or ata.COUNT_28}

  function self.fetch(lba, count, first)
    return transfer(drive, "in", lba, count, first, timeouts.command)
  end

  function self.write(lba, data)
    buffer:write(0, data)
    return transfer(drive, "out", lba, #data // SECTOR_BYTES, 0, timeouts.command)
  end

  --- Whether reading sector 0 gives what PIO gave → true | false, why. Before it the buffer holds other bytes, so that a
  --- transfer which moves nothing does not pass.
  function self.trial(expected)
    buffer:write(0, (expected:gsub(".", function(byte) return string.char(~byte:byte() & 0xFF) end)))
    local ok <const>, err <const> = transfer(drive, "in", 0, 1, 0, timeouts.trial)
    if not ok then return false, err.message end
    return buffer:read(0, SECTOR_BYTES) == expected, "it reads other bytes than PIO does"
  end

  return self
end

return dma
