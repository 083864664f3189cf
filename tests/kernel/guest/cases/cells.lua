-- block:draw_cells: what it draws, as checksums for the test to compare with its model, and what it refuses.
local core, check = ...

local SIZE <const>, GLYPHS <const>, LINES <const> = 65536, 300, 16

local glyphs, palette = {}, {}
for i = 0, GLYPHS * LINES - 1 do glyphs[#glyphs + 1] = string.char((i * 37 + i // 7) & 0xFF) end
for colour = 0, 15 do palette[#palette + 1] = string.pack("<I4", 0x01020304 * colour) end
glyphs, palette = table.concat(glyphs), table.concat(palette)

local function row(count, step)
    local cells = {}
    for i = 0, count - 1 do cells[#cells + 1] = string.pack("<I2I2", i * step % GLYPHS, i * 11 & 0xFF) end
    return table.concat(cells)
end

local block = core.memory(SIZE)
local function drawn(offset, cells, before, pitch, pixel_bytes, scale)
    block:fill(0xA5)
    block:draw_cells(offset, cells, before, glyphs, LINES, palette, pitch, pixel_bytes, scale)
    return core.crc32c(block)
end

for pixel_bytes = 2, 4 do
    for scale = 1, 8 do
        print("cells", pixel_bytes, scale, drawn(13, row(7, 41), nil, 300, pixel_bytes, scale))
        print("again", pixel_bytes, scale, drawn(13, row(7, 41), row(7, 40), 300, pixel_bytes, scale))
    end
end
block:fill(0xA5)
check("nothing draws nothing", drawn(SIZE, "", nil, 300, 4, 1) == core.crc32c(string.rep("\xA5", SIZE)))

local function refuses(name, ...)
    local ok, err = pcall(block.draw_cells, block, ...)
    check("refuses " .. name, not ok, err)
end

local one <const> = row(1, 0)
local needed <const> = 15 * 300 + 32       -- bytes of one cell of 16 lines
block:draw_cells(SIZE - needed, one, nil, glyphs, LINES, palette, 300, 4, 1)
refuses("a cell past the end", SIZE - needed + 1, one, nil, glyphs, LINES, palette, 300, 4, 1)
refuses("a negative offset", -1, one, nil, glyphs, LINES, palette, 300, 4, 1)
refuses("a huge offset", math.maxinteger, one, nil, glyphs, LINES, palette, 300, 4, 1)
refuses("a huge pitch", 0, one, nil, glyphs, LINES, palette, math.maxinteger, 4, 1)
refuses("a pitch that leads outside", 0, one, nil, glyphs, LINES, palette, 0x7FFFFFFF, 4, 8)
refuses("no pitch", 0, one, nil, glyphs, LINES, palette, 0, 4, 1)
refuses("a row that is too long", 0, one:rep(65536), nil, glyphs, LINES, palette, 300, 4, 1)
refuses("a row past the end", 0, one:rep(65535), nil, glyphs, LINES, palette, 300, 4, 1)
refuses("a glyph that is not there", 0, string.pack("<I2I2", GLYPHS, 7), nil, glyphs, LINES, palette, 300, 4, 1)
refuses("a glyph of a shorter font", 0, string.pack("<I2I2", GLYPHS - 1, 7), nil, glyphs:sub(1, -2), LINES, palette, 300, 4, 1)
refuses("part of a cell", 0, one .. "x", nil, glyphs, LINES, palette, 300, 4, 1)
refuses("another number of cells before", 0, one, one .. one, glyphs, LINES, palette, 300, 4, 1)
refuses("a short palette", 0, one, nil, glyphs, LINES, palette:sub(1, -2), 300, 4, 1)
refuses("pixels of one byte", 0, one, nil, glyphs, LINES, palette, 300, 1, 1)
refuses("pixels of five bytes", 0, one, nil, glyphs, LINES, palette, 300, 5, 1)
refuses("a scale of nine", 0, one, nil, glyphs, LINES, palette, 300, 4, 9)
refuses("a scale of none", 0, one, nil, glyphs, LINES, palette, 300, 4, 0)
refuses("glyphs without lines", 0, one, nil, glyphs, 0, palette, 300, 4, 1)
local other = core.memory(4096)
other:free()
check("refuses a freed block",
    not pcall(other.draw_cells, other, 0, one, nil, glyphs, LINES, palette, 300, 4, 1))
check("there is no picture here", core.framebuffer == nil and core.font == nil)
