-- Stubs: tables that stand for objects that were not read yet, and become them at first touch.
--
-- A stub is an empty table whose metatable has every metamethod that Lua knows: each loads the object into this very
-- table, takes the stub's metatable away, and does the operation again. So a stub and what it becomes are one value:
-- identity, use as a key and all references stay right. What goes past metamethods (next, rawget, rawset, rawlen,
-- getmetatable, setmetatable) must touch the table first: fs.wrappers.
--
-- Promises: once touch(t) has returned, t is no stub; a load that fails raises an error that says what could not be
-- loaded, and leaves the stub a stub, so that a later touch tries again.
-- Relies on: load functions of the form load(stub) -> true | nil, message, given with each stub.

local error <const> = error
local getmetatable <const> = getmetatable
local next <const> = next
local pairs <const> = pairs
local pcall <const> = pcall
local setmetatable <const> = setmetatable
local string_gsub <const> = string.gsub
local tostring <const> = tostring
local type <const> = type

local stubs = {}

-- What plain getmetatable(stub) gives. A value of its own, so that an unwrapped setmetatable refuses loudly.
stubs.PROTECTED = setmetatable({}, { __name = "metatable of an object that is not loaded" })
local PROTECTED <const> = stubs.PROTECTED

-- stub -> its load function; false: it is no stub now, and can become one again without taking memory (see reserve)
local load_of = setmetatable({}, { __mode = "k" })
-- table -> true: was seen in use as a metatable. Lua reads metatables raw, so these can never be stubs again.
local metatables = setmetatable({}, { __mode = "k" })

local STUB <const> = { __metatable = PROTECTED }

-- Whose line an error names: the program's that used the operator, not the metamethod's.
local USER <const> = 2

-- Loads t if it is a stub. level: as for error.
local function touch(t, level)
  local load <const> = load_of[t]
  if load then
    local ok, message = load(t)
    if not ok then
      error(message, level and level + 1 or 2)
    end
  end
end
stubs.touch = touch

function stubs.is(t)
  return load_of[t] and true or false
end

-- From now on turn(t, …) cannot run out of memory, until settle(t).
function stubs.reserve(t)
  load_of[t] = load_of[t] or false
end

function stubs.settle(t)
  if load_of[t] == false then
    load_of[t] = nil
  end
end

-- A metatable goes on and off only through these two: it is protected from everyone else.
local function set_raw(t, metatable)
  STUB.__metatable = nil
  setmetatable(t, metatable)
  STUB.__metatable = PROTECTED
end

-- Makes the empty table t, which has no metatable, a stub.
function stubs.turn(t, load)
  load_of[t] = load
  set_raw(t, STUB)
  return t
end

function stubs.new(load)
  return stubs.turn({}, load)
end

-- Makes the stub t an empty table without a metatable. It can be turned back at any time, until settle(t).
function stubs.strip(t)
  load_of[t] = false
  set_raw(t, nil)
end

function stubs.note_metatable(t)
  metatables[t] = true
end

function stubs.is_metatable(t)
  return metatables[t] ~= nil
end

-- Does the operation again, now that its operands are loaded. Where it has no meaning for them, Lua's message should
-- point at the program that asked for it, not here.
local function again(event, operate, a, b)
  local of_a <const>, of_b <const> = getmetatable(a), getmetatable(b)
  if type(of_a) == "table" and of_a[event] ~= nil or type(of_b) == "table" and of_b[event] ~= nil then
    return operate(a, b)
  end
  local ok <const>, result = pcall(operate, a, b)
  if ok then
    return result
  end
  error(string_gsub(string_gsub(result, "^[^:]*:%d+: ", ""), " %(%a+ '%a+'%)$", ""), 3)
end

local BINARY <const> = {
  __add = function(a, b) return a + b end,
  __sub = function(a, b) return a - b end,
  __mul = function(a, b) return a * b end,
  __div = function(a, b) return a / b end,
  __mod = function(a, b) return a % b end,
  __pow = function(a, b) return a ^ b end,
  __idiv = function(a, b) return a // b end,
  __band = function(a, b) return a & b end,
  __bor = function(a, b) return a | b end,
  __bxor = function(a, b) return a ~ b end,
  __shl = function(a, b) return a << b end,
  __shr = function(a, b) return a >> b end,
  __unm = function(a) return -a end,
  __bnot = function(a) return ~a end,
  __concat = function(a, b) return a .. b end,
  __eq = function(a, b) return a == b end,
  __lt = function(a, b) return a < b end,
  __le = function(a, b) return a <= b end,
}
for event, operate in next, BINARY do
  STUB[event] = function(a, b)
    if load_of[a] then touch(a, USER) end
    if b ~= nil and load_of[b] then touch(b, USER) end
    return again(event, operate, a, b)
  end
end

function STUB.__index(t, key) touch(t, USER) return t[key] end
function STUB.__len(t) touch(t, USER) return #t end
function STUB.__tostring(t) touch(t, USER) return tostring(t) end
function STUB.__pairs(t) touch(t, USER) return pairs(t) end

function STUB.__newindex(t, key, value)
  touch(t, USER)
  if key == nil or key ~= key then
    return again("__newindex", function() t[key] = value end, t)
  end
  t[key] = value
end

function STUB.__call(t, ...)
  touch(t, USER)
  local metatable <const> = getmetatable(t)
  if metatable == nil or type(metatable) == "table" and metatable.__call == nil then
    return again("__call", t, t) -- fails
  end
  return t(...)
end

function STUB.__close(t, problem)
  touch(t, USER)
  local metatable = getmetatable(t)
  local close = type(metatable) == "table" and metatable.__close
  if not close then
    error("variable got a non-closable value", 2) -- Lua says so earlier, at the declaration
  end
  return close(t, problem)
end

return stubs
