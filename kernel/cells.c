/* See cells.h. Four pixels at a time come from a table that is made anew when the colours change,
 * which is seldom; memory is written only, in the order of its addresses, and never read: a screen's
 * is slow to read.
 */
#include "cells.h"

#include <string.h>

#define HALF_PIXELS (CELL_PIXELS / 2)
#define HALF_PATTERNS (1 << HALF_PIXELS)
#define HALF_BYTES_MOST (HALF_PIXELS * CELL_SCALE_MOST * 4)

struct halves {
    size_t bytes;                   /* of one line of half a glyph */
    uint8_t pixels[HALF_PATTERNS][HALF_BYTES_MOST];
};

/* The lines that every pattern of four pixels makes in these colours. */
static void halves_make(struct halves *halves, const struct cells_canvas *canvas, uint8_t colours)
{
    const uint32_t shades[] = {canvas->palette[colours >> 4], canvas->palette[colours & 15]};
    halves->bytes = (size_t)HALF_PIXELS * canvas->scale * canvas->pixel_bytes;
    for (unsigned pattern = 0; pattern < HALF_PATTERNS; pattern++) {
        uint8_t *to = halves->pixels[pattern];
        for (unsigned x = 0; x < HALF_PIXELS * canvas->scale; x++) {
            uint32_t shade = shades[pattern >> (HALF_PIXELS - 1 - x / canvas->scale) & 1];
            memcpy(to, &shade, canvas->pixel_bytes);
            to += canvas->pixel_bytes;
        }
    }
}

static void glyph_draw(const struct cells_canvas *canvas, const struct halves *halves, uint8_t *to,
                       const uint8_t *glyph)
{
    size_t half = halves->bytes;
    for (unsigned y = 0; y < canvas->lines; y++) {
        const uint8_t *left = halves->pixels[glyph[y] >> HALF_PIXELS];
        const uint8_t *right = halves->pixels[glyph[y] & (HALF_PATTERNS - 1)];
        for (unsigned times = 0; times < canvas->scale; times++, to += canvas->pitch_bytes) {
            memcpy(to, left, half);
            memcpy(to + half, right, half);
        }
    }
}

void cells_draw(const struct cells_canvas *canvas, const uint8_t *cells, const uint8_t *before,
                size_t count)
{
    struct halves halves;
    int made = -1;                  /* the colours that `halves` is made for */
    size_t step = (size_t)CELL_PIXELS * canvas->scale * canvas->pixel_bytes;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *cell = cells + i * CELL_BYTES;
        if (before && memcmp(cell, before + i * CELL_BYTES, CELL_BYTES) == 0)
            continue;
        if (made != cell[2]) {
            made = cell[2];
            halves_make(&halves, canvas, cell[2]);
        }
        const uint8_t *glyph = canvas->glyphs + (size_t)(cell[0] | cell[1] << 8) * canvas->lines;
        glyph_draw(canvas, &halves, canvas->pixels + i * step, glyph);
    }
}
