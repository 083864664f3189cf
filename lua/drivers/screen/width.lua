-- How many cells a character takes, as terminals count them, so that who counts columns counts alike here and there.

local width <const> = {}

-- What terminals show two cells wide (East Asian scripts, pictures), coarsely; pairs first, last.
local WIDE <const> = {
  0x1100, 0x115F, 0x2E80, 0x303E, 0x3041, 0xA4C6, 0xA960, 0xA97C, 0xAC00, 0xD7A3, 0xF900, 0xFAFF, 0xFE30, 0xFE52, 0xFF01, 0xFF60,
  0xFFE0, 0xFFE6, 0x1F300, 0x1F320, 0x1F400, 0x1F4FC, 0x1F5FB, 0x1F64F, 0x1F680, 0x1F6C5, 0x1F910, 0x1F9FF, 0x20000, 0x3FFFD,
}

--- width.cells(code point) → 1 or 2.
function width.cells(code)
  for place = 1, #WIDE, 2 do
    if code >= WIDE[place] and code <= WIDE[place + 1] then return 2 end
  end
  return 1
end

return width
