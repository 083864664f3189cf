-- VGA text screen: 80x25 cells in memory, cursor in the CRT controller.
--
--     vga.lua            this file: brings memory and cursor up to date
--     vga/terminal.lua   VT100 interpreter, over
--     vga/grid.lua       cells and scroll-back
--     vga/cp437.lua      Unicode → the font
--
-- A write changes the grid first; then each row of the screen that differs from what memory shows
-- goes out as one string. So a page of output that scrolls forty times costs one pass over 25 rows.
-- Source: IBM VGA Technical Reference, "CRT controller registers" and "Alphanumeric modes".

local registers <const> = require "drivers.registers"
local terminal <const> = require "drivers.vga.terminal"

local vga <const> = {}

local PORT <const> = registers.offsets{
  {"index", 0, "rw", "which CRT controller register", "VGA \"CRT Controller Registers\""},
  {"data",  1, "rw", "its content",                   "VGA \"CRT Controller Registers\""},
}

local CRTC <const> = registers.offsets{
  {"cursor_start",  0x0A, "rw", "first scan line of the cursor; bit 5: off",  "VGA \"Cursor Start Register\""},
  {"cursor_end",    0x0B, "rw", "last scan line of the cursor",               "VGA \"Cursor End Register\""},
  {"start_high",    0x0C, "rw", "cell shown first, high byte",                "VGA \"Start Address High\""},
  {"start_low",     0x0D, "rw", "low byte",                                   "VGA \"Start Address Low\""},
  {"cursor_high",   0x0E, "rw", "cell with the cursor, high byte",            "VGA \"Cursor Location High\""},
  {"cursor_low",    0x0F, "rw", "low byte",                                   "VGA \"Cursor Location Low\""},
}

local CURSOR_OFF <const>, CURSOR_FIRST_LINE <const>, CURSOR_LAST_LINE <const> = 0x20, 14, 15
local CELL_BYTES <const> = 2

--- vga.new{memory=physical(0xB8000, 4000), crtc=ports(0x3D4, 2), columns=80, rows=25,
--- reply=function(bytes)} → screen, cleared.
function vga.new(parts)
  local memory <const> = assert(parts.memory, "vga needs its memory")
  local crtc <const> = assert(parts.crtc, "vga needs its CRT controller ports")
  local columns <const>, rows <const> = parts.columns or 80, parts.rows or 25
  assert(#memory >= columns * rows * CELL_BYTES, "the screen's memory is too small")
  local row_bytes <const> = columns * CELL_BYTES
  local term <const> = terminal.new{columns = columns, rows = rows, reply = parts.reply}
  local shown <const> = {}          -- what memory holds, by row
  local back = 0                    -- how many rows the view lies before the end
  local cursor_shown                -- what the CRT controller was told last

  local function crtc_write(register, value)
    crtc:out8(PORT.index, register)
    crtc:out8(PORT.data, value)
  end

  -- The cursor is hidden while the view is elsewhere.
  local function show_cursor()
    local visible = term.cursor_visible and back == 0
    local cell = visible and (term.y - 1) * columns + term.x - 1 or -1
    if cell == cursor_shown then return end
    if not visible then
      crtc_write(CRTC.cursor_start, CURSOR_OFF)
    else
      if cursor_shown == -1 or not cursor_shown then crtc_write(CRTC.cursor_start, CURSOR_FIRST_LINE) end
      crtc_write(CRTC.cursor_high, cell >> 8)
      crtc_write(CRTC.cursor_low, cell & 0xFF)
    end
    cursor_shown = cell
  end

  -- Neighbouring rows that changed go out together.
  local function show()
    local y = 1
    while y <= rows do
      local run = {}
      local first = y
      while y <= rows do
        local bytes = term.grid:view_bytes(y, back)
        if bytes == shown[y] then break end
        shown[y] = bytes
        run[#run + 1] = bytes
        y = y + 1
      end
      if #run > 0 then memory:write((first - 1) * row_bytes, table.concat(run)) end
      y = y + 1
    end
    show_cursor()
  end

  crtc_write(CRTC.start_high, 0)
  crtc_write(CRTC.start_low, 0)
  crtc_write(CRTC.cursor_end, CURSOR_LAST_LINE)
  show()

  local screen = {}

  --- Interprets bytes and shows the result; a view that was scrolled back returns to the end.
  function screen.write(bytes)
    term:feed(bytes)
    back = 0
    show()
  end

  --- → columns, rows.
  function screen.size() return columns, rows end

  --- Moves the view by `count` rows, positive: towards older ones → how many rows it now lies
  --- before the end.
  function screen.scroll(count)
    back = math.max(0, math.min(term.grid:history_rows(), back + count))
    show()
    return back
  end

  --- The same by pages of one row less than the screen.
  function screen.scroll_pages(count) return screen.scroll(count * (rows - 1)) end

  return screen
end

return vga
