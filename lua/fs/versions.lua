-- Versions of objects: what tells a commit that an object changed since its client read it.
--
-- A version is the sequence of the transaction that last wrote the object, as far as that is known: exact for what was
-- written lately, the largest of a group of 256 neighbouring ids for what was written longer ago in this mount, and the
-- sequence at the mount for everything else. So memory is bounded; the price is that a client which holds a very old
-- version may be told of a change that hit a neighbour. A change is never missed. Moves by the cleaner are no changes.

local versions <const> = {}

local GROUP_BITS <const> = 8
local GROUP_MASK <const> = (1 << GROUP_BITS) - 1

local methods <const> = {}
methods.__index = methods

--- versions.new(base [, capacity]) → versions. `base` (at least 1) is what objects have that were not written since the mount.
function versions.new(base, capacity)
  return setmetatable({base = base, capacity = capacity or 65536, count = 0, exact = {}, group = {}}, methods)
end

--- versions:of(id) → the version of an object that exists.
function methods:of(id)
  local number <const> = id >> GROUP_BITS
  local exact <const> = self.exact[number]
  return exact and exact[(id & GROUP_MASK) + 1] or self.group[number] or self.base
end

--- Forgets single ids for the largest version of their group.
local function condense(self)
  for number, exact in pairs(self.exact) do
    local largest = self.group[number] or 0
    for _, version in pairs(exact) do largest = math.max(largest, version) end
    self.group[number] = largest
  end
  self.exact, self.count = {}, 0
end

--- versions:wrote(id, sequence): a transaction that is durable now wrote the object.
function methods:wrote(id, sequence)
  if self.count >= self.capacity then condense(self) end
  local number <const> = id >> GROUP_BITS
  local exact = self.exact[number]
  if not exact then
    exact = {}
    self.exact[number] = exact
  end
  local slot <const> = (id & GROUP_MASK) + 1
  if not exact[slot] then self.count = self.count + 1 end
  exact[slot] = sequence
end

--- versions:wrote_all(ids, count, sequence): `wrote` for each of the first `count` ids.
function methods:wrote_all(ids, count, sequence)
  for position = 1, count do self:wrote(ids[position], sequence) end
end

--- versions:changed(id, expected) → whether the object may have been written after the version `expected`.
function methods:changed(id, expected)
  return self:of(id) > expected
end

return versions
