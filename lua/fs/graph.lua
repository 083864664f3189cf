-- The graph of tables and functions in memory: what each leads to, and by which path one is reached from the root.
--
-- Paths are found only when a person is to read them (errors, changes). The search goes breadth first, so that a path is
-- among the shortest, and visits keys in canonical order, so that it is the same every time. It never loads anything.
-- Relies on: fs.map_handles, fs.order, fs.paths, fs.stubs.

local map_handles <const> = require "fs.map_handles"
local order <const> = require "fs.order"
local paths <const> = require "fs.paths"
local stubs <const> = require "fs.stubs"

local math_type <const> = math.type
local next <const> = next
local rawget <const> = rawget
local type <const> = type

local graph = {}

local LEADS <const> = { table = true, ["function"] = true }

-- Keys of t that lead somewhere: the key or its value is a table or a function. In canonical order, such keys last, by id.
local function leading_keys(t, names)
  local keys, odd = {}, {}
  for key, value in next, t do
    if LEADS[type(key)] then
      odd[#odd + 1] = key
    elseif LEADS[type(value)] then
      keys[#keys + 1] = key
    end
  end
  local sorted = order.sorted(keys)
  table.sort(odd, function(a, b)
    local x, y = names[a], names[b]
    if math_type(x) and math_type(y) then return x < y end
    return math_type(x) ~= nil and math_type(y) == nil
  end)
  for i = 1, #odd do
    sorted[#sorted + 1] = odd[i]
  end
  return sorted
end

-- map: identity map; metatable_of: see raw_tables. -> search over what is reachable from `root` in memory now
function graph.search(map, root, metatable_of)
  return {
    names = map.names, metatable_of = metatable_of, each_upvalue = map.each_upvalue,
    came = { [root] = { rank = 1 } }, -- table, function or cell -> how it was reached
    queue = { root }, first = 1, last = 1,
  }
end

local function reach(self, v, parent, how, key)
  if LEADS[type(v)] and not self.came[v] and type(self.names[v]) ~= "string" then
    self.last = self.last + 1
    self.came[v] = { parent = parent, how = how, key = key, rank = self.last }
    self.queue[self.last] = v
  end
end

-- The name of an upvalue in a path.
local function upvalue_name(name, i)
  return name:find("^[%a_][%w_]*$") and name or string.format("%d", i)
end

local function visit_function(self, f)
  self.each_upvalue(f, function(i, name, value, cell)
    name = upvalue_name(name, i)
    reach(self, value, f, "upvalue", name)
    if cell and not self.came[cell] then
      self.came[cell] = { parent = f, how = "upvalue", key = name, rank = self.came[f].rank }
    end
  end)
end

local function visit_map(self, t)
  for _, item in ipairs(map_handles.known(t)) do
    reach(self, item[2], t, "item", item[1])
  end
end

local function visit(self, t)
  if type(t) == "function" then
    return visit_function(self, t)
  elseif stubs.is(t) then
    return
  elseif map_handles.state(t) then
    return visit_map(self, t)
  end
  local keys <const> = leading_keys(t, self.names)
  for i = 1, #keys do
    local key = keys[i]
    reach(self, rawget(t, key), t, "value", key)
    reach(self, key, t, "key", key)
  end
  reach(self, self.metatable_of(t) or nil, t, "metatable")
end

-- Has `t` been reached, or can it be?
function graph.reaches(self, t)
  while not self.came[t] do
    local current = self.queue[self.first]
    if not current then
      return false
    end
    self.queue[self.first] = nil
    self.first = self.first + 1
    visit(self, current)
  end
  return true
end

-- How early t is reached, counted from 1; math.huge for what is not.
function graph.rank(self, t)
  return graph.reaches(self, t) and self.came[t].rank or math.huge
end

-- What a key that is no boolean, number or string is called in a path: by its own path, once (`inner` is nil).
local function key_name(self, key, inner)
  local name = self.names[key]
  if type(name) == "string" then
    return name
  elseif LEADS[type(key)] and not inner and self.came[key] and self.came[key].how ~= "key" then
    return graph.path(self, key, true)
  elseif name then
    return string.format("object %d", name)
  end
  return "a new " .. type(key)
end

-- A path that a step is to follow.
local function as_prefix(text)
  return text:find("^upvalue ") and "(" .. text .. ")" or text
end

-- The path of a table, function or cell: "root.ship.crew", "upvalue n of root.counter", or what it is when no path leads there: "(object 12)".
function graph.path(self, t, inner)
  if not graph.reaches(self, t) then
    local id = self.names[t]
    return id and string.format("(object %s)", id) or "(a new " .. type(t) .. ")"
  end
  local steps, n = {}, 0
  local step = self.came[t]
  while step.parent do
    n = n + 1
    steps[n] = step
    step = self.came[step.parent]
  end
  local function name_of(key) return key_name(self, key, inner) end
  local text = "root"
  for i = n, 1, -1 do
    step = steps[i]
    if step.how == "value" then
      text = as_prefix(text) .. paths.step(step.key, name_of)
    elseif step.how == "item" then
      text = as_prefix(text) .. paths.item(step.key)
    elseif step.how == "upvalue" then
      text = string.format("upvalue %s of %s", step.key, text)
    elseif step.how == "key" then
      text = string.format("{key %s of %s}", name_of(step.key), text)
    else
      text = "getmetatable(" .. text .. ")"
    end
  end
  return text
end

-- The path of a field of t.
function graph.field_path(self, t, key)
  local text <const> = as_prefix(graph.path(self, t))
  if map_handles.state(t) then
    return text .. paths.item(key)
  end
  return text .. paths.step(key, function(k) return key_name(self, k) end)
end

-- The path of an upvalue of the function f.
function graph.upvalue_path(self, f, name, i)
  return string.format("upvalue %s of %s", upvalue_name(name, i), graph.path(self, f))
end

return graph
