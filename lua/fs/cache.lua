-- A bounded cache: at most `capacity` values, of which the recently used half survives.
--
-- Two generations: what is used moves to the young one; when that is half the capacity, the old one is dropped whole.
-- No order is kept and no list is walked, so a hit costs one or two table accesses.

local cache <const> = {}

--- cache.new(capacity) → {get(key) → value | nil, put(key, value), drop(key), clear()}.
function cache.new(capacity)
  local half <const> = math.max(1, capacity // 2)
  local young, old, count = {}, {}, 0
  local self <const> = {}

  function self.put(key, value)
    if young[key] == nil then
      if count >= half then
        old, young, count = young, {}, 0
      end
      count = count + 1
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
      young[key], count = nil, count - 1
    end
    old[key] = nil
  end

  function self.clear()
    young, old, count = {}, {}, 0
  end

  return self
end

return cache
