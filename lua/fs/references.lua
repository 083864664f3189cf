-- What a payload refers to, found without building its values; and whether it is canonical for its kind (SPEC.md, section 7).
--
-- The store decodes nothing for its clients. It looks through what they hand over with this: a payload that it lets through
-- can be decoded by every reader, and the ids in it are all that garbage collection needs to know.
--
-- Promises: accepts exactly the canonical payloads of a kind; one pass, no length believed before the bytes are there;
-- memory for the ids found and nothing else in proportion to the payload.
-- Relies on: fs.scalars for what a value is made of. `primitives.references(payload, into)`, if the system has it, does the same
-- in C for tables, which nearly all objects are.

local layout <const> = require "fs.layout"
local messagepack <const> = require "fs.messagepack"
local order <const> = require "fs.order"
local scalars <const> = require "fs.scalars"

local string_byte <const> = string.byte
local string_sub <const> = string.sub
local utf8_len <const> = utf8.len

local references <const> = {}

local FIXMAP <const>, MAP16 <const>, MAP32 <const> = messagepack.FIXMAP, messagepack.MAP16, messagepack.MAP32
local FIXARRAY <const>, ARRAY16 <const>, ARRAY32 <const> = messagepack.FIXARRAY, messagepack.ARRAY16, messagepack.ARRAY32
local NIL <const>, FIXSTR <const>, FIXSTR_LAST <const> = messagepack.NIL, messagepack.FIXSTR, messagepack.FIXSTR + 31
local PACKED_MIN <const> = layout.PACKED_MIN
local STRING <const> = order.STRING
local INTEGER <const>, FLOAT <const> = scalars.INTEGER, scalars.FLOAT
local malformed <const>, value <const>, name <const> = scalars.malformed, scalars.value, scalars.name
local reference <const>, integer <const>, is_extension <const> = scalars.reference, scalars.integer, scalars.is_extension
local string_less <const> = order.string_less

-- Readers take the payload, a position (1-based) and the list of ids, and give the position after; or nil, err.

local function end_of(s, at)
  if at <= #s then return nil, malformed(at, "the end", ("%d more bytes"):format(#s - at + 1)) end
  return at
end

--- Values of an array part. Returns position after, whether all are integers or all floats | nil, err.
local function elements(s, at, n, into)
  local class
  for position = 1, n do
    local after <const>, one <const> = value(s, at, into)
    if not after then return nil, one end
    if position == 1 then class = one elseif class ~= one then class = nil end
    at = after
  end
  return at, class == INTEGER or class == FLOAT
end

--- An array part: an array or a packed array. Returns position after, count | nil, err.
local function array_part(s, at, into)
  local head <const> = string_byte(s, at)
  if head == FIXARRAY then return at + 1, 0 end
  if head and is_extension(head) then return scalars.packed(s, at) end
  local start <const>, n <const> = scalars.count(s, at, FIXARRAY, ARRAY16, ARRAY32, "an array part")
  if not start then return nil, n end
  local after <const>, alike <const> = elements(s, start, n, into)
  if not after then return nil, alike end
  if n >= PACKED_MIN and alike then
    return nil, malformed(at, "a packed array", ("an array of %d numbers"):format(n))
  end
  return after, n
end

--- Any key. Returns position after, rank, what it is ordered by | nil, err.
local function other_key(s, at, n, into)
  local head <const> = string_byte(s, at)
  if head and is_extension(head) then
    if not into then return nil, malformed(at, "a boolean, number or string", "an extension") end
    local after <const>, by <const> = scalars.key_name(s, at, into)
    if not after then return nil, by end
    return after, math.type(by) and order.REFERENCE or order.PERMANENT, by
  end
  local after <const>, class <const>, by <const> = scalars.key(s, at)
  if not after then return nil, class end
  if class == INTEGER then
    if n and by >= 1 and by - 1 <= n then return nil, malformed(at, "a key outside the array part", tostring(by)) end
    return after, order.INTEGER, by
  elseif class == FLOAT then
    if by ~= by or math.tointeger(by) then
      return nil, malformed(at, "a float key without an integer's value", ("%.17g"):format(by))
    end
    return after, order.FLOAT, by
  elseif type(by) == "string" then
    return after, STRING, by
  end
  return after, by and order.TRUE or order.FALSE, 0
end

local function ascending(rank, by, last_rank, last_by)
  if rank ~= last_rank then return rank > last_rank end
  if rank == STRING or rank == order.PERMANENT then return string_less(last_by, by) end
  return rank > order.TRUE and last_by < by
end

--- A key in its place. n: length of the array part before it, nil for none known; names nil: no references as keys.
local function key(s, at, n, names, last_rank, last_by)
  local after <const>, rank <const>, by <const> = other_key(s, at, n, names)
  if not after then return nil, rank end
  if not ascending(rank, by, last_rank, last_by) then
    return nil, malformed(at, "keys in ascending order", "one that is not above the key before")
  end
  return after, rank, by
end

--- A map. Returns position after, count | nil, err.
local function map(s, at, n, into, names)
  if string_byte(s, at) == FIXMAP then return at + 1, 0 end
  local p <const>, count <const> = scalars.count(s, at, FIXMAP, MAP16, MAP32, "a map part")
  if not p then return nil, count end
  local rank, by, after, class = 0, "", p, nil
  for _ = 1, count do
    local behind
    local head <const> = string_byte(s, after)
    local text <const> = head and head >= FIXSTR and head <= FIXSTR_LAST
      and string_sub(s, after + 1, after + head - FIXSTR)
    -- Nearly every key is a short string that follows another.
    if text and #text == head - FIXSTR and utf8_len(text) and (rank < STRING or rank == STRING and string_less(by, text)) then
      behind, rank, by = after + 1 + #text, STRING, text
    else
      behind, rank, by = key(s, after, n, names, rank, by)
      if not behind then return nil, rank end
    end
    after, class = value(s, behind, into)
    if not after then return nil, class end
  end
  return after, count
end

--- The array that a structure is: exactly `least` elements, or at least so many. Returns position of the first, count | nil, err.
local function structure(s, at, least, most, what)
  local start <const>, n <const> = scalars.count(s, at, FIXARRAY, ARRAY16, ARRAY32, what)
  if not start then return nil, n end
  if n < least or n > most then
    return nil, malformed(at, ("%s of %d elements%s"):format(what, least, most > least and " or more" or ""), tostring(n))
  end
  return start, n
end

local MOST <const> = math.maxinteger

--- References, one after the other.
local function several(s, at, count, into)
  local err
  for _ = 1, count do
    at, err = reference(s, at, into)
    if not at then return nil, err end
  end
  return at
end

--- Levels and children of a part of a tree; both are none for an empty part.
local function part(s, at, into, least)
  local after <const>, levels <const> = integer(s, at, least, layout.LEVELS_MAX, "levels of a tree")
  if not after then return nil, levels end
  local start <const>, n <const> = structure(s, after, levels > 0 and 1 or 0, levels > 0 and MOST or 0, "children")
  if not start then return nil, n end
  return several(s, start, n, into)
end

local KINDS <const> = {}

KINDS[layout.KIND_TABLE] = function(s, into)
  local at <const>, n <const> = array_part(s, 1, into)
  if not at then return nil, n end
  local after, err = map(s, at, n, into, into)
  if not after then return nil, err end
  if after > #s then return after end
  if not is_extension(string_byte(s, after)) then
    return nil, malformed(after, "the end or a metatable", ("the byte %02x"):format(string_byte(s, after)))
  end
  after, err = name(s, after, into)
  if not after then return nil, err end
  return end_of(s, after)
end

local function string_tree(s, at, into)
  local after <const>, err = integer(s, at, 1, MOST, "the length of a string")
  if not after then return nil, err end
  return part(s, after, into, 1)
end

local function table_tree(s, at, into)
  local after, err = at + 1, nil
  if string_byte(s, at) ~= NIL then after, err = name(s, at, into) end
  if after then after, err = part(s, after, into, 0) end
  if after then after, err = part(s, after, into, 0) end
  return after, err
end

KINDS[layout.KIND_TREE] = function(s, into)
  local start <const>, n <const> = structure(s, 1, 4, 6, "a tree")
  if not start then return nil, n end
  local at <const>, form <const> = integer(s, start, layout.TREE_STRING, layout.TREE_TABLE, "a string or a table")
  if not at then return nil, form end
  if n ~= (form == layout.TREE_STRING and 4 or 6) then
    return nil, malformed(1, "4 elements of a string, 6 of a table", tostring(n))
  end
  local after <const>, err = (form == layout.TREE_STRING and string_tree or table_tree)(s, at, into)
  if not after then return nil, err end
  return end_of(s, after)
end

--- A node is an array of references, and so may a leaf of an array part be.
KINDS[layout.KIND_TREE_NODE] = function(s, into)
  local head <const> = string_byte(s, 1)
  local after, count
  if head and scalars.is_bin(head) then
    after, count = scalars.bin(s, 1)
  elseif head and (head & 0xf0 == FIXMAP or head == MAP16 or head == MAP32) then
    after, count = map(s, 1, nil, into, into)
  else
    after, count = array_part(s, 1, into)
  end
  if not after then return nil, count end
  if count == 0 then return nil, malformed(1, "a piece of a tree", "an empty one") end
  return end_of(s, after)
end

KINDS[layout.KIND_MAP] = function(s, into)
  local start <const>, n <const> = structure(s, 1, 3, 3, "an ordered map")
  if not start then return nil, n end
  local at <const>, count <const> = integer(s, start, 0, MOST, "a count")
  if not at then return nil, count end
  local after <const>, levels <const> = integer(s, at, count > 0 and 1 or 0, count > 0 and layout.MAP_LEVELS_MAX or 0, "levels of a map")
  if not after then return nil, levels end
  local last, err
  if count > 0 then
    last, err = reference(s, after, into)
  elseif string_byte(s, after) == NIL then
    last = after + 1
  else
    err = malformed(after, "nil, the root of an empty map", "something else")
  end
  if not last then return nil, err end
  return end_of(s, last)
end

--- Children with keys between them.
local function branch(s, into)
  local at, n = structure(s, 1, 1, MOST, "a node of a map")
  if not at then return nil, n end
  if n % 2 == 0 then return nil, malformed(1, "a child behind each key", ("%d elements"):format(n)) end
  local rank, by = 0, nil
  for position = 1, n do
    if position % 2 == 1 then
      at, n = reference(s, at, into)
      if not at then return nil, n end
    else
      local after
      after, rank, by = key(s, at, nil, nil, rank, by)
      if not after then return nil, rank end
      at = after
    end
  end
  return end_of(s, at)
end

KINDS[layout.KIND_MAP_NODE] = function(s, into)
  local head <const> = string_byte(s, 1)
  if head and (head & 0xf0 == FIXARRAY or head == ARRAY16 or head == ARRAY32) then return branch(s, into) end
  local after <const>, count <const> = map(s, 1, nil, into, nil)
  if not after then return nil, count end
  return end_of(s, after)
end

KINDS[layout.KIND_CHUNK] = function(s, into)
  local at, err = structure(s, 1, 2, 2, "a chunk")
  if not at then return nil, err end
  at, err = scalars.text(s, at, nil)
  if at then at, err = scalars.text(s, at, into) end
  if not at then return nil, err end
  return end_of(s, at)
end

KINDS[layout.KIND_FUNCTION] = function(s, into)
  local at, n = structure(s, 1, 5, MOST, "a function")
  if not at then return nil, n end
  local err
  at, err = reference(s, at, into)
  if at then at, err = integer(s, at, 0, MOST, "the number of a function") end
  if at then at, err = integer(s, at, 0, MOST, "the length of a dump") end
  if at then at, err = integer(s, at, 0, 0xFFFFFFFF, "the CRC of a dump") end
  if at then at, err = scalars.text(s, at, nil) end
  if at then at, err = several(s, at, n - 5, into) end
  if not at then return nil, err end
  return end_of(s, at)
end

KINDS[layout.KIND_CELL] = function(s, into)
  if s == "\xc0" then return 2 end
  local after <const>, err = value(s, 1, into)
  if not after then return nil, err end
  return end_of(s, after)
end

--- references.scan(kind, payload, into) → into | nil, err (code "malformed", offset, expected, found). Appends the ids that an object's
--- payload refers to, in order, repeated ones too. `into` = {count = n, id, …}: its field `count` says how many are in it.
function references.scan(kind, payload, into)
  local after <const>, err = KINDS[kind](payload, into)
  if not after then return nil, err end
  return into
end

--- references.of(primitives) → the scan function to use.
function references.of(primitives)
  local of_table <const> = primitives.references
  if not of_table then return references.scan end
  return function(kind, payload, into)
    if kind == layout.KIND_TABLE then return of_table(payload, into) end
    return references.scan(kind, payload, into)
  end
end

return references
