-- Programmed input/output: the transfer strategy that every ATA drive can do.
--
-- A transfer strategy is {name=, maximum_sectors=, fetch=function(lba, count, first) → true | nil,
-- failure, write=function(lba, data) → true | nil, failure}; one call is one command, count ≤
-- maximum_sectors, inside the drive. `fetch` brings sectors into the channel's buffer, where they
-- stand from its sector `first` on. drive.lua splits requests and does the rest. dma.lua is the
-- other one.
--
--     READ   command → [interrupt: DRQ] → move a block → [interrupt: DRQ] → … → move the last block
--     WRITE  command → DRQ (no interrupt) → move a block → [interrupt: DRQ] → … → last block → [interrupt: done]
-- (ATA/ATAPI-6 9.5 and 9.6.) A block is one sector, or up to `multiple` sectors with READ/WRITE
-- MULTIPLE.

local ata <const> = require "drivers.ata.registers"

local SECTOR_BYTES <const> = ata.SECTOR_BYTES
local OPERATION <const>, STATUS <const>, DATA <const> = ata.operation, ata.status, ata.command.data
local BUFFER_SECTORS <const> = ata.COUNT_28

local pio <const> = {BUFFER_BYTES = BUFFER_SECTORS * SECTOR_BYTES}

-- Operation by direction, MULTIPLE or not, 48-bit or not.
local OPERATIONS <const> = {
  read = {
    [false] = {[false] = OPERATION.READ_SECTORS, [true] = OPERATION.READ_SECTORS_EXT},
    [true] = {[false] = OPERATION.READ_MULTIPLE, [true] = OPERATION.READ_MULTIPLE_EXT},
  },
  write = {
    [false] = {[false] = OPERATION.WRITE_SECTORS, [true] = OPERATION.WRITE_SECTORS_EXT},
    [true] = {[false] = OPERATION.WRITE_MULTIPLE, [true] = OPERATION.WRITE_MULTIPLE_EXT},
  },
}

--- One burst through the data port, `bytes` long; 32 bits wide where the drive's host adapter
--- passed the trial.
function pio.move_in(channel, wide_port, block, position, bytes)
  if wide_port then channel.ports:in32s(DATA, block, position, bytes // 4)
  else channel.ports:in16s(DATA, block, position, bytes // 2) end
end

function pio.move_out(channel, wide_port, block, position, bytes)
  if wide_port then channel.ports:out32s(DATA, block, position, bytes // 4)
  else channel.ports:out16s(DATA, block, position, bytes // 2) end
end

local function request_for(drive, direction, lba, count)
  local narrow = drive:is_narrow(lba, count)
  local several = drive.multiple > 1 and count > 1
  return {
    operation = OPERATIONS[direction][several][not narrow],
    position = drive.position, lba = lba, count = count, wide = not narrow,
    block_sectors = several and drive.multiple or 1,
  }
end

-- Waits for the data request of the block that starts at `at`, after `done` sectors have been
-- moved: → true | nil, failure. A failure with `untouched` set says that the drive never asked for
-- data, that is: it refused the command as such.
local function await_block(drive, request, direction, at, done)
  local channel = drive.channel
  local expects_interrupt = direction == "read" or done > 0
  local status, code = channel:wait_data(channel.timeouts.command, expects_interrupt)
  if not status then return nil, channel:failed(code, direction, drive.name, at) end
  if status & (STATUS.ERR | STATUS.DF) ~= 0 then
    local last = request.lba + request.count - 1
    local err = channel:refused(status, request, direction, drive.name, at, last)
    err.untouched = done == 0
    return nil, err
  end
  return true
end

-- Nothing may be left to transfer: a drive that wants more has counted differently.
local function finish_read(drive, request)
  local channel = drive.channel
  local status, code = channel:wait_idle(channel.timeouts.command, false)
  if not status then return nil, channel:failed(code, "read", drive.name, request.lba) end
  return channel:completed(status, request, "read", drive.name)
end

local function finish_write(drive, request, last_block)
  local channel = drive.channel
  local status, code = channel:wait_idle(channel.timeouts.command, true)
  if not status then return nil, channel:failed(code, "write", drive.name, last_block) end
  if status & (STATUS.ERR | STATUS.DF) ~= 0 then
    local last = request.lba + request.count - 1
    return nil, channel:refused(status, request, "write", drive.name, last_block, last)
  end
  return channel:completed(status, request, "write", drive.name)
end

local function start(drive, request, direction)
  local ok, code = drive.channel:start(request)
  if not ok then return nil, drive.channel:failed(code, direction, drive.name, request.lba) end
  return true
end

local function fetch(drive, buffer, lba, count, first)
  local request = request_for(drive, "read", lba, count)
  local ok, err = start(drive, request, "read")
  if not ok then return nil, err end
  local done = 0
  while done < count do
    ok, err = await_block(drive, request, "read", lba + done, done)
    if not ok then return nil, err end
    local sectors = math.min(request.block_sectors, count - done)
    pio.move_in(drive.channel, drive.wide_port, buffer, (first + done) * SECTOR_BYTES, sectors * SECTOR_BYTES)
    drive.channel:settle()
    done = done + sectors
  end
  return finish_read(drive, request)
end

local function write(drive, buffer, lba, data)
  local count = #data // SECTOR_BYTES
  local request = request_for(drive, "write", lba, count)
  local ok, err = start(drive, request, "write")
  if not ok then return nil, err end
  buffer:write(0, data)
  local done, block_start = 0, lba
  while done < count do
    -- What is waited for here is that the drive has taken the block before: an error is that
    -- block's.
    ok, err = await_block(drive, request, "write", block_start, done)
    if not ok then return nil, err end
    block_start = lba + done
    local sectors = math.min(request.block_sectors, count - done)
    pio.move_out(drive.channel, drive.wide_port, buffer, done * SECTOR_BYTES, sectors * SECTOR_BYTES)
    drive.channel:settle()
    done = done + sectors
  end
  return finish_write(drive, request, block_start)
end

--- pio.new(drive) → transfer strategy. The buffer is the channel's: only one command runs on a
--- channel at a time.
function pio.new(drive)
  local buffer = drive.channel.buffer
  return {
    name = "PIO",
    maximum_sectors = BUFFER_SECTORS,
    fetch = function(lba, count, first) return fetch(drive, buffer, lba, count, first) end,
    write = function(lba, data) return write(drive, buffer, lba, data) end,
  }
end

return pio
