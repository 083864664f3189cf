-- Bus-master DMA: the transfer strategy in which the controller moves the data (see pio.lua for what a strategy is).
--
--     prepare the engine, command, start the engine (one call) → [interrupt: done] → stop the engine → judge both statuses
-- (BMIDE 1.0, 3.1 "Standard Programming Sequence"; ATA/ATAPI-6 9.7 "DMA commands".)
--
-- Promises: the engine is stopped when a call returns, however it ends. Only both halves together are a success: the drive
-- without ERR, DF or DRQ, the controller without Error and with all data moved. A transfer that did not end resets the
-- channel.

local ata <const> = require "drivers.ata.registers"
local bus_master <const> = require "drivers.ata.bus_master"
local channels <const> = require "drivers.ata.channel"

local SECTOR_BYTES <const> = ata.SECTOR_BYTES
local OPERATION <const>, STATUS <const>, MASTER <const> = ata.operation, ata.status, bus_master.status
local DRIVE_FAILED <const>, BUSY <const> = STATUS.ERR | STATUS.DF, STATUS.BSY | STATUS.DRQ
local DRIVE_BITS <const>, DRIVE_DONE <const> = STATUS.BSY | STATUS.DRDY | STATUS.DF | STATUS.DRQ | STATUS.ERR, STATUS.DRDY
local MASTER_BITS <const>, MASTER_DONE <const> = MASTER.ERROR | MASTER.ACTIVE, 0
local OVER <const> = MASTER.INTERRUPT | MASTER.ERROR
local BUFFER_SECTORS <const> = 1024

local dma <const> = {BUFFER_BYTES = BUFFER_SECTORS * SECTOR_BYTES}

-- Operation by direction and by 48-bit or not.
local OPERATIONS <const> = {
  ["in"] = {[false] = OPERATION.READ_DMA, [true] = OPERATION.READ_DMA_EXT},
  out = {[false] = OPERATION.WRITE_DMA, [true] = OPERATION.WRITE_DMA_EXT},
}
local WHAT <const> = {["in"] = "read", out = "write"}

local function judge(drive, request, what, status, ended)
  if status & DRIVE_BITS == DRIVE_DONE and ended & MASTER_BITS == MASTER_DONE then return true end
  local channel <const>, last <const> = drive.channel, request.lba + request.count - 1
  if status & STATUS.BSY == 0 and status & DRIVE_FAILED ~= 0 then
    return nil, channel:refused(status, request, what, drive.name, request.lba, last)
  end
  if ended & MASTER.ERROR ~= 0 then return nil, channel:failed("bus", what, drive.name, request.lba) end
  if ended & MASTER.ACTIVE ~= 0 then return nil, channel:failed("protocol", what, drive.name, request.lba) end
  return channel:completed(status, request, what, drive.name)
end

-- For Channel:wait_interrupt. The controller says when the data are in memory, the drive does not (BMIDE 1.0, 3.2). If the
-- interrupt got lost, a drive that is idle after a long time is done as well. → the controller's status.
local function watch(look)
  return function(channel, long)
    local ended <const> = look()
    if ended & OVER ~= 0 then return ended end
    if not long then return false end
    local status <const> = channel:look()
    if channel:floating(status) then return nil, "gone" end
    return status & BUSY == 0 and ended
  end
end

-- After a transfer that has ended: the drive's status, once it is not busy | nil, code.
local function status_after(channel, ended, seconds)
  local status <const> = channel:status()
  if status & STATUS.BSY == 0 or ended & MASTER.ERROR ~= 0 then return status end
  return channel:wait_idle(seconds, false)
end

-- → function(lba, count, first, seconds) → true | nil, failure: one command that moves `count` sectors between the drive and
-- the buffer, from its sector `first` on. What does not change from one to the next is made here, once.
local function mover(drive, direction)
  local channel <const>, what <const> = drive.channel, WHAT[direction]
  local master <const>, buffer <const> = channel.bus_master, channel.buffer
  local launch <const>, stop <const>, is_over <const> = master.launch, master.stop, watch(master.look)
  local ports <const> = channel.ports
  local operations <const>, position <const> = OPERATIONS[direction], drive.position
  local narrow <const> = {operation = operations[false], registers = channels.registers_28, wide = false}
  local wide <const> = {operation = operations[true], registers = channels.registers_48, wide = true}

  return function(lba, count, first, seconds)
    local request <const> = drive:is_narrow(lba, count) and narrow or wide
    request.lba, request.count = lba, count
    local ready <const>, why <const> = channel:prepare(position)
    if not ready then return nil, channel:failed(why, what, drive.name, lba) end
    launch(direction, buffer, first * SECTOR_BYTES, count * SECTOR_BYTES, ports,
      request.registers(position, request.operation, lba, count))
    local ended <const>, code <const> = channel:wait_interrupt(seconds, is_over)
    stop()
    if not ended then return nil, channel:failed(code, what, drive.name, lba) end
    local status <const>, missing <const> = status_after(channel, ended, seconds)
    if not status then return nil, channel:failed(missing, what, drive.name, lba) end
    return judge(drive, request, what, status, ended)
  end
end

--- dma.new(drive) → transfer strategy. The buffer is the channel's: only one command runs on a channel at a time.
function dma.new(drive)
  local channel <const> = drive.channel
  local buffer <const>, seconds <const>, trial_seconds <const> = channel.buffer, channel.timeouts.command, channel.timeouts.trial
  local move_in <const>, move_out <const> = mover(drive, "in"), mover(drive, "out")
  local self <const> = {name = "DMA", maximum_sectors = drive.identity.lba48 and BUFFER_SECTORS or ata.COUNT_28}

  function self.fetch(lba, count, first)
    return move_in(lba, count, first, seconds)
  end

  function self.write(lba, data)
    buffer:write(0, data)
    return move_out(lba, #data // SECTOR_BYTES, 0, seconds)
  end

  --- Whether reading sector 0 gives what PIO gave → true | false, why. Before it the buffer holds other bytes, so that a
  --- transfer which moves nothing does not pass.
  function self.trial(expected)
    buffer:write(0, (expected:gsub(".", function(byte) return string.char(~byte:byte() & 0xFF) end)))
    local ok <const>, err <const> = move_in(0, 1, 0, trial_seconds)
    if not ok then return false, err.message end
    return buffer:read(0, SECTOR_BYTES) == expected, "it reads other bytes than PIO does"
  end

  return self
end

return dma
