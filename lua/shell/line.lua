-- The text being edited: a string, a cursor in it, and the last killed text. It knows no terminal and no keys.
--
-- Promises: the cursor always stands at a cursor stop of shell.cells; a text may have several lines ("\n").
-- Relies on: shell.cells for what one step is.

local cells <const> = require "shell.cells"

local line <const> = {}
line.__index = line

-- Bytes from 0x80 on count as letters, so words of any script move as words.
local WORD <const> = "[%w_\x80-\xFF]"
local NO_WORD <const> = "[^%w_\x80-\xFF]"

function line.new(text)
  return setmetatable({ text = text or "", cursor = #(text or "") + 1, killed = "" }, line)
end

function line:set(text, cursor)
  self.text = text
  self.cursor = cursor or #text + 1
end

function line:insert(bytes)
  self.text = self.text:sub(1, self.cursor - 1) .. bytes .. self.text:sub(self.cursor)
  self.cursor = self.cursor + #bytes
  -- Marks typed alone, or bytes that only together make a character, may leave the cursor inside one.
  local before = cells.before(self.text, self.cursor)
  local stop = cells.after(self.text, before)
  if before < self.cursor and stop > self.cursor then self.cursor = stop end
end

-- Removes the bytes first … last - 1 and puts the cursor there.
function line:cut(first, last)
  local gone = self.text:sub(first, last - 1)
  self.text = self.text:sub(1, first - 1) .. self.text:sub(last)
  self.cursor = first
  while self.cursor > 1 and cells.is_mark(self.text, self.cursor) do
    self.cursor = cells.before(self.text, self.cursor)
  end
  return gone
end

-- joined: the last command killed too, so the pieces belong together.
function line:kill(first, last, joined)
  if first >= last then return end
  local backward = last == self.cursor
  local gone = self:cut(first, last)
  if not joined then self.killed = gone
  elseif backward then self.killed = gone .. self.killed
  else self.killed = self.killed .. gone end
end

function line:row_start()
  local _, newline = self.text:sub(1, self.cursor - 1):find(".*\n")
  return (newline or 0) + 1
end

function line:row_end()
  return self.text:find("\n", self.cursor, true) or #self.text + 1
end

function line:word_left()
  local at = self.text:sub(1, self.cursor - 1):find(WORD .. "+" .. NO_WORD .. "*$")
  return at or 1
end

function line:word_right()
  return self.text:match(NO_WORD .. "*" .. WORD .. "+()", self.cursor) or #self.text + 1
end

function line:blank_word_left()
  return self.text:sub(1, self.cursor - 1):find("[^%s]+%s*$") or 1
end

function line:left() self.cursor = cells.before(self.text, self.cursor) end
function line:right() self.cursor = cells.after(self.text, self.cursor) end
function line:home() self.cursor = self:row_start() end
function line:finish() self.cursor = self:row_end() end
function line:to_word_left() self.cursor = self:word_left() end
function line:to_word_right() self.cursor = self:word_right() end

function line:delete_before() self:cut(cells.before(self.text, self.cursor), self.cursor) end
function line:delete_at() self:cut(self.cursor, cells.after(self.text, self.cursor)) end

function line:kill_to_end(joined)
  local stop = self:row_end()
  if stop == self.cursor and stop <= #self.text then stop = stop + 1 end
  self:kill(self.cursor, stop, joined)
end

function line:kill_to_start(joined) self:kill(self:row_start(), self.cursor, joined) end
function line:kill_blank_word(joined) self:kill(self:blank_word_left(), self.cursor, joined) end
function line:kill_word_left(joined) self:kill(self:word_left(), self.cursor, joined) end
function line:kill_word_right(joined) self:kill(self.cursor, self:word_right(), joined) end
function line:yank() self:insert(self.killed) end

-- Swaps the two characters around the cursor (at the end: the last two).
function line:transpose()
  local text, at = self.text, self.cursor
  if at > #text then at = cells.before(text, at) end
  local first, last = cells.before(text, at), cells.after(text, at)
  if first == at or at == last or text:sub(first, last - 1):find("\n", 1, true) then return end
  self:set(text:sub(1, first - 1) .. text:sub(at, last - 1) .. text:sub(first, at - 1) .. text:sub(last), last)
end

-- One row of the text up or down, keeping the column as far as it goes. False at the first or last row.
function line:vertical(direction)
  local start = self:row_start()
  local column = cells.width(self.text:sub(start, self.cursor - 1))
  local target
  if direction < 0 then
    if start == 1 then return false end
    self.cursor = start - 1
    target = self:row_start()
  else
    target = self:row_end() + 1
    if target > #self.text + 1 then return false end
  end
  self.cursor = target
  local stop = self:row_end()
  while self.cursor < stop and column > 0 do
    local _, _, width = cells.element(self.text, self.cursor)
    if width > column then break end
    column = column - width
    self.cursor = cells.after(self.text, self.cursor)
  end
  return true
end

return line
