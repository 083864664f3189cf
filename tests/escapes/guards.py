"""Guards, and copies of the sources without them: the positive controls of the escape attempts.

A guard of the C core is a piece of text in kernel/ that a copy wraps in `guarded("name")`; one host program is built
from that copy, and KHOROS_GUARD_OFF=name (or names, joined by +) takes
guards away in a run. A guard in Lua is a piece of text that a copy
of lua/ has replaced. Each must stand in its file exactly once: who moves a guard moves its row.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "escapes"

# name → (file in kernel/, the guard, what stands there in the copy)
C_GUARDS: dict[str, tuple[str, str, str]] = {
    "block range": (
        "block.c",
        "if (offset < 0 || length < 0 || (size_t)offset > block->size_bytes\n"
        "        || (size_t)length > block->size_bytes - (size_t)offset)",
        'if (guarded("block range") && (offset < 0 || length < 0\n'
        "        || (size_t)offset > block->size_bytes\n"
        "        || (size_t)length > block->size_bytes - (size_t)offset))",
    ),
    "block freed": (
        "block.c",
        "if (!block->memory || !block->memory->bytes)\n        luaL_argerror",
        'if (guarded("block freed") && (!block->memory || !block->memory->bytes))\n'
        "        luaL_argerror",
    ),
    "block number": (
        "block.c",
        "luaL_argcheck(L, value >= -(range / 2) && value < range, 3",
        'luaL_argcheck(L, !guarded("block number") || (value >= -(range / 2) && value < range), 3',
    ),
    "block find": (
        "block.c",
        "luaL_argcheck(L, to >= 0 && (size_t)to <= block->size_bytes, 4",
        'luaL_argcheck(L, !guarded("block find") || (to >= 0 && (size_t)to <= block->size_bytes), 4',
    ),
    "block find start": (
        "block.c",
        "luaL_argcheck(L, from >= 0 && from <= to, 3",
        'luaL_argcheck(L, !guarded("block find start") || (from >= 0 && from <= to), 3',
    ),
    "block size": (
        "block.c",
        "luaL_argcheck(L, size_bytes > 0 && size_bytes <= PTRDIFF_MAX, 1",
        'luaL_argcheck(L, !guarded("block size") || (size_bytes > 0 && size_bytes <= PTRDIFF_MAX), 1',
    ),
    "slices in use": (
        "block.c",
        'return memory->windows > 1 ? "slices',
        'return guarded("slices in use") && memory->windows > 1 ? "slices',
    ),
    "kind": (
        "capability.c",
        "if (!handle || handle->kind != kind)\n        luaL_typeerror",
        'if (guarded("kind") && (!handle || handle->kind != kind))\n        luaL_typeerror',
    ),
    "dead handle": (
        "capability.c",
        "if (!handle->capability)\n        luaL_argerror",
        'if (guarded("dead handle") && !handle->capability)\n        luaL_argerror',
    ),
    "handle dies": (
        "capability.c",
        "handle->capability = NULL;\n    return capability;",
        'if (guarded("handle dies"))\n        handle->capability = NULL;\n    return capability;',
    ),
    "protected metatable": (
        "capability.c",
        'lua_setfield(L, -2, "__metatable");',
        'lua_setfield(L, -2, guarded("protected metatable") ? "__metatable" : "__unprotected");',
    ),
    "quota of the heap": (
        "arena.c",
        "return pages <= arena->page_limit && taken <= arena->page_limit - pages;",
        'return !guarded("quota of the heap")\n'
        "           || (pages <= arena->page_limit && taken <= arena->page_limit - pages);",
    ),
    "account": (
        "account.h",
        "return !account || (account->bytes <= account->bytes_limit",
        'return !guarded("account") || !account || (account->bytes <= account->bytes_limit',
    ),
    "quota of objects": (
        "object.c",
        "return held <= owner->bytes_limit && bytes <= owner->bytes_limit - held;",
        'return !guarded("quota of objects")\n'
        "           || (held <= owner->bytes_limit && bytes <= owner->bytes_limit - held);",
    ),
    "plain control values": (
        "process.c",
        "if (lua_type(L, index) == LUA_TTABLE ||",
        'if (!guarded("plain control values"))\n        return;\n'
        "    if (lua_type(L, index) == LUA_TTABLE ||",
    ),
    "small results": (
        "process.c",
        "bool kept = result->length <= RESULT_BYTES_MOST && result->attachment_count == 0;",
        'bool kept = !guarded("small results")\n'
        "                || (result->length <= RESULT_BYTES_MOST && result->attachment_count == 0);",
    ),
    "ticks are hidden": (
        "coroutine.c",
        "if (status == LUA_YIELD && level.process->passing != PASSING_NOTHING) {",
        'if (status == LUA_YIELD && level.process->passing != PASSING_NOTHING\n'
        '        && guarded("ticks are hidden")) {',
    ),
    "main thread does not yield": (
        "coroutine.c",
        "if (process_is_main_thread(L))\n        return luaL_error(L, \"attempt to yield",
        'if (guarded("main thread does not yield") && process_is_main_thread(L))\n'
        '        return luaL_error(L, "attempt to yield',
    ),
    "main thread is not closed": (
        "coroutine.c",
        "if (process_is_main_thread(co))\n        return luaL_error(L, \"cannot close main",
        'if (guarded("main thread is not closed") && process_is_main_thread(co))\n'
        '        return luaL_error(L, "cannot close main',
    ),
    "normal coroutine is not closed": (
        "coroutine.c",
        "if (state == NORMAL)\n        return luaL_error",
        'if (guarded("normal coroutine is not closed") && state == NORMAL)\n        return luaL_error',
    ),
    "text only": (
        "sandbox/libraries.c",
        'lua_pushstring(L, text ? "t" : "");',
        'lua_pushstring(L, guarded("text only") ? (text ? "t" : "") : "bt");',
    ),
    "port range": (
        "lua_port.c",
        "if (offset < 0 || offset > (lua_Integer)range->count - (lua_Integer)width)",
        'if (guarded("port range")\n'
        "        && (offset < 0 || offset > (lua_Integer)range->count - (lua_Integer)width))",
    ),
    "transfer broken off": (
        "block.c",
        "if (memory->pin)\n        memory->pin->break_off",
        'if (guarded("transfer broken off") && memory->pin)\n        memory->pin->break_off',
    ),
    "transfer not sent": (
        "block.c",
        "if (memory->pin)\n        return",
        'if (guarded("transfer not sent") && memory->pin)\n        return',
    ),
    "engine not sent": (
        "lua_dma.c",
        "return ((struct engine *)capability)->state == IDLE ?",
        'return !guarded("engine not sent") || ((struct engine *)capability)->state == IDLE ?',
    ),
    "engine reach": (
        "lua_dma.c",
        "luaL_argcheck(L, address + (size_t)count <= REACH, 3,",
        'luaL_argcheck(L, !guarded("engine reach") || address + (size_t)count <= REACH, 3,',
    ),
    "engine regions": (
        "lua_dma.c",
        "luaL_argcheck(L, describe(engine->table, address, (size_t)count), 5,",
        'luaL_argcheck(L, describe(engine->table, address, (size_t)count) || !guarded("engine regions"), 5,',
    ),
    "burst count": (
        "lua_port.c",
        "if (accesses < 0 || accesses > LUA_MAXINTEGER / width)",
        'if (guarded("burst count") && (accesses < 0 || accesses > LUA_MAXINTEGER / width))',
    ),
    "port slice": (
        "lua_port.c",
        "if (count < 1 || count > range->count || offset < 0 || offset > range->count - count)",
        'if (guarded("port slice") && (count < 1 || count > range->count || offset < 0\n'
        "                                  || offset > range->count - count))",
    ),
}  # fmt: skip

# What the copy has besides, for guards.c.
ADDITIONS = {
    "block.c": ('    lua_setfield(L, -2, "memory");\n}', '    lua_setfield(L, -2, "memory");\n    guards_open(L);\n}'),
    "process.c": (
        "    if (new_bytes == 0) {",
        "    if (new_bytes > old_bytes && !((struct process *)process)->supervisor && allocation_fails())\n"
        "        return NULL;\n    if (new_bytes == 0) {",
    ),
}  # fmt: skip

# name → (file in lua/, the guard, what stands there in the copy)
LUA_GUARDS: dict[str, tuple[str, str, str]] = {
    "may end": (
        "kernel/processes.lua", "if process == other then return true end", "do return true end",
    ),
    "numbers are no capabilities": (
        "kernel/calls.lua", "if target and target.service and not process.service", "if false",
    ),
    "own requests": (
        "kernel/ipc.lua", "if not entry or entry.server ~= process then return refuse", "if not entry then return refuse",
    ),
    "no call of oneself": ("kernel/ipc.lua", "if from == to then", "if false then"),
    "no wait for oneself": ("kernel/processes.lua", "if process == waiter then", "if false then"),
    "names of services": (
        "kernel/calls.lua",
        "if OF_SERVICES[name] and not process.service then",
        "if false then",
    ),
    "public modules": ("kernel/runtime.lua", "return boot.trusted\nend", "return true\nend"),
    "no unsafe children": (
        "kernel/calls.lua", "if unsafe and not process.privileges.unsafe", "if false",
    ),
    "own interrupt lines": (
        "kernel/calls.lua",
        "function answers.listen(process, line)\n    if not process.lines[line] then",
        "function answers.listen(process, line)\n    if false then",
    ),
    "power is a privilege": (
        "kernel/calls.lua", "if not process.privileges.power then", "if false then",
    ),
    "interrupting is a privilege": (
        "kernel/calls.lua", "if not process.privileges.interrupt then", "if false then",
    ),
    "letters are few": (
        "kernel/ipc.lua",
        "return not account or account.letters < POSTED_LETTERS",
        "do return true end\n    return not account or account.letters < POSTED_LETTERS",
    ),
    "results are for ancestors": (
        "kernel/processes.lua", "if waiter.operator or waiter.service or", "if true or",
    ),
    "taken names": ("kernel/calls.lua", 'if holder then return nil, "taken" end', ""),
    "letters are small": (
        "kernel/ipc.lua",
        'if bytes > MAILBOX_BYTES then return nil, "too large" end\n'
        "    if mailbox.letters >= rooms * MAILBOX_LETTERS or mailbox.bytes + bytes > rooms * MAILBOX_BYTES\n"
        "      or is_machine_full(bytes) then\n"
        '      return nil, "full"\n'
        "    end\n"
        "    return true\n"
        "  end\n"
        "\n"
        "  -- May a process of this account leave one more unread?\n"
        "  local function may_post(account, mailbox, bytes)\n",
        "return true\n"
        "  end\n"
        "  local function may_post(account, mailbox, bytes)\n"
        "    if true then return true end\n",
    ),
    "no more memory than the parent": (
        "kernel/calls.lua", "if memory and memory > own_memory then", "if false then",
    ),
    "least memory": (
        "kernel/processes.lua",
        'if math.type(memory) ~= "integer" or memory < LEAST_MEMORY then return refuse',
        "if false then return refuse",
    ),
    "names are short": (
        "kernel/calls.lua", 'name:sub(1, NAME_BYTES):gsub("%c", "?") or nil', "name or nil",
    ),
}  # fmt: skip


def replaced(path: Path, old: str, new: str) -> None:
    """Replace the one occurrence of `old` in a file of a copy."""
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} holds {text.count(old)} times, not once:\n{old}"
    path.write_text(text.replace(old, new))


def lua_without(guard: str | None, target: Path) -> Path:
    """A copy of lua/ without that guard; the original when there is none to remove."""
    if guard is None:
        return ROOT / "lua"
    shutil.copytree(ROOT / "lua", target)
    file, old, new = LUA_GUARDS[guard]
    replaced(target / file, old, new)
    return target


def _copy_kernel(target: Path) -> None:
    shutil.copytree(ROOT / "kernel", target, dirs_exist_ok=True)
    for name in ("io.h", "guards.h", "guards.c"):
        shutil.copy2(HERE / name, target / name)
    changed = set()
    for file, old, new in [*C_GUARDS.values(), *((file, *pair) for file, pair in ADDITIONS.items())]:
        replaced(target / file, old, new)
        changed.add(target / file)
    for path in changed:
        path.write_text('#include "guards.h"\n#line 1\n' + path.read_text())


def _adopt(new: Path, old: Path) -> None:
    """Make `old` what `new` is, leaving files that are equal with their times, for make."""
    for path in new.rglob("*"):
        other = old / path.relative_to(new)
        if path.is_file() and not (other.is_file() and other.read_bytes() == path.read_bytes()):
            other.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, other)


def build_host() -> Path:
    """The host program with removable guards, under sanitizers; one worker at a time builds it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fresh = BUILD / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        _copy_kernel(fresh)
        _adopt(fresh, BUILD / "kernel")
        made = subprocess.run(
            ["make", "-C", ROOT / "tests" / "core", "-j2", "SANITIZE=1", f"KERNEL={BUILD / 'kernel'}",
             f"BUILD={BUILD}", "MORE_SOURCES=guards", "OF_MODEL=lua_dma"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
    return BUILD / "sanitized" / "host"
