-- A set of ids, a bit each, and the stack of those that wait to be looked at: what marking needs, in bounded memory.
--
-- Ids are dense, so 64 of them share an integer. A word that waits stands on the stack once, however many of its ids do.

local id_set <const> = {}

local WORD_BITS <const>, WORD_MASK <const> = 6, 63

local methods <const> = {}
methods.__index = methods

--- id_set.new() → an empty set.
function id_set.new()
  return setmetatable({words = {}, count = 0, waiting = {}, stack = {}}, methods)
end

--- set:has(id) → boolean.
function methods:has(id)
  local word <const> = self.words[(id >> WORD_BITS) + 1]
  return word ~= nil and word >> (id & WORD_MASK) & 1 == 1
end

--- set:add(id) → whether it is new.
function methods:add(id)
  local at <const>, bit <const> = (id >> WORD_BITS) + 1, 1 << (id & WORD_MASK)
  local word <const> = self.words[at] or 0
  if word & bit ~= 0 then return false end
  self.words[at], self.count = word | bit, self.count + 1
  return true
end

--- set:remove(id): it is in it no more.
function methods:remove(id)
  if not self:has(id) then return end
  local at <const>, bit <const> = (id >> WORD_BITS) + 1, 1 << (id & WORD_MASK)
  self.words[at], self.count = self.words[at] & ~bit, self.count - 1
end

--- set:add_waiting(id): adds it; if it is new, it waits.
function methods:add_waiting(id)
  if not self:add(id) then return end
  local at <const>, bit <const> = (id >> WORD_BITS) + 1, 1 << (id & WORD_MASK)
  local word <const> = self.waiting[at]
  if not word then self.stack[#self.stack + 1] = at end
  self.waiting[at] = (word or 0) | bit
end

--- set:take(most) → list of ids that waited, at least one of them while there are any; about `most` at most.
function methods:take(most)
  local ids <const> = {}
  while #ids < most and #self.stack > 0 do
    local at <const> = table.remove(self.stack)
    local word <const> = self.waiting[at]
    self.waiting[at] = nil
    for bit = 0, WORD_MASK do
      if word >> bit & 1 == 1 then ids[#ids + 1] = (at - 1) << WORD_BITS | bit end
    end
  end
  return ids
end

return id_set
