"""What processes have to do with each other, in the booted guest: functions that go along, letters about children, filters,
names, the limits of messages, who may see what. Programs by `khoros run -e`, as in test_processes.py.
"""

from __future__ import annotations

import pytest

from tests.kernel.test_processes import run

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]


def test_a_function_is_spawned_with_its_upvalues():
    lines = run("""
        local n, list = 41, {10}
        local function helper(k) n = n + k return n end
        local format, main = string.format, system.self()
        local function in_child(f, ...) return wait(assert(system.spawn(f, {args = {...}}))) end
        print(in_child(function(a, b) return helper(a), list[1], b, format("%03d", 7) end, 1, "arg"))
        print(n, wait(assert(system.spawn(helper, {args = {5}}))))
        print(in_child(function() return main:send("hello") and system.id ~= main.id end))
        print(select(2, system.receive(5, function(from) return from.kind == "send" end)))
        print(in_child(function() error("in a function") end))
        -- A function that spawns one of its own.
        print(in_child(function(depth)
          local system = require "system"
          local function down(depth)
            if depth == 0 then return "bottom" end
            return select(2, system.wait(system.spawn(down, {args = {depth - 1}, memory = 1 << 20})))
          end
          return down(depth)
        end, 3))
        print(system.spawn(function() return coroutine.running, list, function() return io.write end, thread_of_mine end) ~= nil)
        local thread = coroutine.create(print)
        print(system.spawn(function() return thread end))
        print(system.spawn(system.spawn))
        print(pcall(system.spawn, 5))
        print(pcall(system.spawn, print, {args = 5}))
    """)
    assert lines[0] == "finished\t42\t10\targ\t007"
    assert lines[1] == "41\tfinished\t46"
    assert lines[2] == "finished\ttrue"
    assert lines[3] == "hello"
    assert lines[4].startswith("error\t(command line):") and "in a function" in lines[4]
    assert "finished\tbottom" in lines
    assert "nil\tspawn: the function.thread: it is a coroutine" in lines
    assert "false\tspawn takes Lua text or a function" in "\n".join(lines)
    assert "args is a list" in lines[-1]


def test_a_spawned_function_at_the_prompt(boot):
    machine = boot()
    machine.expect_prompt()
    machine.enter("n = 5")
    machine.enter("function twice(k) return 2 * k end")
    machine.enter("do local n, twice = n, twice; p = spawn(function(a) return twice(n) + a end, {args = {1}}) end")
    assert machine.enter("wait(p)").split() == ["finished", "11"]
    assert machine.enter("wait(spawn(function() return n, print ~= nil end))").split() == ["finished", "nil", "true"]
    assert "the function.thread: it is a coroutine" in machine.enter(
        "do local thread = coroutine.create(print); spawn(function() return thread end) end"
    )
    assert machine.enter("do local p = print; wait(spawn(function() p('said by a child') end)) end").startswith("said by a")


def test_who_started_a_process_has_a_letter_about_its_end():
    lines = run("""
        local function told()
          local from, how, message = system.receive(10)
          print(from.kind, from.process, how, message)
        end
        local a = child("return 'not told'") told()
        assert(a.id)
        child("error('boom')", {name = "x"}) told()
        child("os.exit(3)") told()
        local looping = child("while true do end") system.kill(looping) told()
        -- Of the child that ends, not of its child, which ends later; that has lost its parent by then.
        child("require('system').spawn('require(\\"system\\").sleep(0.1)', {memory = 1 << 20})") told()
        print(system.receive(0.5))
        -- As many as come, no more than fit, and none of the other letters is lost for them.
        for i = 1, 80 do wait(child("return 1", {memory = 1 << 20})) end
        system.send(system.id, "a letter")
        local ends, letters = 0, 0
        while true do
          local from = system.receive(0)
          if not from then break end
          if from.kind == "ended" then ends = ends + 1 else letters = letters + 1 end
        end
        print(ends, letters)
    """)
    assert [line.split("\t")[0] for line in lines[:5]] == ["ended"] * 5
    assert lines[0].split("\t")[2:] == ["finished", "nil"]
    assert lines[1].split("\t")[2:] == ["error", "spawn:1: boom"]
    assert lines[2].split("\t")[2:] == ["exit", "3"]
    assert lines[3].split("\t")[2:] == ["killed", "nil"]
    assert lines[5:] == ["nil\ttimeout", "64\t1"]


def test_a_filter_takes_its_letter_out_of_turn():
    lines = run("""
        local function send(...) assert(system.send(system.id, ...)) end
        for i = 1, 5 do send("number", i) end
        send("text", "x")
        local function is(kind) return function(_, first) return first == kind end end
        print(select(2, system.receive(1, is "text")))
        print(select(3, system.receive(1, function(_, first, n) return first == "number" and n % 2 == 0 end)))
        print(system.receive(0, is "absent"))
        print(system.receive(0.05, is "absent"))
        -- Those that were passed over are there, in their order, before later ones.
        send("number", 6)
        local rest = {}
        while true do
          local from, _, n = system.receive(0)
          if not from then break end
          rest[#rest + 1] = n
        end
        print(table.concat(rest, " "))
        -- By process: what it sends, what is asked by it, and its end.
        local server = child("local s = require 'system' s.sleep(0.02) s.send(s.parent, 'from the child')")
        send("mine")
        print(select(2, system.receive(5, server)))
        print(system.receive(5, server))
        print(select(2, system.receive(5)))
        -- A filter that receives, one that raises: no letter is lost.
        for i = 1, 4 do send(i) end
        local seen = {}
        print(select(2, system.receive(1, function(_, n)
          if n == 2 then seen[1] = select(2, system.receive(1, function(_, m) return m == 3 end)) end
          return n == 4
        end)), seen[1])
        print(pcall(system.receive, 1, function() error("in the filter", 0) end))
        print(select(2, system.receive(1)), select(2, system.receive(1)), system.receive(0))
        -- Calls can be answered late.
        local asker = child("local s = require 'system' return s.call(s.parent, 'question')")
        for i = 1, 3 do send(i) end
        print(select(2, system.receive(5, function(_, n) return n == 3 end)))
        system.reply(system.receive(5, function(from) return from.kind == "call" end), "answer")
        print(wait(asker))
    """)
    assert lines[:4] == ["text\tx", "2", "nil\ttimeout", "nil\ttimeout"]
    assert lines[4] == "1 3 4 5 6"
    assert lines[5] == "from the child"
    assert lines[6].startswith("ended from ") and lines[6].split("\t")[1] == "finished"
    assert lines[7] == "mine"
    assert lines[8] == "4\t3"
    assert lines[9] == "false\tin the filter"
    assert lines[10] == "1\t2\tnil\ttimeout"
    assert lines[11:] == ["3", "finished\tanswer"]


def test_names_lead_to_their_processes():
    lines = run("""
        local server = child([[
          local s = require "system"
          assert(s.register("clock"))
          s.reply(s.receive(), "ready")
          while true do local from = s.receive() s.reply(from, "tick") end
        ]])
        print(system.call(server, "are you"))
        print(system.call(assert(system.lookup "clock"), "time?"))
        print(wait(child([[
          local s = require "system"
          return s.register("clock"), s.call(s.lookup("clock"), "time?"), s.lookup("nobody")
        ]])))
        print(system.register("clock"))
        print(system.register("console"), system.register("store"), system.register(""), system.register(("x"):rep(49)))
        print(system.register("mine"), system.register("mine"), system.unregister("mine"), system.lookup("mine"))
        print(system.unregister("clock"))
        system.kill(server)
        print(system.lookup("clock"))
        print(system.register("clock"))
        local count, why = 0
        repeat
          local done
          done, why = system.register("n" .. count)
          if done then count = count + 1 end
        until not done
        print(count, why)
    """)
    assert lines[:2] == ["ready", "tick"]
    assert lines[2] == "finished\tnil\ttick\tnil\tno such name"
    assert lines[3] == "nil\ttaken"
    assert lines[4].startswith("nil\tnil\tnil\tnil\ta name is")
    assert lines[5] == "true\ttrue\ttrue\tnil\tno such name"
    assert lines[6] == "nil\tnot a name of this process"
    assert lines[7] == "nil\tno such name"
    assert lines[8] == "true"
    assert lines[9] == "15\ttoo many names"


def test_results_are_for_ancestors():
    lines = run("""
        local secret = child("return 'secret'")
        system.sleep(0.05)
        print(wait(secret))
        local spy = "local s = require 'system' return s.wait(" .. secret.id .. ")"
        print(wait(child(spy)))
        local late = child("require('system').sleep(0.1) return 'secret'")
        print(wait(child("return require('system').wait(" .. late.id .. ")")))
        -- Who started the one that started it, and what both of these have started besides.
        local _, grandchild = wait(child("local s = require 'system' local c = s.spawn('return 7', {memory = 1 << 20}) s.wait(c) "
          .. "return c.id"))
        print(system.wait(grandchild))
        print(wait(child("return require('system').wait(" .. grandchild .. ")")))
    """)
    assert lines[:3] == ["finished\tsecret", "finished\tfinished", "finished\tfinished"]
    assert lines[3:] == ["finished\t7", "finished\tfinished"]


#: The rule of lua/kernel/README.md: a message is refused as "too large" from 16 MiB on, packed; otherwise it arrives if the
#: receiver's quota has room for it, and if not both sides learn so.
def test_a_message_of_sixteen_megabytes():
    lines = run(
        """
        local ECHO = [[
          local s = require "system"
          while true do
            pcall(function()
              local from, text = s.receive()
              if from.kind == "call" then s.reply(from, #text) end
            end)
          end
        ]]
        local function message(bytes) return ("x"):rep(bytes) end
        local large, small = child(ECHO, {memory = 64 << 20}), child(ECHO, {memory = 8 << 20})
        print(system.call(large, message((16 << 20) - 400)))
        print(system.call(large, message(16 << 20)))
        print(system.call(small, message((16 << 20) - 400)))
        print(system.call(small, message(3 << 20)))
        print(system.send(large, message(16 << 20)))
        print(system.call(large, "still", "there"))
        print(system.call(small, "still", "there"))
        """,
        "--memory",
        "512M",
    )
    assert lines[0] == str((16 << 20) - 400)
    assert lines[1] == "nil\ttoo large"
    assert lines[2] == "nil\tthe receiver had not enough memory for it"
    assert lines[3] == str(3 << 20)
    assert lines[4] == "nil\ttoo large"
    assert lines[5:] == ["5", "5"]
