-- What was entered before: a bounded list, walked with up and down, kept through a pluggable storage.
--
--     local lines = history.new{load = function() → list of strings | nil, err,
--                               save = function(list) → true | nil, err}       -- both optional
-- Promises: at most `limit` entries and `limit_bytes` bytes; the same entry twice in a row counts once; entries edited
-- while walking keep their edits until the line is accepted; a storage that fails is reported once and never raises.

local history <const> = {}
history.__index = history

local LIMIT <const> = 500
local LIMIT_BYTES <const> = 65536
local LONGEST_ENTRY <const> = 8192

function history.new(storage)
  local self = setmetatable({
    storage = storage or {}, entries = {}, bytes = 0, changed = false, edits = {}, position = nil, limit = LIMIT,
    limit_bytes = LIMIT_BYTES,
  }, history)
  if self.storage.load then
    local ok, entries, err = pcall(self.storage.load)
    if ok and type(entries) == "table" then
      for _, entry in ipairs(entries) do
        if type(entry) == "string" then self:add(entry) end
      end
    elseif not ok or err then
      self.problem = tostring(ok and err or entries)
    end
  end
  self.changed = false
  return self
end

function history:add(entry)
  self.edits, self.position = {}, nil
  if not entry:find("%S") or #entry > LONGEST_ENTRY or self.entries[#self.entries] == entry then return end
  self.entries[#self.entries + 1] = entry
  self.bytes = self.bytes + #entry
  self.changed = true
  local drop = 0
  while #self.entries - drop > self.limit or self.bytes > self.limit_bytes do
    drop = drop + 1
    self.bytes = self.bytes - #self.entries[drop]
  end
  if drop > 0 then
    table.move(self.entries, drop + 1, #self.entries + drop, 1)
  end
end

-- Writes what is new. → true when there was nothing to do or it is saved; nil, message for the first failure.
function history:save()
  if not self.changed or not self.storage.save then return true end
  self.changed = false
  local ok, saved, err = pcall(self.storage.save, table.move(self.entries, 1, #self.entries, 1, {}))
  if ok and saved then
    self.failed = nil
    return true
  end
  if self.failed then return true end
  self.failed = tostring(ok and err or saved)
  return nil, self.failed
end

-- The entry `direction` (-1 older, 1 newer) from where the walk stands, leaving `text` as the edited version of the
-- place it comes from. nil at either end.
function history:walk(direction, text)
  local here = self.position or #self.entries + 1
  local there = here + direction
  if there < 1 or there > #self.entries + 1 then return nil end
  self.edits[here] = text
  self.position = there
  return self.edits[there] or self.entries[there] or ""
end

-- The newest entry before `before` that contains `text` → index, entry, byte position of the match; nil.
function history:find(text, before)
  for index = math.min(before, #self.entries + 1) - 1, 1, -1 do
    local at = self.entries[index]:find(text, 1, true)
    if at then return index, self.entries[index], at end
  end
end

return history
