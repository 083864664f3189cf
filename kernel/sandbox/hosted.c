/* See hosted.h. */
#include "hosted.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "../cpu.h"
#include "../process_state.h"
#include "lauxlib.h"

enum { STDIN, STDOUT, STDERR };

#define MESSAGE_BYTES 512

/* NULL: the supervisor. */
static struct process *current(void)
{
    return this_cpu()->process;
}

struct stream *hosted_stream(int number)
{
    static struct stream of_supervisor[] = {{.number = STDIN}, {.number = STDOUT}, {.number = STDERR}};
    struct process *process = current();
    return process ? &process->streams[number] : &of_supervisor[number];
}

void hosted_start(struct process *process)
{
    for (int number = STDIN; number <= STDERR; number++)
        process->streams[number] = (struct stream){
            .number = (uint8_t)number, .mode = number == STDERR ? _IONBF : _IOLBF};
}

/* --- writing --------------------------------------------------------------------------------- */

/* Its address is the key in the registry. */
static const char writer;

void hosted_set_writer(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &writer);
}

/* Calls the process's writer. Hooks of user code do not see it: to them it is a C function's work. */
static void emit(lua_State *L, int number, const char *text, size_t length)
{
    luaL_checkstack(L, 4, "no room to write");
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &writer) != LUA_TFUNCTION) {
        lua_pop(L, 1);
        return;
    }
    lua_pushlstring(L, text, length);
    lua_pushboolean(L, number == STDERR);
    bool shown = preempt_hide_hooks(L);
    lua_call(L, 2, 0);
    preempt_show_hooks(L, shown);
    if (process_of(L)->interrupted)
        preempt_arm(L);     /* who only writes is never at the end of its slice */
}

/* The buffer is empty before anything runs that might write: pushing the text copies it first, and
 * only then may a finalizer run. */
static void flush(struct process *process)
{
    size_t length = process->output_bytes;
    process->output_bytes = 0;
    if (length > 0)
        emit(process->running, STDOUT, process->output, length);
}

void hosted_flush_output(lua_State *L)
{
    flush(process_of(L));
}

static void write_through(struct process *process, int number, const char *text, size_t length)
{
    flush(process);
    emit(process->running, number, text, length);
}

static void write_buffered(struct process *process, int mode, const char *text, size_t length)
{
    if (length > OUTPUT_BYTES - process->output_bytes)
        flush(process);
    /* Too much for an empty buffer, or for one that finalizers have filled again while it was written. */
    if (length > OUTPUT_BYTES - process->output_bytes)
        return emit(process->running, STDOUT, text, length);
    memcpy(process->output + process->output_bytes, text, length);
    process->output_bytes += length;
    if (mode == _IOLBF && memchr(text, '\n', length))
        flush(process);
}

size_t hosted_write(const void *bytes, size_t size, size_t count, struct stream *stream)
{
    struct process *process = current();
    size_t length = size * count;
    if (stream->number == STDIN) {
        stream->failed = true;
        errno = EBADF;
        return 0;
    }
    if (!process)
        return fwrite(bytes, size, count, stream->number == STDERR ? stderr : stdout);
    if (length > 0 && stream->mode == _IONBF)
        write_through(process, stream->number, bytes, length);
    else if (length > 0)
        write_buffered(process, stream->mode, bytes, length);
    return count;
}

int hosted_print(struct stream *stream, const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof text)
        length = sizeof text - 1;
    return length < 0 ? length : (int)hosted_write(text, 1, (size_t)length, stream);
}

int hosted_flush(struct stream *stream)
{
    struct process *process = current();
    if (!process)
        return fflush(stdout);
    if (stream->number == STDOUT)
        flush(process);
    return 0;
}

/* stderr is not buffered, whatever is asked for. */
int hosted_set_buffer(struct stream *stream, char *buffer, int mode, size_t size)
{
    (void)buffer, (void)size;
    if (stream->number == STDOUT) {
        hosted_flush(stream);
        stream->mode = mode;
    }
    return 0;
}

void hosted_warn(void *context, const char *message, int continues)
{
    struct process *process = context;
    bool begins = !process->warning_continues;
    process->warning_continues = continues;
    if (begins && !continues && message[0] == '@') {
        if (strcmp(message, "@off") == 0)
            process->warnings_off = true;
        else if (strcmp(message, "@on") == 0)
            process->warnings_off = false;
    } else if (!process->warnings_off) {
        hosted_print(hosted_stream(STDERR), "%s", begins ? "Lua warning: " : "");
        hosted_write(message, 1, strlen(message), hosted_stream(STDERR));
        hosted_print(hosted_stream(STDERR), "%s", continues ? "" : "\n");
    }
}

/* --- reading: stdin is at its end, the others are not for reading ------------------------------ */

static void read_nothing(struct stream *stream)
{
    if (stream->number == STDIN)
        return;
    stream->failed = true;
    errno = EBADF;
}

size_t hosted_read(void *bytes, size_t size, size_t count, struct stream *stream)
{
    (void)bytes, (void)size, (void)count;
    read_nothing(stream);
    return 0;
}

char *hosted_read_line(char *text, int size, struct stream *stream)
{
    (void)text, (void)size;
    read_nothing(stream);
    return NULL;
}

int hosted_get(struct stream *stream)
{
    read_nothing(stream);
    return EOF;
}

/* Only what hosted_get() gave comes back. */
int hosted_unget(int byte, struct stream *stream)
{
    (void)byte, (void)stream;
    return EOF;
}

int hosted_at_end(const struct stream *stream)
{
    return stream->number == STDIN;
}

int hosted_failed(const struct stream *stream)
{
    return stream->failed;
}

void hosted_clear(struct stream *stream)
{
    stream->failed = false;
}

int hosted_seek(struct stream *stream, long offset, int from)
{
    (void)stream, (void)offset, (void)from;
    errno = ESPIPE;
    return -1;
}

long hosted_tell(struct stream *stream)
{
    (void)stream;
    errno = ESPIPE;
    return -1;
}

/* --- files: there are none --------------------------------------------------------------------- */

struct stream *hosted_open(const char *name, const char *mode)
{
    (void)name;
    errno = mode[0] == 'r' ? ENOENT : EROFS;
    return NULL;
}

struct stream *hosted_reopen(const char *name, const char *mode, struct stream *stream)
{
    (void)stream;
    return hosted_open(name, mode);
}

struct stream *hosted_temporary(void)
{
    return hosted_open("", "w");
}

int hosted_close(struct stream *stream)
{
    (void)stream;
    return 0;
}

int hosted_remove(const char *name)
{
    (void)name;
    errno = ENOENT;
    return -1;
}

int hosted_rename(const char *from, const char *to)
{
    (void)to;
    return hosted_remove(from);
}

char *hosted_temporary_name(char *name)
{
    (void)name;
    return NULL;
}

/* --- environment, locales, programs, time ------------------------------------------------------ */

char *hosted_environment(const char *name)
{
    (void)name;
    return NULL;
}

char *hosted_locale(int category, const char *name)
{
    static char c[] = "C";
    (void)category;
    bool is_c = !name || !*name || strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0;
    return is_c ? c : NULL;
}

int hosted_system(const char *command)
{
    errno = ENOSYS;
    return command ? -1 : 0;
}

clock_t hosted_clock(void)
{
    struct process *process = current();
    return process ? (clock_t)(process_cpu_ns(process) / (1000000000 / CLOCKS_PER_SEC)) : clock();
}
