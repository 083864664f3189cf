-- Rows of text on the terminal, redrawn with as few bytes as a serial line deserves.
--
-- Promises: after show() the screen shows these rows and the cursor, whatever was shown before; only CR LF, BS, ESC[nA,
-- ESC[nC, ESC[K and ESC[J are used. More rows than the screen has are shown through a window that follows the cursor.
-- Relies on: rows that leave the last column free (shell.layout), and nobody else writing between show() and finish().

local cells <const> = require "shell.cells"

local display <const> = {}
display.__index = display

-- display.new(write): `write` takes bytes for the terminal.
function display.new(write)
  return setmetatable({ write = write, rows = {}, row = 0, column = 0, top = 0 }, display)
end

-- Nothing of ours is on the screen: the next show() starts at the cursor's row, whose column must be 0.
function display:forget()
  self.rows, self.row, self.column, self.top = {}, 0, 0, 0
end

local function move(out, from_row, from_column, row, column)
  if row < from_row then
    out[#out + 1] = from_row - row == 1 and "\27[A" or "\27[" .. (from_row - row) .. "A"
  elseif row > from_row then -- CR LF and not ESC[B: the row may have to be made by scrolling
    out[#out + 1] = ("\r\n"):rep(row - from_row)
    from_column = 0
  end
  if column == from_column then return end
  if column < from_column and from_column - column <= 4 and column > 0 then
    out[#out + 1] = ("\b"):rep(from_column - column)
    return
  end
  if column < from_column then
    out[#out + 1] = "\r"
    from_column = 0
  end
  if column > from_column then
    out[#out + 1] = column - from_column == 1 and "\27[C" or "\27[" .. (column - from_column) .. "C"
  end
end

-- How many bytes at the start of both rows need not be drawn again.
local function common_prefix(old, new)
  if new:sub(1, #old) == old and not cells.is_mark(new, #old + 1) then return #old end
  local limit = math.min(#old, #new)
  local low, high = 0, limit
  while low < high do
    local middle = (low + high + 1) // 2
    if old:sub(1, middle) == new:sub(1, middle) then low = middle else high = middle - 1 end
  end
  -- Back to the start of a character, and over the base of a mark that differs.
  while low > 0 and (new:byte(low + 1) or old:byte(low + 1) or 0) & 0xC0 == 0x80 do low = low - 1 end
  while low > 0 and (cells.is_mark(new, low + 1) or cells.is_mark(old, low + 1)) do
    low = cells.before(new, low + 1) - 1
  end
  return low
end

local function draw_row(self, out, index, new)
  local old = self.rows[index + 1] or ""
  if old == new and self.rows[index + 1] then return end
  local same = common_prefix(old, new)
  move(out, self.row, self.column, index, cells.width(new:sub(1, same)))
  out[#out + 1] = new:sub(same + 1)
  self.row, self.column = index, cells.width(new)
  if cells.width(old) > self.column then out[#out + 1] = "\27[K" end
end

-- Brings the screen to these rows; `height` is how many rows the screen has.
function display:show(rows, cursor_row, cursor_column, height)
  local shown <const> = math.min(#rows, math.max(height, 1))
  local top = math.min(self.top, #rows - shown)
  if cursor_row < top then top = cursor_row end
  if cursor_row >= top + shown then top = cursor_row - shown + 1 end
  self.top = top

  local out, window = {}, {}
  for index = 0, shown - 1 do
    local new = rows[top + index + 1]
    draw_row(self, out, index, new)
    window[index + 1] = new
  end
  if #self.rows > shown then
    move(out, self.row, self.column, shown, 0)
    out[#out + 1] = "\27[J"
    self.row, self.column = shown, 0
  end
  self.rows = window
  move(out, self.row, self.column, cursor_row - top, cursor_column)
  self.row, self.column = cursor_row - top, cursor_column
  if #out > 0 then self.write(table.concat(out)) end
end

-- Leaves what is shown on the screen and goes to the row below it.
function display:finish()
  local out = {}
  move(out, self.row, self.column, math.max(#self.rows, 1), 0)
  self.write(table.concat(out))
  self:forget()
end

return display
