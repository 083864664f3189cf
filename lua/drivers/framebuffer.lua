-- A linear picture as a text screen: glyphs of a font in VGA's sixteen colours; a display for drivers.screen.
--
--     framebuffer.lua          this file: where cells lie, colours, cursor
--     framebuffer/font.lua     Unicode → glyphs
--
-- Glyphs are drawn by the kernel (block:draw_cells, kernel/cells.c), a row at a time, and only those cells that differ from
-- what the row shows. The picture is never read and never moved: on real hardware reading it is some fifty times as
-- slow as writing, and drawing what has changed by scrolling is no more than copying it.
-- The screen is as many columns and rows as it is asked for, each pixel of a glyph a square of as many pixels as fit, in the
-- middle of the picture; what is around it is black. The cursor is its cell with ink and paper exchanged.

local font_module <const> = require "drivers.framebuffer.font"
local screen <const> = require "drivers.screen"

local framebuffer <const> = {}

local GLYPH_PIXELS <const> = 8
local CELL <const>, CELL_BYTES <const> = "<I2I2", 4
local SCALE_MOST <const> = 8              -- of block:draw_cells
-- VGA's colours in the order of their numbers, as red, green and blue from 0 to 255.
local COLOURS <const> = {
  {0x00, 0x00, 0x00}, {0x00, 0x00, 0xAA}, {0x00, 0xAA, 0x00}, {0x00, 0xAA, 0xAA},
  {0xAA, 0x00, 0x00}, {0xAA, 0x00, 0xAA}, {0xAA, 0x55, 0x00}, {0xAA, 0xAA, 0xAA},
  {0x55, 0x55, 0x55}, {0x55, 0x55, 0xFF}, {0x55, 0xFF, 0x55}, {0x55, 0xFF, 0xFF},
  {0xFF, 0x55, 0x55}, {0xFF, 0x55, 0xFF}, {0xFF, 0xFF, 0x55}, {0xFF, 0xFF, 0xFF},
}

-- A channel's part of a pixel. `intensity` is 0 to 255.
local function channel_value(channel, intensity)
  local bits <const> = channel.bits
  return (bits > 8 and intensity << (bits - 8) or intensity >> (8 - bits)) << channel.shift
end

-- The sixteen colours as pixels, 4 bytes each.
local function make_palette(format)
  local pixels <const> = {}
  for number, colour in ipairs(COLOURS) do
    local pixel <const> = channel_value(format.red, colour[1]) | channel_value(format.green, colour[2])
      | channel_value(format.blue, colour[3])
    pixels[number] = string.pack("<I4", pixel)
  end
  return table.concat(pixels)
end

-- Where the screen lies in the picture: {columns, rows, scale, row_bytes = from row to row, offset = of the first cell}.
local function lay_out(format, columns, rows, lines)
  columns = math.min(columns, format.width // GLYPH_PIXELS)
  rows = math.min(rows, format.height // lines)
  assert(columns > 0 and rows > 0, "the picture is too small for a single character")
  local scale <const> = math.min(SCALE_MOST, format.width // (columns * GLYPH_PIXELS), format.height // (rows * lines))
  local left <const> = (format.width - columns * GLYPH_PIXELS * scale) // 2
  local top <const> = (format.height - rows * lines * scale) // 2
  return {
    columns = columns, rows = rows, scale = scale, row_bytes = lines * scale * format.pitch,
    offset = top * format.pitch + left * format.pixel_bytes,
  }
end

local function with_cursor(bytes, x)
  local place <const> = (x - 1) * CELL_BYTES
  local glyph <const>, attribute <const> = string.unpack(CELL, bytes, place + 1)
  local exchanged <const> = (attribute & 0xF) << 4 | attribute >> 4
  return bytes:sub(1, place) .. CELL:pack(glyph, exchanged) .. bytes:sub(place + CELL_BYTES + 1)
end

--- framebuffer.new{memory = the picture as a block, format = core.framebuffer, font = core.font, columns=80, rows=25,
--- reply=function(bytes)} → screen, cleared. Fewer columns and rows where the picture is too small.
function framebuffer.new(parts)
  local memory <const> = assert(parts.memory, "a framebuffer needs its memory")
  local format <const> = assert(parts.format, "a framebuffer needs its format")
  assert(#memory >= format.pitch * format.height, "the picture's memory is too small")
  local font <const> = font_module.new(assert(parts.font, "a framebuffer needs a font"))
  local layout <const> = lay_out(format, parts.columns or 80, parts.rows or 25, font.lines)
  local palette <const> = make_palette(format)
  local rows <const>, drawn <const> = {}, {}    -- as they were given; as they are drawn, with the cursor
  local stale <const> = {}                      -- rows where the two may differ
  local cursor_x, cursor_y

  local function draw(y)
    stale[y] = nil
    local wanted <const> = y == cursor_y and with_cursor(rows[y], cursor_x) or rows[y]
    if wanted == drawn[y] then return end
    memory:draw_cells(layout.offset + (y - 1) * layout.row_bytes, wanted, drawn[y], font.glyphs, font.lines, palette,
      format.pitch, format.pixel_bytes, layout.scale)
    drawn[y] = wanted
  end

  local display <const> = {
    columns = layout.columns, rows = layout.rows, charset = {glyph = font.glyph, glyph_bits = 16},
  }

  function display.show(first, list)
    for place, bytes in ipairs(list) do
      rows[first + place - 1] = bytes
      stale[first + place - 1] = true
    end
  end

  -- Comes last, so that a cell which the cursor leaves or enters is drawn once.
  function display.cursor(x, y)
    if cursor_y then stale[cursor_y] = true end
    cursor_x, cursor_y = x, x and y
    if cursor_y then stale[cursor_y] = true end
    for row = 1, layout.rows do
      if stale[row] then draw(row) end
    end
  end

  memory:fill(0)
  return screen.new(display, parts.reply)
end

return framebuffer
