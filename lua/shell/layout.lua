-- Where each character of the edited text stands: the text cut into rows of the screen.
--
--     layout.rows(prompt, continuation, text, cursor, columns) → rows (strings), row and column of the cursor (from 0)
-- Rows after a "\n" of the text start with `continuation`.
--
-- Promises: no row is wider than columns - 1 (2 at least): the last column stays free, because terminals differ in what
-- the cursor does after a character there. Characters are shown as shell.cells shows them.

local cells <const> = require "shell.cells"

local layout <const> = {}

local pen <const> = {}
pen.__index = pen

local function new_pen(columns)
  return setmetatable({ usable = math.max(columns - 1, 2), rows = {}, parts = {}, column = 0 }, pen)
end

function pen:next_row()
  self.rows[#self.rows + 1] = table.concat(self.parts)
  self.parts, self.column = {}, 0
end

-- Goes to the next row unless so many cells still fit.
function pen:make_room(width)
  if self.column + width > self.usable then self:next_row() end
end

-- Characters of one cell each: as many rows as they need, each with one cut.
function pen:put_ascii(run)
  local at = 1
  while at <= #run do
    self:make_room(1)
    local piece = run:sub(at, at + self.usable - self.column - 1)
    self.parts[#self.parts + 1] = piece
    self.column, at = self.column + #piece, at + #piece
  end
end

function pen:put(shown, width)
  self:make_room(width)
  self.parts[#self.parts + 1], self.column = shown, self.column + width
end

-- The cursor stands on what comes next, which takes so many cells (0 at the end of a row: anywhere will do).
function pen:mark(width)
  self:make_room(width)
  self.cursor_row, self.cursor_column = #self.rows, self.column
end

-- Draws what stands at i; the cursor is there when here is true. → the position after it
local function draw(self, text, i, here, stop, continuation)
  if text:byte(i) == 10 then
    if here then self:mark(0) end
    self:next_row()
    self:put_ascii(continuation)
    return i + 1
  end
  local run = text:match("^[ -~]+", i)
  if run then
    run = run:sub(1, stop - i)
    if here then self:mark(1) end
    self:put_ascii(run)
    return i + #run
  end
  local after, shown, width = cells.element(text, i)
  if width > self.usable then shown, width = "?", 1 end
  if here then self:mark(width) end
  self:put(shown, width)
  return after
end

function layout.rows(prompt, continuation, text, cursor, columns)
  local self = new_pen(columns)
  self:put_ascii(prompt)
  local i = 1
  while i <= #text do
    -- A run of characters is cut at the cursor, so that the cursor is always at the start of what is drawn.
    local stop = i < cursor and cursor or #text + 1
    i = draw(self, text, i, i == cursor, stop, continuation)
  end
  if not self.cursor_row then self:mark(0) end
  self:next_row()
  return self.rows, self.cursor_row, self.cursor_column
end

return layout
