-- The cells of a text screen, and the lines that have left it.
--
-- A cell is an integer: attribute << glyph_bits | glyph. A row keeps its cells and, once asked for, the same
-- as bytes, 2 a cell for 8 bits (which is how VGA stores it), 4 for 16; a change forgets the bytes. So
-- scrolling moves row tables and packs only what is new.
--
-- Promise: no coordinate outside the screen changes anything or raises; the history never exceeds
-- its limit.

local grid <const> = {}

local Grid <const> = {}
Grid.__index = Grid

local HISTORY_ROWS <const> = 500

local function blank_row(columns, cell)
  local row = {}
  for x = 1, columns do row[x] = cell end
  return row
end

--- grid.new(columns, rows, cell, glyph_bits) → grid full of `cell`. Coordinates count from 1.
function grid.new(columns, rows, cell, glyph_bits)
  local self = setmetatable({
    columns = columns, rows = rows, glyph_bits = glyph_bits,
    lines = {},                       -- rows: {[1..columns] = cell, bytes = string|nil}
    history = {}, history_first = 1, history_last = 0,
    pack = "<" .. (glyph_bits == 8 and "I2" or "I4"):rep(columns),     -- the glyph first, then the attribute
  }, Grid)
  for y = 1, rows do self.lines[y] = blank_row(columns, cell) end
  return self
end

function Grid:set(x, y, cell)
  local row = self.lines[y]
  if not row or x < 1 or x > self.columns then return end
  row[x], row.bytes = cell, nil
end

--- Puts bytes, each the number of its glyph, into a row from x on; they must fit.
function Grid:set_run(x, y, attribute, text)
  local row = self.lines[y]
  local high = attribute << self.glyph_bits
  for i = 1, #text do row[x + i - 1] = high | text:byte(i) end
  row.bytes = nil
end

--- Fills columns first…last of row y.
function Grid:fill(y, first, last, cell)
  local row = self.lines[y]
  if not row then return end
  for x = math.max(first, 1), math.min(last, self.columns) do row[x] = cell end
  row.bytes = nil
end

--- Fills whole rows.
function Grid:fill_rows(first, last, cell)
  for y = math.max(first, 1), math.min(last, self.rows) do self:fill(y, 1, self.columns, cell) end
end

local function remember(self, row)
  self.history_last = self.history_last + 1
  self.history[self.history_last] = self:row_bytes(row)
  if self.history_last - self.history_first >= HISTORY_ROWS then
    self.history[self.history_first] = nil
    self.history_first = self.history_first + 1
  end
end

--- Takes `count` rows away at `top`; rows to `bottom` move up and blank ones come in below. → the
--- rows that left.
function Grid:delete_rows(top, bottom, count, cell)
  local gone = {}
  for i = 1, math.min(count, bottom - top + 1) do
    gone[i] = table.remove(self.lines, top)
    table.insert(self.lines, bottom, blank_row(self.columns, cell))
  end
  return gone
end

--- Scrolls rows top…bottom up. Rows that leave the whole screen at its top are remembered.
function Grid:scroll_up(top, bottom, count, cell)
  local gone = self:delete_rows(top, bottom, count, cell)
  if top > 1 or bottom < self.rows then return end
  for _, row in ipairs(gone) do remember(self, row) end
end

--- Moves rows top…bottom down by `count`; blank ones come in above.
function Grid:scroll_down(top, bottom, count, cell)
  for _ = 1, math.min(count, bottom - top + 1) do
    table.remove(self.lines, bottom)
    table.insert(self.lines, top, blank_row(self.columns, cell))
  end
end

--- Removes `count` cells at x; the rest of the row moves left.
function Grid:delete_cells(x, y, count, cell)
  local row, columns = self.lines[y], self.columns
  count = math.min(count, columns - x + 1)
  table.move(row, x + count, columns, x)
  self:fill(y, columns - count + 1, columns, cell)
end

--- Makes room for `count` cells at x; the rest of the row moves right and off the screen.
function Grid:insert_cells(x, y, count, cell)
  local row, columns = self.lines[y], self.columns
  count = math.min(count, columns - x + 1)
  table.move(row, x, columns - count, x + count)
  self:fill(y, x, x + count - 1, cell)
end

--- A row as bytes.
function Grid:row_bytes(row)
  local bytes = row.bytes
  if not bytes then
    bytes = self.pack:pack(table.unpack(row, 1, self.columns))
    row.bytes = bytes
  end
  return bytes
end

--- How many rows the history holds.
function Grid:history_rows() return self.history_last - self.history_first + 1 end

--- The bytes of row y of the view that lies `back` rows before the end.
function Grid:view_bytes(y, back)
  if y > back then return self:row_bytes(self.lines[y - back]) end
  return self.history[self.history_last - back + y]
end

return grid
