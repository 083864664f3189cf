-- Tables as they are underneath: their metatables and contents, whatever their metatables say.
--
-- A metatable may protect itself with __metatable; then only the debug library sees and replaces it. A process that
-- is sandboxed may hand its session those two functions. Without them such a table cannot be saved, and says so.
-- Relies on: nothing.

local getmetatable <const> = getmetatable
local next <const> = next
local rawget <const> = rawget
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

return raw_tables
