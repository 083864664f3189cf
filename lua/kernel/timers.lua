-- Deadlines: a binary heap of {deadline in nanoseconds, action}, earliest first.
--
--     local timers = require("kernel.timers").new()
--     local entry = timers.add(deadline, action)      timers.cancel(entry)
--     timers.next() → earliest deadline | nil         timers.expire(now) calls the actions that are due
--
-- Promise: adding and expiring cost O(log n), cancelling O(1) in the long run; there are never more cancelled entries than
-- others and SPARE, however far away their deadlines are.

local timers <const> = {}

local SPARE <const> = 64

local function sift_up(heap, place)
  local entry <const> = heap[place]
  while place > 1 do
    local above <const> = place // 2
    if heap[above].deadline <= entry.deadline then break end
    heap[place] = heap[above]
    place = above
  end
  heap[place] = entry
end

local function sift_down(heap, count)
  local entry <const>, place = heap[1], 1
  while true do
    local below = 2 * place
    if below > count then break end
    if below < count and heap[below + 1].deadline < heap[below].deadline then below = below + 1 end
    if heap[below].deadline >= entry.deadline then break end
    heap[place] = heap[below]
    place = below
  end
  heap[place] = entry
end

function timers.new()
  local heap <const> = {}
  local count, cancelled = 0, 0
  local self <const> = {}

  local function remove_first()
    local first <const> = heap[1]
    heap[1] = heap[count]
    heap[count] = nil
    count = count - 1
    if count > 0 then sift_down(heap, count) end
    return first
  end

  function self.add(deadline, action)
    local entry <const> = {deadline = deadline, action = action}
    count = count + 1
    heap[count] = entry
    sift_up(heap, count)
    return entry
  end

  -- Only those that still mean something, in order: a heap again.
  local function drop_cancelled()
    local kept <const> = {}
    for place = 1, count do
      if heap[place].action then kept[#kept + 1] = heap[place] end
      heap[place] = nil
    end
    table.sort(kept, function(one, other) return one.deadline < other.deadline end)
    table.move(kept, 1, #kept, 1, heap)
    count, cancelled = #kept, 0
  end

  function self.cancel(entry)
    if not entry.action then return end
    entry.action = nil
    cancelled = cancelled + 1
    if cancelled > count // 2 + SPARE then drop_cancelled() end
  end

  function self.next()
    while count > 0 and not heap[1].action do
      remove_first()
      cancelled = cancelled - 1
    end
    return count > 0 and heap[1].deadline or nil
  end

  function self.expire(now)
    while count > 0 and heap[1].deadline <= now do
      local entry <const> = remove_first()
      local action <const> = entry.action
      entry.action = nil
      if action then action() else cancelled = cancelled - 1 end
    end
  end

  return self
end

return timers
