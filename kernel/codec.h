/* The value codec in C: what lua/fs/codec.lua does, behind the same functions, for the processes that
 * have an object store. Nothing of it is policy: it knows MessagePack and the numbers that
 * codec_format.h has of the format's schemas.
 *
 *     codec_read.c, codec_parts.c     payloads, one value at a time, refusals included; no Lua
 *     codec_decode.c                  payload → table
 *     codec_write.c                   bytes, in memory of the Lua state
 *     codec_order.c                   the canonical order of keys
 *     codec_encode.c, codec_values.c, codec_array.c, codec_pairs.c    table → payload
 *     codec_references.c              the ids in a payload
 *     codec_entries.c                 payloads as entries of a frame
 *     codec_reach.c                   which tables lead to which
 *     fingerprint*.c, lua_fingerprint.c    has a table changed?
 *     lua_codec.c                     the table `codec` of a process
 *
 * Promises: the same bytes and the same refusals as the reference. All memory is the Lua state's, so it is
 * charged to the process and goes with an error or with the process; nothing needs to be undone
 * when a Lua error passes through. No pointer into a table is kept while Lua code may run.
 */
#ifndef KHOROS_CODEC_H
#define KHOROS_CODEC_H

#include "lua.h"

int codec_encode(lua_State *L);         /* encode(t, names, metatable, miss) */
int codec_encode_value(lua_State *L);   /* encode_value(v, names, miss, key) */
int codec_decode(lua_State *L);         /* decode(payload, into, links) */
int codec_decode_value(lua_State *L);   /* decode_value(payload, at, links) */
int codec_references(lua_State *L);     /* references(payload, into): {count = n, id, …} → into | nil, err */
int codec_entries(lua_State *L);        /* entries(ids, kinds, payloads, first, last, place, pointers, crc) → bytes, crc */
int codec_reach(lua_State *L);          /* reach(stack, found, names, fresh, odd) → count */
int codec_fingerprinter(lua_State *L);  /* fingerprinter([secret]), see lua_fingerprint.c */

#endif
