-- Runs files of Lua's test suite as its own all.lua does. Stands at the end of a text that tests/support/lua_suite.py
-- makes: before it come `files` (name → text), `names` (what to run, in order), `soft` and `busy`.
--
-- Prints "passed: NAME" after each file, and "left out: WORDS" for what the suite says that it does not test. A file that
-- fails ends the program with its error. With `busy`, another process computes all the time, and its CPU time is shown.

-- How all.lua runs them, and what they return.
local AS_TEXT <const> = {["gc.lua"] = true, ["strings.lua"] = true, ["literals.lua"] = true, ["all.lua"] = true}
local STRIPPED <const> = {["goto.lua"] = true, ["sort.lua"] = true, ["verybig.lua"] = true}
local RETURNS <const> = {["attrib.lua"] = 27, ["locals.lua"] = 5, ["events.lua"] = 12, ["verybig.lua"] = 10}

local assert <const>, error <const>, print <const>, type <const> = assert, error, print, type
local dump <const>, find <const>, format <const>, match <const> = string.dump, string.find, string.format, string.match
local load <const>, next <const>, require <const>, wrap <const> = load, next, require, coroutine.wrap
local collectgarbage <const>, debug_library <const>, globals <const> = collectgarbage, debug, _G

local worker
local system <const> = busy and require "system"
if busy then
  local err
  worker, err = system.spawn{source = "while true do end", name = "busy"}
  assert(worker, err)
end

-- The suite's own files are the only ones there are. As Lua does for files, a first line that begins with # is skipped.
local function load_file(name)
  local text <const> = files[name]
  if not text then return nil, "cannot open " .. name end
  return load(find(text, "^#") and "--" .. text or text, "@" .. name)
end

loadfile = function(name) return load_file(name) end
dofile = function(name) return assert(load_file(name))() end
for _, name in next, {"tracegc", "bwcoercion"} do
  package.preload[name] = function(...) return assert(load_file(name .. ".lua"))(...) end
end

_soft, _port, _nomsg, T = soft, false, false, nil
arg = {[0] = "lua"}

-- all.lua makes its own.
if names[1] ~= "all.lua" then
  function Message(text)
    print("left out: " .. (match(text, "^%s*>>> (.-) <<<%s*$") or text))
  end
end

local function loaded(name)
  local chunk = assert(load_file(name))
  if not AS_TEXT[name] then chunk = assert(load(dump(chunk, STRIPPED[name]))) end
  return chunk
end

-- big.lua yields once on its way.
local function run(name)
  if name ~= "big.lua" then return loaded(name)() end
  local chunk <const> = wrap(loaded(name))
  if not soft then assert(chunk() == "b") end
  local last <const> = chunk()
  assert(last == "a")
end

local function check(name, result)
  local expected = RETURNS[name]
  if name == "calls.lua" then expected = globals.deep end
  if expected ~= nil and result ~= expected then error(format("%s returned %s", name, result), 0) end
end

for _, name in next, names do
  globals.debug = nil                     -- tests that need it require it
  if name == "gc.lua" then require("tracegc").start() end
  local result <const> = run(name)
  globals.debug, globals.print = debug_library, print
  check(name, result)
  print("passed: " .. name)
  collectgarbage()
end

if busy then
  for _, row in next, system.ps() do
    if row.id == system.id or row.id == worker.id then print(format("CPU time of %s: %d us", row.name, row.cpu_ns // 1000)) end
  end
end
