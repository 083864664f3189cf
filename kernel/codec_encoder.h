/* The parts of encoding a table: values, array part, map part. For codec_*.c only.
 *
 * miss() is Lua code, and so is any finalizer that an allocation sets off: either may change the table
 * that is being encoded. So nothing here points into a table. Keys and values of the map part are
 * first laid down on the Lua stack, or in a table if they are many, where they stay alive and in place.
 */
#ifndef KHOROS_CODEC_ENCODER_H
#define KHOROS_CODEC_ENCODER_H

#include "codec_write.h"

/* Stack of encode: its arguments, the output's place, where many pairs are kept; then the few. */
enum { ENCODE_TABLE = 1, ENCODE_NAMES, ENCODE_METATABLE, ENCODE_MISS, ENCODE_OUTPUT, ENCODE_KEPT,
       ENCODE_FIRST_PAIR };

/* So many pairs are kept on the stacks; each has key, value, and the key's name or nil. */
#define PAIRS_FEW 16
#define SLOTS_OF_A_PAIR 3

/* For nil where a stack index is wanted. */
#define NO_KEY 0

struct codec_encoder {
    lua_State *L;
    int names, miss;                /* stack indexes */
    struct codec_output output;
};

struct codec_array {
    lua_Integer count;              /* of the longest run of values from 1 */
    bool integers, floats;          /* all of them? */
    lua_Integer least, greatest;    /* of integers */
};

/* Pushes the name of the value at `index`, an id or a text, asking miss(value, key) if it has none.
 * False, and nothing pushed: it stays without. `key`: a stack index, or NO_KEY. */
bool codec_push_name(struct codec_encoder *encoder, int index, int key);

/* The name on top, no text, as an id. */
lua_Integer codec_id_on_top(lua_State *L);

/* Writes the name on top, that of the value at `index`, and pops it. */
void codec_write_name(struct codec_encoder *encoder, int index);

/* Writes the value at `index`; false if it has no form. A long string, which is an object of its own, is asked of
 * miss(). As a key a string is written by codec_write_string(). */
bool codec_write_value(struct codec_encoder *encoder, int index, int key);

/* Pushes the four results that say what cannot be saved. False, always. */
bool codec_refuse_value(lua_State *L, int key, int value, const char *role);

/* Of the table at ENCODE_TABLE. False: four results are on the stack. */
struct codec_array codec_measure_array(lua_State *L);
bool codec_write_array(struct codec_encoder *encoder, const struct codec_array *array);
bool codec_write_map(struct codec_encoder *encoder, const struct codec_array *array);

#endif
