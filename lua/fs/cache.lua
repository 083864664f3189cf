-- A bounded cache: at most `capacity` values, or values of that weight together, of which the recently used half survives.
--
-- Two generations: what is used moves to the young one; when that is half the capacity, the old one is dropped whole.
-- No order is kept and no list is walked, so a hit costs one or two table accesses.

local cache <const> = {}

local function one()
  return 1
end

--- cache.new(capacity) → {get(key) → value | nil, put(key, value), drop(key), clear()}.
--- weigh(value): what it counts for, always the same; at most half the capacity, or the bound does not hold. nil: each counts for 1.
function cache.new(capacity, weigh)
  weigh = weigh or one
  local half <const> = math.max(1, capacity // 2)
  local young, old, count = {}, {}, 0
  local self <const> = {}

  function self.put(key, value)
    local before <const>, weight <const> = young[key], weigh(value)
    count = count + weight - (before ~= nil and weigh(before) or 0)
    if count > half then
      young[key] = nil
      old, young, count = young, {}, weight
    end
    young[key] = value
  end

  function self.get(key)
    local value = young[key]
    if value ~= nil then return value end
    value = old[key]
    if value ~= nil then self.put(key, value) end
    return value
  end

  function self.drop(key)
    if young[key] ~= nil then
      young[key], count = nil, count - weigh(young[key])
    end
    old[key] = nil
  end

  function self.clear()
    young, old, count = {}, {}, 0
  end

  return self
end

return cache
