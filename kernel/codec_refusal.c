/* See codec_refusal.h. */
#include "codec_refusal.h"

#include <ctype.h>
#include <stdio.h>

#include "lauxlib.h"

/* Of the table on top. */
static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void push_found(lua_State *L, struct codec_input input, const struct codec_error *error)
{
    static const char digits[] = "0123456789abcdef";
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    luaL_addstring(&text, error->found);
    for (size_t i = 0; i < error->shown_bytes; i++) {
        uint8_t byte = input.bytes[error->shown_from + i];
        luaL_addchar(&text, digits[byte >> 4]);
        luaL_addchar(&text, digits[byte & 15]);
    }
    luaL_pushresult(&text);
}

void codec_push_malformed(lua_State *L, struct codec_input input, const struct codec_error *error)
{
    lua_createtable(L, 0, 5);
    set_text(L, "code", "malformed");
    set_text(L, "expected", error->expected);
    lua_pushinteger(L, (lua_Integer)error->offset);
    lua_setfield(L, -2, "offset");
    push_found(L, input, error);
    lua_pushfstring(L, "offset %I: expected %s, found %s", (LUAI_UACINT)error->offset, error->expected,
                    lua_tostring(L, -1));
    lua_setfield(L, -3, "message");
    lua_setfield(L, -2, "found");
}

/* As string.format's %q. */
static void add_quoted(luaL_Buffer *text, const uint8_t *bytes, size_t length)
{
    luaL_addchar(text, '"');
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = bytes[i];
        if (byte == '"' || byte == '\\' || byte == '\n') {
            luaL_addchar(text, '\\');
            luaL_addchar(text, (char)byte);
        } else if (iscntrl(byte)) {
            bool digit_follows = i + 1 < length && isdigit(bytes[i + 1]);
            char escape[8];
            snprintf(escape, sizeof escape, digit_follows ? "\\%03u" : "\\%u", byte);
            luaL_addstring(text, escape);
        } else {
            luaL_addchar(text, (char)byte);
        }
    }
    luaL_addchar(text, '"');
}

void codec_push_unknown_permanent(lua_State *L, const struct codec_value *name, size_t offset)
{
    luaL_Buffer text;
    lua_createtable(L, 0, 6);
    set_text(L, "code", "unknown_permanent");
    set_text(L, "expected", "a value registered under this name");
    lua_pushinteger(L, (lua_Integer)offset);
    lua_setfield(L, -2, "offset");
    lua_pushlstring(L, (const char *)name->text, name->length);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "name");
    lua_setfield(L, -2, "found");
    luaL_buffinit(L, &text);
    lua_pushfstring(L, "offset %I: nothing is registered under the name ", (LUAI_UACINT)offset);
    luaL_addvalue(&text);
    add_quoted(&text, name->text, name->length);
    luaL_pushresult(&text);
    lua_setfield(L, -2, "message");
}
