/* One function a binding: each takes the `core` table on top of the stack and adds its fields. */
#ifndef KHOROS_LUA_BINDINGS_H
#define KHOROS_LUA_BINDINGS_H

struct lua_State;
struct boot_info;

void archive_open(struct lua_State *L);      /* core.source, core.modules */
void crash_record_open(struct lua_State *L); /* core.kept, core.keep */
void lua_port_open(struct lua_State *L);     /* core.ports */
void lua_irq_open(struct lua_State *L);      /* core.irq */
void lua_dma_open(struct lua_State *L);      /* core.dma */
void lua_clock_open(struct lua_State *L);    /* core.clock, core.halt, core.random */
void lua_crc32c_open(struct lua_State *L);   /* core.crc32c */
void lua_codec_open(struct lua_State *L);    /* core.codec */
void lua_physical_open(struct lua_State *L); /* core.physical */
void framebuffer_open(struct lua_State *L);  /* core.framebuffer, core.font */

#endif
