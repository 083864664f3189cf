/* The font of the graphics screen, as font.py leaves it beside the objects: 16 bytes a glyph; which
 * code points they are. */
    .section .rodata
    .global font_glyphs, font_glyphs_end, font_codes, font_codes_end
font_glyphs:
    .incbin "font.glyphs"
font_glyphs_end:
font_codes:
    .incbin "font.codes"
font_codes_end:

    .section .note.GNU-stack, "", @progbits
