-- What a string occupies on a terminal: characters, their cells, and how what cannot be shown is shown.
--
-- Promises: every byte string can be walked; a walk visits each byte once; invalid UTF-8 and control characters are
-- shown as printable text, so nothing in a string can move the cursor. Positions are byte positions from 1.
-- Relies on: nothing. Width tables follow what terminals do (wcwidth), coarsely: marks 0, East Asian wide and emoji 2.

local cells <const> = {}

-- Pairs first, last; sorted.
local ZERO_WIDTH <const> = {
  0x300, 0x36F, 0x483, 0x489, 0x591, 0x5BD, 0x610, 0x61A, 0x64B, 0x65F, 0x6D6, 0x6DC, 0x93C, 0x93C, 0x94D, 0x94D,
  0xE31, 0xE31, 0xE34, 0xE3A, 0xE47, 0xE4E, 0x1AB0, 0x1ABE, 0x1DC0, 0x1DFF, 0x20D0, 0x20F0, 0xFE00, 0xFE0F,
  0xFE20, 0xFE2F, 0xE0100, 0xE01EF,
}
local WIDE <const> = {
  0x1100, 0x115F, 0x231A, 0x231B, 0x2E80, 0x2E99, 0x2E9B, 0x2EF3, 0x2F00, 0x2FD5, 0x3000, 0x303E, 0x3041, 0x3096,
  0x309B, 0x30FF, 0x3105, 0x312F, 0x3131, 0x318E, 0x3190, 0x31E3, 0x31F0, 0x321E, 0x3220, 0x3247, 0x3250, 0x4DBF,
  0x4E00, 0xA48C, 0xA490, 0xA4C6, 0xA960, 0xA97C, 0xAC00, 0xD7A3, 0xF900, 0xFAFF, 0xFE30, 0xFE52, 0xFF01, 0xFF60,
  0xFFE0, 0xFFE6, 0x1F300, 0x1F320, 0x1F400, 0x1F43E, 0x1F442, 0x1F4FC, 0x1F5FB, 0x1F64F, 0x1F680, 0x1F6C5,
  0x1F910, 0x1F93A, 0x1F947, 0x1F9FF, 0x20000, 0x2FFFD, 0x30000, 0x3FFFD,
}
-- Characters that are invisible or turn the direction of text: shown by number, never as themselves.
local HIDDEN <const> = {
  0x80, 0x9F, 0xAD, 0xAD, 0x61C, 0x61C, 0x180E, 0x180E, 0x200B, 0x200F, 0x2028, 0x202E, 0x2060, 0x206F,
  0xE000, 0xF8FF, 0xFEFF, 0xFEFF, 0xFFF0, 0xFFFB, 0xFFFE, 0xFFFF, 0xE0000, 0xE007F, 0xF0000, 0x10FFFF,
}

local function among(ranges, code)
  local low, high = 1, #ranges // 2
  while low <= high do
    local middle = (low + high) // 2
    if code < ranges[2 * middle - 1] then high = middle - 1
    elseif code > ranges[2 * middle] then low = middle + 1
    else return true end
  end
  return false
end

-- Cells of a code point from U+00A0 on that is not hidden.
local function width_of_code(code)
  if code < 0x300 then return 1 end
  if among(ZERO_WIDTH, code) then return 0 end
  return among(WIDE, code) and 2 or 1
end

-- The position after the UTF-8 sequence at `i`, and its code point; nil when the bytes there are not UTF-8.
local function decode(s, i)
  if not utf8.len(s, i, i) then return nil end
  local code = utf8.codepoint(s, i, i)
  return i + (code < 0x80 and 1 or code < 0x800 and 2 or code < 0x10000 and 3 or 4), code
end

-- element(s, i) → position after the element at i, what to show for it, its width in cells.
function cells.element(s, i)
  local byte = s:byte(i)
  if byte >= 0x20 and byte < 0x7F then return i + 1, string.char(byte), 1 end
  if byte == 9 then return i + 1, "    ", 4 end
  if byte < 0x80 then return i + 1, "^" .. string.char(byte ~ 0x40), 2 end
  local stop, code = decode(s, i)
  if not stop then return i + 1, string.format("\\x%02X", byte), 4 end
  if among(HIDDEN, code) then
    local shown = string.format("\\u{%X}", code)
    return stop, shown, #shown
  end
  return stop, s:sub(i, stop - 1), width_of_code(code)
end

-- Cells of a string that is shown element by element.
function cells.width(s)
  if not s:find("[^ -~]") then return #s end
  local total, i = 0, 1
  while i <= #s do
    local stop, _, width = cells.element(s, i)
    total, i = total + width, stop
  end
  return total
end

-- True when the element at i takes no cell of its own and belongs to the one before it.
function cells.is_mark(s, i)
  local byte = s:byte(i)
  if not byte or byte < 0xCC then return false end
  local _, _, width = cells.element(s, i)
  return width == 0
end

-- The cursor stop after the one at i (an element together with its marks); #s + 1 at the end.
function cells.after(s, i)
  if i > #s then return #s + 1 end
  i = cells.element(s, i)
  while cells.is_mark(s, i) do i = cells.element(s, i) end
  return i
end

-- Where the element that ends just before i starts.
local function element_before(s, i)
  for start = i - 1, math.max(1, i - 4), -1 do
    local byte = s:byte(start)
    if byte < 0x80 or byte >= 0xC0 then
      if cells.element(s, start) == i then return start end
      break
    end
  end
  return i - 1
end

-- The cursor stop before the one at i; 1 at the start.
function cells.before(s, i)
  if i <= 1 then return 1 end
  i = element_before(s, i)
  while i > 1 and cells.is_mark(s, i) do i = element_before(s, i) end
  return i
end

-- The string as it can safely be shown: newlines and tabs stay, other controls and invalid bytes become visible.
function cells.visible(s)
  if not s:find("[^\n\t -~]") then return s end
  local parts, i = {}, 1
  while i <= #s do
    local plain = s:match("^[\n\t -~]+", i)
    if plain then
      parts[#parts + 1], i = plain, i + #plain
    else
      local stop, shown = cells.element(s, i)
      parts[#parts + 1], i = shown, stop
    end
  end
  return table.concat(parts)
end

return cells
