-- Fills a store with objects that hang under the root, lets go of some, overwrites all: the work of filling.py, in Lua for speed.
--
-- Root → directories of up to DIRECTORY objects → objects whose payload follows from id and version. What must be there is
-- known as id → version; `verify` compares every byte.

local workload = {}

local DIRECTORY <const>, BATCH <const> = 200, 40
local TABLE <const>, ROOT <const> = 1, 1

local function reference(id)
  if id < 0x100 then return string.pack(">BBB", 0xd4, 1, id) end
  if id < 0x10000 then return string.pack(">BBI2", 0xd5, 1, id) end
  return string.pack(">BBI4", 0xd6, 1, id)
end

--- A table that refers to these objects.
local function links(ids)
  local pieces <const> = {#ids < 16 and string.char(0x90 + #ids) or string.pack(">BI2", 0xdc, #ids)}
  for _, id in ipairs(ids) do pieces[#pieces + 1] = reference(id) end
  pieces[#pieces + 1] = "\x80"
  return table.concat(pieces)
end

--- workload.new(store, smallest, largest) → the workload; objects have so many bytes, as many small ones as large ones on a
--- logarithmic scale.
function workload.new(store, smallest, largest)
  local self <const> = {directories = {}, versions = {}, count = 0, bytes = 0, refused = 0}

  local function payload(id, version)
    local share <const> = (id * 2654435761 + version * 40503) % 1009 / 1009
    local text <const> = ("%d/%d "):format(id, version)
    local size <const> = math.max(#text, math.floor(smallest * (largest / smallest) ^ share))
    local body <const> = text .. ("x"):rep(size - #text)
    if size < 32 then return "\x91" .. string.char(0xa0 + size) .. body .. "\x80" end
    return "\x91" .. (size < 256 and string.pack(">Bs1", 0xd9, body) or string.pack(">Bs2", 0xda, body)) .. "\x80"
  end

  --- true | false when there is no room; raises for any other refusal.
  local function commit(entries)
    local done <const>, err = store.commit {entries = entries}
    if done then return true end
    if err.code ~= "no_space" then error(err.code .. ": " .. err.message) end
    self.refused = self.refused + 1
    return false
  end

  local function write_links(entries, directory)
    entries[#entries + 1] = {id = directory.id, kind = TABLE, payload = links(directory.members)}
  end

  local function write_root(entries)
    local ids <const> = {}
    for position, directory in ipairs(self.directories) do ids[position] = directory.id end
    entries[#entries + 1] = {id = ROOT, kind = TABLE, payload = links(ids)}
  end

  --- Stores `count` new objects in one transaction. Returns whether there was room.
  local function add(count)
    local entries <const>, list = {}, self.directories
    local directory = list[#list]
    local new <const> = not directory or #directory.members + count > DIRECTORY
    if new then
      directory = {id = store.allocate(1), members = {}}
      list[#list + 1] = directory
      write_root(entries)
    end
    local first <const>, before <const> = store.allocate(count), #directory.members
    for id = first, first + count - 1 do
      directory.members[#directory.members + 1] = id
      entries[#entries + 1] = {id = id, kind = TABLE, payload = payload(id, 1)}
    end
    write_links(entries, directory)
    if commit(entries) then
      for id = first, first + count - 1 do self.versions[id] = 1 end
      self.count = self.count + count
      return true
    end
    for position = #directory.members, before + 1, -1 do directory.members[position] = nil end
    if new then list[#list] = nil end
    return false
  end

  --- Adds objects until there is no room for one more, or `most` bytes of entries are stored.
  function self.fill(most)
    while add(BATCH) do
      if most and store.info().live_bytes >= most then return end
    end
    while add(1) do end
  end

  --- Lets go of about half of the objects of each directory.
  function self.drop_half()
    for start = 1, #self.directories, 10 do
      local entries <const> = {}
      for position = start, math.min(start + 9, #self.directories) do
        local directory <const> = self.directories[position]
        local kept <const> = {}
        for _, id in ipairs(directory.members) do
          if math.random(2) == 1 then
            kept[#kept + 1] = id
          else
            self.versions[id], self.count = nil, self.count - 1
          end
        end
        directory.members = kept
        write_links(entries, directory)
      end
      if not commit(entries) then error("nothing could be let go of") end
    end
  end

  --- Lets go of everything.
  function self.drop_all()
    self.directories, self.versions, self.count = {}, {}, 0
    local entries <const> = {}
    write_root(entries)
    if not commit(entries) then error("not everything could be let go of") end
  end

  --- Lets go of the last object of the first directory. Returns whether that takes as much room as before without it.
  function self.drop_one()
    local directory <const>, entries <const> = self.directories[1], {}
    local before <const> = #links(directory.members)
    local id <const> = table.remove(directory.members)
    write_links(entries, directory)
    if not commit(entries) then error("a reference could not be removed") end
    self.versions[id], self.count = nil, self.count - 1
    return (#links(directory.members) + 7) & ~7 == (before + 7) & ~7
  end

  --- Writes every object anew. Returns how many transactions were refused.
  function self.overwrite()
    local before <const> = self.refused
    for _, directory in ipairs(self.directories) do
      for start = 1, #directory.members, BATCH do
        local entries <const> = {}
        for position = start, math.min(start + BATCH - 1, #directory.members) do
          local id <const> = directory.members[position]
          entries[#entries + 1] = {id = id, kind = TABLE, payload = payload(id, self.versions[id] + 1)}
        end
        if commit(entries) then
          for _, item in ipairs(entries) do self.versions[item.id] = self.versions[item.id] + 1 end
        end
      end
    end
    return self.refused - before
  end

  --- What must be there now, to be verified later.
  function self.remember()
    local copy <const> = {}
    for id, version in pairs(self.versions) do copy[id] = version end
    return copy
  end

  --- Compares every object with what must be there. Returns how many, nil or what is wrong.
  function self.verify(versions, view)
    local ids <const> = {}
    for id in pairs(versions or self.versions) do ids[#ids + 1] = id end
    table.sort(ids)
    for start = 1, #ids, 256 do
      local part <const> = table.move(ids, start, math.min(start + 255, #ids), 1, {})
      local records <const>, err = store.read(part, view)
      if not records then return 0, err.message end
      for position, id in ipairs(part) do
        if records[position].payload ~= payload(id, (versions or self.versions)[id]) then return 0, "object " .. id end
      end
    end
    return #ids, nil
  end

  return self
end

return workload
