-- Who runs next: round robin in three classes, idle halts the CPU.
--
--     services    before all others
--     prompt      processes that wait often: they have used less than a slice since they last waited long enough
--     busy        those whose slice ran out
--
--     local scheduler = require("kernel.scheduler").new(core)
--     scheduler.on_stop = function(process, reason, …)  told why a process stopped (handle:run, kernel/lua_process.c)
--     scheduler.ready(process, slice_over)           it can run
--     scheduler.block(process [, seconds, on_timeout])
--                                                    it waits; when time is over on_timeout() is called and must wake it
--     scheduler.wake(process, …)                     its system call returns these values; → true | nil, "memory"
--     scheduler.wait_for_irq(process, line, on_irq)  on_irq() is called once when the line fires
--     scheduler.listen(process, line, on_irq)        the same, every time it fires
--     scheduler.after(seconds, action)               calls action() then
--     scheduler.forget(process)                      it has ended
--     scheduler.bury(process)                        gives back what it held: that of services at once, because their
--                                                    devices are given anew; of others what is much in steps between turns
--     scheduler.bury_all()                           all of that now
--     scheduler.run()                                never returns
--
-- A process is a record with `handle`, `service` (boolean) and, while it waits, `waiting`. Promises: a process that can
-- run gets its turn: after URGENT_TURNS turns of one class in a row a lower one comes first; a turn lasts SLICE_TICKS at
-- most plus the two ticks until it is parked; a process that waits a little and computes a lot counts as busy; a deadline is noticed within a tick of its time, because
-- no slice is longer than the time to the next deadline.
-- Relies on: core.clock, core.halt, core.irq_take (absent on the host: no interrupts).

local timers <const> = require "kernel.timers"

local scheduler <const> = {}

local SLICE_TICKS <const> = 5
local TICK_NANOSECONDS <const> = 1000000
local URGENT_TURNS <const> = 8
local SLICE_NANOSECONDS <const> = SLICE_TICKS * TICK_NANOSECONDS
local NANOSECONDS <const> = 1000000000
local LONGEST_SECONDS <const> = 1 << 31
local WAIT_POWERS <const> = 24
-- Pages and objects of ended processes that are given back at once, and before each further turn: less than a millisecond's work.
local BURIED_AT_ONCE <const>, BURIED_A_TURN <const> = 1000, 200

local function new_queue()
  local items <const> = {}
  local first, last = 1, 0
  return {
    put = function(item)
      last = last + 1
      items[last] = item
    end,
    take = function()
      if first > last then return nil end
      local item <const> = items[first]
      items[first] = nil
      first = first + 1
      return item
    end,
    is_empty = function() return first > last end,
  }
end

function scheduler.new(core)
  local clock <const>, halt <const>, irq_take <const> = core.clock, core.halt, core.irq_take
  local services <const>, prompt <const>, busy <const> = new_queue(), new_queue(), new_queue()
  local deadlines <const> = timers.new()
  local irq_waits <const> = {}            -- line → {process → function}
  local service_turns, prompt_turns = 0, 0
  -- How long services that could run waited for their turns: [n] counts waits below 2^n microseconds; and the most turns
  -- that others had meanwhile.
  local self <const> = {turns = 0, idle_nanoseconds = 0, service_waits = {}, service_turns_most = 0}
  for power = 0, WAIT_POWERS do self.service_waits[power] = 0 end

  local function queue_for(process, slice_over)
    if process.service then return services end
    if slice_over or process.burst >= SLICE_NANOSECONDS then
      process.burst = 0
      return busy
    end
    return prompt
  end

  function self.ready(process, slice_over)
    process.state = "ready"
    if process.service then process.ready_since, process.ready_turn = clock(), self.turns end
    queue_for(process, slice_over).put(process)
  end

  --- Nanoseconds from now, for any number of seconds.
  local function deadline_in(seconds)
    if seconds ~= seconds or seconds < 0 then seconds = 0 end
    return clock() + math.tointeger(math.min(seconds, LONGEST_SECONDS) * NANOSECONDS // 1)
  end

  function self.block(process, seconds, on_timeout)
    process.state = "waiting"
    process.waits_since = clock()
    process.timer = seconds and deadlines.add(deadline_in(seconds), on_timeout) or nil
  end

  function self.after(seconds, action)
    deadlines.add(deadline_in(seconds), action)
  end

  local function stop_waiting(process)
    if process.timer then
      deadlines.cancel(process.timer)
      process.timer = nil
    end
    if process.irq_line then
      irq_waits[process.irq_line][process] = nil
      process.irq_line = nil
    end
  end

  function self.wake(process, ...)
    if process.state == "ended" then return nil, "dead" end
    if process.state == "waiting" then
      process.burst = math.max(0, process.burst - (clock() - process.waits_since))
    end
    stop_waiting(process)
    local paid <const>, reason <const> = process.handle:answer(...)
    if not paid then process.handle:answer(nil, reason) end
    self.ready(process)
    return paid, reason
  end

  function self.wait_for_irq(process, line, on_irq)
    irq_waits[line] = irq_waits[line] or {}
    irq_waits[line][process] = on_irq
    process.irq_line = line
  end

  function self.listen(process, line, on_irq)
    irq_waits[line] = irq_waits[line] or {}
    irq_waits[line][process] = on_irq
  end

  function self.forget(process)
    stop_waiting(process)
    for _, waits in pairs(irq_waits) do waits[process] = nil end
    process.state = "ended"
  end

  local all_buried = true

  function self.bury(process)
    local all <const> = process.handle:kill(not process.service and BURIED_AT_ONCE or nil)
    all_buried = all and all_buried
  end

  function self.bury_all()
    while not all_buried do all_buried = core.reap(BURIED_AT_ONCE) end
  end

  local function take_interrupts()
    for line, waits in pairs(irq_waits) do
      if next(waits) and irq_take(line) then
        local due <const> = {}
        for process, on_irq in pairs(waits) do due[process] = on_irq end
        for _, on_irq in pairs(due) do on_irq() end
      end
    end
  end

  local function take_from_others()
    local process = prompt_turns < URGENT_TURNS and prompt.take() or nil
    if process then
      prompt_turns = prompt_turns + 1
      return process
    end
    prompt_turns = 0
    return busy.take() or prompt.take()
  end

  local function take()
    local process = service_turns < URGENT_TURNS and services.take() or nil
    if process then
      service_turns = service_turns + 1
      return process
    end
    service_turns = 0
    return take_from_others() or services.take()
  end

  -- A process that ended while it stood in a queue is passed over.
  local function next_ready()
    local process
    repeat process = take() until not process or process.state == "ready"
    return process
  end

  local function slice_ticks()
    local deadline <const> = deadlines.next()
    if not deadline then return SLICE_TICKS end
    return math.max(1, math.min(SLICE_TICKS, (deadline - clock()) // TICK_NANOSECONDS))
  end

  local function idle()
    local before <const> = clock()
    halt(deadlines.next())
    self.idle_nanoseconds = self.idle_nanoseconds + clock() - before
  end

  --- One turn: whatever is due, then one process or rest.
  local function note_wait(process)
    local microseconds <const> = (clock() - process.ready_since) // 1000
    local power = 0
    while microseconds >= 1 << power and power < WAIT_POWERS do power = power + 1 end
    self.service_waits[power] = self.service_waits[power] + 1
    self.service_turns_most = math.max(self.service_turns_most, self.turns - process.ready_turn)
  end

  function self.step()
    if irq_take then take_interrupts() end
    if deadlines.next() then deadlines.expire(clock()) end
    if not all_buried then all_buried = core.reap(BURIED_A_TURN) end
    local process <const> = next_ready()
    if not process then return all_buried and idle() end
    process.state = "running"
    if process.service then note_wait(process) end
    self.turns = self.turns + 1
    local handle <const> = process.handle
    local before <const> = handle:cpu()
    local function stopped(...)
      process.burst = process.burst + handle:cpu() - before
      self.on_stop(process, ...)
    end
    stopped(handle:run(slice_ticks()))
  end

  function self.run()
    while true do self.step() end
  end

  return self
end

return scheduler
