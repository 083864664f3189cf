/* Messages: values on their way from one Lua state to another.
 *
 * The sender packs its values into a flat message, the receiver unpacks them; each works on its own
 * stack and in its own heap, so an error or an end of memory on either side is an ordinary Lua error
 * there and nothing is lost. Copied are nil, booleans, integers, floats, strings and tables (sharing
 * and cycles kept, metatables not). Capabilities move: the sender's handle is dead once the whole
 * message is packed. Anything else is refused, with the path to it. Depth does not matter: neither
 * direction recurses.
 */
#ifndef KHOROS_COPY_H
#define KHOROS_COPY_H

#include <stdbool.h>
#include <stddef.h>

#include "capability.h"

struct message {
    struct capability capability;       /* the supervisor holds messages as userdata */
    unsigned char *bytes;
    size_t length, allocated;
    unsigned char *growth;              /* the larger buffer, while the old one is copied */
    size_t growth_bytes;
    size_t values, tables, first_table; /* counts; offset of the first table's contents */
    struct capability **attachments;    /* capabilities on the way, owned by the message's owner */
    size_t attachment_count;
    struct message *next;               /* the next one of a chain: they are unpacked together */
    struct message *unfinished;         /* below this one in process_unfinished() */
};

extern const struct capability_kind message_kind;

/* Packs the `count` values from stack index `first` on, as the next of the chain that ends with
 * `before` (or NULL). The message belongs to the process of L. Raises what cannot be sent and the
 * end of memory; then the sender has lost nothing, and the one message `before` is destroyed. */
struct message *copy_pack(lua_State *L, int first, int count, struct message *before);

/* Pushes the values of the whole chain and destroys it, also when it raises (out of memory).
 * Returns how many values there are. */
int copy_unpack(lua_State *L, struct message *chain);

/* Hands the message and all it carries to another owner. False: that one cannot pay. */
bool message_move(struct message *message, struct object_owner *to);

/* Destroys what is being packed and unpacked in the process of L, down to `last`: the C functions that
 * would have finished it were left for good. */
void copy_abandon(lua_State *L, struct message *last);

void message_destroy(struct message *message);
void message_destroy_chain(struct message *chain);

#endif
