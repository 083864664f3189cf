-- Handles: the tables by which programs hold ordered maps. Which there are, and the state behind each.
--
-- A handle is an empty table whose metatable has the map's methods (fs.maps). Whoever walks through tables asks here first.
-- Relies on: fs.order.

local order <const> = require "fs.order"

local next <const> = next
local setmetatable <const> = setmetatable
local type <const> = type

local map_handles = {}

-- handle -> state
local state_of = setmetatable({}, { __mode = "k" })

-- -> the state of a map | nil: it is no handle
function map_handles.state(t)
  return state_of[t]
end

-- state nil: t is no handle any more
function map_handles.attach(t, state)
  state_of[t] = state
end

-- Calls meet(value, key) for each value that stands in an edit of the map.
function map_handles.each_value(t, meet)
  for key, edit in next, state_of[t].edits.by_key do
    if edit.value ~= nil then
      meet(edit.value, key)
    end
  end
end

-- What a map gave away stays known with its key, as long as the program has it: that is how its path is found.
function map_handles.give(state, key, value)
  if type(value) == "table" or type(value) == "function" then
    state.given = state.given or setmetatable({}, { __mode = "k" })
    state.given[value] = key
  end
end

function map_handles.forget_given(state)
  state.given = nil
end

function map_handles.give_edits(state)
  for key, edit in next, state.edits.by_key do
    map_handles.give(state, key, edit.value)
  end
end

-- -> list of { key, value }: the tables and functions that are known to stand in the map, in key order
function map_handles.known(t)
  local state <const> = state_of[t]
  local edits <const> = state.edits.by_key
  local list = {}
  for value, key in next, state.given or {} do
    if not edits[key] and not state.emptied then
      list[#list + 1] = { key, value }
    end
  end
  map_handles.each_value(t, function(value, key)
    if type(value) == "table" or type(value) == "function" then
      list[#list + 1] = { key, value }
    end
  end)
  table.sort(list, function(a, b) return order.before(a[1], b[1]) end)
  return list
end

-- The object of the map is gone: what was never read of it is lost, what was set is a new map.
function map_handles.lose(t)
  local state <const> = state_of[t]
  state.lost = state.levels > 0 and not state.emptied
  state.id, state.version, state.emptied, state.levels, state.count = nil, 0, nil, 0, 0
end

return map_handles
