/* What the decoder says of a payload that it refuses: the tables that fs.value_decoder makes, word for
 * word. Each function pushes one.
 */
#ifndef KHOROS_CODEC_REFUSAL_H
#define KHOROS_CODEC_REFUSAL_H

#include "codec_read.h"
#include "lua.h"

void codec_push_malformed(lua_State *L, struct codec_input input, const struct codec_error *error);

/* Nothing is registered under the name that stands at `offset`. */
void codec_push_unknown_permanent(lua_State *L, const struct codec_value *name, size_t offset);

#endif
