-- What functions, the texts that they come from and their upvalues look like (formats/SPEC.md, section 7).
--
--   KIND_CHUNK      [name, text]
--   KIND_FUNCTION   [chunk, number, dump_bytes, dump_crc, release, cell, …]
--   KIND_CELL       a value, or nil
--
-- Promises: reads exactly what is canonical; a count is not believed before the bytes are there.
-- Relies on: fs.layout, fs.messagepack, fs.value_decoder, fs.value_encoder.

local layout <const> = require "fs.layout"
local messagepack <const> = require "fs.messagepack"
local value_decoder <const> = require "fs.value_decoder"
local value_encoder <const> = require "fs.value_encoder"

local math_type <const> = math.type
local string_byte <const> = string.byte
local string_char <const> = string.char
local string_format <const> = string.format
local table_concat <const> = table.concat
local type <const> = type

local function_forms = {}

local FIXARRAY <const>, ARRAY16 <const>, ARRAY32 <const> = messagepack.FIXARRAY, messagepack.ARRAY16, messagepack.ARRAY32
local CHUNK_FIELDS <const>, FUNCTION_FIELDS <const> = 2, 5
local CRC_MAX <const> = 0xffffffff
local NIL <const> = string_char(messagepack.NIL)
local malformed <const> = value_decoder.malformed

-- text: what value_encoder made of it.
function function_forms.encode_chunk(name, text)
  return string_char(FIXARRAY + CHUNK_FIELDS) .. value_encoder.string(name) .. text
end

-- f: { chunk = id, number =, dump_bytes =, dump_crc =, release =, cells = list of ids }
function function_forms.encode_function(f)
  local out = {
    value_encoder.count(FUNCTION_FIELDS + #f.cells, FIXARRAY, ARRAY16, ARRAY32), value_encoder.name(f.chunk),
    value_encoder.integer(f.number), value_encoder.integer(f.dump_bytes), value_encoder.integer(f.dump_crc),
    value_encoder.string(f.release),
  }
  for i = 1, #f.cells do
    out[i + FUNCTION_FIELDS + 1] = value_encoder.name(f.cells[i])
  end
  return table_concat(out)
end

-- -> payload | nil: the value has no name
function function_forms.encode_cell(value, names, miss)
  if value == nil then
    return NIL
  end
  return value_encoder.value(value, names, miss)
end

-- Readers give value, position after it | error.

local function read_count(s, what)
  local n, after = value_decoder.count(s, 1, FIXARRAY, ARRAY16, ARRAY32, what)
  if after and n > #s - after + 1 then
    return malformed(1, what, string_format("%d elements in %d bytes", n, #s - after + 1))
  end
  return n, after
end

-- A value that is no extension and of which is_right(value) holds.
local function read_plain(s, at, what, is_right)
  local head <const> = string_byte(s, at)
  if head and value_decoder.is_extension(head) then
    return malformed(at, what, "an extension")
  end
  local value, after = value_decoder.value(s, at)
  if after and not is_right(value) then
    return malformed(at, what, type(value))
  end
  return value, after
end

local function is_string(value)
  return type(value) == "string"
end

local function is_crc(value)
  return math_type(value) == "integer" and value >= 0 and value <= CRC_MAX
end

local function is_count(value)
  return math_type(value) == "integer" and value >= 0
end

local function read_reference(s, at, what)
  local id, after = nil, nil
  local head <const> = string_byte(s, at)
  if not head or not value_decoder.is_extension(head) then
    return malformed(at, what, head and string_format("the byte %02x", head) or "the end")
  end
  id, after = value_decoder.name(s, at)
  if after and not math_type(id) then
    return malformed(at, what, "a permanent")
  end
  return id, after
end

local function check_end(s, at)
  if at <= #s then
    return nil, malformed(at, "the end", string_format("%d more bytes", #s - at + 1))
  end
  return true
end

-- links: as for a codec's decode, for a text that is an object of its own. -> name, text | nil, err
function function_forms.decode_chunk(s, links)
  local n, at = read_count(s, "a chunk")
  if not at then
    return nil, n
  elseif n ~= CHUNK_FIELDS then
    return nil, malformed(1, "the name and the text of a chunk", string_format("%d elements", n))
  end
  local name, text
  name, at = read_plain(s, at, "the name of a chunk", is_string)
  if not at then
    return nil, name
  end
  local start <const> = at
  text, at = value_decoder.value(s, at, links)
  if not at then
    return nil, text
  elseif type(text) ~= "string" then
    return nil, malformed(start, "the text of a chunk", type(text))
  end
  local ok, err = check_end(s, at)
  return ok and name, ok and text or err
end

-- What stands before the cells: field, reader, what it is, condition.
local FIELDS <const> = {
  { "chunk", read_reference, "the reference of a chunk" },
  { "number", read_plain, "the number of a function", is_count },
  { "dump_bytes", read_plain, "the length of a dump", is_count },
  { "dump_crc", read_plain, "the CRC of a dump", is_crc },
  { "release", read_plain, "the release of a compiler", is_string },
}

-- -> as encode_function takes it | nil, err
function function_forms.decode_function(s)
  local n, at = read_count(s, "a function")
  if not at then
    return nil, n
  elseif n < FUNCTION_FIELDS then
    return nil, malformed(1, string_format("at least %d elements of a function", FUNCTION_FIELDS), string_format("%d", n))
  end
  local f, value = { cells = {} }, nil
  for _, field in ipairs(FIELDS) do
    value, at = field[2](s, at, field[3], field[4])
    if not at then
      return nil, value
    end
    f[field[1]] = value
  end
  for i = 1, n - FUNCTION_FIELDS do
    value, at = read_reference(s, at, "the reference of an upvalue")
    if not at then
      return nil, value
    end
    f.cells[i] = value
  end
  local ok, err = check_end(s, at)
  return ok and f, err
end

-- links: as for a codec's decode. -> true, value | nil, err
function function_forms.decode_cell(s, links)
  if s == NIL then
    return true, nil
  end
  local value, at = value_decoder.value(s, 1, links)
  if not at then
    return nil, value
  end
  local ok, err = check_end(s, at)
  if not ok then
    return nil, err
  end
  return true, value
end

return function_forms
