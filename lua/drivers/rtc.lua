-- The CMOS real-time clock: wall-clock time at boot.
--
-- Promise: `read` gives a time that the clock really showed: never one read half before and half
-- after an update, never an impossible date. The clock is taken to run in UTC.
-- Sources: Motorola MC146818A data sheet (registers A, B and D; update cycle), ACPI 6.4 section
-- 5.2.9 (CENTURY).

local failure <const> = require "drivers.failure"
local registers <const> = require "drivers.registers"
local waiting <const> = require "drivers.waiting"

local rtc <const> = {}

local PORT <const> = registers.offsets{
  {"index", 0, "w",  "which register; bit 7 set masks NMI", "MC146818A \"Address map\""},
  {"data",  1, "rw", "its content",                         "MC146818A \"Address map\""},
}

local REGISTER <const> = registers.offsets{
  {"seconds",  0x00, "r", "0…59",                                  "MC146818A table 3"},
  {"minutes",  0x02, "r", "0…59",                                  "MC146818A table 3"},
  {"hours",    0x04, "r", "0…23, or 1…12 with bit 7 set for p.m.", "MC146818A table 3"},
  {"day",      0x07, "r", "1…31",                                  "MC146818A table 3"},
  {"month",    0x08, "r", "1…12",                                  "MC146818A table 3"},
  {"year",     0x09, "r", "0…99",                                  "MC146818A table 3"},
  {"status_a", 0x0A, "r", "UIP",                                   "MC146818A \"Register A\""},
  {"status_b", 0x0B, "r", "DM and 24/12",                          "MC146818A \"Register B\""},
  {"status_d", 0x0D, "r", "VRT",                                   "MC146818A \"Register D\""},
  {"century",  0x32, "r", "where nearly every PC has it; ACPI may name another register", "ACPI 6.4 5.2.9"},
}

local BIT <const> = registers.masks{
  {"UIP",     0x80, "r", "status A: an update is under way or begins within 244 µs", "MC146818A \"Register A\""},
  {"DM",      0x04, "r", "status B: numbers are binary, not BCD",                    "MC146818A \"Register B\""},
  {"HOURS24", 0x02, "r", "status B: hours count to 23",                              "MC146818A \"Register B\""},
  {"PM",      0x80, "r", "hours: afternoon",                                         "MC146818A table 3"},
}

local UPDATE_SECONDS <const> = 0.1     -- an update takes 2.2 ms
local ATTEMPTS <const> = 8             -- two equal readings in a row are wanted
local FIELDS <const> = {"seconds", "minutes", "hours", "day", "month", "year", "century"}
local DAY_SECONDS <const> = 86400

--- Days from 1970-01-01 to a date of the Gregorian calendar.
local function days_since_1970(year, month, day)
  -- Years that begin in March put the leap day at their end.
  if month <= 2 then year, month = year - 1, month + 12 end
  local leap_days = year // 4 - year // 100 + year // 400
  return 365 * year + leap_days + (153 * (month - 3) + 2) // 5 + day - 1 - 719468
end

local function from_bcd(value) return (value >> 4) * 10 + (value & 0xF) end

local function hours_of(raw, status_b, number)
  if status_b & BIT.HOURS24 ~= 0 then return number(raw) end
  local hours = number(raw & ~BIT.PM) % 12
  return raw & BIT.PM ~= 0 and hours + 12 or hours
end

-- The century register is not always one: what cannot be a century is guessed from the year.
local function full_year(year, century)
  if century >= 19 and century <= 21 then return century * 100 + year end
  return year >= 70 and 1900 + year or 2000 + year
end

local function days_in_month(year, month)
  if month == 2 then return (year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)) and 29 or 28 end
  return (month == 4 or month == 6 or month == 9 or month == 11) and 30 or 31
end

local function plausible(time)
  return time.second <= 59 and time.minute <= 59 and time.hour <= 23 and time.month >= 1 and time.month <= 12
    and time.day >= 1 and time.day <= days_in_month(time.year, time.month)
end

local function decode(raw, status_b)
  local number = status_b & BIT.DM ~= 0 and function(value) return value end or from_bcd
  return {
    second = number(raw.seconds), minute = number(raw.minutes), hour = hours_of(raw.hours, status_b, number),
    day = number(raw.day), month = number(raw.month), year = full_year(number(raw.year), number(raw.century)),
  }
end

local function same(a, b)
  for _, name in ipairs(FIELDS) do
    if a[name] ~= b[name] then return false end
  end
  return true
end

--- rtc.new{ports=ports(0x70, 2), clock=, sleep=, century=register} → clock chip.
function rtc.new(parts)
  local ports <const> = assert(parts.ports, "rtc needs its ports")
  local clock <const>, sleep <const> = assert(parts.clock, "rtc needs a clock"), parts.sleep
  local century_register <const> = parts.century or REGISTER.century

  local function register(number)
    ports:out8(PORT.index, number)
    return ports:in8(PORT.data)
  end

  local function between_updates()
    return waiting.poll(clock, sleep, UPDATE_SECONDS, function()
      return register(REGISTER.status_a) & BIT.UIP == 0
    end)
  end

  local function reading()
    if not between_updates() then return nil end
    local raw = {}
    for _, name in ipairs(FIELDS) do
      raw[name] = register(name == "century" and century_register or REGISTER[name])
    end
    return raw
  end

  local chip = {}

  --- → {year=, month=, day=, hour=, minute=, second=} | nil, failure.
  function chip.date()
    local before = reading()
    for _ = 1, ATTEMPTS do
      local now = before and reading()
      if not now then return nil, failure.new("timeout", "real-time clock: its update does not end") end
      if same(before, now) then
        local time = decode(now, register(REGISTER.status_b))
        if plausible(time) then return time end
        return nil, failure.new("protocol", ("real-time clock: impossible date %d-%d-%d %d:%d:%d")
          :format(time.year, time.month, time.day, time.hour, time.minute, time.second))
      end
      before = now
    end
    return nil, failure.new("protocol", "real-time clock: no two readings agree")
  end

  --- → seconds since 1970-01-01 00:00:00 UTC | nil, failure.
  function chip.read()
    local time, err = chip.date()
    if not time then return nil, err end
    return days_since_1970(time.year, time.month, time.day) * DAY_SECONDS
      + time.hour * 3600 + time.minute * 60 + time.second
  end

  return chip
end

return rtc
