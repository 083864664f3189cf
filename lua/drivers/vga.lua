-- VGA text screen: 80x25 cells in memory, cursor in the CRT controller; a display for drivers.screen.
--
--     vga.lua            this file: memory and cursor
--     vga/cp437.lua      Unicode → the font
--
-- Source: IBM VGA Technical Reference, "CRT controller registers" and "Alphanumeric modes".

local cp437 <const> = require "drivers.vga.cp437"
local registers <const> = require "drivers.registers"
local screen <const> = require "drivers.screen"

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
  local cursor_shown                -- what the CRT controller was told last: a cell, -1: off

  local function crtc_write(register, value)
    crtc:out8(PORT.index, register)
    crtc:out8(PORT.data, value)
  end

  local display <const> = {columns = columns, rows = rows, charset = {glyph = cp437.byte, glyph_bits = 8}}

  function display.show(first, list)
    memory:write((first - 1) * row_bytes, table.concat(list))
  end

  function display.cursor(x, y)
    local cell = x and (y - 1) * columns + x - 1 or -1
    if cell == cursor_shown then return end
    if cell == -1 then
      crtc_write(CRTC.cursor_start, CURSOR_OFF)
    else
      if cursor_shown == -1 or not cursor_shown then crtc_write(CRTC.cursor_start, CURSOR_FIRST_LINE) end
      crtc_write(CRTC.cursor_high, cell >> 8)
      crtc_write(CRTC.cursor_low, cell & 0xFF)
    end
    cursor_shown = cell
  end

  crtc_write(CRTC.start_high, 0)
  crtc_write(CRTC.start_low, 0)
  crtc_write(CRTC.cursor_end, CURSOR_LAST_LINE)
  return screen.new(display, parts.reply)
end

return vga
