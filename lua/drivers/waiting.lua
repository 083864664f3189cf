-- Waiting on a condition with a deadline.
--
-- `clock()` gives nanoseconds; `sleep(seconds)` gives the CPU away and may be nil (early boot,
-- panic), then the wait spins. Promise: the condition is looked at once more after the deadline, so
-- that a process that was not running for a while does not report a timeout for something that did
-- happen.

local waiting <const> = {}

local NANOSECONDS <const> = 1000000000
local SPINS_BEFORE_SLEEP <const> = 50
local SLEEP_SECONDS <const> = 0.001

--- Seconds (any number) → the clock's value that many seconds from now.
function waiting.deadline(clock, seconds)
  return clock() + math.tointeger(seconds * NANOSECONDS // 1)
end

--- Seconds left until `deadline`, at least 0.
function waiting.remaining(clock, deadline)
  return math.max(0, (deadline - clock()) / NANOSECONDS)
end

--- Calls `condition()` until it gives a true value, which is returned; nil after `seconds`.
function waiting.poll(clock, sleep, seconds, condition)
  local deadline = waiting.deadline(clock, seconds)
  local spins = 0
  repeat
    local result = condition()
    if result then return result end
    spins = spins + 1
    if sleep and spins >= SPINS_BEFORE_SLEEP then sleep(SLEEP_SECONDS) end
  until clock() >= deadline
  return condition() or nil
end

--- Waits at least `seconds`: sleeps where it can, otherwise spins.
function waiting.pause(clock, sleep, seconds)
  local deadline = waiting.deadline(clock, seconds)
  if sleep and seconds >= SLEEP_SECONDS then sleep(seconds) end
  while clock() < deadline do end
end

return waiting
