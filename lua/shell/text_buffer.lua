-- A text of several rows that is being edited: rows, a cursor, what was cut, and what can be undone. It knows no terminal.
--
--     local buffer = require("shell.text_buffer").new(text)
--     buffer.rows, buffer.row, buffer.at             row from 1; at: the byte of the row before which the cursor stands
--     buffer:text() → text        buffer:set(text)        buffer.changes counts what was changed
--     buffer:insert(text) newline() delete_before() delete_at() cut_row(again) paste_rows() indent() undo()
--     buffer:left() right() up(n) down(n) home() finish() to_row(n) word_left() word_right() find(text) → found?
-- Promises: the cursor is always at a cursor stop of shell.cells in a row that exists; there is always one row; undo() takes back one
-- change after the other, characters typed in one go together, UNDO_MOST of them.

local cells <const> = require "shell.cells"

local text_buffer <const> = {}
text_buffer.__index = text_buffer

local UNDO_MOST <const> = 500
local INDENT <const> = "  "
local WORD <const>, NO_WORD <const> = "[%w_\x80-\xFF]", "[^%w_\x80-\xFF]"

local function rows_of(text)
  local rows <const> = {}
  for row in (text .. "\n"):gmatch("([^\n]*)\n") do rows[#rows + 1] = row end
  -- The line end of the last row opens no other.
  if #rows > 1 and rows[#rows] == "" then rows[#rows] = nil end
  return rows
end

function text_buffer.new(text)
  local self <const> = setmetatable({cut = {}}, text_buffer)
  self:set(text)
  self.changes = 0
  return self
end

function text_buffer:set(text)
  self.rows, self.row, self.at, self.goal = rows_of(text:gsub("\r\n?", "\n")), 1, 1, nil
  self.undone, self.typing, self.changes = {}, false, (self.changes or 0) + 1
end

function text_buffer:text()
  return table.concat(self.rows, "\n") .. "\n"
end

-- Rows first … last are replaced by others; the one way in which anything changes.
local function replace(self, first, last, new)
  if #new == 0 and first == 1 and last == #self.rows then new = {""} end
  local old <const> = table.move(self.rows, first, last, 1, {})
  self.undone[#self.undone + 1] = {first = first, old = old, count = #new, row = self.row, at = self.at}
  if #self.undone > UNDO_MOST then table.remove(self.undone, 1) end
  local rest <const> = table.move(self.rows, last + 1, #self.rows, 1, {})
  for place = #self.rows, first, -1 do self.rows[place] = nil end
  table.move(new, 1, #new, first, self.rows)
  table.move(rest, 1, #rest, #self.rows + 1, self.rows)
  self.changes, self.typing, self.goal = self.changes + 1, false, nil
end

local function go(self, row, at)
  self.row = math.max(1, math.min(row, #self.rows))
  self.at = math.max(1, math.min(at, #self.rows[self.row] + 1))
  -- Bytes that came alone may have become one character with those before them.
  if self.at > 1 then
    local before <const> = cells.before(self.rows[self.row], self.at)
    local after <const> = cells.after(self.rows[self.row], before)
    if after > self.at then self.at = after end
  end
end

local function around(self)
  local row <const> = self.rows[self.row]
  return row:sub(1, self.at - 1), row:sub(self.at)
end

function text_buffer:undo()
  local change <const> = table.remove(self.undone)
  if not change then return end
  local kept <const> = self.undone
  replace(self, change.first, change.first + change.count - 1, change.old)
  kept[#kept] = nil
  go(self, change.row, change.at)
end

function text_buffer:insert(text)
  local before <const>, after <const> = around(self)
  local typing <const> = self.typing == self.row and not text:find("[%s]")
  local new <const> = rows_of(before .. text:gsub("\r\n?", "\n") .. "\1" .. after)
  local row <const>, at <const> = self.row + #new - 1, #new[#new] - #after
  new[#new] = new[#new]:sub(1, at - 1) .. after
  if typing then
    self.rows[self.row], self.changes, self.goal = new[1], self.changes + 1, nil
  else
    replace(self, self.row, self.row, new)
  end
  go(self, row, at)
  self.typing = #new == 1 and self.row or false
end

-- The new row begins where the one before does.
function text_buffer:newline()
  local before <const> = around(self)
  self:insert("\n" .. before:match("^[ \t]*"))
end

function text_buffer:indent()
  self:insert(INDENT)
end

-- Takes bytes first … last - 1 out of a row.
local function take_out(self, row, first, last)
  local text <const> = self.rows[row]
  replace(self, row, row, {text:sub(1, first - 1) .. text:sub(last)})
  go(self, row, first)
end

local function join(self, row)
  local at <const> = #self.rows[row] + 1
  replace(self, row, row + 1, {self.rows[row] .. self.rows[row + 1]})
  go(self, row, at)
end

function text_buffer:delete_before()
  if self.at > 1 then take_out(self, self.row, cells.before(self.rows[self.row], self.at), self.at)
  elseif self.row > 1 then join(self, self.row - 1) end
end

function text_buffer:delete_at()
  local row <const> = self.rows[self.row]
  if self.at <= #row then take_out(self, self.row, self.at, cells.after(row, self.at))
  elseif self.row < #self.rows then join(self, self.row) end
end

-- `again`: the row before was cut by the key before; they belong together.
function text_buffer:cut_row(again)
  if not again then self.cut = {} end
  self.cut[#self.cut + 1] = self.rows[self.row]
  replace(self, self.row, self.row, {})
  go(self, self.row, 1)
end

function text_buffer:paste_rows()
  if #self.cut == 0 then return end
  local row <const> = self.row
  replace(self, row, row - 1, table.move(self.cut, 1, #self.cut, 1, {}))
  go(self, row + #self.cut, 1)
end

-- --- moving -------------------------------------------------------------------------------------------------------------

local function moved(self, row, at)
  self.typing, self.goal = false, nil
  go(self, row, at)
end

function text_buffer:left()
  if self.at > 1 then moved(self, self.row, cells.before(self.rows[self.row], self.at))
  elseif self.row > 1 then moved(self, self.row - 1, math.maxinteger) end
end

function text_buffer:right()
  if self.at <= #self.rows[self.row] then moved(self, self.row, cells.after(self.rows[self.row], self.at))
  elseif self.row < #self.rows then moved(self, self.row + 1, 1) end
end

function text_buffer:home() moved(self, self.row, 1) end
function text_buffer:finish() moved(self, self.row, math.maxinteger) end
function text_buffer:to_row(row) moved(self, row, 1) end

function text_buffer:column()
  return cells.width(self.rows[self.row]:sub(1, self.at - 1))
end

-- Rows up or down, in the column where it began.
local function vertical(self, count)
  local goal <const> = self.goal or self:column()
  moved(self, self.row + count, 1)
  local row <const>, left = self.rows[self.row], goal
  while self.at <= #row do
    local stop <const>, _, width <const> = cells.element(row, self.at)
    if width > left then break end
    left, self.at = left - width, math.max(stop, cells.after(row, self.at))
  end
  self.goal = goal
end

function text_buffer:up(count) vertical(self, -(count or 1)) end
function text_buffer:down(count) vertical(self, count or 1) end

function text_buffer:word_left()
  local before <const> = around(self)
  local at <const> = before:find(WORD .. "+" .. NO_WORD .. "*$")
  if at then return moved(self, self.row, at) end
  if self.at > 1 then return moved(self, self.row, 1) end
  self:left()
end

function text_buffer:word_right()
  local at <const> = self.rows[self.row]:match(NO_WORD .. "*" .. WORD .. "+()", self.at)
  if at then return moved(self, self.row, at) end
  if self.at <= #self.rows[self.row] then return self:finish() end
  self:right()
end

-- The next place behind the cursor, and from the start again.
function text_buffer:find(wanted)
  if wanted == "" then return false end
  for step = 0, #self.rows do
    local row <const> = (self.row + step - 1) % #self.rows + 1
    local from <const> = step == 0 and self.at + 1 or 1
    local at <const> = self.rows[row]:find(wanted, from, true)
    if at then
      moved(self, row, at)
      return true
    end
  end
  return false
end

return text_buffer
