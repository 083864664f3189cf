-- Registers as tables.
--
-- A driver describes its registers and their bits as rows {name, offset or mask, access, meaning,
-- section of the standard} and its logic uses names only. This module turns rows into name → number
-- tables that raise on a misspelt name, and decodes a value into the names of its bits for
-- messages.
--
-- Promise: a name that is not in the rows is an error at the place of use, never a silent nil.

local registers <const> = {}

local function strict(kind)
  return {
    __index = function(_, name) error("no such " .. kind .. ": " .. tostring(name), 2) end,
    __newindex = function(_, name) error("the " .. kind .. " table is fixed: " .. tostring(name), 2) end,
  }
end

local function by_name(rows, kind)
  local numbers = {}
  for _, row in ipairs(rows) do
    local name, number = row[1], row[2]
    assert(type(name) == "string" and math.type(number) == "integer", "a row is {name, number, …}")
    assert(numbers[name] == nil, "twice in one table: " .. name)
    numbers[name] = number
  end
  return setmetatable(numbers, strict(kind))
end

--- Rows {name, offset, access, meaning, section} → table name → offset.
function registers.offsets(rows) return by_name(rows, "register") end

--- Rows {name, mask, access, meaning, section} → table name → mask.
function registers.masks(rows) return by_name(rows, "bit") end

--- Rows {name, value, …} → table name → value, for commands, modes and the like.
function registers.values(rows) return by_name(rows, "value") end

--- The names of the bits that are set in `value`, in the order of the rows, as one string.
function registers.decode(rows, value)
  local names = {}
  for _, row in ipairs(rows) do
    if value & row[2] ~= 0 then names[#names + 1] = row[1] end
  end
  return #names > 0 and table.concat(names, " ") or "none"
end

return registers
