/* Writing canonical MessagePack, one value at a time, the shortest form of everything.
 *
 * The bytes grow first in the structure itself, then in userdata at one place of the Lua stack: whoever
 * declares an output gives it that place. May raise "not enough memory".
 */
#ifndef KHOROS_CODEC_WRITE_H
#define KHOROS_CODEC_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lua.h"

#define CODEC_OUTPUT_BYTES 512

struct codec_output {
    lua_State *L;
    int place;                  /* stack index of the userdata, nil before */
    size_t length, room;
    uint8_t *bytes;             /* own, or the userdata's */
    uint8_t own[CODEC_OUTPUT_BYTES];
};

void codec_output_start(struct codec_output *output, lua_State *L, int place);

/* Pushes the bytes as a string. */
void codec_output_push(struct codec_output *output);

/* Room for so many bytes more, which the caller fills. */
uint8_t *codec_output_add(struct codec_output *output, size_t bytes);

void codec_write_boolean(struct codec_output *output, bool value);
void codec_write_integer(struct codec_output *output, lua_Integer integer);
void codec_write_float(struct codec_output *output, lua_Number number);
void codec_write_string(struct codec_output *output, const char *text, size_t length);
/* type: EXT_REFERENCE, EXT_STRING or EXT_FUNCTION. */
void codec_write_id(struct codec_output *output, uint8_t type, lua_Integer id);
void codec_write_permanent(struct codec_output *output, const char *name, size_t length);
void codec_write_array_count(struct codec_output *output, size_t count);
void codec_write_map_count(struct codec_output *output, size_t count);
/* Head, type and element code of a packed array whose elements, `bytes` in all, the caller adds. */
void codec_write_packed(struct codec_output *output, uint8_t code, size_t bytes);

#endif
