/* See codec_write.h. */
#include "codec_write.h"

#include <string.h>

#include "codec_format.h"
#include "lauxlib.h"
#include "messagepack.h"
#include "utf8.h"

/* --- room ------------------------------------------------------------------------------------ */

void codec_output_start(struct codec_output *output, lua_State *L, int place)
{
    output->L = L;
    output->place = place;
    output->length = 0;
    output->room = sizeof output->own;
    output->bytes = output->own;
}

void codec_output_push(struct codec_output *output)
{
    lua_pushlstring(output->L, (const char *)output->bytes, output->length);
}

static void grow(struct codec_output *output, size_t more)
{
    size_t wanted = 2 * output->room;
    while (wanted - output->length < more)
        wanted *= 2;
    uint8_t *bytes = lua_newuserdatauv(output->L, wanted, 0);
    memcpy(bytes, output->bytes, output->length);
    lua_replace(output->L, output->place);
    output->bytes = bytes;
    output->room = wanted;
}

uint8_t *codec_output_add(struct codec_output *output, size_t bytes)
{
    if (bytes > output->room - output->length)
        grow(output, bytes);
    uint8_t *added = output->bytes + output->length;
    output->length += bytes;
    return added;
}

/* A first byte and a number of `count` bytes, big-endian. */
static void add_number(struct codec_output *output, uint8_t head, uint64_t number, unsigned count)
{
    uint8_t *bytes = codec_output_add(output, 1 + count);
    bytes[0] = head;
    for (unsigned i = count; i > 0; i--, number >>= 8)
        bytes[i] = (uint8_t)number;
}

/* A length in one of three forms that follow each other, for 1, 2 and 4 bytes. */
static void add_length(struct codec_output *output, uint8_t head_of_1, size_t length)
{
    if (length > UINT32_MAX)
        luaL_error(output->L, "more than 4294967295 bytes have no form");
    if (length <= 0xff)
        add_number(output, head_of_1, length, 1);
    else if (length <= 0xffff)
        add_number(output, head_of_1 + 1, length, 2);
    else
        add_number(output, head_of_1 + 2, length, 4);
}

static void add_bytes(struct codec_output *output, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(codec_output_add(output, length), bytes, length);
}

/* --- scalars --------------------------------------------------------------------------------- */

void codec_write_boolean(struct codec_output *output, bool value)
{
    *codec_output_add(output, 1) = value ? MP_TRUE : MP_FALSE;
}

static void write_negative(struct codec_output *output, lua_Integer integer)
{
    uint64_t bits = (uint64_t)integer;
    if (integer >= -0x80)
        add_number(output, MP_INT8, bits, 1);
    else if (integer >= -0x8000)
        add_number(output, MP_INT16, bits, 2);
    else if (integer >= -0x80000000LL)
        add_number(output, MP_INT32, bits, 4);
    else
        add_number(output, MP_INT64, bits, 8);
}

void codec_write_integer(struct codec_output *output, lua_Integer integer)
{
    uint64_t bits = (uint64_t)integer;
    if (integer >= MP_NEGATIVE_FIRST - 0x100 && integer <= MP_POSITIVE_LAST)
        *codec_output_add(output, 1) = (uint8_t)integer;
    else if (integer < 0)
        write_negative(output, integer);
    else if (integer <= 0xff)
        add_number(output, MP_UINT8, bits, 1);
    else if (integer <= 0xffff)
        add_number(output, MP_UINT16, bits, 2);
    else if (integer <= 0xffffffff)
        add_number(output, MP_UINT32, bits, 4);
    else
        add_number(output, MP_UINT64, bits, 8);
}

void codec_write_float(struct codec_output *output, lua_Number number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    add_number(output, MP_FLOAT64, number == number ? bits : CANONICAL_NAN, 8);
}

void codec_write_string(struct codec_output *output, const char *text, size_t length)
{
    bool is_text = utf8_valid((const uint8_t *)text, length);
    if (is_text && length <= MP_FIXSTR_MAX)
        *codec_output_add(output, 1) = (uint8_t)(MP_FIXSTR + length);
    else
        add_length(output, is_text ? MP_STR8 : MP_BIN8, length);
    add_bytes(output, text, length);
}

/* --- extensions ------------------------------------------------------------------------------ */

static void write_extension_head(struct codec_output *output, uint8_t kind, size_t length)
{
    static const uint8_t fixed[] = {
        [1] = MP_FIXEXT1, [2] = MP_FIXEXT2, [4] = MP_FIXEXT4, [8] = MP_FIXEXT8, [16] = MP_FIXEXT16};
    if (length < sizeof fixed && fixed[length])
        *codec_output_add(output, 1) = fixed[length];
    else
        add_length(output, MP_EXT8, length);
    *codec_output_add(output, 1) = kind;
}

/* The type takes the place of a first byte before the id. */
void codec_write_id(struct codec_output *output, uint8_t type, lua_Integer id)
{
    uint64_t bits = (uint64_t)id;
    unsigned bytes = bits <= 0xff ? 1 : bits <= 0xffff ? 2 : bits <= 0xffffffff ? 4 : 8;
    *codec_output_add(output, 1) = bytes == 1 ? MP_FIXEXT1 : bytes == 2 ? MP_FIXEXT2
                                   : bytes == 4 ? MP_FIXEXT4 : MP_FIXEXT8;
    add_number(output, type, bits, bytes);
}

void codec_write_permanent(struct codec_output *output, const char *name, size_t length)
{
    write_extension_head(output, EXT_PERMANENT, length);
    add_bytes(output, name, length);
}

void codec_write_packed(struct codec_output *output, uint8_t code, size_t bytes)
{
    write_extension_head(output, EXT_PACKED, 1 + bytes);
    *codec_output_add(output, 1) = code;
}

/* --- counts ---------------------------------------------------------------------------------- */

static void write_count(struct codec_output *output, uint8_t fixed, uint8_t head_of_2, size_t count)
{
    if (count > UINT32_MAX)
        luaL_error(output->L, "more than 4294967295 elements have no form");
    if (count <= MP_FIXCOUNT_MAX)
        *codec_output_add(output, 1) = (uint8_t)(fixed + count);
    else if (count <= 0xffff)
        add_number(output, head_of_2, count, 2);
    else
        add_number(output, head_of_2 + 1, count, 4);
}

void codec_write_array_count(struct codec_output *output, size_t count)
{
    write_count(output, MP_FIXARRAY, MP_ARRAY16, count);
}

void codec_write_map_count(struct codec_output *output, size_t count)
{
    write_count(output, MP_FIXMAP, MP_MAP16, count);
}
