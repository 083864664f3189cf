"""Processes in the booted guest: pre-emption, isolation, messages, the end. Each test is a program run by `khoros run -e`.

The same C code runs on the host under sanitizers in tests/core; here it runs on the machine, with the real timer
interrupt and the supervisor in Lua around it.
"""

from __future__ import annotations

import pytest

from tests.support import guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

PRELUDE = """
local system = require "system"
local function child(source, options)
  local spec = {source = source}
  for name, value in pairs(options or {}) do spec[name] = value end
  return assert(system.spawn(spec))
end
local function row(process)
  for _, each in ipairs(system.ps()) do if each.id == process.id then return each end end
end
local function wait(process) return system.wait(process, 60) end
"""


def run(code: str, *options: str, timeout: float = 120) -> list[str]:
    """The lines that the program prints; it must end with status 0."""
    done = guest.run("--no-disk", *options, "-e", PRELUDE + code, timeout=timeout)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace").splitlines()


# --- pre-emption ----------------------------------------------------------------------------------------------------

BUSY = {
    "loop": ("while true do end", "preempted"),
    "loop within pcall": ("while true do pcall(function() while true do end end) end", "preempted"),
    "coroutines": ("while true do coroutine.wrap(function() for i = 1, 1e5 do end end)() end", "preempted"),
    "sort comparator": (
        "while true do table.sort({3, 1, 2}, function(a, b) for i = 1, 1e6 do end return a < b end) end",
        "preempted",
    ),
    "__gc": ("setmetatable({}, {__gc = function() while true do end end}) collectgarbage()", "parked"),
    "__close": (
        "local x <close> = setmetatable({}, {__close = function() while true do end end})", "preempted",
    ),
    "gsub callback": ("(('x'):rep(100)):gsub('x', function() while true do end end)", "preempted"),
    "hostile pattern": ("(('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40) .. 'b')", "parked"),
    "string.rep": ("while true do local s = ('x'):rep(5000000) end", None),
    "table.concat": (
        "local t = {} for i = 1, 20000 do t[i] = 'abcdefgh' end while true do table.concat(t, 'x', 1, 20000) end",
        None,
    ),
    "load of a large text": (
        "local text = ('x = 1 '):rep(200000) while true do load(text) end", "parked",
    ),
    "collections": (
        "local t = {} for i = 1, 60000 do t[i] = {i} end while true do collectgarbage() end", "parked",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BUSY)
def test_a_busy_process_leaves_the_others_their_turns(kind):
    source, stop = BUSY[kind]
    (line,) = run(
        f"local busy = child({source!r:s}, {{memory = 16 << 20}})\n"
        """
        local worst, ran = 0, 0
        for _ = 1, 40 do
          local before = system.now()
          system.sleep(0.005)
          worst = math.max(worst, system.now() - before)
        end
        local it = row(busy)
        print(it.state ~= "ended" and it.cpu_ns > 0, it.preempted, it.parked, worst)
        assert(system.kill(busy))
        assert(wait(busy) == "killed")
        """
    )
    alive, preempted, parked, worst = line.split("\t")
    assert alive == "true"
    stops = {"preempted": int(preempted), "parked": int(parked)}
    assert sum(stops.values()) > 5
    if stop is not None:
        assert stops[stop] > 0, stops
    # Generous against a loaded host; without pre-emption it would be for ever.
    assert float(worst) < 5


def test_fifty_busy_processes_and_one_that_answers():
    lines = run("""
        local busy = {}
        for i = 1, 50 do busy[i] = child("while true do end", {memory = 1 << 20}) end
        local server = child([[
          local system = require "system"
          while true do
            local from, a, b = system.receive()
            system.reply(from, a + b)
          end
        ]], {memory = 1 << 20})
        for i = 1, 5 do assert(system.call(server, i, 1) == i + 1) end
        local ran = 0
        for i = 1, 50 do if row(busy[i]).cpu_ns > 0 then ran = ran + 1 end end
        print(ran)
        for i = 1, 50 do system.kill(busy[i]) end
    """)
    assert lines == ["50"]


def test_pre_emption_changes_no_result():
    (line,) = run("""
        local source = [[
          local sum, text = 0.0, {}
          for i = 1, 200 do
            sum = sum + math.sin(i) * math.exp(-i / 100)
            text[i] = string.format("%.17g|%g", sum, sum)
            local co = coroutine.wrap(function(a) for k = 1, 200 do a = a + coroutine.yield(a) end return a end)
            local v = co(i)
            for k = 1, 200 do v = co(k) end
            assert(v == i + 20100)
            table.sort(text, function(a, b) return a < b end)
          end
          return table.concat(text, " ")
        ]]
        local alone = select(2, wait(child(source)))
        local all, same = {}, 0
        for i = 1, 6 do all[i] = child(source) end
        for i = 1, 6 do if select(2, wait(all[i])) == alone then same = same + 1 end end
        print(same, #alone > 1000)
    """)
    assert line == "6\ttrue"


# --- the end --------------------------------------------------------------------------------------------------------


def test_killing_at_random_moments_leaves_free_memory_where_it_was(rng):
    (line,) = run(
        f"math.randomseed({rng.randrange(2**31)})\n"
        """
        local sources = {
          "local t = {} while true do t[#t % 500 + 1] = ('x'):rep(#t % 3000) end",
          "while true do table.sort({3, 2, 1, 5}, function(a, b) return a < b end) end",
          "local system = require 'system' local t = {} for i = 1, 50 do t[i] = {i} end "
            .. "while true do system.send(system.parent, t) end",
          "local system = require 'system' local held = {} while true do held[#held % 20 + 1] = system.memory(9000) end",
          "while true do coroutine.wrap(function() error({}) end) end",
          "local s = ('a'):rep(30) while true do s:find(('a?'):rep(20) .. ('a'):rep(31)) end",
        }
        local function rounds(count)
          for i = 1, count do
            local victim = child(sources[math.random(#sources)], {memory = 2 << 20})
            if math.random(3) > 1 then system.sleep(math.random() * 0.01) end
            system.kill(victim)
            while system.receive(0) do end
          end
          collectgarbage()
        end
        rounds(20)
        local before = system.machine().free_bytes
        rounds(300)
        local after = system.machine().free_bytes
        print(before - after)
    """
    )
    # The supervisor keeps the last outcomes, and heaps breathe: a leak would be 300 stacks of half a megabyte.
    assert abs(int(line)) < 1 << 20


def test_how_processes_end_is_told():
    lines = run("""
        print(wait(child("return 1, 'two', {3}")))
        print(wait(child("error('boom')", {name = "n"})))
        print(wait(child("x = = 1")))
        print(wait(child("os.exit(3)")))
        print(wait(12345))
        print(system.wait(child("while true do end"), 0.05))
        print(system.kill(1), system.kill(2))
    """)
    text = "\n".join(lines)
    assert lines[0].startswith("finished\t1\ttwo\ttable")
    assert "error\tspawn:1: boom\tstack traceback:" in text
    assert "unexpected symbol near '='" in text
    assert "exit\t3" in lines
    assert "nil\tno such process" in lines
    assert "nil\ttimeout" in lines
    assert lines[-1].startswith("nil")  # services are not for programs to kill


@pytest.mark.parametrize(
    "bomb",
    [
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
        "return ('x'):rep(1 << 40)",
        "local system = require 'system' local t = {} while true do t[#t + 1] = system.memory(65536) end",
    ],
)
def test_a_memory_bomb_ends_in_the_culprit(bomb):
    lines = run(f"print(wait(child({bomb!r:s}, {{memory = 4 << 20}})))\nprint('alive')")
    assert (lines[0].startswith("error\t") and "memory" in lines[0]) or "too large" in lines[0]
    assert lines[-1] == "alive"


def test_a_process_bomb_ends_in_the_culprit():
    lines = run("""
        local bomb = [[
          local system = require "system"
          local mine = [=[ require('system').sleep(1000) ]=]
          local count = 0
          while true do
            local id, why = system.spawn(mine)
            if not id then return count, why end
            count = count + 1
          end
        ]]
        local how, count, why = wait(child(bomb))
        print(how, count > 10, why)
        for _, each in ipairs(system.ps()) do if each.name:find("^process") then system.kill(each.id) end end
        print(wait(child("return 'still alive'")))
    """)
    assert lines == ["finished\ttrue\tnot enough memory", "finished\tstill alive"]


# --- messages -------------------------------------------------------------------------------------------------------

ECHO = """[[
  local system = require "system"
  while true do
    local function answer(from, ...) if from then system.reply(from, ...) end end
    answer(system.receive())
  end
]]"""


def test_messages_keep_sharing_cycles_and_number_kinds():
    lines = run(f"""
        local echo = child({ECHO})
        local shared = {{1, 2.0}}
        local graph = {{a = shared, b = shared, [shared] = true}}
        graph.self = graph
        local back = system.call(echo, graph)
        print(back ~= graph, back.self == back, back.a == back.b, back[back.a], math.type(back.a[1]), math.type(back.a[2]))
        print(system.call(echo, nil, false, "\\0\\255", math.mininteger))
        local deep = {{}}
        local inner = deep
        for i = 1, 20000 do inner[1] = {{}} inner = inner[1] end
        local copy, depth = system.call(echo, deep), 0
        while copy do copy, depth = copy[1], depth + 1 end
        print(depth)
        print(pcall(system.call, echo, {{x = {{print}}}}))
        print(system.call(echo, "still there"))
    """)
    assert lines[0] == "true\ttrue\ttrue\ttrue\tinteger\tfloat"
    assert lines[1].startswith("nil\tfalse\t")
    assert lines[2] == "20001"
    assert lines[3] == "false\tcannot send argument 1.x[1]: function"
    assert lines[4] == "still there"


def test_the_dead_are_named_and_nobody_waits_for_them():
    lines = run("""
        local late = child("local system = require 'system' system.receive() error('dies with a request in hand')")
        print(system.call(late, "x"))
        local killed = child("require('system').sleep(1000)")
        local asker = child("local system = require 'system' return system.call(" .. killed.id .. ", 1)")
        system.sleep(0.02)
        system.kill(killed)
        print(wait(asker))
        print(system.send(killed, "x"))
        print(system.call(99999, "x"))
        print(system.call_within(0.02, child("require('system').sleep(1000)"), "x"))
    """)
    assert lines == ["nil\tdead", "finished\tnil\tdead", "nil\tdead", "nil\tdead", "nil\ttimeout"]


def test_a_mailbox_is_bounded():
    lines = run("""
        local deaf = child("require('system').sleep(1000)", {memory = 1 << 20})
        local count, why = 0, nil
        while true do
          local sent
          sent, why = system.send(deaf, "message")
          if not sent then break end
          count = count + 1
        end
        print(count, why)
        print(system.send(deaf, ("x"):rep(17 << 20)))
    """)
    assert lines == ["1024\tfull", "nil\ttoo large"]


def test_blocks_move_and_endpoints_are_copied():
    lines = run(f"""
        local echo = child({ECHO})
        local block = system.memory(64)
        block:write(0, "cargo")
        local back = system.call(echo, block)
        print(back:read(0, 5), pcall(function() return block:read(0, 1) end))
    """)
    assert lines == [
        "cargo\tfalse\tbad argument #1 to 'read' (this block was sent away or freed)"
    ] or (lines[0].startswith("cargo\tfalse\t") and "sent away" in lines[0])


# --- the sandbox ----------------------------------------------------------------------------------------------------


def test_a_process_has_no_way_out_of_its_libraries():
    lines = run("""
        print(wait(child([[
          local found = {}
          for _, name in ipairs{"dofile", "loadfile"} do if _G[name] then found[#found + 1] = name end end
          if string.dump then found[#found + 1] = "string.dump" end
          for name in pairs(debug) do if name ~= "traceback" then found[#found + 1] = "debug." .. name end end
          for _, name in ipairs{"execute", "remove", "rename", "tmpname", "setlocale"} do
            if os[name] then found[#found + 1] = "os." .. name end
          end
          for _, name in ipairs{"open", "popen", "tmpfile", "lines"} do
            local called, file = pcall(io[name] or error, "name", "w")
            if called and file then found[#found + 1] = "io." .. name end
          end
          if load("\\27Lua") then found[#found + 1] = "binary load" end
          if load("\\27Lua", "x", "b") then found[#found + 1] = "binary load by mode" end
          if load(function() return nil end, "x", "b") then found[#found + 1] = "mode b" end
          if pcall(require, "drivers.ata") then found[#found + 1] = "require of a driver" end
          if system then found[#found + 1] = "global system" end
          return #found, table.concat(found, " ")
        ]])))
        string.format = nil
        print(wait(child("return ('%d'):format(7)")))
    """)
    assert lines == ["finished\t0\t", "finished\t7"]


def test_unsafe_libraries_are_given_when_asked_for():
    (line,) = run(
        "print(string.dump ~= nil, debug.sethook ~= nil, load(string.dump(function() return 5 end))())",
        "--unsafe-libraries",
    )
    assert line == "true\ttrue\t5"
