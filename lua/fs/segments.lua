-- The segments: which are free, which the log stands in, which hold something, and how much of it is live.
--
--   FREE → OPEN (the log opens it) → FULL (the log goes on) → PENDING (a checkpoint finds nothing needed in it)
--        → FREE (the next checkpoint is durable)
--
-- A segment that checkpoint N frees is not reused before checkpoint N+1 is durable: until then a superblock write that
-- gets lost leaves N, or what N can fall back to, with everything it points to in place.
--
-- The table of the last checkpoint lies in an index tree; in memory it is a few arrays over the segments, read at the first
-- write. What the log did since (`opened`) is replayed onto them.

local layout <const> = require "fs.layout"

local segments <const> = {}

local RECORD <const> = layout.segment_record
local ID_BITS <const>, ID_MASK <const> = layout.ID_BITS, layout.ID_MASK
local FREE <const>, OPEN <const>, FULL <const> = layout.SEGMENT_FREE, layout.SEGMENT_OPEN, layout.SEGMENT_FULL
local PENDING <const>, BAD <const> = layout.SEGMENT_PENDING, layout.SEGMENT_BAD

local methods <const> = {}
methods.__index = methods

--- segments.load(tree, segment_count) → table of segments | nil, err.
function segments.load(tree, segment_count)
  local self <const> = setmetatable({
    tree = tree, count = segment_count, free = segment_count, bad = 0,
    state = {}, sequence = {}, live = {}, age = {},
    pages = nil, page_count = 0, -- pages of the current trees in each segment, once somebody asked (count_pages)
  }, methods)
  for segment = 0, segment_count - 1 do
    self.state[segment], self.sequence[segment], self.live[segment], self.age[segment] = FREE, 0, 0, 0
  end
  local done <const>, err = tree:each(function(segment, value)
    if segment >= segment_count then return end
    local record <const> = RECORD.unpack(value)
    self.sequence[segment], self.state[segment] = record.tag & ID_MASK, record.tag >> ID_BITS
    self.live[segment], self.age[segment] = record.live_bytes, record.age
    if self.state[segment] ~= FREE then self.free = self.free - 1 end
    if self.state[segment] == BAD then self.bad = self.bad + 1 end
  end)
  if not done then return nil, err end
  return self
end

--- Holds a segment's record for the next checkpoint, as it is or with some fields as they will be by then.
local function hold(self, segment, state, sequence, age)
  self.tree:set(segment, RECORD.pack {
    tag = (sequence or self.sequence[segment]) | (state or self.state[segment]) << ID_BITS,
    live_bytes = self.live[segment], age = age or self.age[segment],
  })
end

local function change(self, segment, state)
  if self.state[segment] == FREE then self.free = self.free - 1 end
  if state == FREE then self.free = self.free + 1 end
  self.state[segment] = state
  hold(self, segment)
end

--- Makes `segment` the one that the log stands in.
function methods:open(segment, sequence)
  self.sequence[segment] = sequence
  change(self, segment, OPEN)
end

--- The log has left `segment`.
function methods:close(segment, transaction)
  self.age[segment] = transaction & 0xFFFFFFFF
  change(self, segment, FULL)
end

--- The log went from `segment` through the segments `opened`, the first of which carries sequence `first_sequence`.
function methods:follow(segment, opened, first_sequence, transaction)
  for position, next_segment in ipairs(opened) do
    self:close(segment, transaction)
    self:open(next_segment, first_sequence + position - 1)
    segment = next_segment
  end
end

--- The table of the checkpoint that is being written says what `follow` will do once it is durable; the states here, from
--- which the log chooses, do not change before.
function methods:foresee(segment, opened, first_sequence, transaction)
  for position, next_segment in ipairs(opened) do
    hold(self, segment, FULL, position > 1 and first_sequence + position - 2 or nil, transaction & 0xFFFFFFFF)
    hold(self, next_segment, OPEN, first_sequence + position - 1)
    segment = next_segment
  end
end

--- Live bytes of a segment grow or shrink. Returns whether the result makes sense.
function methods:account(segment, bytes)
  local live <const> = self.live[segment] + bytes
  if live < 0 or live > 0xFFFFFFFF then return false end
  self.live[segment] = live
  hold(self, segment)
  return true
end

--- segments:count_pages(trees, segment_of(pointer)) → true | nil, err. Counts how many pages of the trees lie in each segment;
--- from then on checkpoints keep the count (`page_moved`).
function methods:count_pages(trees, segment_of)
  if self.pages then return true end
  local pages <const>, total = {}, 0
  for segment = 0, self.count - 1 do pages[segment] = 0 end
  for _, tree in ipairs(trees) do
    local done <const>, err = tree:each_page(function(pointer)
      local segment <const> = segment_of(pointer)
      pages[segment], total = (pages[segment] or 0) + 1, total + 1
    end)
    if not done then return nil, err end
  end
  self.pages, self.page_count = pages, total
  return true
end

--- A page of a tree moved from one segment to another; nil for none.
function methods:page_moved(from, to)
  if not self.pages then return end
  if from then self.pages[from], self.page_count = self.pages[from] - 1, self.page_count - 1 end
  if to then self.pages[to], self.page_count = self.pages[to] + 1, self.page_count + 1 end
end

--- A checkpoint is being written that no longer needs `segment`.
function methods:release(segment)
  change(self, segment, PENDING)
end

--- The table of the checkpoint that is being written says that what was pending is free. The log may use it only after
--- that checkpoint is durable (`adopt_pending`): until then the state here stays PENDING and `next_free` passes it over.
--- Returns the segments.
function methods:promote_pending()
  local promoted <const> = {}
  for segment = 0, self.count - 1 do
    if self.state[segment] == PENDING then
      promoted[#promoted + 1] = segment
      hold(self, segment, FREE)
    end
  end
  return promoted
end

--- The checkpoint of `promote_pending` is durable.
function methods:adopt_pending(promoted)
  for _, segment in ipairs(promoted) do
    self.state[segment], self.free = FREE, self.free + 1
  end
end

--- A record in it cannot be read: nothing of it is ever moved or reused.
function methods:pin(segment)
  self.bad = self.bad + 1
  change(self, segment, BAD)
end

--- segments:next_free(after, taken) → the free segment with the smallest number above `after`, cyclically, that is not in
--- the set `taken`; `after` itself when there is none.
function methods:next_free(after, taken)
  for step = 1, self.count - 1 do
    local segment <const> = (after + step) % self.count
    if self.state[segment] == FREE and not taken[segment] then return segment end
  end
  return after
end

return segments
