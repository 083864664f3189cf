-- Tab: what the name before the cursor may go on as.
--
--     completion.find(text, environment, strings) → position where the replaced part starts, sorted candidates
-- `text` is the line up to the cursor, `environment` the globals, `strings` = {name of a function = function() → list}: what its
-- first argument may be, as in help "comm.
--
-- Promises: looks and never calls: fields are read raw, `__index` is followed only where it is a table, so completing
-- runs no code of the user; walks of huge tables stop.
-- Relies on: shell.raw_access; a table that cannot be loaded completes to nothing.

local access <const> = require "shell.raw_access"

local completion <const> = {}

local LONGEST_WALK <const> = 5000
local DEEPEST_INDEX <const> = 8

local KEYWORDS <const> = {
  "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "global", "goto", "if", "in", "local",
  "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
}

local function index_of(value)
  if type(value) == "string" then return string end
  local metatable = access.getmetatable(value)
  local index = type(metatable) == "table" and access.rawget(metatable, "__index")
  return type(index) == "table" and index or nil
end

local function field(value, key)
  for _ = 1, DEEPEST_INDEX do
    if type(value) == "table" then
      local found = access.rawget(value, key)
      if found ~= nil then return found end
    end
    value = index_of(value)
    if value == nil then return nil end
  end
end

-- Calls visit(key, value) for the string keys of a value and of its chain of __index tables.
local function each_field(value, visit)
  local steps = 0
  for _ = 1, DEEPEST_INDEX do
    if type(value) == "table" then
      for key, item in access.next, value do
        steps = steps + 1
        if steps > LONGEST_WALK then return end
        if type(key) == "string" then visit(key, item) end
      end
    end
    value = index_of(value)
    if value == nil then return end
  end
end

-- The chain that ends at the cursor, cut into steps: `root.ship["crew"][1].na` → {"root","ship","crew",1}, ".", "na".
-- nil when there is no such chain.
local function parse_chain(text)
  local head, separator, partial = text:match("^(.-)%s*([.:])%s*([%a_]?[%w_]*)$")
  if not head or head:sub(-1) == "." then -- no separator, or the second dot of a concatenation
    partial = text:match("[%a_][%w_]*$") or ""
    return {}, nil, partial
  end
  local steps = {}
  while true do
    local rest, name = head:match("^(.-)%s*[.]%s*([%a_][%w_]*)$")
    if name then
      table.insert(steps, 1, name)
    else
      local key
      rest, key = head:match("^(.-)%s*%[%s*(%-?%d+)%s*%]$")
      key = key and math.tointeger(tonumber(key))
      if not rest then rest, key = head:match("^(.-)%s*%[%s*\"([^\"\\]*)\"%s*%]$") end
      if not rest then rest, key = head:match("^(.-)%s*%[%s*'([^'\\]*)'%s*%]$") end
      if not rest then break end
      table.insert(steps, 1, key)
    end
    head = rest
  end
  local name = head:match("([%a_][%w_]*)$")
  if not name then
    if head:match("[\"']%s*%)$") and #steps == 0 then return { "string" }, separator, partial end
    return nil
  end
  table.insert(steps, 1, name)
  return steps, separator, partial
end

local function sorted(candidates)
  local list = {}
  for name in pairs(candidates) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- What a function takes, inside its quotes: help "co
local function quoted_argument(text, strings)
  local name, partial = text:match("%f[%w_]([%a_][%w_]*)%s*%(?%s*[\"']([%w_.: ]*)$")
  if not name or not strings[name] then return nil end
  local found = {}
  for _, candidate in ipairs(strings[name]()) do
    if candidate:sub(1, #partial) == partial then found[candidate] = true end
  end
  return #text - #partial + 1, sorted(found)
end

local function global_names(partial, environment)
  local found = {}
  each_field(environment, function(key)
    if key:sub(1, #partial) == partial and key:find("^[%a_][%w_]*$") then found[key] = true end
  end)
  for _, keyword in ipairs(KEYWORDS) do
    if partial ~= "" and keyword:sub(1, #partial) == partial then found[keyword] = true end
  end
  return sorted(found)
end

local function follow(environment, steps)
  local value = environment
  for _, step in ipairs(steps) do
    value = field(value, step)
    if value == nil then return nil end
  end
  return value
end

-- Keys of a table inside brackets and quotes: root["my sh
local function quoted_key(tail, environment)
  local head, partial = tail:match("^(.*)%[%s*[\"']([^\"'\\]*)$")
  local steps = head and parse_chain(head .. ".")
  if not steps or #steps == 0 then return nil end
  local found = {}
  each_field(follow(environment, steps), function(key)
    if key:sub(1, #partial) == partial and not key:find("[%c\"'\\]") then found[key] = true end
  end)
  return partial, sorted(found)
end

local function find(text, environment, strings)
  local start, candidates = quoted_argument(text, strings or {})
  if start then return start, candidates end
  -- Only the row being typed, and not further back than a name can be.
  local tail = text:match("[^\n]*$"):sub(-512)
  local key, keys = quoted_key(tail, environment)
  if key then return #text - #key + 1, keys end
  local steps, separator, partial = parse_chain(tail)
  if not steps then return nil, {} end
  start = #text - #partial + 1
  if not separator then return start, global_names(partial, environment) end

  local value = follow(environment, steps)
  if value == nil then return nil, {} end
  local found = {}
  each_field(value, function(key, item)
    local fits = key:sub(1, #partial) == partial and key:find("^[%a_][%w_]*$")
    if fits and (separator == "." or type(item) == "function") then found[key] = true end
  end)
  return start, sorted(found)
end

function completion.find(text, environment, strings)
  local ok, start, candidates = pcall(find, text, environment, strings)
  if not ok then return nil, {} end
  return start, candidates
end

return completion
