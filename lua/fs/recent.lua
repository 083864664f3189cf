-- What was written or removed lately, by whom it does not matter: the ids, in the order of the transactions.
--
-- With it a client that stands at one transaction learns what others have changed up to another, without looking at everything that
-- it has loaded. Bounded: what is older than CAPACITY ids is forgotten, and then the answer is "not known any more".

local recent <const> = {}

local CAPACITY <const> = 16384

local methods <const> = {}
methods.__index = methods

--- recent.new(sequence [, capacity]) → what was written behind that sequence: nothing yet.
function recent.new(sequence, capacity)
  return setmetatable({
    capacity = capacity or CAPACITY, horizon = sequence, -- everything behind the horizon is known
    ids = {}, sequences = {}, first = 1, last = 0,
  }, methods)
end

local function forget_first(self)
  local sequence <const> = self.sequences[self.first]
  while self.sequences[self.first] == sequence do
    self.ids[self.first], self.sequences[self.first] = nil, nil
    self.first = self.first + 1
  end
  self.horizon = sequence
end

--- recent:wrote(id, sequence): a transaction that is durable now wrote the object. Sequences never go back.
function methods:wrote(id, sequence)
  self.last = self.last + 1
  self.ids[self.last], self.sequences[self.last] = id, sequence
  if self.last - self.first >= self.capacity then forget_first(self) end
end

--- recent:wrote_all(ids, count, sequence): `wrote` for each of the first `count` ids. What is too much to be remembered is forgotten at
--- once, with all before it.
function methods:wrote_all(ids, count, sequence)
  if count >= self.capacity then
    self.ids, self.sequences, self.first, self.last, self.horizon = {}, {}, 1, 0, sequence
    return
  end
  for position = 1, count do self:wrote(ids[position], sequence) end
end

--- recent:behind(after) → list of the ids that transactions wrote whose sequence is larger than `after`, the latest first, some
--- perhaps twice | nil: that is not known any more.
function methods:behind(after)
  if after < self.horizon then return nil end
  local list <const> = {}
  local position = self.last
  while position >= self.first and self.sequences[position] > after do
    list[#list + 1] = self.ids[position]
    position = position - 1
  end
  return list
end

return recent
