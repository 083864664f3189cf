/* See framebuffer.h. core.framebuffer = {address=, bytes=, pitch=, width=, height=, pixel_bytes=,
 * red = {shift=, bits=}, green=, blue=} | nil; core.font = {glyphs=, codes=} with it, strings as
 * font.py makes them.
 */
#include "framebuffer.h"

#include "boot_info.h"
#include "cells.h"
#include "lua.h"
#include "lua_bindings.h"

#define FONT_LINES 16
#define PANIC_COLUMNS 80            /* the panic screen is as large as VGA's text screen */
#define PANIC_ROWS 25

extern const uint8_t font_glyphs[], font_glyphs_end[], font_codes[], font_codes_end[];

static const struct boot_framebuffer *picture;      /* NULL: none */
static struct cells_canvas canvas;

static size_t picture_bytes(void)
{
    return (size_t)picture->pitch_bytes * picture->height;
}

static uint32_t channel_value(const struct boot_channel *channel, unsigned intensity)
{
    uint32_t value = channel->bits > 8 ? intensity << (channel->bits - 8)
                                       : intensity >> (8 - channel->bits);
    return value << channel->shift;
}

/* Of VGA's sixteen what a panic needs: bits 0 to 2 are blue, green and red, bit 3 makes it bright (that
 * VGA has brown for dark yellow is for the driver). */
static uint32_t colour_pixel(unsigned colour)
{
    unsigned bright = colour & 8 ? 0x55 : 0;
    return channel_value(&picture->red, bright + (colour & 4 ? 0xaa : 0))
         | channel_value(&picture->green, bright + (colour & 2 ? 0xaa : 0))
         | channel_value(&picture->blue, bright + (colour & 1 ? 0xaa : 0));
}

static unsigned scale_that_fits(void)
{
    unsigned across = picture->width / (PANIC_COLUMNS * CELL_PIXELS);
    unsigned down = picture->height / (PANIC_ROWS * FONT_LINES);
    unsigned scale = across < down ? across : down;
    return scale < 1 ? 1 : scale > CELL_SCALE_MOST ? CELL_SCALE_MOST : scale;
}

void framebuffer_start(const struct boot_info *boot)
{
    if (boot->framebuffer.address == 0)
        return;
    picture = &boot->framebuffer;
    canvas.pitch_bytes = picture->pitch_bytes;
    canvas.pixel_bytes = picture->pixel_bytes;
    canvas.scale = scale_that_fits();
    canvas.glyphs = font_glyphs;
    canvas.lines = FONT_LINES;
    for (unsigned colour = 0; colour < CELL_COLOURS; colour++)
        canvas.palette[colour] = colour_pixel(colour);
}

bool framebuffer_holds(uintptr_t address, size_t bytes)
{
    return picture && address >= picture->address && bytes <= picture_bytes()
        && address - picture->address <= picture_bytes() - bytes;
}

void framebuffer_put(unsigned column, unsigned row, uint8_t character, uint8_t colours)
{
    size_t width = (size_t)CELL_PIXELS * canvas.scale, height = (size_t)FONT_LINES * canvas.scale;
    if (!picture || (column + 1) * width > picture->width || (row + 1) * height > picture->height)
        return;
    const uint8_t cell[CELL_BYTES] = {character < 0x7f ? character : '?', 0, colours, 0};
    canvas.pixels = (uint8_t *)(uintptr_t)picture->address + row * height * canvas.pitch_bytes
                  + column * width * canvas.pixel_bytes;
    cells_draw(&canvas, cell, NULL, 1);
}

static void set_integer(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void set_channel(lua_State *L, const char *name, const struct boot_channel *channel)
{
    lua_createtable(L, 0, 2);
    set_integer(L, "shift", channel->shift);
    set_integer(L, "bits", channel->bits);
    lua_setfield(L, -2, name);
}

static void set_bytes(lua_State *L, const char *name, const uint8_t *start, const uint8_t *end)
{
    lua_pushlstring(L, (const char *)start, (size_t)(end - start));
    lua_setfield(L, -2, name);
}

void framebuffer_open(lua_State *L)
{
    if (!picture)
        return;
    lua_createtable(L, 0, 9);
    set_integer(L, "address", picture->address);
    set_integer(L, "bytes", picture_bytes());
    set_integer(L, "pitch", picture->pitch_bytes);
    set_integer(L, "width", picture->width);
    set_integer(L, "height", picture->height);
    set_integer(L, "pixel_bytes", picture->pixel_bytes);
    set_channel(L, "red", &picture->red);
    set_channel(L, "green", &picture->green);
    set_channel(L, "blue", &picture->blue);
    lua_setfield(L, -2, "framebuffer");
    lua_createtable(L, 0, 2);
    set_bytes(L, "glyphs", font_glyphs, font_glyphs_end);
    set_bytes(L, "codes", font_codes, font_codes_end);
    lua_setfield(L, -2, "font");
}
