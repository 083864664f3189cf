-- Objects that were collected as garbage while this session still held their tables or functions: these become new ones again.
--
-- Another process takes the last reference to an object away, garbage is collected, and here a variable still has the table.
-- Once it is put under the root again, the store says that the id leads nowhere (`missing_reference`). The table has all of
-- the content; it gives up its id, as do the tables it leads to whose objects are gone, too, and the next commit stores them
-- under new ids. A stub has no content to give: then the commit fails, and says where. So it does for an ordered map, whose
-- pairs were never all here. Long strings are stored anew.
--
-- Promise: nothing changes unless all of it can be stored anew.
-- Relies on: fs.identity, fs.loading for a last try to load a stub, fs.long_strings, fs.map_handles, the store's `missing`.

local graph <const> = require "fs.graph"
local identity <const> = require "fs.identity"
local loading <const> = require "fs.loading"
local long_strings <const> = require "fs.long_strings"
local map_handles <const> = require "fs.map_handles"
local stubs <const> = require "fs.stubs"

local next <const> = next
local type <const> = type

local revival = {}

-- Ids that one question may name.
local BATCH <const> = 64

-- Those of the ids that no object has any more -> list | nil, err
function revival.missing(session, ids)
  local gone = {}
  for first = 1, #ids, BATCH do
    local part, err = session.store.missing(table.move(ids, first, math.min(first + BATCH - 1, #ids), 1, {}))
    if not part then
      return nil, err
    end
    table.move(part, 1, #part, #gone + 1, gone)
  end
  return gone
end

local function lost(session, t)
  local search = graph.search(session.map, session.root, session.metatables.metatable_of)
  local path = graph.path(search, t)
  return {
    code = "cannot_save", path = path,
    message = string.format("cannot save %s: the object was removed from the store before it was loaded here", path),
  }
end

-- Calls meet(v) for everything that v, a table, function, cell or chunk of the session, leads to.
local function each_child(session, v, meet)
  if type(v) == "table" then
    for key, value in next, v do
      meet(key)
      meet(value)
    end
    meet(session.metatables.metatable_of(v) or nil)
  elseif session.map.is_cell(v) then
    meet(v())
  else
    local record <const> = session.functions.record(v) -- none of one that stands in for another
    if record then
      meet(record.chunk)
      for _, cell in ipairs(record.cells) do
        meet(cell)
      end
    end
  end
end

-- Ids of the objects that v leads to, those not in `seen` yet: added to it and to the list.
local function note_children(session, v, seen, ids)
  each_child(session, v, function(child)
    local id = (type(child) == "table" or type(child) == "function") and identity.id_of(session.map, child)
    if id and not seen[id] then
      seen[id] = true
      ids[#ids + 1] = id
    end
  end)
end

-- Every object among those that the gone ones lead to in memory that is gone as well: id -> what it is here | nil, err
local function gather(session, ids)
  local map <const> = session.map
  local gone, seen = {}, {}
  while #ids > 0 do
    local children = {}
    table.sort(ids) -- so that the same object is named every time
    for _, id in ipairs(ids) do
      local v = map.objects[id] or map.others[id]
      seen[id] = true
      if v and stubs.is(v) and not loading.load(session.loading, v) then
        return nil, lost(session, v)
      elseif v then
        gone[id] = v
        note_children(session, v, seen, children)
      end
    end
    local err
    ids, err = revival.missing(session, children)
    if not ids then
      return nil, err
    end
  end
  return gone
end

-- The objects with these ids do not exist any more: their tables and functions are new from now on. -> true | nil, err
function revival.revive(session, ids)
  long_strings.forget(session.loading.strings, ids)
  local gone, err = gather(session, ids)
  if not gone then
    return nil, err
  end
  for id, t in next, gone do
    identity.set_unloaded(session.map, id)
    identity.disown(session.map, id, t)
    if map_handles.state(t) then
      map_handles.lose(t)
    end
  end
  return true
end

return revival
