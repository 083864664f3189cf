"""A stub is the object that it becomes: every function of the standard library gives the same on both."""

from __future__ import annotations

import pytest

from tests.fs.sessions import World

SETUP = """
  store_session = open()
  -- What a stub may turn out to be: contents with and without a metatable.
  store_session.root.plain = { 10, 20, 30, x = 1, y = 2 }
  store_session.root.empty = {}
  store_session.root.words = { "b", "a", "c" }
  store_session.root.sparse = { [1] = 1, [3] = 3, n = 3 }
  store_session.root.classy = setmetatable({ 10, 20, x = 1 }, { __index = { inherited = "yes" }, __name = "Classy" })
  store_session.root.operators = setmetatable({ 5 }, {
    __add = rawequal, __sub = rawequal, __mul = rawequal, __div = rawequal, __mod = rawequal, __pow = rawequal,
    __unm = rawlen, __idiv = rawequal, __band = rawequal, __bor = rawequal, __bxor = rawequal, __shl = rawequal,
    __shr = rawequal, __bnot = rawlen, __concat = rawequal, __eq = rawlen, __lt = rawequal, __le = rawequal,
    __call = rawequal, __len = rawlen, __pairs = ipairs, __close = rawlen, __tostring = type, __index = math.type,
    __newindex = rawset,
  })
  store_session.root.protected = setmetatable({ 1 }, { __metatable = "locked" })
  store_session.root.class = { __index = { from = "class" } }
  store_session.commit()

  -- Tables and functions in results, by what they are. In messages, addresses and places differ, and Lua takes a
  -- table's __name for them without looking any further.
  local function plain(v)
    if type(v) == "table" or type(v) == "function" then return type(v) end
    if type(v) == "string" then
      return (v:gsub("0x%x+", "ADDRESS"):gsub("^[^:]*:%d+: ", ""):gsub("got Classy", "got table")
        :gsub("variable 'c'", "variable"):gsub(" %([%a ]+ '[%a ]+'%)$", ""))
    end
    return v
  end

  local function dump(t)
    local list = {}
    for key, value in next, t do list[#list + 1] = tostring(key) .. "=" .. tostring(plain(value)) end
    table.sort(list)
    return table.concat(list, ",")
  end

  local function outcome(f, t)
    local results = table.pack(pcall(f, t))
    for i = 1, results.n do results[i] = tostring(plain(results[i])) end
    return table.concat(results, " | ", 1, results.n) .. " => " .. dump(t)
  end

  -- f on a stub, and on the same object loaded before.
  function compare(name, f)
    for what in pairs(store_session.root) do
      local loaded = open().root[what]
      local _ = next(loaded)
      local expected, found = outcome(f, loaded), outcome(f, open().root[what])
      if expected ~= found then
        error(("%s on %s: loaded %s, stub %s"):format(name, what, expected, found))
      end
    end
  end
"""


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    world.run(SETUP)
    return world


def test_functions_of_the_base_library(world: World) -> None:
    world.run("""
      local tested = {}
      local function try(name, f)
        tested[name:match "^%w+"] = true
        compare(name, f)
      end
      try("assert", function(t) return assert(t) end)
      try("error", function(t) return select(2, pcall(error, t)) == t end)
      try("getmetatable", function(t) return getmetatable(t) end)
      try("ipairs", function(t) local n = 0 for i, v in ipairs(t) do n = n + i end return n end)
      try("load", function(t) return load(t) end)
      try("load environment", function(t) return load("return x", "=x", "t", t)() end)
      try("load environment, write", function(t) return load("z = 1 return z", "=x", "t", t)() end)
      try("next", function(t) return next(t) ~= nil end)
      try("next by key", function(t) return next(t, 1) ~= nil end)
      try("next in a loop", function(t) local n = 0 for _ in next, t do n = n + 1 end return n end)
      try("next with a wrong key", function(t) return next(t, "no such key") end)
      try("pairs", function(t) local n = 0 for _ in pairs(t) do n = n + 1 end return n end)
      try("pcall", function(t) return pcall(t, 1, 2) end)
      try("print", function(t) local p = print return p ~= nil and #tostring(t) > 0 end)
      try("rawequal", function(t) return rawequal(t, t), rawequal(t, {}) end)
      try("rawget", function(t) return rawget(t, 1), rawget(t, "inherited"), rawget(t, "x") end)
      try("rawget of nothing", function(t) return rawget(t) end)
      try("rawlen", function(t) return rawlen(t) end)
      try("rawset", function(t) return rawset(t, "new", 5) == t end)
      try("rawset nil", function(t) return rawset(t, 1, nil) == t end)
      try("rawset of nothing", function(t) return rawset(t, 1) end)
      try("require", function(t) return require(t) end)
      try("select", function(t) return select("#", t, t), select(2, 1, t) == t end)
      try("select as number", function(t) return select(t, 1) end)
      try("setmetatable", function(t) return setmetatable(t, { __index = { q = 1 } }) == t and t.q end)
      try("setmetatable nil", function(t) return setmetatable(t, nil) == t end)
      try("setmetatable of nothing", function(t) return setmetatable(t) end)
      try("as metatable", function(t) return setmetatable({}, t).from end)
      try("as __index", function(t) return setmetatable({}, { __index = t }).x end)
      try("as __newindex", function(t) setmetatable({}, { __newindex = t }).zz = 1 return t.zz end)
      try("tonumber", function(t) return tonumber(t) end)
      try("tostring", function(t) return tostring(t) end)
      try("type", function(t) return type(t) end)
      try("xpcall", function(t) return xpcall(t, print) end)
      try("collectgarbage", function(t) return collectgarbage(t) end)
      try("dofile", function(t) return dofile(t) end)
      try("loadfile", function(t) return loadfile(t) end)
      try("warn", function(t) return warn(t) end)
      for name, value in pairs(_G) do
        local standard = package.loaded._G[name] and type(value) == "function"
        if standard and not tested[name] and not ({ open = 1, same = 1, refuses = 1, compare = 1, count_reads = 1 })[name]
        then
          error("not tested: " .. name)
        end
      end
    """)


def test_functions_of_the_table_library(world: World) -> None:
    world.run("""
      local tested = {}
      local function try(name, f)
        tested[name:match "^%w+"] = true
        compare("table." .. name, f)
      end
      try("concat", function(t) return table.concat(t, "-") end)
      try("concat range", function(t) return table.concat(t, "-", 1, 2) end)
      try("create", function(t) return table.create(t) end)
      try("insert", function(t) table.insert(t, "new") return #t end)
      try("insert at 1", function(t) table.insert(t, 1, "new") return t[1], t[2] end)
      try("insert far off", function(t) table.insert(t, 100, "new") end)
      try("move from", function(t) return #table.move(t, 1, 3, 1, {}) end)
      try("move to", function(t) return table.move({ 7, 8 }, 1, 2, 2, t)[3] end)
      try("move within", function(t) return table.move(t, 1, 2, 3)[4] end)
      try("pack", function(t) return table.pack(t, t).n end)
      try("remove", function(t) return table.remove(t), #t end)
      try("remove at 1", function(t) return table.remove(t, 1), #t end)
      try("sort", function(t) table.sort(t) return t[1] end)
      try("sort by", function(t) table.sort(t, function(a, b) return a > b end) return t[1] end)
      try("unpack", function(t) return table.unpack(t) end)
      try("unpack range", function(t) return table.unpack(t, 1, 5) end)
      for name in pairs(table) do
        if not tested[name] then error("not tested: table." .. name) end
      end
    """)


def test_functions_of_other_libraries(world: World) -> None:
    world.run("""
      compare("string.format", function(t) return ("%s"):format(t), pcall(string.format, "%d", t) end)
      compare("string.format %p", function(t) return ("%p"):format(t) == ("%p"):format(t) end)
      compare("string.gsub", function(t) return ("x y z"):gsub("%w", t) end)
      compare("string.rep", function(t) return string.rep(t, 2) end)
      compare("math.max", function(t) return math.max(t) end)
      compare("os.time", function(t) return os.time(t) end)
      compare("coroutine.wrap", function(t) return coroutine.wrap(function(a) return a.x end)(t) end)
      compare("utf8.char", function(t) return utf8.char(t) end)
    """)


def test_operators(world: World) -> None:
    world.run("""
      for _, operator in ipairs { "+", "-", "*", "/", "%", "^", "//", "&", "|", "~", "<<", ">>", "..", "==", "~=", "<",
          "<=", ">", ">=", "and", "or" } do
        for _, form in ipairs { "return t %s 1", "return 1 %s t", "return t %s t", "return t %s {}", "return {} %s t" }
        do
          local text = form:format(operator)
          compare(text, load("local t = ... " .. text))
        end
      end
      for _, text in ipairs {
        "return -t", "return ~t", "return not t", "return #t", "return t()", "return t(1, 2)", "return t[1]", "return t.x",
        "return t.inherited", "return t[nil]", "t.x = 5", "t.new = 5", "t[nil] = 5", "t[1] = nil", "return t.nope.nope",
        "return t:nope()", "local c <close> = t", "for i = 1, t do end", "for k in t do break end", "goto e ::e::",
        "return {}[t]", "local u = { [t] = 1 } return u[t]", "return (t)", "local a <const> = t return a",
      } do
        compare(text, load("local t = ... " .. text))
      end
    """)


def test_two_stubs_compare_as_their_objects_do(world: World) -> None:
    world.run("""
      local s = open()
      s.root.pair = { setmetatable({ 1 }, { __eq = rawlen, __lt = rawequal, __concat = rawequal }), { 1 } }
      s.commit()
      local p = open().root.pair
      assert(p[1] == p[2])
      p = open().root.pair
      assert(p[2] == p[1])
      p = open().root.pair
      assert((p[2] < p[1]) == false)
      p = open().root.pair
      assert((p[2] .. p[1]) == false)
    """)


def test_a_stub_is_loaded_where_lua_cannot_yield(world: World) -> None:
    world.run("""
      local s = open()
      s.root.list = { { n = 3 }, { n = 1 }, { n = 2 } }
      s.commit()
      local list = open().root.list
      table.sort(list, function(a, b) return a.n < b.n end)
      assert(list[1].n == 1 and list[3].n == 3)
      local values = open().root.list
      assert(("abc"):gsub("%w", function() return values[2].n end) == "111")
    """)


def test_wrapping_is_idempotent_and_leaves_others_alone(world: World) -> None:
    world.run("""
      local objects = require "fs.objects"
      local environment = { next = print, rawget = rawget, getmetatable = getmetatable }
      local before = { next = environment.next, rawget = environment.rawget }
      objects.wrap(environment)
      assert(environment.next == print and environment.rawget == before.rawget and environment.setmetatable == nil)
      local now = next
      objects.wrap(_G)
      assert(next == now)
    """)


def test_unwrapped_setmetatable_refuses_a_stub(world: World) -> None:
    """Without the wrappers it would take the stub's place and the object's content would be gone."""
    world.run("""
      local s = open()
      s.root.victim = { 1 }
      s.commit()
      local stub = open().root.victim
      local raw = require("fs.wrappers").originals.setmetatable
      refuses("protected", raw, stub, {})
      assert(stub[1] == 1)
    """)


def test_pairs_while_the_table_is_changed(world: World) -> None:
    """Fields may be changed and removed during a traversal, of a stub as well."""
    world.run("""
      local s = open()
      s.root.t = { 1, 2, 3, a = 1, b = 2 }
      s.commit()
      local t = open().root.t
      local n = 0
      for key, value in pairs(t) do
        n = n + 1
        t[key] = n % 2 == 0 and value * 10 or nil
      end
      assert(n == 5)
    """)
