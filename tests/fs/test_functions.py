"""Functions taken apart and made again (lua/fs/functions.lua), and the texts that they come from (lua/fs/chunk_texts.lua)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import lua as lua_support

_GLUE = b"""
chunk_texts, functions = require "fs.chunk_texts", require "fs.functions"
local wrappers = require "fs.wrappers"
wrappers.install(_G)
made = functions.new(functions.standard_access(), require "fs.crc32c")

-- A function made of what `f` is made of, over the same upvalues or, with `list`, over those of these cells.
function again(f, list)
  local record = assert(made.record(f))
  return assert(made.make(record.chunk, {
    number = record.number, dump_bytes = record.dump_bytes, dump_crc = record.dump_crc, release = "test",
  }, list or record.cells))
end

function refuses(pattern, ...)
  local value, reason = ...
  if value ~= nil then error("it did not fail", 2) end
  if not reason:find(pattern) then error(reason, 2) end
end
"""


@pytest.fixture
def lua() -> Any:
    state = lua_support.runtime()
    state.execute(_GLUE)
    return state


def test_a_counter_is_made_again_over_the_same_upvalue(lua: Any) -> None:
    lua.execute(b"""
      local up, down = load("local n = 0 return function() n = n + 1 return n end, function() n = n - 1 return n end")()
      local up2, down2 = again(up), again(down)
      assert(up ~= up2 and up() == 1 and up2() == 2 and down() == 1 and down2() == 0 and up() == 1)
      assert(made.record(up).cells[1] == made.record(down).cells[1] and made.record(up2).cells[1] == made.record(up).cells[1])
    """)


def test_upvalues_can_be_given_anew(lua: Any) -> None:
    lua.execute(b"""
      local up = load("local n = 0 return function() n = n + 1 return n end")()
      local cell = made.new_cell()
      made.set_cell(cell, 41)
      local other = again(up, { cell })
      assert(other() == 42 and up() == 1 and cell() == 42)
      local third = again(up, { cell })
      assert(third() == 43 and other() == 44)
    """)


@pytest.mark.parametrize("name", ["nil", "'=named'", "'@file.lua'", "'a name without a sign'", "'named\\n=over two rows'", "''",
                                  "'='", "'@' .. ('x'):rep(1000)", "('y'):rep(1000)", "7"])
def test_a_text_under_any_name(lua: Any, name: str) -> None:
    lua.execute(b"""
      local name = ...
      local text = "local n = 1\\nreturn function(a, ...) return a + n, ... end"
      local f = load(text, name)()
      local g = again(f)
      local a, b, c = g(1, 2, 3)
      assert(a == 2 and b == 2 and c == 3)
      local before, after = debug.getinfo(f, "S"), debug.getinfo(g, "S")
      assert(before.short_src == after.short_src, after.short_src)
      -- As it is when it comes from the store: the stored name shows the same.
      local chunk = made.record(f).chunk
      local short = debug.getinfo(load(text, chunk.name), "S").short_src
      assert(short == before.short_src and #chunk.name <= 255, short)
    """, lua.eval(f"({name})"))


def test_a_text_in_pieces(lua: Any) -> None:
    lua.execute(b"""
      for _, name in ipairs { false, "=pieces" } do
        local pieces = { "local n = ", 5, " return function()", " return n", " end" }
        local i = 0
        local function read() i = i + 1 return pieces[i] end
        local f = (name and load(read, name) or load(read))()
        assert(again(f)() == 5)
      end
      local failed, message = load(function() return {} end)
      assert(failed == nil and message:find "must return a string")
      failed, message = load(function() error "no more" end)
      assert(failed == nil and message:find "no more")
      assert(select("#", load("")) == 1 and not load("x ="))
      assert(load("return ...", "x", "t", { n = 1 })(3) == 3 and load("return n", "x", "t", { n = 1 })() == 1)
      assert(not pcall(load("return n.m", "x", "t", nil)))
      assert(not pcall(load) and not pcall(load, {}))
      local dumped = string.dump(load "local a = 0 return function() return a end", true)
      refuses("text is not known", made.record(load(dumped, "=dumped")()))
    """)


def test_a_text_with_a_zero_byte(lua: Any) -> None:
    lua.execute(b"""
      local f = load("local s = 'a\\0b' return function() return s end")()
      assert(again(f)() == "a\\0b")
    """)


def test_one_name_with_many_texts(lua: Any) -> None:
    lua.execute(b"""
      local list = {}
      for i = 1, 50 do list[i] = load(("return function() return %d end"):format(i), "=same")() end
      for i = 1, 50 do assert(again(list[i])() == i) end
      assert(made.record(list[1]).chunk ~= made.record(list[2]).chunk)
      local twice = load("return function() return 1 end", "=same")()
      assert(made.record(twice).chunk == made.record(list[1]).chunk)
    """)


def test_functions_on_one_line_are_told_apart(lua: Any) -> None:
    lua.execute(b"""
      local text = "return function() return 1 end, function() return 2 end, function() return function() return 1 end end,"
        .. "function() return 1 end"
      local a, b, c, d = load(text, "=line")()
      assert(again(a)() == 1 and again(b)() == 2 and again(c)()() == 1 and again(d)() == 1)
      assert(made.record(a).number == 1 and made.record(b).number == 2 and made.record(c).number == 3)
      assert(made.record(d).number == 1) -- its dump is the first one's: either can stand for the other
    """)


def test_outer_constants_are_kept(lua: Any) -> None:
    """What the compiler has put in place of a name is not in the function's own text."""
    lua.execute(b"""
      local f = load [[
        local factor <const>, name <const> = 3, "x"
        local here <const> = {}
        return function(n) return n * factor, name, here end ]]()
      local n, name, here = again(f)(2)
      assert(n == 6 and name == "x" and here == select(3, f(2)))
    """)


def test_a_chunk_is_not_run(lua: Any) -> None:
    lua.execute(b"""
      runs = 0
      local f = load("runs = runs + 1 return function() return runs end", "=runs")()
      assert(runs == 1)
      assert(again(f)() == 1 and runs == 1)
      local main = load("runs = runs + 1", "=main")
      local other = again(main)
      assert(runs == 1)
      other()
      assert(runs == 2)
    """)


def test_texts_are_forgotten_oldest_first(lua: Any) -> None:
    lua.execute(b"""
      local function text(i) return ("return function() return %d end --%s"):format(i, ("x"):rep(1000)) end
      local list = {}
      for i = 1, 3000 do list[i] = load(text(i), "=chunk " .. i)() end
      local held = made.record(list[2500])
      collectgarbage()
      refuses("its source text is not known %(a function of chunk 1%)", made.record(list[1]))
      assert(again(list[3000])() == 3000 and again(list[2100])() == 2100)
      for i = 1, 3000 do load(text(-i), "=other " .. i) end
      collectgarbage()
      refuses("not known", made.record(list[2100 + 1]))
      assert(made.record(list[2500]) == held) -- whoever uses a text keeps it
      load("return 1 --" .. ("x"):rep(2 << 20), "=large")
      collectgarbage()
      local large = load("return function() end --" .. ("x"):rep(2 << 20), "=large")()
      collectgarbage()
      refuses("not known", made.record(large))
    """)


def test_what_is_refused(lua: Any) -> None:
    lua.execute(b"""
      refuses("^C function$", made.record(print))
      refuses("^C function$", made.record(string.gmatch("", "")))
      local f = load("local n = 1 return function() return n end, function(a) return a end")()
      local record = made.record(f)
      local form = { number = 1, dump_bytes = record.dump_bytes, dump_crc = record.dump_crc, release = "Lua 5.5" }
      local function with(changes)
        local other = {}
        for key, value in pairs(form) do other[key] = value end
        for key, value in pairs(changes) do other[key] = value end
        return made.make(record.chunk, other, record.cells)
      end
      assert(with {})
      refuses("another function than the one that was saved by Lua 5.5", with { number = 0 })
      refuses("another function", with { number = 2 })
      refuses("no function number 3", with { number = 3 })
      refuses("another function", with { dump_bytes = form.dump_bytes + 1 })
      refuses("another function", with { dump_crc = form.dump_crc ~ 1 })
      refuses("it has 1 upvalues, and 0 are stored", made.make(record.chunk, form, {}))
      local bad = chunk_texts.chunk("=bad", "return function(")
      refuses("cannot be compiled: bad:1:", made.make(bad, form, record.cells))
    """)


def test_a_stand_in_says_why(lua: Any) -> None:
    lua.execute(b"""
      local f = made.stand_in(function(self) return "no " .. type(self) end)
      local ok, message = pcall(f, 1)
      assert(not ok and message:find "no function$")
      refuses("could not be loaded: no function", made.record(f))
      assert(made.is_stand_in(f) and not made.is_stand_in(print))
    """)


def test_without_a_way_to_look_into_functions(lua: Any) -> None:
    lua.execute(b"""
      local none = functions.new(nil, require "fs.crc32c")
      refuses("cannot be looked into", none.record(function() end))
      assert(none.unable:find "cannot be looked into")
      local ok, message = pcall(none.stand_in(function() return "why" end))
      assert(not ok and message:find "why$")
    """)


def test_every_function_of_the_system_is_found_in_its_text(lua: Any) -> None:
    """All closures that can be reached from the modules of fs and shell, found by their lines and dumps, made again."""
    modules = sorted(path.relative_to(lua_support.LUA) for folder in ("fs", "shell")
                     for path in (lua_support.LUA / folder).glob("*.lua"))
    names = [str(path.with_suffix("")).replace("/", ".").encode() for path in modules]
    texts = [(lua_support.LUA / path).read_bytes() for path in modules]
    count = lua.execute(b"""
      local names, texts = ...
      local seen, stack, count = {}, {}, 0
      for i = 1, #names do
        chunk_texts.remember("@lua/" .. names[i]:gsub("%.", "/") .. ".lua", texts[i])
        stack[#stack + 1] = require(names[i])
      end
      local function meet(v)
        if (type(v) == "table" or type(v) == "function") and not seen[v] then
          seen[v] = true
          stack[#stack + 1] = v
        end
      end
      while #stack > 0 do
        local v = table.remove(stack)
        if type(v) == "table" then
          for key, value in next, v do meet(key) meet(value) end
          meet(debug.getmetatable(v))
        elseif made.is_lua(v) and debug.getinfo(v, "S").source:find "^@lua/" then
          local other = again(v)
          assert(string.dump(other) == string.dump(v))
          count = count + 1
          for i = 1, debug.getinfo(v, "u").nups do
            local name, value = debug.getupvalue(v, i)
            local other_name, other_value = debug.getupvalue(other, i)
            assert(name == other_name and rawequal(value, other_value))
            assert(debug.upvalueid(v, i) == debug.upvalueid(other, i))
            meet(value)
          end
        end
      end
      return count
    """, lua.table_from(names), lua.table_from(texts))
    assert count > 500
