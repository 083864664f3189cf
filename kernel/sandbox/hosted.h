/* What Lua's own libraries find where they ask ISO C's hosted half for streams, files, environment,
 * locales and programs. Included before every source of Lua's (kernel/Makefile), so that io, print,
 * os and package are Lua's, unmodified, and do what they can here:
 *
 *     stdout, stderr    text for the process's console; stdout by lines, stderr at once
 *     stdin             at its end
 *     files             there are none: what opens one gets ENOENT to read and EROFS to write
 *     environment       empty                         locales   "C" alone
 *     programs          none: os.execute() is false   clock     the process's own CPU time
 *
 * Nothing of it is shared between processes: what the C library keeps in statics (streams, locales,
 * the result of localtime) is not used. A process writes through the function that it has given to
 * hosted_set_writer(); the supervisor's text goes to the early console.
 */
#ifndef KHOROS_HOSTED_H
#define KHOROS_HOSTED_H

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct lua_State;
struct process;
struct stream;

struct stream *hosted_stream(int number);
struct stream *hosted_open(const char *name, const char *mode);
struct stream *hosted_reopen(const char *name, const char *mode, struct stream *stream);
struct stream *hosted_temporary(void);
int hosted_close(struct stream *stream);

size_t hosted_read(void *bytes, size_t size, size_t count, struct stream *stream);
char *hosted_read_line(char *text, int size, struct stream *stream);
int hosted_get(struct stream *stream);
int hosted_unget(int byte, struct stream *stream);
int hosted_at_end(const struct stream *stream);
int hosted_failed(const struct stream *stream);
void hosted_clear(struct stream *stream);

size_t hosted_write(const void *bytes, size_t size, size_t count, struct stream *stream);
int hosted_print(struct stream *stream, const char *format, ...);
int hosted_flush(struct stream *stream);
int hosted_set_buffer(struct stream *stream, char *buffer, int mode, size_t size);
int hosted_seek(struct stream *stream, long offset, int from);
long hosted_tell(struct stream *stream);

int hosted_remove(const char *name);
int hosted_rename(const char *from, const char *to);
char *hosted_temporary_name(char *name);
char *hosted_environment(const char *name);
char *hosted_locale(int category, const char *name);
int hosted_system(const char *command);
clock_t hosted_clock(void);

/* For our own code. hosted_start() readies the streams of a new process; the function on top of L's stack (popped) gets (text, to stderr?) from now on.
 * hosted_flush_output() writes what stdout still holds; cheap when that is nothing. */
void hosted_start(struct process *process);
void hosted_set_writer(struct lua_State *L);
void hosted_flush_output(struct lua_State *L);

/* lua_setwarnf's function, for a state's own `process`; "@on" and "@off" are obeyed. Starts on: an
 * error in a finalizer shows nowhere else. */
void hosted_warn(void *process, const char *message, int continues);

#ifdef HOSTED_FOR_LUA
#undef stdin
#undef stdout
#undef stderr
#undef feof
#undef ferror
#undef clearerr
#undef getc
#define FILE struct stream
#define stdin hosted_stream(0)
#define stdout hosted_stream(1)
#define stderr hosted_stream(2)
#define fopen hosted_open
#define freopen hosted_reopen
#define tmpfile hosted_temporary
#define fclose hosted_close
#define fread hosted_read
#define fgets hosted_read_line
#define getc hosted_get
#define ungetc hosted_unget
#define feof hosted_at_end
#define ferror hosted_failed
#define clearerr hosted_clear
#define fwrite hosted_write
#define fprintf hosted_print
#define fflush hosted_flush
#define setvbuf hosted_set_buffer
#define fseek hosted_seek
#define ftell hosted_tell
#define remove(name) hosted_remove(name)
#define rename(from, to) hosted_rename(from, to)
#define tmpnam hosted_temporary_name
#define getenv hosted_environment
#define setlocale hosted_locale
#define system(command) hosted_system(command)
#define clock() hosted_clock()
#define l_gmtime(time, result) gmtime_r(time, result)
#define l_localtime(time, result) localtime_r(time, result)
#endif

#endif
