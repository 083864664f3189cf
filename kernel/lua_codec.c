/* core.codec: the value codec in C. Same functions as fs.codec, for fs.objects' option `codec`. */
#include "codec.h"
#include "lauxlib.h"
#include "lua_bindings.h"

void lua_codec_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", codec_encode},
        {"encode_value", codec_encode_value},
        {"decode", codec_decode},
        {"decode_value", codec_decode_value},
        {"references", codec_references},
        {"entries", codec_entries},
        {"reach", codec_reach},
        {"fingerprinter", codec_fingerprinter},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "codec");
}
