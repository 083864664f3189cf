-- Would two values be saved alike?
-- Relies on: nothing.

local math_type <const> = math.type
local rawequal <const> = rawequal

--- same(a, b): integers and floats, 0.0 and -0.0 are different; any NaN is like any other.
return function(a, b)
  local kind <const> = math_type(a)
  if kind == "float" and math_type(b) == "float" then
    return a == b and (a ~= 0 or 1 / a == 1 / b) or a ~= a and b ~= b
  end
  return rawequal(a, b) and kind == math_type(b)
end
