-- The canonical order of keys in a table's map part (formats/SPEC.md, section 7).
--
-- false, true, integers, floats, strings, references by id, permanents by name. Numbers go by value, strings
-- as unsigned bytes with a prefix before what it is a prefix of. The same keys always come out in the same
-- order, whatever the history of the table: that is what makes equal tables equal bytes.
-- Relies on: nothing but the standard library, taken when the module is loaded.

local math_type <const> = math.type
local sort <const> = table.sort
local string_byte <const> = string.byte
local type <const> = type

local order = {}

-- Ranks of the groups of keys.
order.FALSE = 1
order.TRUE = 2
order.INTEGER = 3
order.FLOAT = 4
order.STRING = 5
order.REFERENCE = 6
order.PERMANENT = 7

local function bytes_less(a, b)
  for i = 1, #a < #b and #a or #b do
    local x, y = string_byte(a, i), string_byte(b, i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- Lua compares strings with strcoll, which is bytewise only where the C library's collation is the "C" one.
-- The guest has no other; a host program may have chosen one, and is found out here.
local collates_bytes <const> = "Z" < "a" and "a" < "\xc3\xa9" and "a-b" < "aa" and not ("a" < "B")

-- Is string a before string b?
order.string_less = collates_bytes and function(a, b) return a < b end or bytes_less
order.bytes_less = bytes_less

local function rank(key)
  if type(key) == "string" then return order.STRING end
  if key == false then return order.FALSE end
  if key == true then return order.TRUE end
  return math_type(key) == "integer" and order.INTEGER or order.FLOAT
end

-- Is key a before key b? Both are booleans, numbers or strings.
function order.before(a, b)
  local x <const>, y <const> = rank(a), rank(b)
  if x ~= y then
    return x < y
  elseif x == order.STRING then
    return order.string_less(a, b)
  end
  return x > order.TRUE and a < b
end

-- Sorts a list of strings in place.
function order.sort_strings(list)
  if collates_bytes then
    sort(list)
  else
    sort(list, bytes_less)
  end
end

-- Sorts map keys: returns a new list of the keys in canonical order | nil, key that cannot be saved.
-- name_of(key) gives the id (integer) or the permanent's name (string) of anything that is not a boolean, number or
-- string, nil if it has neither.
function order.sorted(keys, name_of)
  local integers, floats, strings, ids, names, by_name = {}, {}, {}, {}, {}, {}
  local has_false, has_true = false, false
  for i = 1, #keys do
    local key = keys[i]
    local kind = type(key)
    if kind == "string" then
      strings[#strings + 1] = key
    elseif kind == "number" then
      local list = math_type(key) == "integer" and integers or floats
      list[#list + 1] = key
    elseif key == true then
      has_true = true
    elseif key == false then
      has_false = true
    else
      local name = name_of(key)
      if name == nil then
        return nil, key
      end
      local list = math_type(name) and ids or names
      list[#list + 1] = name
      by_name[name] = key
    end
  end
  sort(integers)
  sort(floats)
  order.sort_strings(strings)
  sort(ids)
  order.sort_strings(names)

  local sorted, n = {}, 0
  if has_false then n = n + 1; sorted[n] = false end
  if has_true then n = n + 1; sorted[n] = true end
  for _, list in ipairs { integers, floats, strings } do
    for i = 1, #list do
      n = n + 1
      sorted[n] = list[i]
    end
  end
  for _, list in ipairs { ids, names } do
    for i = 1, #list do
      n = n + 1
      sorted[n] = by_name[list[i]]
    end
  end
  return sorted
end

return order
