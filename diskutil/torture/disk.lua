-- A disk for exploring thousands of states: a shared base, and what one state changes of it.
--
-- `base` moves forward through the events of a run (`base_write`); `reset(changes)` starts a state: sectors that differ
-- (false: unreadable). What the store writes from then on stays in the state, is recorded, and goes with the next reset.
-- All in Lua, because a callback into Python for every call costs more than the store itself; and the base is kept in
-- blocks as well, because putting sectors together costs more than the rest of a read.

local SECTOR <const> = 512
local ZERO <const> = ("\0"):rep(SECTOR)
local BLOCK_SECTORS <const> = 64

local disk = {}

--- disk.new(sector_count) → {device, base_write, reset, record, sector, calls}.
function disk.new(sector_count)
  local base <const>, blocks <const>, state, touched, events = {}, {}, {}, {}, nil
  local self <const> = {calls = 0}

  local function check(lba, count)
    if lba < 0 or count < 1 or lba + count > sector_count then
      error(("%d sectors at %d of %d"):format(count, lba, sector_count))
    end
  end

  --- A whole block of the base.
  local function block(number)
    local bytes = blocks[number]
    if not bytes then
      local sectors <const> = {}
      for at = 0, BLOCK_SECTORS - 1 do sectors[at + 1] = base[number * BLOCK_SECTORS + at] or ZERO end
      bytes = table.concat(sectors)
      blocks[number] = bytes
    end
    return bytes
  end

  --- Sectors first … last of the state, one by one; nil, lba of an unreadable one.
  local function piece(first, last)
    local sectors <const> = {}
    for lba = first, last do
      local data = state[lba]
      if data == nil then data = base[lba] or ZERO end
      if not data then return nil, lba end
      sectors[#sectors + 1] = data
    end
    return table.concat(sectors)
  end

  local function read(lba, count)
    check(lba, count)
    self.calls = self.calls + 1
    local pieces <const>, last <const> = {}, lba + count - 1
    for number = lba // BLOCK_SECTORS, last // BLOCK_SECTORS do
      local start <const> = number * BLOCK_SECTORS
      local from <const>, to <const> = math.max(lba, start), math.min(last, start + BLOCK_SECTORS - 1)
      local bytes, bad
      if touched[number] then
        bytes, bad = piece(from, to)
        if not bytes then return nil, {code = "unc", message = "unreadable sector " .. bad, lba = bad} end
      elseif from == start and to == start + BLOCK_SECTORS - 1 then
        bytes = block(number)
      else
        bytes = block(number):sub((from - start) * SECTOR + 1, (to - start + 1) * SECTOR)
      end
      pieces[#pieces + 1] = bytes
    end
    return #pieces == 1 and pieces[1] or table.concat(pieces)
  end

  local function write(lba, data)
    check(lba, #data // SECTOR)
    if #data % SECTOR ~= 0 then error("a write of " .. #data .. " bytes") end
    self.calls = self.calls + 1
    for number = 0, #data // SECTOR - 1 do
      state[lba + number] = data:sub(number * SECTOR + 1, (number + 1) * SECTOR)
      touched[(lba + number) // BLOCK_SECTORS] = true
    end
    if events then events[#events + 1] = {lba = lba, data = data} end
    return true
  end

  local function flush()
    self.calls = self.calls + 1
    if events then events[#events + 1] = {} end
    return true
  end

  self.device = {sector_count = sector_count, description = "replayed disk", read = read, write = write, flush = flush}

  --- Moves the base forward.
  function self.base_write(lba, data)
    for number = 0, #data // SECTOR - 1 do
      base[lba + number] = data:sub(number * SECTOR + 1, (number + 1) * SECTOR)
      blocks[(lba + number) // BLOCK_SECTORS] = nil
    end
  end

  --- Starts a state that differs from the base in these sectors; changes is a table lba → sector | false.
  function self.reset(changes)
    state, touched, self.calls = changes or {}, {}, 0
    for lba in pairs(state) do touched[lba // BLOCK_SECTORS] = true end
  end

  --- Starts to record events; returns the list that they go to.
  function self.record()
    events = {}
    return events
  end

  --- A sector as the state has it; zeros for an unreadable one.
  function self.sector(lba)
    local data = state[lba]
    if data == nil then data = base[lba] end
    return data or ZERO
  end

  return self
end

return disk
