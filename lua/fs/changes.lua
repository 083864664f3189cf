-- Changes: what differs between a table and the payload it was read from, field by field, by path.
--
-- Each object is told once, by its shortest path from the root; one that no path leads to any more by its id. A field
-- that holds a table has changed when it holds another table, not when that table's content has; likewise an upvalue of a
-- function, which is told as `upvalue n of root.counter`. Integers and
-- floats, 0.0 and -0.0 are different; any NaN is like any other. The content of a new table is not listed: it is all new.
-- Relies on: fs.committing (what changed), fs.graph, fs.kinds, fs.loading, fs.order, fs.sameness.

local committing <const> = require "fs.committing"
local graph <const> = require "fs.graph"
local kinds <const> = require "fs.kinds"
local loading <const> = require "fs.loading"
local order <const> = require "fs.order"
local same <const> = require "fs.sameness"

local next <const> = next
local rawequal <const> = rawequal
local rawget <const> = rawget

local changes = {}

-- All keys of both tables, in canonical order where they have one; new tables as keys come last.
local function all_keys(a, b, names)
  local keys, n, odd = {}, 0, {}
  local function add(key)
    local kind <const> = type(key)
    if (kind == "table" or kind == "function" or kind == "userdata" or kind == "thread") and names[key] == nil then
      odd[#odd + 1] = key
    else
      n = n + 1
      keys[n] = key
    end
  end
  for key in next, a do add(key) end
  for key in next, b do
    if rawget(a, key) == nil then add(key) end
  end
  local sorted = order.sorted(keys, function(key) return names[key] end)
  return table.move(odd, 1, #odd, #sorted + 1, sorted)
end

-- Calls found(kind, key, old, new) for each field in which the raw tables differ.
function changes.between(old, new, names, found)
  for _, key in ipairs(all_keys(old, new, names)) do
    local before, after = rawget(old, key), rawget(new, key)
    if not same(before, after) then
      found(before == nil and "+" or after == nil and "-" or "~", key, before, after)
    end
  end
end

local function add_object(session, search, list, id)
  local map <const> = session.map
  local t <const> = map.loaded[id]
  local handler <const> = kinds.of(map.payloads[id])
  if handler.each_change then
    handler.each_change(session, search, t, map.payloads[id], function(kind, path, before, after)
      list[#list + 1] = { kind = kind, path = path, old = before, new = after }
    end)
    return
  end
  local old = {}
  local ok, metatable = loading.fill(session.loading, old, map.payloads[id])
  if not ok then
    error(metatable.message)
  end
  changes.between(old, t, map.names, function(kind, key, before, after)
    list[#list + 1] = { kind = kind, path = graph.field_path(search, t, key), old = before, new = after }
  end)
  local now = session.metatables.metatable_of(t)
  if not rawequal(metatable, now) then
    list[#list + 1] = {
      kind = metatable == nil and "+" or now == nil and "-" or "~",
      path = "getmetatable(" .. graph.path(search, t) .. ")", old = metatable, new = now,
    }
  end
end

-- -> list of { kind = "+", "~" or "-", path =, old =, new = }: what the next commit would write
function changes.list(session)
  local ids = committing.scan(session)
  local search = graph.search(session.map, session.root, session.metatables.metatable_of)
  local rank = {}
  for _, id in ipairs(ids) do
    rank[id] = graph.rank(search, session.map.loaded[id])
  end
  table.sort(ids, function(a, b)
    if rank[a] ~= rank[b] then return rank[a] < rank[b] end
    return a < b
  end)
  local list = {}
  for _, id in ipairs(ids) do
    add_object(session, search, list, id)
  end
  return list
end

return changes
