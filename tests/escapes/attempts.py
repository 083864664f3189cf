"""The escape attempts: one table. How they are run, and what `escaped`, `held`, `raises`, `refused` and `victim` mean to
their sources, stands in director.lua.

An attempt's control is the same attempt with its guard taken away, which must then succeed: `Off(guard)` (guards.py; several joined by +),
`UNSAFE` (a process with all of Lua's libraries) or `IN_PROCESS` (the boundary between processes is the guard: the victim
is the attempt's own process). `without` says what success looks like; a fault or a report of the sanitizers is success
where the guard keeps wild memory accesses away.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Off:
    guard: str


UNSAFE = "unsafe"
IN_PROCESS = "in_process"

ESCAPED = r"^finished escaped"
#: A wild access: the CPU's fault in the process, or the sanitizers' report.
WILD = r"^finished escaped|^fault|AddressSanitizer|runtime error"


@dataclass(frozen=True)
class Attempt:
    name: str
    source: str
    control: Off | str
    held: str = r"^finished held"
    without: str = ESCAPED
    ports: bool = False  # needs a port range: on the host only
    engine: bool = False  # needs a DMA engine, and ports besides: an access to one lets it move
    block: bool = False  # gets a block of 64 bytes in parameters.block
    memory: int | None = None
    seconds: float | None = None
    kill_after: float | None = None


def library(name: str, expression: str, held: str = r"^finished held") -> Attempt:
    """Something that only a complete library has, by an expression that is true where it works."""
    return Attempt(name, f"return refused(function() return {expression} end)", UNSAFE, held)


LIBRARIES = [
    library("debug.getregistry", "debug.getregistry()"),
    library("debug.getupvalue of require", "debug.getupvalue(require, 1)"),
    library("debug.sethook", "debug.sethook(function() end, '', 1) or true"),
    library("debug.getinfo gives functions", "debug.getinfo(1, 'f').func"),
    library("debug.getlocal of the caller", "debug.getlocal(2, 1) or debug.getlocal"),
    library("debug.setmetatable of a number", "debug.setmetatable(0, {__index = function() return 1 end})"),
    library("debug.getmetatable of a block", "debug.getmetatable(system.memory(8)).__gc"),
    library("debug.setuservalue", "debug.setuservalue"),
    library("string.dump", "string.dump(function() end)"),
    library("io.open", "io.open"),
    library("io.popen", "io.popen"),
    library("os.execute", "os.execute"),
    library("os.remove", "os.remove"),
    library("os.setlocale", "os.setlocale()"),
    library("dofile", "dofile"),
    library("loadfile", "loadfile"),
    library("package.loadlib", "package.loadlib"),
    library("package.searchpath", "package.searchpath"),
    library("package.cpath", "package.cpath"),
    library(
        "upvalues lead to the kernel's call",
        """(function()
          for i = 1, 50 do
            local name, value = debug.getupvalue(system.send, i)
            if name == "call" then return value("ps", 0) end
          end
        end)()""",
    ),
    Attempt(
        "binary chunk",
        'local text = string.dump and string.dump(function() return "in" end) or "\\27Lua" '
        "return refused(load, text)",
        UNSAFE,
        r"held.*binary chunk",
    ),
    Attempt(
        "binary chunk by mode b",
        'local text = string.dump and string.dump(function() end) or "\\27Lua" return refused(load, text, "x", "b")',
        UNSAFE,
        r"held.*chunk",
    ),
    Attempt(
        "binary chunk in pieces",
        'local text, at = string.dump and string.dump(function() end) or "\\27Lua", 0 '
        "return refused(load, function() at = at + 1 return text:sub(at, at) end, 'x', 'bt')",
        UNSAFE,
        r"held.*binary chunk",
    ),
    Attempt(
        "mode that is no mode",
        "return refused(load, 'return 1', 'x', 'b')",
        Off("text only"),
        r"held.*text chunk",
    ),
]

# What one process does to its own libraries and tables; the victim is another, unless the boundary is taken away.
SHARED = {
    "string metatable": ("getmetatable('').__index = {}", "return ('x').rep == nil"),
    "string metatable's operators": (
        "getmetatable('').__add = function() return 'poison' end", "return pcall(function() return 'a' + 'b' end)",
    ),
    "library function": ("string.rep = function() return 'poison' end", "return ('x'):rep(2) == 'poison'"),
    "global": ("secret = 'poison'", "return secret ~= nil"),
    "pcall": ("_G.pcall = nil", "return pcall == nil"),
    "loaded modules": (
        "package.loaded.system = {poison = true}", "return require('system').poison",
    ),
    "coroutine library": ("coroutine.resume = nil", "return coroutine.resume == nil"),
    "metatable of _G": (
        "setmetatable(_G, {__index = function() return 'poison' end})", "return nothing == 'poison'",
    ),
    "print": ("print = 'poison'", "return print == 'poison'"),
    "stopped collector": ("collectgarbage('stop')", "return not collectgarbage('isrunning')"),
    "seed of random": ("math.randomseed(1)", "return math.random(0) == (function() math.randomseed(1) return math.random(0) end)()"),
}  # fmt: skip
ISOLATION = [
    Attempt(f"poisoned {what}", f"{act}\nreturn refused(victim, {look!r})", IN_PROCESS)
    for what, (act, look) in SHARED.items()
]

# Values that do something where they arrive.
VALUES = {
    "metatable": ("setmetatable({}, {})", "return getmetatable(...) ~= nil"),
    "__index": ("setmetatable({}, {__index = function() return 1 end})", "return (...).x == 1"),
    "__len": ("setmetatable({}, {__len = function() return 7 end})", "return #(...) == 7"),
    "__pairs": (
        "setmetatable({}, {__pairs = function() return function() end, 1 end})",
        "local _, state = pairs(...) return state == 1",
    ),
    "__eq": ("setmetatable({}, {__eq = function() return true end})",
             "return (...) == {}"),
    "__tostring": ("setmetatable({}, {__tostring = function() return 'x' end})", "return tostring((...)) == 'x'"),
    "__close": ("setmetatable({}, {__close = function() closed = true end})",
                "do local x <close> = ... end return closed"),
    "__gc": ("setmetatable({}, {__gc = function() collected = true end})",
             "local function drop() end drop(...) return getmetatable(...) and getmetatable(...).__gc"),
    "error object": ("setmetatable({}, {__tostring = function() return 'x' end})",
                     "local _, e = pcall(error, ...) return getmetatable(e) ~= nil"),
    "function": ("print", "return type(...) == 'function'"),
    "function in a key": ("{[print] = 1}", "return type(next(...)) == 'function'"),
    "coroutine": ("coroutine.create(print)", "return type(...) == 'thread'"),
    "running coroutine": ("coroutine.running()", "return type(...) == 'thread'"),
}  # fmt: skip
HOSTILE_VALUES = [
    Attempt(f"sent {what}", f"return refused(victim, {look!r}, {value})", IN_PROCESS)
    for what, (value, look) in VALUES.items()
] + [
    Attempt(
        "table changed after it was sent",
        "local t = {1} victim('kept = ...', t) t[1] = 2 return refused(victim, 'return kept[1] == 2')",
        IN_PROCESS,
    ),
    Attempt(
        "table changed while it is copied",
        """local t = {}
        for i = 1, 2000 do t[i] = setmetatable({}, {__gc = function() t[i] = nil t[-i] = "poison" end}) end
        for i = 1, 2000, 2 do t[i] = i end
        collectgarbage("step")
        return refused(victim, "local t = ... for k in pairs(t) do if k < 0 and t[-k] then return true end end "
          .. "if getmetatable(t[2]) then return true end", t)""",
        IN_PROCESS,
    ),
]

BLOCK = "local whole = system.memory(4096) whole:fill(0x5a) local b = whole:slice(1024, 64)\n"
RANGE = Off("block range")
OUTSIDE = r"held.*outside the block"
# Lua itself would refuse to make such a string.
TOO_BIG = r"block too big|runtime error"


def access(name: str, call: str, guard: Off = RANGE, held: str = OUTSIDE, without: str = WILD) -> Attempt:
    """A call on `b`, 64 bytes in the middle of a page."""
    return Attempt(f"block {name}", f"{BLOCK}return raises(function() return {call} end)", guard, held, without)


BLOCKS = [
    access("u8 before", "b:u8(-1)"),
    access("u8 at the end", "b:u8(64)"),
    access("u8 far before", "b:u8(math.mininteger)"),
    access("u8 far behind", "b:u8(math.maxinteger)"),
    access("u16 across the end", "b:u16(63)"),
    access("i16be across the end", "b:i16be(63)"),
    access("u32 across the end", "b:u32(61)"),
    access("i32be across the end", "b:i32be(61)"),
    access("u64 across the end", "b:u64(57)"),
    access("u64be near 2^63", "b:u64be(math.maxinteger - 7)"),
    access("set_u8 before", "b:set_u8(-1, 0)"),
    access("set_u8 at the end", "b:set_u8(64, 0)"),
    access("set_u16 across the end", "b:set_u16(63, 0)"),
    access("set_u32be across the end", "b:set_u32be(62, 0)"),
    access("set_u64 across the end", "b:set_u64(60, 0)"),
    access("read past the end", "b:read(60, 5)"),
    access("read of negative length", "b:read(8, -8)", without=TOO_BIG),
    access("read of huge length", "b:read(1, math.maxinteger)", without=TOO_BIG),
    access("read that wraps around", "b:read(math.maxinteger, math.maxinteger)", without=TOO_BIG),
    access("write past the end", "b:write(60, '12345')"),
    access("write before", "b:write(-3, 'abc')"),
    access("fill past the end", "b:fill(0, 60, 5)"),
    access("fill of huge length", "b:fill(0, 0, math.maxinteger)"),
    access("fill from behind the end", "b:fill(0, 65)"),
    access("copy to past the end", "b:copy(60, whole, 0, 5)"),
    access("copy from past the end", "whole:copy(0, b, 60, 5)"),
    access("copy of negative length", "b:copy(8, whole, 8, -1)"),
    access("compare past the end", "b:compare(60, whole, 0, 5)"),
    access("compare with past the end", "whole:compare(0, b, 64, 1)"),
    access("slice past the end", "b:slice(60, 5):u8(4)"),
    access("slice before", "b:slice(-1024, 1024):u8(0)"),
    access("slice of a slice widens", "b:slice(0, 8):slice(0, 64):u8(63)"),
    access("slice of huge length", "b:slice(1, math.maxinteger):u8(1000)"),
    access("find to past the end", "assert(b:find('\\x5a', 64, 100))", Off("block find"), r"held.*outside"),
    access("find from before", "assert(b:find('\\x5a', -1))", Off("block find start"), r"held.*outside"),
    access("number that does not fit", "b:set_u8(0, 256)", Off("block number"), r"held.*fit"),
    access(
        "of negative size", "system.memory(-1)", Off("block size"), r"held.*size out of range",
    ),
    Attempt(
        "block used after it was freed",
        "local b = system.memory(64) b:free() return raises(b.u8, b, 0)",
        Off("block freed"), r"held.*freed", WILD,
    ),
    Attempt(
        "slice used after its block was freed",
        "local b = system.memory(64) local s = b:slice(8, 8) b:free() return raises(s.write, s, 0, 'x')",
        Off("block freed"), r"held.*freed", WILD,
    ),
    Attempt(
        "block freed twice", "local b = system.memory(64) b:free() return raises(b.free, b)",
        Off("block freed"), r"held.*freed", WILD,
    ),
    Attempt(
        "block freed by a finalizer while it is sliced",
        """local b = system.memory(64)
        collectgarbage("generational") collectgarbage("incremental")
        for i = 1, 3000 do
          setmetatable({}, {__gc = function() b:free() b = system.memory(64) end})
          local ok, s = pcall(b.slice, b, 0, 8)
          if ok then pcall(s.u8, s, 0) end
        end
        b:free()
        return raises(b.u8, b, 0)""",
        Off("block freed"), r"held.*freed", WILD,
    ),
    Attempt(
        "block used after it was sent",
        "local b = system.memory(64) victim('kept = ...', b) return raises(b.write, b, 0, 'poison')",
        Off("handle dies"), r"held.*sent away", WILD,
    ),
    Attempt(
        "block sent twice in a cyclic table",
        "local b = system.memory(64) local t = {b, b} t.t = t victim('kept = ...', t) return raises(b.u8, b, 0)",
        Off("handle dies"), r"held.*sent away", WILD,
    ),
    Attempt(
        "dead handle",
        "local b = system.memory(64) victim('kept = ...', b) return raises(b.size, b)",
        Off("dead handle"), r"held.*sent away", WILD,
    ),
    Attempt(
        "slice kept while its block is sent",
        "local b = system.memory(64) local s = b:slice(0, 8) "
        "return refused(function() victim('kept = ...', b) s:write(0, 'poison') return true end)",
        Off("slices in use"), r"held.*slices of it are in use",
    ),
    Attempt(
        "block method with a string for self", "return raises(system.memory(8).u8, 'text', 0)",
        Off("kind"), r"held.*block expected", WILD,
    ),
    Attempt(
        "block method with a table for self", "return raises(system.memory(8).u8, {}, 0)",
        Off("kind"), r"held.*block expected", WILD,
    ),
    Attempt(
        "block method without self", "return raises(system.memory(8).read)",
        Off("kind"), r"held.*block expected", WILD,
    ),
    Attempt(
        "metatable of a block", "return refused(function() return type(getmetatable(system.memory(8))) == 'table' end)",
        Off("protected metatable"),
    ),
    Attempt(
        "__gc of a block called by hand",
        "local b = system.memory(8) local m = getmetatable(b) return refused(function() m.__gc(b) return true end)",
        Off("protected metatable"),
    ),
]  # fmt: skip


def port(name: str, call: str, guard: str, held: str, without: str = r"escaped") -> Attempt:
    """A call on `p`, a range of four ports."""
    return Attempt(
        f"port {name}", f"local p, b = parameters.ports, system.memory(64) return raises(function() return {call} end)",
        Off(guard), held, without, ports=True,
    )  # fmt: skip


STRAY = r"held.*outside a range"
PORTS = [
    port("in8 before", "p:in8(-1)", "port range", STRAY),
    port("in8 at the end", "p:in8(4)", "port range", STRAY),
    port("in16 across the end", "p:in16(3)", "port range", STRAY),
    port("in32 across the end", "p:in32(1)", "port range", STRAY),
    port("in8 by 65536", "p:in8(65536 - 8)", "port range", STRAY),
    port("in8 near 2^63", "p:in8(math.maxinteger)", "port range", STRAY),
    port("in8 near -2^63", "p:in8(math.mininteger)", "port range", STRAY),
    port("out8 at the end", "p:out8(4, 0)", "port range", STRAY),
    port("out16 across the end", "p:out16(3, 0)", "port range", STRAY),
    port("out32 before", "p:out32(-2, 0)", "port range", STRAY),
    port("burst in at the end", "p:in8s(4, b, 0, 4)", "port range", STRAY),
    port("burst out before", "p:out16s(-2, b, 0, 4)", "port range", STRAY),
    port("slice widens", "p:slice(2, 4):in8(3)", "port slice", r"held.*outside a range"),
    port("slice before", "p:slice(-8, 4):in8(0)", "port slice", r"held.*outside a range"),
    port("burst past the block", "p:in8s(0, b, 60, 5)", "block range", OUTSIDE, WILD),
    port("burst before the block", "p:in32s(0, b, -4, 1)", "block range", OUTSIDE, WILD),
    port("burst of a count that wraps around", "p:in32s(0, b, 0, 1 << 62)", "burst count", r"held.*not a count", WILD),
]



def transfer(name: str, attack: str, guard: str, held: str = r"^finished held", without: str = ESCAPED) -> Attempt:
    """An attack with the engine `e`, the block `b` that it reaches, and `moves()`, after which it has moved."""
    begin = "local e, p = parameters.engine, parameters.ports local b = e:memory(8192) local function moves() p:in8(0) end "
    return Attempt(
        f"transfer {name}", begin + attack, Off(guard), held, without, ports=True, engine=True, memory=64 << 20,
    )  # fmt: skip


RUN = "e:prepare('in', b, 0, 8192) e:start() "
TRANSFERS = [
    transfer("past the block", "return raises(function() e:prepare('in', b, 4096, 8192) e:start() moves() end)",
             "block range", OUTSIDE, WILD),
    transfer("before the block", "return raises(function() e:prepare('in', b, -65536, 4096) e:start() moves() end)",
             "block range", OUTSIDE, WILD),
    transfer("into a block out of reach",
             "return raises(function() e:prepare('in', system.memory(4096), 0, 4096) e:start() moves() end)",
             "engine reach", r"held.*does not reach", WILD),
    transfer("of more regions than the table has",
             "local b = e:memory(40 << 20) return raises(function() e:prepare('in', b, 0, #b) e:start() end)",
             "engine regions", r"held.*too many"),
    transfer("into memory that was freed", RUN + """b:free() moves()
      local next_owner = e:memory(8192) moves()
      return next_owner:u8(0) == 0 and "held" or "escaped" """,
             "transfer broken off", without=WILD),
    transfer("into memory that was collected", RUN + """b = nil collectgarbage() moves()
      local next_owner = e:memory(8192) moves()
      return next_owner:u8(0) == 0 and "held" or "escaped" """,
             "transfer broken off", without=WILD),
    transfer("into memory of the one it was sent to", RUN + """return refused(victim,
      "return (...):size()", b)""", "transfer not sent", r"held.*a transfer moves its bytes"),
    transfer("by an engine that was sent away", RUN + """return refused(victim,
      "return true", e)""", "engine not sent", r"held.*a transfer is under way"),
]  # fmt: skip

FRAME = "string.pack('<c1s4', 'x', '\\0')"
SYSTEM = [
    Attempt(
        "kill a service", "return refused(system.kill, 1)", Off("may end"), r"held.*not allowed",
    ),
    Attempt(
        "kill the parent", "return refused(system.kill, parameters.director)", Off("may end"),
        r"held.*not allowed", r"the director was killed",
    ),
    Attempt("kill a sibling", "return refused(system.kill, victim_id)", Off("may end"), r"held.*not allowed", r"escaped|harmed"),
    Attempt(
        "kill whatever ids there are",
        """for _, id in ipairs{1, 1.0, 2, 3, parameters.director, "1", 0, -1, 0/0, 1/0, 2^53, math.mininteger, {}, true} do
          local ok, done = pcall(system.kill, id)
          if ok and done then return "escaped", tostring(id) end
        end
        return "held" """,
        Off("may end"), r"^finished held", r"escaped|harmed",
    ),
    Attempt(
        "wait for oneself", "return refused(system.wait, system.id, 0.05)", Off("no wait for oneself"),
        r"held.*wait for itself", r"held timeout",
    ),
    Attempt(
        "call oneself", "return refused(system.call, system.id, 1)", Off("no call of oneself"),
        r"held.*cannot call itself", r"hung", seconds=2,
    ),
    Attempt(
        "service by its number", "return refused(system.send, 1, 'size')", Off("numbers are no capabilities"),
        r"held.*dead",
    ),
    Attempt(
        "exit frame through the console by number", f"return refused(system.send, 1, 'frame', 'x', {FRAME})",
        Off("numbers are no capabilities"), r"held.*dead",
    ),
    Attempt(
        "service by a forged sender", "return refused(system.send, setmetatable({process = 1, kind = 'call'}, {}), 'size')",
        Off("numbers are no capabilities"), r"held.*dead",
    ),
    Attempt(
        "reply to another's request",
        """local asker = system.spawn{source = "local system = require 'system' "
          .. "return system.call_within(3, " .. system.spawn{source = "require('system').sleep(10)", memory = 1 << 20}.id
          .. ", 'question')", memory = 1 << 20}
        system.sleep(0.05)
        for request = 1, 3000 do system.reply(request, "forged") end
        local how, answer = system.wait(asker, 4)
        return answer == "forged" and "escaped" or "held", tostring(answer)""",
        Off("own requests"), r"held",
    ),
    Attempt(
        "replies with ids that are none",
        """for _, id in ipairs{0, -1, 0/0, "1", true, 2^53, math.maxinteger} do
          local ok, done = pcall(system.reply, id, "forged")
          if ok and done then return "escaped" end
        end
        local server = system.id
        local client = system.spawn{source = "return require('system').call(" .. server .. ", 1)", memory = 1 << 20}
        local from = system.receive(5)
        assert(system.reply(from, "first"))
        return refused(system.reply, from, "second")""",
        Off("own requests"), r"held.*no such request", r"held.*no such request",
    ),
    Attempt("name of a service", "return refused(system.register, 'store')", Off("names of services"), r"held.*not allowed"),
    Attempt("require of a driver", "return refused(require, 'drivers.ata')", Off("public modules"), r"held.*not for this process"),
    Attempt(
        "require of the kernel", "return refused(require, 'kernel.capabilities')", Off("public modules"),
        r"held.*not for this process",
    ),
    Attempt(
        "child with all libraries",
        "local child = system.spawn{source = 'return debug.getregistry ~= nil', unsafe = true, memory = 1 << 20} "
        "return refused(function() return child and select(2, system.wait(child)) end)",
        Off("no unsafe children"),
    ),
    Attempt(
        "child with privileges",
        """local child = system.spawn{source = "local system = require 'system' return system.register('store') or system.power('off')"
          .. " or system.listen(1)", service = true, trusted = true, module = "services.shell", operator = true,
          privileges = {power = true, interrupt = true, unsafe = true}, lines = {[1] = true}, essential = true,
          memory = 1 << 20}
        return refused(function() return select(2, system.wait(child)) end)""",
        Off("names of services"),
    ),
    Attempt(
        "child with more memory than oneself",
        "return refused(system.spawn, {source = 'return 1', memory = 1 << 40})",
        Off("no more memory than the parent"), r"held.*more memory than",
    ),
    Attempt(
        "child of no memory", "return refused(system.spawn, {source = 'return 1', memory = 1})",
        Off("least memory"), r"held.*too little to run", r"held.*too little for its program",
    ),
    Attempt(
        "child of negative memory", "return refused(system.spawn, {source = 'return 1', memory = -1})",
        Off("least memory"), r"held.*too little", r"held.*system call failed",
    ),
    Attempt(
        "child with a name as large as a book",
        """local child = system.spawn{source = "require('system').sleep(1)", name = ("\\27[2J"):rep(2000), memory = 1 << 20}
        if not child then return "held", "no child" end
        for _, row in ipairs(system.ps()) do
          if row.id == child.id and (#row.name > 64 or row.name:find("%c")) then return "escaped" end
        end
        return "held", "shortened" """,
        Off("names are short"), r"held",  r"^finished escaped|^finished held no child",
    ),
    Attempt("another's interrupt line", "return refused(system.listen, 1)", Off("own interrupt lines"), r"held.*not its"),
    Attempt("power switch", "return refused(system.power, 'off')", Off("power is a privilege"), r"held.*not allowed", r"escaped|hung"),
    Attempt(
        "interrupt another", "return refused(system.interrupt, victim_id, true)", Off("interrupting is a privilege"),
        r"held.*not allowed", r"escaped|harmed",
    ),
    Attempt(
        "flood of a mailbox",
        """local deaf = system.spawn("require('system').sleep(10)", {memory = 1 << 20})
        local count, why = 0
        while count < 1000 do
          local sent
          sent, why = system.send(deaf, "x")
          if not sent then break end
          count = count + 1
        end
        system.kill(deaf)
        return count == 1000 and "escaped" or "held", count .. " " .. tostring(why)""",
        Off("letters are few"), r"held 512 full",
    ),
    Attempt(
        "flood of many mailboxes",
        """local count, why, deaf = 0, nil, {}
        for i = 1, 10 do deaf[i] = system.spawn("require('system').sleep(10)", {memory = 300000}) end
        for i = 1, 510 * #deaf do
          local sent
          sent, why = system.send(deaf[i % #deaf + 1], "x")
          if not sent then break end
          count = count + 1
        end
        for i = 1, #deaf do system.kill(deaf[i]) end
        return count == 510 * #deaf and "escaped" or "held", #deaf .. " " .. count .. " " .. tostring(why)""",
        Off("letters are few"), r"held 10 4096 full",
    ),
    Attempt(
        "results of another",
        """local other = system.spawn("return 'secret'", {memory = 1 << 20})
        system.wait(other)
        local spy = system.spawn("local s = require 'system' return s.wait(" .. other.id .. ")", {memory = 1 << 20})
        return refused(function() return select(3, system.wait(spy)) end)""",
        Off("results are for ancestors"),
    ),
    Attempt(
        "name of another",
        """local holder = system.spawn("local s = require 'system' s.register('mine') s.reply(s.receive(), true) s.sleep(10)",
          {memory = 1 << 20})
        system.call(holder, "there?")
        system.register("mine")
        local found = system.lookup("mine"):process()
        system.kill(holder)
        return found == system.id and "escaped" or "held" """,
        Off("taken names"),
    ),
    Attempt(
        "letter of 17 MB", "return refused(system.send, victim_id, ('x'):rep(17 << 20))", Off("letters are small"),
        r"held.*too large", memory=64 << 20,
    ),
    Attempt(
        "blocks pushed onto the supervisor",
        "return raises(function() for _ = 1, 200 do system.send(system.memory(1 << 20), 'x') end end)",
        Off("plain control values"), r"held.*no plain value", memory=4 << 20,
    ),
    Attempt(
        "table as an id", "return raises(system.kill, {id = {{}}})", Off("plain control values"), r"held.*no plain value",
    ),
    Attempt(
        "text of a megabyte as an id", "return raises(system.kill, ('x'):rep(1 << 20))", Off("plain control values"),
        r"held.*no plain value",
    ),
    Attempt(
        "capability among the results", "return 'escaped', system.memory(64)", Off("small results"),
        r"^error its results",
    ),
    Attempt(
        "megabytes among the results", "return 'escaped', ('x'):rep(1 << 20)", Off("small results"), r"^error its results",
    ),
]  # fmt: skip

COROUTINES = [
    Attempt(
        "yield of the main thread", "return raises(coroutine.yield, 1)", Off("main thread does not yield"),
        r"held.*outside a coroutine",
    ),
    Attempt(
        "closed main thread",
        "local me = coroutine.running() return raises(function() coroutine.wrap(function() coroutine.close(me) end)() end)",
        Off("normal coroutine is not closed"), r"held.*normal coroutine", r"held.*main thread",
    ),
    Attempt(
        "main thread that closes itself", "return raises(coroutine.close, (coroutine.running()))",
        Off("main thread is not closed"), r"held.*main thread", r"^finished\s",
    ),
    Attempt(
        "closed normal coroutine",
        """local outer outer = coroutine.create(function()
          return coroutine.wrap(function() return raises(coroutine.close, outer) end)()
        end)
        return select(2, coroutine.resume(outer))""",
        Off("normal coroutine is not closed"), r"held.*normal coroutine", r".",
    ),
    Attempt(
        "a tick seen as a yield",
        """local co = coroutine.create(function() local n = 0 for i = 1, 3e7 do n = n + i end return "done" end)
        local _, value = coroutine.resume(co)
        return value ~= "done" and "escaped" or "held" """,
        Off("ticks are hidden"), r"held", r"escaped",
    ),
    Attempt(
        "a tick seen through pcall, metamethods and iterators",
        """local co = coroutine.create(function()
          local n = 0
          local t = setmetatable({}, {__index = function(_, i) for k = 1, 3e5 do n = n + 1 end return i end})
          for i in (function() return function(_, i) if i < 40 then return i + t[1] end end, nil, 0 end)() do
            pcall(function() for k = 1, 3e5 do n = n + 1 end end)
          end
          return "done"
        end)
        local _, value = coroutine.resume(co)
        return value ~= "done" and "escaped" or "held" """,
        Off("ticks are hidden"), r"held", r"escaped",
    ),
]  # fmt: skip

QUOTA = {
    "strings": "local t = {} for i = 1, 24 do t[i] = ('x'):rep(1 << 20) .. i end",
    "one string": "local s = ('x'):rep(24 << 20)",
    "tables": "local t = {} for i = 1, 4e5 do t[i] = {i} end",
    "one table": "local t = table.pack(string.byte(('x'):rep(1000), 1, -1)) for i = 1, 2e6 do t[i] = i end",
    "coroutines": "local t = {} for i = 1, 3e4 do t[i] = coroutine.create(function() end) end",
    "closures": "local t = {} for i = 1, 5e5 do t[i] = function() return t, i end end",
    "concatenation": "local s = 'x' for i = 1, 25 do s = s .. s end",
    "table.concat": "local t = {} for i = 1, 200 do t[i] = ('y'):rep(1 << 17) end local s = table.concat(t)",
    "upvalues": "local f = function() end for i = 1, 5e5 do local g = f f = function() return g end end",
    "load": "local f = assert(load('return {' .. ('{1},'):rep(1000000) .. '}')) f()",
}
MEMORY = [
    Attempt(
        f"quota of 8 MB: {what}", f"collectgarbage('stop')\nlocal function bomb() {source} end\nreturn raises(bomb)",
        Off("quota of the heap+quota of objects+account"), r"held.*not enough memory|^error.*not enough memory",
    )
    for what, source in QUOTA.items()
] + [
    Attempt(
        "quota of 8 MB: blocks", "local t = {} return raises(function() for i = 1, 24 do t[i] = system.memory(1 << 20) end end)",
        Off("quota of the heap+quota of objects+account"), r"held.*not enough memory",
    ),
    Attempt(
        "quota of 8 MB: many children",
        """local HOG = "local t = {} while pcall(function() t[#t + 1] = ('x'):rep(1e5) .. #t end) do end "
          .. "local s = require 'system' s.reply(s.receive(), #t * 1e5) s.sleep(100) return t"
        local together, count = 0, 0
        repeat
          local child = system.spawn(HOG)
          local bytes = child and system.call(child, "how much?") or 0
          together, count = together + bytes, count + 1
        until not child or count == 4
        return together > 17 << 20 and "escaped" or "held", together .. " in " .. count""",
        Off("account"), r"held [\d.]+ in", r"escaped",
    ),
    Attempt(
        "quota of 8 MB: a message",
        "local t = {('x'):rep(3 << 20)} return refused(function() return victim('return #(...)', t[1], t[1] .. 'y', t[1] .. 'z') end)",
        Off("quota of the heap+quota of objects+account"), r"held.*not enough memory", r"escaped|^error", memory=11 << 20,
    ),
]  # fmt: skip

# Processes that are killed in the middle of what nothing may catch. The control is the code that kills: none is sent.
DYING = {
    "pcall in a loop": "while true do pcall(function() while true do end end) end",
    "xpcall handlers": "while true do xpcall(error, function() while true do end end) end",
    "__gc without end": "setmetatable({}, {__gc = function() while true do end end}) collectgarbage()",
    "__gc that makes __gc": """
      local function again() setmetatable({}, {__gc = again}) end again() while true do collectgarbage() end""",
    "__close without end": "local x <close> = setmetatable({}, {__close = function() while true do end end})",
    "__close in coroutines": """
      while true do local co = coroutine.create(function()
        local x <close> = setmetatable({}, {__close = function() while true do end end}) coroutine.yield() end)
        coroutine.resume(co) coroutine.close(co) end""",
    "sort comparator": "table.sort({3, 1, 2}, function() while true do end end)",
    "sort comparator that sends": """
      while true do table.sort({3, 1, 2}, function(a, b) system.send(system.id, a) system.receive(0) return a < b end) end""",
    "message handler of its own death": "while true do xpcall(error, system.receive) end",
    "hostile pattern": "local _ = (('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40) .. 'b')",
    "string.rep": "while true do local s = ('x'):rep(1 << 20) end",
    "wait for a child that never ends": "system.wait(system.spawn{source = 'while true do end', memory = 1 << 20})",
}
KILLED = [
    Attempt(f"killed in {what}", f"{source}\nreturn 'escaped'", IN_PROCESS, r"^killed", r"", kill_after=0.03)
    for what, source in DYING.items()
]

ATTEMPTS = [
    *LIBRARIES, *ISOLATION, *HOSTILE_VALUES, *BLOCKS, *PORTS, *TRANSFERS, *SYSTEM, *COROUTINES, *MEMORY, *KILLED,
]  # fmt: skip
