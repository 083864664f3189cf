-- Tables as they are underneath: their metatables and contents, whatever their metatables say.
--
-- A metatable may protect itself with __metatable; then only the debug library sees and replaces it. A process that
-- is sandboxed may hand its session those two functions. Without them such a table cannot be saved, and says so.
-- Relies on: nothing.

local getmetatable <const> = getmetatable
local math_type <const> = math.type
local next <const> = next
local rawequal <const> = rawequal
local rawget <const> = rawget
local rawset <const> = rawset
local setmetatable <const> = setmetatable
local type <const> = type

local raw_tables = {}

-- access: nil or { getmetatable = debug.getmetatable, setmetatable = debug.setmetatable }
-- -> { metatable_of(t) -> metatable or nil | false when it is hidden; set_metatable(t, metatable) }
function raw_tables.access(access)
  if access then
    return { metatable_of = access.getmetatable, set_metatable = access.setmetatable }
  end
  return {
    metatable_of = function(t)
      local metatable = getmetatable(t)
      if metatable == nil then
        return nil
      end
      -- What __metatable shows instead is seldom a table, and never one that would itself show something else.
      if type(metatable) ~= "table" or rawget(metatable, "__metatable") ~= nil then
        return false
      end
      return metatable
    end,
    set_metatable = setmetatable,
  }
end

-- Removes every field. t has no metatable.
function raw_tables.clear(t)
  for key in next, t do
    t[key] = nil
  end
end

-- Gives t the fields of `content`, touching only those that differ.
function raw_tables.take_over(t, content)
  for key in next, t do
    if content[key] == nil then
      t[key] = nil
    end
  end
  for key, value in next, content do
    local now = rawget(t, key)
    if not rawequal(now, value) or math_type(now) ~= math_type(value) or value == 0 then
      rawset(t, key, value)
    end
  end
end

return raw_tables
