-- One ATA disk: the device interface of lua/fs over a transfer strategy.
--
-- Promises
-- - A request outside the disk is refused (`range`) before a register is touched.
-- - Any count: requests are split into commands of at most the strategy's maximum.
-- - `flush` returns true only if every write that was acknowledged since the flush before is on the
--   medium as far as the drive tells. If the drive was reset between such a write and the flush,
--   the flush fails (`reset`): what was in the drive's cache may be lost, and only the layer above
--   knows what to do. A flush that failed is reported once; a later one speaks of later writes.
-- - No flush is repeated, and no write that has moved data. A read is repeated once, when the first
--   one ended in a reset.
-- - DMA is used after it has read sector 0 as PIO does. A DMA read that fails otherwise than by an
--   error of the medium is repeated once, by PIO. Failed so twice in a row, DMA is given up for
--   good; so it is after two writes in a row that did not get across.
-- - READ MULTIPLE that the drive aborts is repeated with single sectors, which names the sector, and
--   so is a READ DMA; so is a WRITE MULTIPLE that the drive refuses before it asks for data. Refused
--   so twice in a row, where single sectors work, MULTIPLE is given up for good.
-- - A drive that did not come back after a reset costs one look, not a timeout, until it shows up
--   again.

local failure <const> = require "drivers.failure"
local ata <const> = require "drivers.ata.registers"
local errors <const> = require "drivers.ata.errors"

local SECTOR_BYTES <const> = ata.SECTOR_BYTES
local OPERATION <const>, STATUS <const> = ata.operation, ata.status

local REFUSALS_MAXIMUM <const> = 2
local DMA_FAILURES_MAXIMUM <const> = 2

local Drive <const> = {}
Drive.__index = Drive

local drive <const> = {}

--- drive.new(channel, position, identity, wide_port) → drive, registered with its channel. `attach`
--- gives it its strategy.
function drive.new(channel, position, identity, wide_port)
  local self = setmetatable({
    channel = channel, position = position, identity = identity, wide_port = wide_port,
    narrow_sectors = math.min(identity.sector_count_28, ata.SECTORS_28),
    name = channel.name .. (position == 0 and "-master" or "-slave"),
    multiple = 1,        -- sectors in a data block; more than 1: READ/WRITE MULTIPLE is in use
    multiple_wanted = 1,
    refusals = 0,        -- of MULTIPLE, in a row
    dma_failures = 0,    -- in a row
    without_dma = nil,   -- why it is not used, where it could have been
    dirty = false,       -- acknowledged writes since the last flush
    doubt = nil,         -- the failure that flush has to report
    lost = nil,          -- the drive did not come back after a reset
    cache_off = false,   -- the write cache had to be switched off, because the drive has no FLUSH CACHE
    counters = {reads = 0, writes = 0, flushes = 0, sectors_read = 0, sectors_written = 0, errors = 0, dma_failures = 0},
  }, Drive)
  channel.drives[position] = self
  return self
end

-- SET MULTIPLE MODE is nothing to fail for: without it there are single sectors.
local function set_multiple(self)
  self.multiple = 1
  if self.multiple_wanted < 2 then return end
  local ok = self.channel:run({operation = OPERATION.SET_MULTIPLE_MODE, position = self.position,
    count = self.multiple_wanted}, "set multiple mode", self.channel.timeouts.command, self.name)
  if ok then self.multiple = self.multiple_wanted else self.multiple_wanted = 1 end
end

-- A drive with a cache but without a way to flush it gets its cache switched off; then a written
-- sector is on the medium.
local function secure_flush(self)
  if self.identity.flush or self.identity.flush_ext then return end
  if not self.identity.write_cache_enabled then
    self.cache_off = true
    return
  end
  self.cache_off = self.channel:run({operation = OPERATION.SET_FEATURES, position = self.position,
    features = ata.feature.DISABLE_WRITE_CACHE}, "disable write cache", self.channel.timeouts.command, self.name) or false
end

local function give_up_dma(self, why)
  self.strategy, self.dma, self.without_dma = self.pio, nil, why
end

-- A controller that only says it can do DMA shall not be found out by the store. Sector 0 has to be readable for it.
local function try_dma(self)
  local ok, err = self.pio.fetch(0, 1, 0)
  if not ok then return give_up_dma(self, err.message) end
  local works, why = self.dma.trial(self.channel.buffer:read(0, SECTOR_BYTES))
  if works then self.strategy = self.dma else give_up_dma(self, why) end
end

--- Prepares the drive: multiple mode, cache, strategy. `pio` always works; `dma` may be nil.
function Drive:attach(pio, dma)
  self.pio, self.dma, self.strategy = pio, dma, pio
  local maximum = self.identity.multiple_maximum
  -- A power of two, as every drive that offers it takes (ATA-6 8.49 leaves others to the drive).
  while maximum & maximum - 1 ~= 0 do maximum = maximum & maximum - 1 end
  self.multiple_wanted = maximum
  set_multiple(self)
  secure_flush(self)
  if dma then try_dma(self) end
end

--- Whether a 28-bit command reaches these sectors: it writes half the registers of a 48-bit one.
function Drive:is_narrow(lba, count)
  return count <= ata.COUNT_28 and lba + count <= self.narrow_sectors
end

--- Called by the channel after a software reset.
function Drive:after_reset(back)
  if self.dirty then
    self.doubt = errors.plain(self.name, "reset", "flush", failure.codes.reset)
  end
  self.multiple = 1
  self.multiple_stale = self.multiple_wanted > 1
  self.lost = not back
end

-- Before a command: a lost drive gets one look, and after any reset the multiple mode is set again.
local function ready(self, what)
  local channel = self.channel
  if self.lost then
    local status = channel:look()
    if channel:floating(status) or status & STATUS.BSY ~= 0 or not channel:reset() then
      return nil, errors.plain(self.name, "gone", what, "the drive has not come back since a reset", {status = status})
    end
  end
  if self.multiple_stale then
    self.multiple_stale = false
    set_multiple(self)
  end
  return true
end

local function count_error(self, err)
  self.counters.errors = self.counters.errors + 1
  return nil, err
end

-- Repeats a command that was aborted under MULTIPLE with single sectors → what `transfer` returns.
-- If that works and the drive had not asked for data, MULTIPLE itself was what it refused.
local function in_single_sectors(self, err, transfer)
  local multiple = self.multiple
  self.multiple = 1
  local result, second = transfer()
  if result and err.untouched then self.refusals = self.refusals + 1 end
  if self.refusals >= REFUSALS_MAXIMUM then
    self.multiple_wanted = 1
  elseif not self.multiple_stale then
    self.multiple = multiple
  end
  return result, second
end

local function in_a_reset(err) return err.code == "timeout" or err.code == "protocol" or err.code == "bus" end

-- Failures that say something about the way of the data rather than about the medium.
local function on_the_way(err) return in_a_reset(err) or err.code == "crc" end

local function note_dma_failure(self, err)
  self.dma_failures = self.dma_failures + 1
  self.counters.dma_failures = self.counters.dma_failures + 1
  if self.dma_failures >= DMA_FAILURES_MAXIMUM then give_up_dma(self, err.message) end
end

-- Reads by PIO what DMA has not, in pieces that one command takes → true | nil, failure. `single`: sector by sector.
local function fetch_by_pio(self, lba, count, single)
  local most, multiple = self.pio.maximum_sectors, self.multiple
  if single then self.multiple = 1 end
  local done, ok, err = 0, true, nil
  while ok and done < count do
    local some = math.min(count - done, most)
    ok, err = self.pio.fetch(lba + done, some, done)
    done = done + some
  end
  if single and not self.multiple_stale then self.multiple = multiple end
  return ok, err
end

-- A DMA read has failed: what PIO makes of it. A drive that aborted the command names only its first sector, and may as
-- well not know the command.
local function fetch_again(self, lba, count, err)
  local refused = err.code == "abort"
  if not (refused or on_the_way(err)) or not ready(self, "read") then return nil, err end
  local ok, second = fetch_by_pio(self, lba, count, refused)
  if ok then note_dma_failure(self, err) end
  return ok, second
end

local function fetch_by_dma(self, lba, count)
  local ok, err = self.dma.fetch(lba, count, 0)
  if not ok then return fetch_again(self, lba, count, err) end
  self.dma_failures = 0
  return true
end

-- One command's worth of sectors into the buffer → true | nil, failure.
local function fetch(self, lba, count)
  local ok, err = ready(self, "read")
  if not ok then return nil, err end
  if self.dma then return fetch_by_dma(self, lba, count) end
  ok, err = self.pio.fetch(lba, count, 0)
  if ok then
    if self.multiple > 1 then self.refusals = 0 end
    return true
  end
  local function again() return self.pio.fetch(lba, count, 0) end
  if err.code == "abort" and self.multiple > 1 then return in_single_sectors(self, err, again) end
  if in_a_reset(err) and ready(self, "read") then return again() end
  return nil, err
end

local function write_by_dma(self, lba, data)
  local ok, err = self.dma.write(lba, data)
  if ok then
    self.dma_failures = 0
  elseif on_the_way(err) then
    note_dma_failure(self, err)
  end
  return ok, err
end

local function write_command(self, lba, data)
  local ok, err = ready(self, "write")
  if not ok then return nil, err end
  if self.dma then return write_by_dma(self, lba, data) end
  ok, err = self.pio.write(lba, data)
  if ok or err.code ~= "abort" or not err.untouched or self.multiple < 2 then return ok, err end
  return in_single_sectors(self, err, function() return self.pio.write(lba, data) end)
end

local function check_range(self, what, lba, count)
  if lba >= 0 and count <= self.identity.sector_count and lba <= self.identity.sector_count - count then return true end
  return nil, failure.new("range", ("%s: %s of %d sectors at LBA %d is outside the disk of %d sectors")
    :format(self.name, what, count, lba, self.identity.sector_count), {lba = lba})
end

local function check_integer(value, what)
  if math.type(value) ~= "integer" then error(what .. " must be an integer, not " .. tostring(value), 3) end
end

--- `count` sectors from `lba` → string | nil, failure.
function Drive:read(lba, count)
  check_integer(lba, "lba")
  check_integer(count, "count")
  if count < 0 then error("count must not be negative", 2) end
  local ok, err = check_range(self, "read", lba, count)
  if not ok then return nil, err end
  local parts = {}
  while count > 0 do
    local some = math.min(count, self.strategy.maximum_sectors)
    ok, err = fetch(self, lba, some)
    if not ok then return count_error(self, err) end
    parts[#parts + 1] = self.channel.buffer:read(0, some * SECTOR_BYTES)
    lba, count = lba + some, count - some
    self.counters.reads = self.counters.reads + 1
    self.counters.sectors_read = self.counters.sectors_read + some
  end
  return #parts == 1 and parts[1] or table.concat(parts)
end

--- Writes whole sectors from `lba` on → true | nil, failure. After a failure the sectors of this
--- request hold old or new data.
function Drive:write(lba, data)
  check_integer(lba, "lba")
  if type(data) ~= "string" or #data % SECTOR_BYTES ~= 0 then error("data must be whole sectors of 512 bytes", 2) end
  local count = #data // SECTOR_BYTES
  local ok, err = check_range(self, "write", lba, count)
  if not ok then return nil, err end
  local done = 0
  while done < count do
    local some = math.min(count - done, self.strategy.maximum_sectors)
    local part = some == count and data or data:sub(done * SECTOR_BYTES + 1, (done + some) * SECTOR_BYTES)
    self.dirty = true    -- before the command: a write that fails half-way has reached the cache too
    ok, err = write_command(self, lba + done, part)
    if not ok then return count_error(self, err) end
    done = done + some
    self.counters.writes = self.counters.writes + 1
    self.counters.sectors_written = self.counters.sectors_written + some
  end
  return true
end

local function flush_command(self)
  local wide = self.identity.flush_ext
  if not wide and not self.identity.flush then
    if self.cache_off then return true end
    return nil, errors.plain(self.name, "unsupported", "flush", "the drive has a write cache and no command to flush it")
  end
  return self.channel:run({operation = wide and OPERATION.FLUSH_CACHE_EXT or OPERATION.FLUSH_CACHE,
    position = self.position, wide = wide}, "flush", self.channel.timeouts.flush, self.name)
end

--- Brings every acknowledged write to the medium → true | nil, failure.
function Drive:flush()
  local ok, err = ready(self, "flush")
  if not ok then return count_error(self, err) end
  ok, err = flush_command(self)
  if not ok then return count_error(self, err) end
  self.counters.flushes = self.counters.flushes + 1
  self.dirty = false
  local doubt = self.doubt
  self.doubt = nil       -- said once; the layer above has been told
  if doubt then return count_error(self, doubt) end
  return true
end

local function size_text(sectors)
  local mebibytes = sectors // 2048
  if mebibytes >= 10240 then return ("%d GiB"):format(mebibytes // 1024) end
  if mebibytes >= 1 then return ("%d MiB"):format(mebibytes) end
  return ("%d sectors"):format(sectors)
end

local function transfer_text(self)
  if self.dma then return "DMA" end
  local multiple = self.multiple > 1 and ("%d sectors a block"):format(self.multiple) or "single sectors"
  return ("PIO %s, %s%s"):format(self.wide_port and "32-bit" or "16-bit", multiple,
    self.without_dma and (" (no DMA: %s)"):format(self.without_dma) or "")
end

--- One line: "ata0-master: QEMU HARDDISK (QM00001), 64 MiB, LBA48, DMA" or "…, PIO 32-bit, 16 sectors a block".
function Drive:describe()
  local id = self.identity
  return ("%s: %s (%s), %s, %s, %s%s"):format(self.name, id.model, id.serial, size_text(id.sector_count),
    id.lba48 and "LBA48" or "LBA28", transfer_text(self),
    (id.flush or id.flush_ext or self.cache_off) and "" or ", cannot flush its cache")
end

local function statistics(self)
  local all = {}
  for name, value in pairs(self.counters) do all[name] = value end
  for name, value in pairs(self.channel.counters) do all[name] = value end
  all.polling, all.transfer = self.channel.polling, self.strategy.name
  return all
end

--- The device of the contract: plain functions over this drive.
function Drive:device()
  return {
    name = self.name,
    sector_count = self.identity.sector_count,
    physical_sector_bytes = self.identity.physical_sector_bytes,
    identity = self.identity,
    description = self:describe(),
    fetch = function(lba, count) return fetch(self, lba, count) end,
    read = function(lba, count) return self:read(lba, count) end,
    write = function(lba, data) return self:write(lba, data) end,
    flush = function() return self:flush() end,
    statistics = function() return statistics(self) end,
  }
end

return drive
