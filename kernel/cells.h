/* Cells of text as pixels: glyphs of 8 pixels a line, in two of 16 colours.
 *
 * A cell is 4 bytes: the number of its glyph (2, little endian), the colour of its ink in the low and
 * that of its paper in the high half of the third, nothing in the fourth. Knows nothing of fonts,
 * screens or colours but what it is told, so that it serves the panic screen and every driver.
 */
#ifndef KHOROS_CELLS_H
#define KHOROS_CELLS_H

#include <stddef.h>
#include <stdint.h>

#define CELL_BYTES 4
#define CELL_PIXELS 8               /* the width of a glyph */
#define CELL_COLOURS 16
#define CELL_SCALE_MOST 8           /* a pixel of a glyph becomes a square of at most 8 x 8 */

struct cells_canvas {
    uint8_t *pixels;                /* where the first cell begins */
    size_t pitch_bytes;             /* from one line of pixels to the next */
    unsigned pixel_bytes;           /* 2, 3 or 4 */
    unsigned scale;
    const uint8_t *glyphs;          /* `lines` bytes each, the highest bit on the left */
    unsigned lines;
    uint32_t palette[CELL_COLOURS]; /* colours as pixels */
};

/* Draws `count` cells from left to right; those that equal the cell at their place in `before` are
 * passed over (NULL: none). The caller has checked that everything lies where it may. */
void cells_draw(const struct cells_canvas *canvas, const uint8_t *cells, const uint8_t *before,
                size_t count);

#endif
