-- The functions inside a compiled chunk: which of them a function is, and any one of them as a closure of its own.
--
-- A process may have this from its system, in C (kernel/sandbox/functions.c). This is the same in plain Lua, for where there
-- is none: it takes the chunk's dump apart (ldump.c of Lua 5.5, unstripped) and writes the wanted part as a dump of its own.
--
--   prototypes.reference(dump, load, getinfo) → {
--     number_of(chunk, f) → which function of the chunk f is: the first on the same lines with the same dump, counted in the
--       order in which they begin in the text, the chunk itself being 0 | nil: none of them
--     function_at(chunk, n) → closure of the function number n, with new upvalues | nil: there is none
--     dump(f) → what the compiler has made of it, without debug information, to be compared }
--
-- chunk: the function that `load` made of the whole text. Neither it nor f is called.
-- Promises: what function_at gives has the same dump, stripped or not, as the closure that running the chunk would make.
-- Relies on: dump = string.dump, load and getinfo of the same Lua; load reads nothing but what that dump wrote.

local string_byte <const> = string.byte
local string_char <const> = string.char
local string_pack <const> = string.pack
local string_rep <const> = string.rep
local string_sub <const> = string.sub
local string_unpack <const> = string.unpack
local table_concat <const> = table.concat

local prototypes = {}

-- The header: "\x1bLua", version, format, data to catch conversion errors; then, each after its size, an int, an
-- instruction, an integer and a float; then, before the first function, the count of its upvalues.
local FIXED_HEADER_BYTES <const> = 4 + 1 + 1 + 6
local INSTRUCTION_NUMBER <const>, NUMBERS <const> = 2, 4

-- Tags of constants (lobject.h).
local SHORT_STRING <const>, LONG_STRING <const> = 0x04, 0x14
local FLOAT <const>, INTEGER <const> = 0x13, 0x03

-- Reading ----------------------------------------------------------------------------------------------------

-- Readers take { bytes =, at = next position, strings = those met } and advance it.

local function read_bytes(self, n)
  local at <const> = self.at
  self.at = at + n
  return string_sub(self.bytes, at, at + n - 1)
end

-- Seven bits a byte, the highest first; all bytes but the last have the top bit set.
local function read_varint(self)
  local value = 0
  repeat
    local byte = string_byte(self.bytes, self.at)
    self.at = self.at + 1
    value = value << 7 | byte & 0x7f
  until byte < 0x80
  return value
end

local function skip_padding(self, align)
  self.at = self.at + (1 - self.at) % align
end

-- -> string | nil. A string that occurred before is told by its number.
local function read_string(self)
  local size <const> = read_varint(self)
  if size == 0 then
    return self.strings[read_varint(self)]
  end
  local text = read_bytes(self, size - 1)
  self.at = self.at + 1 -- a zero byte
  self.strings[#self.strings + 1] = text
  return text
end

local function read_constants(self)
  local list = {}
  for i = 1, read_varint(self) do
    local tag = string_byte(read_bytes(self, 1))
    if tag == SHORT_STRING or tag == LONG_STRING then
      list[i] = { tag = tag, text = read_string(self) }
    elseif tag == INTEGER then
      list[i] = { tag = tag, integer = read_varint(self) }
    else
      list[i] = { tag = tag, rest = read_bytes(self, tag == FLOAT and self.float_bytes or 0) }
    end
  end
  return list
end

local function read_variables(self)
  local list = {}
  for i = 1, read_varint(self) do
    list[i] = { name = read_string(self), first = read_varint(self), last = read_varint(self) }
  end
  return list
end

local function read_names(self)
  local n = read_varint(self)
  local list = { n = n }
  for i = 1, n do
    list[i] = read_string(self)
  end
  return list
end

local function read_code(self)
  local count = read_varint(self)
  skip_padding(self, self.instruction_bytes)
  return { count = count, bytes = read_bytes(self, count * self.instruction_bytes) }
end

local function read_line_numbers(self)
  local lines = { near = read_bytes(self, read_varint(self)), count = read_varint(self), bytes = "" }
  if lines.count > 0 then
    skip_padding(self, self.int_bytes)
    lines.bytes = read_bytes(self, 2 * lines.count * self.int_bytes)
  end
  return lines
end

-- Reads a function; it and, after it, those inside it are added to `all`.
local function read_function(self, all)
  local f = { first_line = read_varint(self), last_line = read_varint(self), form = read_bytes(self, 3) }
  all[#all + 1] = f
  f.code = read_code(self)
  f.constants = read_constants(self)
  f.upvalue_count = read_varint(self)
  f.upvalues = read_bytes(self, 3 * f.upvalue_count)
  f.inner = {}
  for i = 1, read_varint(self) do
    f.inner[i] = read_function(self, all)
  end
  f.source = read_string(self)
  f.lines = read_line_numbers(self)
  f.variables = read_variables(self)
  f.upvalue_names = read_names(self)
  return f
end

-- -> { header = bytes, functions = list, int_bytes, instruction_bytes }
local function parse(bytes)
  local self = { bytes = bytes, at = FIXED_HEADER_BYTES + 1, strings = {} }
  local sizes = {}
  for i = 1, NUMBERS do
    sizes[i] = string_byte(bytes, self.at)
    self.at = self.at + 1 + sizes[i]
  end
  self.int_bytes, self.instruction_bytes, self.float_bytes = sizes[1], sizes[INSTRUCTION_NUMBER], sizes[NUMBERS]
  local chunk = {
    header = string_sub(bytes, 1, self.at - 1), functions = {},
    int_bytes = self.int_bytes, instruction_bytes = self.instruction_bytes,
  }
  self.at = self.at + 1 -- upvalues of the first function: said again in it
  read_function(self, chunk.functions)
  if self.at ~= #bytes + 1 then
    error("this Lua's dumps have another form than those of Lua 5.5")
  end
  return chunk
end

-- Writing ----------------------------------------------------------------------------------------------------

-- Writers append to { parts, n = how many, offset = bytes so far, strings = text -> number, string_count }.

local function write(self, bytes)
  self.n = self.n + 1
  self.parts[self.n] = bytes
  self.offset = self.offset + #bytes
end

local function write_varint(self, value)
  local text = string_char(value & 0x7f)
  value = value >> 7
  while value ~= 0 do
    text = string_char(value & 0x7f | 0x80) .. text
    value = value >> 7
  end
  write(self, text)
end

local function write_padding(self, align)
  write(self, string_rep("\0", -self.offset % align))
end

local function write_string(self, text)
  local number <const> = text == nil and 0 or self.strings[text]
  if number then
    write_varint(self, 0)
    write_varint(self, number)
    return
  end
  write_varint(self, #text + 1)
  write(self, text .. "\0")
  self.string_count = self.string_count + 1
  self.strings[text] = self.string_count
end

local function write_constants(self, list)
  write_varint(self, #list)
  for i = 1, #list do
    local constant = list[i]
    write(self, string_char(constant.tag))
    if constant.text then
      write_string(self, constant.text)
    elseif constant.integer then
      write_varint(self, constant.integer)
    else
      write(self, constant.rest)
    end
  end
end

local function write_debug(self, f)
  write_string(self, f.source)
  write_varint(self, #f.lines.near)
  write(self, f.lines.near)
  write_varint(self, f.lines.count)
  if f.lines.count > 0 then
    write_padding(self, self.int_bytes)
    write(self, f.lines.bytes)
  end
  write_varint(self, #f.variables)
  for i = 1, #f.variables do
    local variable = f.variables[i]
    write_string(self, variable.name)
    write_varint(self, variable.first)
    write_varint(self, variable.last)
  end
  write_varint(self, f.upvalue_names.n)
  for i = 1, f.upvalue_names.n do
    write_string(self, f.upvalue_names[i])
  end
end

local function write_function(self, f)
  write_varint(self, f.first_line)
  write_varint(self, f.last_line)
  write(self, f.form)
  write_varint(self, f.code.count)
  write_padding(self, self.instruction_bytes)
  write(self, f.code.bytes)
  write_constants(self, f.constants)
  write_varint(self, f.upvalue_count)
  write(self, f.upvalues)
  write_varint(self, #f.inner)
  for i = 1, #f.inner do
    write_function(self, f.inner[i])
  end
  write_debug(self, f)
end

local function dump_of(chunk, f)
  local self = {
    parts = {}, n = 0, offset = 0, strings = {}, string_count = 0,
    int_bytes = chunk.int_bytes, instruction_bytes = chunk.instruction_bytes,
  }
  write(self, chunk.header)
  write(self, string_pack("B", f.upvalue_count))
  write_function(self, f)
  return table_concat(self.parts)
end

-- ------------------------------------------------------------------------------------------------------------

function prototypes.reference(dump, load, getinfo)
  -- A chunk is asked for many of its functions in a row.
  local parsed = setmetatable({}, { __mode = "k" })

  local function functions_of(chunk)
    local found = parsed[chunk]
    if not found then
      found = parse(dump(chunk))
      parsed[chunk] = found
    end
    return found
  end

  local self = {}

  function self.dump(f)
    return dump(f, true)
  end

  function self.function_at(chunk, n)
    local found = functions_of(chunk)
    local f = found.functions[n + 1]
    return f and load(dump_of(found, f), "=", "b") or nil
  end

  function self.number_of(chunk, f)
    local info <const>, wanted <const> = getinfo(f, "S"), dump(f, true)
    for i, inner in ipairs(functions_of(chunk).functions) do
      if inner.first_line == info.linedefined and inner.last_line == info.lastlinedefined
          and dump(self.function_at(chunk, i - 1), true) == wanted then
        return i - 1
      end
    end
  end

  return self
end

return prototypes
