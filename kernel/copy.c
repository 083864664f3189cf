/* See copy.h. Layout of a packed message (never leaves the machine, so native byte order):
 *
 *     value × values, then for each table in the order in which it was first met:
 *         struct section {bytes, array, hash} | (key value)* | END
 *     value = tag [integer 8 | float 8 | length 8 + bytes | number of a table or attachment 8]
 *
 * Both directions keep a Lua table that numbers the tables met: the packer's also answers "have I
 * seen this one?", which keeps sharing and ends cycles.
 */
#include "copy.h"

#include <stdint.h>
#include <string.h>

#include "preempt.h"
#include "process.h"

#define INITIAL_BYTES 112
#define PATH_STEPS_SHOWN 16

enum tag { TAG_END, TAG_NIL, TAG_FALSE, TAG_TRUE, TAG_INTEGER, TAG_FLOAT, TAG_STRING, TAG_TABLE,
           TAG_CAPABILITY };

struct section {
    size_t bytes;               /* of the whole section */
    uint32_t array, hash;       /* how much room the table will want */
};

/* --- messages -------------------------------------------------------------------------------- */

static void message_release(struct object *object)
{
    struct message *message = (struct message *)object;
    for (size_t i = 0; i < message->attachment_count; i++)
        if (message->attachments[i])
            object_destroy(&message->attachments[i]->object);
    kernel_free(message->attachments, message->attachment_count * sizeof *message->attachments);
    kernel_free(message->bytes, message->allocated);
    kernel_free(message->growth, message->growth_bytes);
}

static const char *message_fixed(struct capability *capability)
{
    (void)capability;
    return "messages are handed over whole";
}

static int l_message_size(lua_State *L)
{
    struct message *message = capability_check(L, 1, &message_kind);
    lua_pushinteger(L, (lua_Integer)message->capability.object.charged_bytes);
    return 1;
}

static int l_message_free(lua_State *L)
{
    capability_check(L, 1, &message_kind);
    capability_close(L, 1);
    return 0;
}

static const luaL_Reg message_methods[] = {
    {"free", l_message_free},
    {"__len", l_message_size},
    {"size", l_message_size},
    {NULL, NULL},
};

const struct capability_kind message_kind = {
    .name = "message", .methods = message_methods, .release = message_release,
    .fixed = message_fixed,
};

void message_destroy(struct message *message)
{
    object_destroy(&message->capability.object);
}

void message_destroy_chain(struct message *chain)
{
    preempt_disable();
    while (chain) {
        struct message *next = chain->next;
        message_destroy(chain);
        chain = next;
    }
    preempt_enable();
}

static bool move(struct message *message, struct object_owner *to)
{
    size_t cost = object_cost(&message->capability.object);
    for (size_t i = 0; i < message->attachment_count; i++)
        if (message->attachments[i])
            cost += object_cost(&message->attachments[i]->object);
    preempt_disable();
    bool paid = message->capability.object.owner == to || object_owner_can_pay(to, cost);
    if (paid) {
        object_hand_over(&message->capability.object, to);
        for (size_t i = 0; i < message->attachment_count; i++)
            if (message->attachments[i])
                object_hand_over(&message->attachments[i]->object, to);
    }
    preempt_enable();
    return paid;
}

bool message_move(struct message *message, struct object_owner *to)
{
    bool paid;
    do
        paid = move(message, to);
    while (!paid && memory_reclaim());
    return paid;
}

static struct message *message_new(struct object_owner *owner)
{
    preempt_disable();
    struct message *message = object_new(owner, sizeof *message, message_release);
    if (message)
        message->capability.kind = &message_kind;
    preempt_enable();
    return message;
}

static bool growth_begin(struct message *message, size_t bytes)
{
    preempt_disable();
    bool paid = object_charge(&message->capability.object, bytes);
    if (paid && !(message->growth = kernel_alloc(bytes)))
        object_discharge(&message->capability.object, bytes);
    message->growth_bytes = bytes;
    preempt_enable();
    return message->growth != NULL;
}

/* Room for `more` bytes. The old buffer is copied with pre-emption on: it may be large. */
static bool message_reserve(struct message *message, size_t more)
{
    if (more <= message->allocated - message->length)
        return true;
    if (more > SIZE_MAX / 4)
        return false;
    size_t old = message->allocated, wanted = old ? 2 * old : INITIAL_BYTES;
    if (wanted < message->length + more)
        wanted = message->length + more;
    if (!growth_begin(message, wanted))
        return false;
    if (old > 0)
        memcpy(message->growth, message->bytes, message->length);
    preempt_disable();
    kernel_free(message->bytes, old);
    object_discharge(&message->capability.object, old);
    message->bytes = message->growth;
    message->allocated = wanted;
    message->growth = NULL;
    preempt_enable();
    return true;
}

/* What was reserved and not needed is given back: messages wait in mailboxes. */
static void message_trim(struct message *message)
{
    preempt_disable();
    size_t kept = kernel_trim(message->bytes, message->allocated, message->length);
    object_discharge(&message->capability.object, message->allocated - kept);
    message->allocated = kept;
    preempt_enable();
}

static bool put(struct message *message, const void *bytes, size_t length)
{
    if (!message_reserve(message, length))
        return false;
    if (length > 0)
        memcpy(message->bytes + message->length, bytes, length);
    message->length += length;
    return true;
}

/* The tag of every value is followed by room for eight bytes, except where there is nothing to say:
 * one reservation a value. */
static bool put_word(struct message *message, enum tag tag, const void *word)
{
    unsigned char bytes[9] = {(unsigned char)tag};
    memcpy(bytes + 1, word, 8);
    return put(message, bytes, sizeof bytes);
}

/* --- left in the middle ------------------------------------------------------------------------ */

static void begin(lua_State *L, struct message *message)
{
    struct message **unfinished = process_unfinished(process_of(L));
    message->unfinished = *unfinished;
    *unfinished = message;
}

/* The innermost one is finished, well or not. */
static void finish(lua_State *L)
{
    struct message **unfinished = process_unfinished(process_of(L));
    *unfinished = (*unfinished)->unfinished;
}

void copy_abandon(lua_State *L, struct message *last)
{
    struct message **unfinished = process_unfinished(process_of(L));
    while (*unfinished != last) {
        struct message *message = *unfinished;
        *unfinished = message->unfinished;
        message_destroy_chain(message);
    }
}

/* --- packing --------------------------------------------------------------------------------- */

struct packer {
    struct message *message;
    int first, count;           /* the values' stack positions */
    int seen;                   /* position of: object → number; number → object for tables */
    int handles;                /* position of: number → capability handle */
    size_t capabilities;
    size_t table;               /* number of the table being packed, 0: the top level */
};

static bool put_scalar(struct message *message, lua_State *L, int index, int type)
{
    switch (type) {
    case LUA_TNIL:
        return put(message, &(unsigned char){TAG_NIL}, 1);
    case LUA_TBOOLEAN:
        return put(message, &(unsigned char){lua_toboolean(L, index) ? TAG_TRUE : TAG_FALSE}, 1);
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            lua_Integer integer = lua_tointeger(L, index);
            return put_word(message, TAG_INTEGER, &integer);
        } else {
            lua_Number number = lua_tonumber(L, index);
            return put_word(message, TAG_FLOAT, &number);
        }
    default: {
        size_t length;
        const char *bytes = lua_tolstring(L, index, &length);
        return put_word(message, TAG_STRING, &length) && put(message, bytes, length);
    }
    }
}

static bool is_scalar(int type)
{
    return type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING;
}

/* Adds "[3]" or ".name" for the key at `index` to the buffer. */
static void add_path_step(lua_State *L, luaL_Buffer *path, int index)
{
    if (lua_type(L, index) == LUA_TSTRING) {
        luaL_addchar(path, '.');
        lua_pushvalue(L, index);
    } else {
        lua_pushfstring(L, "[%s]", luaL_tolstring(L, index, NULL));
        lua_remove(L, -2);
    }
    luaL_addvalue(path);
}

/* Leaves on the stack the key under which table `number` was met, and returns the number of the
 * table that holds it; 0 and an argument number when it was an argument. */
static size_t find_holder(lua_State *L, const struct packer *packer, size_t number)
{
    lua_rawgeti(L, packer->seen, (lua_Integer)number);
    int wanted = lua_gettop(L);
    for (int i = 0; i < packer->count; i++)
        if (lua_rawequal(L, packer->first + i, wanted)) {
            lua_pushinteger(L, i + 1);
            return 0;
        }
    for (size_t holder = 1; holder < number; holder++) {
        lua_rawgeti(L, packer->seen, (lua_Integer)holder);
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
            if (lua_rawequal(L, -1, wanted)) {
                lua_pop(L, 1);
                return holder;
            }
        lua_pop(L, 1);
    }
    lua_pushliteral(L, "?");
    return 0;
}

/* Raises "cannot send argument 1.ship.onclick: a function" for the value at `index`, which stands
 * under the key at `key` (0: it is an argument) of the table being packed. */
static void refuse(lua_State *L, const struct packer *packer, int index, int key, const char *why)
{
    int steps[PATH_STEPS_SHOWN], depth = 0;
    size_t table = packer->table;
    luaL_checkstack(L, 8 * PATH_STEPS_SHOWN, NULL);
    if (table > 0) {
        lua_pushvalue(L, key);
        steps[depth++] = lua_gettop(L);
    }
    while (table > 0 && depth < PATH_STEPS_SHOWN) {
        table = find_holder(L, packer, table);
        steps[depth++] = lua_gettop(L);
    }
    if (depth == 0) {
        lua_pushinteger(L, index - packer->first + 1);
        steps[depth++] = lua_gettop(L);
    }
    const char *root = table > 0 ? "…" : lua_pushfstring(L, "argument %s",
                                                 luaL_tolstring(L, steps[--depth], NULL));
    luaL_Buffer path;
    luaL_buffinit(L, &path);
    while (depth > 0)
        add_path_step(L, &path, steps[--depth]);
    luaL_pushresult(&path);
    luaL_error(L, "cannot send %s%s: %s", root, lua_tostring(L, -1), why);
}

static void no_memory(lua_State *L)
{
    luaL_error(L, "not enough memory to send");
}

/* The number of the table or handle at `index`; a new one gets the next. */
static size_t number_of(lua_State *L, struct packer *packer, int index, size_t *next, int list)
{
    lua_pushvalue(L, index);
    if (lua_rawget(L, packer->seen) == LUA_TNUMBER) {
        size_t number = (size_t)lua_tointeger(L, -1);
        lua_pop(L, 1);
        return number;
    }
    lua_pop(L, 1);
    size_t number = ++*next;
    lua_pushvalue(L, index);
    lua_rawseti(L, list, (lua_Integer)number);
    lua_pushvalue(L, index);
    lua_pushinteger(L, (lua_Integer)number);
    lua_rawset(L, packer->seen);
    return number;
}

static void pack_value(lua_State *L, struct packer *packer, int index, int key)
{
    struct message *message = packer->message;
    int type = lua_type(L, index);
    bool done;
    if (is_scalar(type)) {
        done = put_scalar(message, L, index, type);
    } else if (type == LUA_TTABLE) {
        size_t number = number_of(L, packer, index, &message->tables, packer->seen);
        done = put_word(message, TAG_TABLE, &number);
    } else {
        struct capability *capability = capability_any(L, index);
        if (!capability)
            refuse(L, packer, index, key,
                   type == LUA_TUSERDATA ? "it is no live capability" : luaL_typename(L, index));
        const char *why = capability->kind->fixed ? capability->kind->fixed(capability) : NULL;
        if (why)
            refuse(L, packer, index, key, why);
        size_t number = number_of(L, packer, index, &packer->capabilities, packer->handles);
        done = put_word(message, TAG_CAPABILITY, &number);
    }
    if (!done)
        no_memory(L);
}

static uint32_t at_most_32_bits(size_t count)
{
    return count > INT32_MAX ? INT32_MAX : (uint32_t)count;
}

static void pack_table(lua_State *L, struct packer *packer)
{
    struct message *message = packer->message;
    struct section section = {0};
    size_t start = message->length, pairs = 0;
    lua_rawgeti(L, packer->seen, (lua_Integer)packer->table);
    int table = lua_gettop(L);
    size_t array = lua_rawlen(L, table);
    if (!put(message, &section, sizeof section))
        no_memory(L);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1), pairs++) {
        pack_value(L, packer, table + 1, table + 1);
        pack_value(L, packer, table + 2, table + 1);
    }
    if (!put(message, &(unsigned char){TAG_END}, 1))
        no_memory(L);
    section.bytes = message->length - start;
    section.array = at_most_32_bits(array < pairs ? array : pairs);
    section.hash = at_most_32_bits(pairs - section.array);
    memcpy(message->bytes + start, &section, sizeof section);
    lua_settop(L, table - 1);
}

/* A capability that is plain data is copied; false without memory. */
static bool attach_copy(struct message *message, struct capability *original, size_t slot)
{
    size_t bytes = original->object.struct_bytes;
    preempt_disable();
    struct capability *copy =
        object_new(message->capability.object.owner, bytes, original->object.release);
    if (copy) {
        memcpy((char *)copy + sizeof copy->object, (char *)original + sizeof copy->object,
               bytes - sizeof copy->object);
        object_hold(&copy->object);
        message->attachments[slot] = copy;
    }
    preempt_enable();
    return copy != NULL;
}

static bool attachments_alloc(struct message *message, size_t count)
{
    size_t bytes = count * sizeof *message->attachments;
    preempt_disable();
    bool made = object_charge(&message->capability.object, bytes)
                && (message->attachments = kernel_alloc(bytes)) != NULL;
    if (made) {
        memset(message->attachments, 0, bytes);
        message->attachment_count = count;
    }
    preempt_enable();
    return made;
}

/* Everything that can fail happens before the first handle dies. Packing may have run finalizers,
 * so every handle is looked at again. */
static void attach_capabilities(lua_State *L, struct packer *packer)
{
    struct message *message = packer->message;
    size_t count = packer->capabilities;
    luaL_checkstack(L, 2, NULL);
    if (!attachments_alloc(message, count))
        no_memory(L);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, packer->handles, (lua_Integer)i + 1);
        struct capability *capability = capability_any(L, -1);
        if (!capability || (capability->kind->fixed && capability->kind->fixed(capability)))
            luaL_error(L, "cannot send a capability that was given away meanwhile");
        if (capability->kind->copied && !attach_copy(message, capability, i))
            no_memory(L);
        lua_pop(L, 1);
    }
    for (size_t i = 0; i < count; i++) {
        if (message->attachments[i])
            continue;
        lua_rawgeti(L, packer->handles, (lua_Integer)i + 1);
        preempt_disable();
        message->attachments[i] = capability_detach(L, -1);
        object_hold(&message->attachments[i]->object);
        preempt_enable();
        lua_pop(L, 1);
    }
}

/* Arguments: the packer, the values. */
static int l_pack_graph(lua_State *L)
{
    struct packer *packer = lua_touserdata(L, 1);
    struct message *message = packer->message;
    packer->first = 2;
    lua_newtable(L);
    packer->seen = lua_gettop(L);
    lua_newtable(L);
    packer->handles = lua_gettop(L);
    for (int i = 0; i < packer->count; i++)
        pack_value(L, packer, packer->first + i, 0);
    message->first_table = message->length;
    while (packer->table < message->tables) {
        packer->table++;
        pack_table(L, packer);
    }
    if (packer->capabilities > 0)
        attach_capabilities(L, packer);
    return 0;
}

static int pack_graph(lua_State *L, struct message *message, int first, int count)
{
    struct packer packer = {.message = message, .count = count};
    lua_pushcfunction(L, l_pack_graph);
    lua_pushlightuserdata(L, &packer);
    for (int i = 0; i < count; i++)
        lua_pushvalue(L, first + i);
    return lua_pcall(L, count + 1, 0, 0);
}

static int pack_scalars(lua_State *L, struct message *message, int first, int count)
{
    for (int i = 0; i < count; i++)
        if (!put_scalar(message, L, first + i, lua_type(L, first + i))) {
            lua_pushliteral(L, "not enough memory to send");
            return LUA_ERRMEM;
        }
    return LUA_OK;
}

static struct message *give_up(lua_State *L, struct message *message, struct message *before)
{
    if (message)
        message_destroy(message);
    if (before)
        message_destroy(before);
    lua_error(L);
    return NULL;
}

struct message *copy_pack(lua_State *L, int first, int count, struct message *before)
{
    bool flat = true;
    for (int i = 0; i < count && flat; i++)
        flat = is_scalar(lua_type(L, first + i));
    struct message *message = NULL;
    if (lua_checkstack(L, count + 3))
        message = message_new(process_owner(process_of(L)));
    if (!message) {
        lua_settop(L, first - 1);       /* makes room for the error value */
        lua_pushliteral(L, "not enough memory to send");
        return give_up(L, NULL, before);
    }
    message->values = (size_t)count;
    if (before)
        begin(L, before);
    begin(L, message);
    int status = (flat ? pack_scalars : pack_graph)(L, message, first, count);
    finish(L);
    if (before)
        finish(L);
    if (status != LUA_OK)
        return give_up(L, message, before);
    message_trim(message);
    if (before)
        before->next = message;
    return message;
}

/* --- unpacking ------------------------------------------------------------------------------- */

struct unpacker {
    struct message *message;
    const unsigned char *at;
    int known;          /* position of: number → table, tables + number → capability */
};

static void take(struct unpacker *unpacker, void *to, size_t length)
{
    memcpy(to, unpacker->at, length);
    unpacker->at += length;
}

static void push_string(lua_State *L, struct unpacker *unpacker)
{
    size_t length;
    take(unpacker, &length, sizeof length);
    lua_pushlstring(L, (const char *)unpacker->at, length);
    unpacker->at += length;
}

/* Pushes the next value; false at the end of a section. */
static bool unpack_value(lua_State *L, struct unpacker *unpacker)
{
    enum tag tag = *unpacker->at++;
    union { lua_Integer integer; lua_Number number; size_t index; } word = {0};
    if (tag == TAG_INTEGER || tag == TAG_FLOAT || tag == TAG_TABLE || tag == TAG_CAPABILITY)
        take(unpacker, &word, 8);
    switch (tag) {
    case TAG_END:
        return false;
    case TAG_NIL:
        lua_pushnil(L);
        break;
    case TAG_FALSE:
    case TAG_TRUE:
        lua_pushboolean(L, tag == TAG_TRUE);
        break;
    case TAG_INTEGER:
        lua_pushinteger(L, word.integer);
        break;
    case TAG_FLOAT:
        lua_pushnumber(L, word.number);
        break;
    case TAG_STRING:
        push_string(L, unpacker);
        break;
    case TAG_CAPABILITY:
        word.index += unpacker->message->tables;    /* fall through */
    case TAG_TABLE:
        lua_rawgeti(L, unpacker->known, (lua_Integer)word.index);
        break;
    }
    return true;
}

static void create_tables(lua_State *L, struct unpacker *unpacker)
{
    struct message *message = unpacker->message;
    const unsigned char *at = message->bytes + message->first_table;
    for (size_t i = 1; i <= message->tables; i++) {
        struct section section;
        memcpy(&section, at, sizeof section);
        lua_createtable(L, (int)section.array, (int)section.hash);
        lua_rawseti(L, unpacker->known, (lua_Integer)i);
        at += section.bytes;
    }
}

static void create_capabilities(lua_State *L, struct unpacker *unpacker)
{
    struct message *message = unpacker->message;
    for (size_t i = 0; i < message->attachment_count; i++) {
        capability_push(L, &message->attachments[i]);
        lua_rawseti(L, unpacker->known, (lua_Integer)(message->tables + i + 1));
    }
}

static void fill_tables(lua_State *L, struct unpacker *unpacker)
{
    struct message *message = unpacker->message;
    unpacker->at = message->bytes + message->first_table;
    for (size_t i = 1; i <= message->tables; i++) {
        unpacker->at += sizeof(struct section);
        lua_rawgeti(L, unpacker->known, (lua_Integer)i);
        while (unpack_value(L, unpacker)) {
            unpack_value(L, unpacker);
            lua_rawset(L, -3);
        }
        lua_pop(L, 1);
    }
}

static int l_unpack(lua_State *L)
{
    struct unpacker unpacker = {.message = lua_touserdata(L, 1)};
    struct message *message = unpacker.message;
    luaL_checkstack(L, (int)message->values + 6, "too many values in a message");
    if (message->tables + message->attachment_count > 0) {
        lua_createtable(L, (int)(message->tables + message->attachment_count), 0);
        unpacker.known = lua_gettop(L);
        create_tables(L, &unpacker);
        create_capabilities(L, &unpacker);
        fill_tables(L, &unpacker);
    }
    unpacker.at = message->bytes;
    for (size_t i = 0; i < message->values; i++)
        unpack_value(L, &unpacker);
    return (int)message->values;
}

int copy_unpack(lua_State *L, struct message *chain)
{
    int top = lua_gettop(L), status = LUA_OK;
    while (chain && status == LUA_OK) {
        struct message *message = chain;
        chain = message->next;
        begin(L, message);
        if (!lua_checkstack(L, 2)) {
            lua_settop(L, top > 0 ? top - 1 : 0);
            lua_pushliteral(L, "not enough memory");
            status = LUA_ERRMEM;
        } else {
            lua_pushcfunction(L, l_unpack);
            lua_pushlightuserdata(L, message);
            status = lua_pcall(L, 1, LUA_MULTRET, 0);
        }
        finish(L);
        message_destroy(message);
    }
    if (status != LUA_OK) {
        message_destroy_chain(chain);
        lua_error(L);
    }
    return lua_gettop(L) - top;
}
