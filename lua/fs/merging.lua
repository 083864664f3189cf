-- Three-way merge of one object: what was read (base), what it is here (mine), what the store holds now (theirs).
--
-- Per key: who changed it wins; both changing it to the same is fine; otherwise it is a conflict. The array part (1 … n, n being
-- the longest of the three) is one thing: fields shift in it, so that only one side may have changed it. So is the metatable.
-- Relies on: fs.loading to read bases, fs.sameness, fs.whose.

local graph <const> = require "fs.graph"
local identity <const> = require "fs.identity"
local loading <const> = require "fs.loading"
local permanents <const> = require "fs.permanents"
local same <const> = require "fs.sameness"
local whose <const> = require "fs.whose"

local math_type <const> = math.type
local next <const> = next
local rawget <const> = rawget

local merging = {}

local function array_length(t)
  local n = 0
  while rawget(t, n + 1) ~= nil do
    n = n + 1
  end
  return n
end

local function same_fields(a, b, n)
  for i = 1, n do
    if not same(rawget(a, i), rawget(b, i)) then
      return false
    end
  end
  return true
end

-- The fields from 1 to the longest array part of the three, holes included: what is an array on one side may be a few single
-- fields on another.
local function merge_arrays(base, mine, theirs, into, conflict)
  local n <const> = math.max(array_length(base), array_length(mine), array_length(theirs))
  local side <const> = whose(same_fields(base, mine, n), same_fields(base, theirs, n), same_fields(mine, theirs, n))
  if side == "conflict" then
    conflict(nil)
  end
  local source <const> = side == "theirs" and theirs or mine
  for i = 1, n do
    into[i] = rawget(source, i)
  end
  return n
end

-- Merges the fields of three tables into the empty table `into`, mine where there is a conflict. conflict(key) is told
-- of each, key being nil for the array part.
function merging.fields(base, mine, theirs, into, conflict)
  local n = merge_arrays(base, mine, theirs, into, conflict)
  local seen = {}
  for _, one in ipairs { base, mine, theirs } do
    for key in next, one do
      local in_array = math_type(key) == "integer" and key >= 1 and key <= n
      if not seen[key] and not in_array then
        seen[key] = true
        local b, m, t = rawget(base, key), rawget(mine, key), rawget(theirs, key)
        local side = whose(same(b, m), same(b, t), same(m, t))
        if side == "conflict" then
          conflict(key)
        end
        if side == "theirs" then
          into[key] = t
        else
          into[key] = m
        end
      end
    end
  end
end

-- The path of what merging.fields calls a conflict.
function merging.place(search, t, key)
  return key == nil and graph.path(search, t) .. "[…]" or graph.field_path(search, t, key)
end

-- Merges what the store holds now into the loaded object. base: completed by fs.kinds; record: as it is now. Nothing is changed yet.
-- -> { id, base, version, held, content, metatable, conflicts = list of paths } | nil, err
function merging.prepare(session, search, base, record)
  local id <const> = record.id
  local t <const> = session.map.loaded[id]
  local before, theirs, content, conflicts = {}, {}, {}, {}
  local registry <const> = session.map.permanents
  permanents.begin(registry)
  local ok, base_metatable = loading.fill(session.loading, before, session.map.payloads[id])
  if not ok then
    return nil, base_metatable
  end
  local was_older <const> = base_metatable ~= nil and permanents.older(registry, base_metatable)
  permanents.begin(registry)
  local their_metatable, held
  ok, their_metatable, held = loading.fill(session.loading, theirs, base)
  if not ok then
    return nil, their_metatable
  end
  merging.fields(before, t, theirs, content, function(key)
    conflicts[#conflicts + 1] = merging.place(search, t, key)
  end)
  local mine = session.metatables.metatable_of(t)
  local side = whose(mine == base_metatable, their_metatable == base_metatable, mine == their_metatable)
  if side == "conflict" then
    conflicts[#conflicts + 1] = "getmetatable(" .. graph.path(search, t) .. ")"
  end
  local metatable = mine
  if side == "theirs" then
    metatable = their_metatable
  end
  return {
    id = id, base = base, version = record.version, held = held, content = content, metatable = metatable,
    conflicts = conflicts,
    -- Others work with an earlier version of the class; here the object was of the version now.
    from = not was_older and metatable ~= nil and permanents.older(registry, metatable) or nil,
  }
end

-- Puts a prepared merge into the table; its base is from now on what the store holds. -> true | nil, err
function merging.apply(session, merge)
  local t <const> = session.map.loaded[merge.id]
  local ok, err = loading.replace(session.loading, t, merge.content, merge.metatable)
  if not ok then
    return nil, err
  end
  identity.set_loaded(session.map, merge.id, t, merge.base, merge.version, merge.held)
  return loading.migrate(t, merge.metatable, merge.from)
end

return merging
