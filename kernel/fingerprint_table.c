/* See fingerprint_table.h. */
#include "fingerprint_table.h"

#include <string.h>

#include "codec_format.h"
#include "lstring.h"
#include "ltable.h"

#define BLOCK_MASK ((1 << FINGERPRINT_BLOCK_BITS) - 1)

void fingerprint_pass_start(struct fingerprint_pass *pass, const struct fingerprint_key *key, Table *names)
{
    pass->key = key;
    pass->names = names;
    memset(pass->texts, 0, sizeof pass->texts);
}

static const char *text_of(const TValue *value, size_t *length)
{
    return getlstr(tsvalue(value), *length);
}

/* R of a text that is a key. Records of one shape have the same few. */
static inline fingerprint text_key(struct fingerprint_pass *pass, const TValue *text)
{
    uintptr_t address = (uintptr_t)tsvalue(text);
    size_t slot = (address >> 5 ^ address >> 13) % FINGERPRINT_CACHE_SLOTS;
    if (pass->texts[slot] != (const void *)address) {
        size_t length;
        const char *bytes = text_of(text, &length);
        pass->factors[slot] = fingerprint_hash(pass->key, DOMAIN_KEY_TEXT, bytes, length);
        pass->texts[slot] = (const void *)address;
    }
    return pass->factors[slot];
}

/* The name of an object, a function and the like; false: it has none. */
static bool name_of(const struct fingerprint_pass *pass, const TValue *value, TValue *name)
{
    lu_byte tag = luaH_get(pass->names, value, name);
    return !tagisempty(tag) && (ttisinteger(name) ? ivalue(name) >= 0 : ttisstring(name));
}

static inline bool key_of(struct fingerprint_pass *pass, const TValue *key, fingerprint *result)
{
    TValue name;
    size_t length;
    const char *bytes;
    switch (ttypetag(key)) {
    case LUA_VSHRSTR:
    case LUA_VLNGSTR:
        *result = text_key(pass, key);
        return true;
    case LUA_VNUMINT:
        *result = fingerprint_integer_key(pass->key, ivalue(key));
        return true;
    case LUA_VNUMFLT:
        *result = fingerprint_float_key(pass->key, fltvalue(key));
        return true;
    case LUA_VFALSE:
    case LUA_VTRUE:
        *result = fingerprint_boolean_key(pass->key, ttistrue(key));
        return true;
    }
    if (!name_of(pass, key, &name))
        return false;
    if (ttisinteger(&name)) {
        *result = fingerprint_object_key(pass->key, ivalue(&name));
    } else {
        bytes = text_of(&name, &length);
        *result = fingerprint_hash(pass->key, DOMAIN_KEY_PERMANENT, bytes, length);
    }
    return true;
}

static bool named_value(const struct fingerprint_pass *pass, const TValue *value, fingerprint *result)
{
    TValue name;
    if (!name_of(pass, value, &name))
        return false;
    if (ttisinteger(&name)) {
        *result = fingerprint_object(ivalue(&name));
    } else {
        size_t length;
        const char *bytes = text_of(&name, &length);
        *result = fingerprint_hash(pass->key, DOMAIN_VALUE_PERMANENT, bytes, length);
    }
    return true;
}

/* A string beyond CHUNK_BYTES is an object of its own, of which a payload knows only the id. */
static inline bool value_of(const struct fingerprint_pass *pass, const TValue *value, fingerprint *result)
{
    size_t length;
    const char *bytes;
    switch (ttypetag(value)) {
    case LUA_VSHRSTR:
    case LUA_VLNGSTR:
        bytes = text_of(value, &length);
        *result = fingerprint_text(pass->key, bytes, length);
        return length <= CHUNK_BYTES;
    case LUA_VNUMINT:
        *result = fingerprint_integer(ivalue(value));
        return true;
    case LUA_VNUMFLT:
        *result = fingerprint_float(fltvalue(value));
        return true;
    case LUA_VFALSE:
    case LUA_VTRUE:
        *result = fingerprint_boolean(ttistrue(value));
        return true;
    default:
        return named_value(pass, value, result);
    }
}

/* Elements `first` to `last` of the part that Lua keeps as an array, all of one block. */
static bool sum_block(struct fingerprint_pass *pass, const Table *table, size_t first, size_t last,
                      fingerprint *result)
{
    struct fingerprint_sum sum = {0, 0};
    for (size_t index = first; index <= last; index++) {
        lu_byte tag = *getArrTag(table, index - 1);
        TValue value;
        fingerprint factor;
        if (tagisempty(tag))
            continue;
        farr2val(table, index - 1, tag, &value);
        if (!value_of(pass, &value, &factor))
            return false;
        fingerprint_add_product(&sum, pass->key->places[index & BLOCK_MASK], factor);
    }
    *result = fingerprint_sum_end(&sum);
    return true;
}

static bool sum_array(struct fingerprint_pass *pass, const Table *table, struct fingerprint_sum *sum)
{
    size_t count = table->asize;
    for (size_t first = 1; first <= count;) {
        size_t last = first | BLOCK_MASK;
        fingerprint of_block;
        if (!sum_block(pass, table, first, last < count ? last : count, &of_block))
            return false;
        int64_t number = (int64_t)(first >> FINGERPRINT_BLOCK_BITS);
        fingerprint_add_product(sum, fingerprint_block(pass->key, number), of_block);
        first = last + 1;
    }
    return true;
}

static bool sum_nodes(struct fingerprint_pass *pass, const Table *table, struct fingerprint_sum *sum)
{
    for (size_t i = 0; i < sizenode(table); i++) {
        const Node *node = gnode(table, i);
        TValue key;
        fingerprint factor, value;
        if (isempty(gval(node)))
            continue;
        key.value_ = node->u.key_val;
        key.tt_ = node->u.key_tt;
        if (!key_of(pass, &key, &factor) || !value_of(pass, gval(node), &value))
            return false;
        fingerprint_add_product(sum, factor, value);
    }
    return true;
}

bool fingerprint_of_table(struct fingerprint_pass *pass, const Table *table, fingerprint *result)
{
    struct fingerprint_sum sum = {0, 0};
    if (!sum_array(pass, table, &sum) || !sum_nodes(pass, table, &sum))
        return false;
    if (table->metatable) {
        TValue metatable = {.value_.gc = obj2gco(table->metatable), .tt_ = ctb(LUA_VTABLE)};
        fingerprint value;
        if (!named_value(pass, &metatable, &value))
            return false;
        fingerprint_add_product(&sum, pass->key->metatable, value);
    }
    *result = fingerprint_sum_end(&sum);
    return true;
}
