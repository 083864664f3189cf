-- Reaching: the plain tables that tables in memory lead to.
--
--   reach(stack, found, names, fresh, odd) → how many were found
--
-- stack: a list of tables, which is used up; their keys and values are looked at, and those of what they lead to. found: a set, to
-- which every table is added that is met and not in it, except permanents (names[t] is a string) and, with `fresh`, all
-- that have a name. odd(v, t) is called for what is not plain, met in table t: a table with a metatable, any function and, with
-- `fresh`, a string of more than CHUNK_BYTES as a value. Functions and strings may be met several times.
-- Promise: tables are read raw. Nothing is loaded, nothing but `stack` and `found` is changed.

local layout <const> = require "fs.layout"

local getmetatable <const> = getmetatable
local next <const> = next
local type <const> = type

local reaching = {}

local CHUNK_BYTES <const> = layout.CHUNK_BYTES

-- The reference.
function reaching.reach(stack, found, names, fresh, odd)
  local top, count, t = #stack, 0, nil
  local function meet(v)
    local kind <const> = type(v)
    if kind == "table" then
      local name <const> = names[v]
      if not found[v] and (name == nil or not fresh and type(name) ~= "string") then
        if getmetatable(v) ~= nil then
          return odd(v, t)
        end
        found[v] = true
        top, count = top + 1, count + 1
        stack[top] = v
      end
    elseif kind == "function" or fresh and kind == "string" and #v > CHUNK_BYTES then
      odd(v, t)
    end
  end
  while top > 0 do
    t = stack[top]
    stack[top] = nil
    top = top - 1
    for key, value in next, t do
      if type(key) ~= "string" then
        meet(key)
      end
      meet(value)
    end
  end
  return count
end

-- The function to use: the codec's, if it has one.
function reaching.of(codec)
  return codec.reach or reaching.reach
end

return reaching
