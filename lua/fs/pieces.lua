-- Cutting long strings and large tables into pieces (formats/SPEC.md, section 7, KIND_TREE).
--
--   a string       every TREE_LEAF_BYTES
--   an array part  into ranges of indexes that begin at a multiple of their size plus 1, the size being a power of two
--   a map part     after each key whose hash ends with TREE_HASH_BITS zero bits, and before TREE_LEAF_BYTES
--
-- A change in a map part moves cuts only up to the next key that ends a piece by its hash; one in an array part none
-- outside of the range. So everything else comes out as it was, byte for byte.
--
-- A piece is { payload =, mark =, zeros = }. mark: what the piece is known by when it is cut again (the first index of a range,
-- the encoded last key); zeros: low zero bits of the hash of the last key, 32 at most, where only the fan-out counts -1.
-- Relies on: fs.extents, fs.layout, fs.messagepack, fs.value_encoder.

local extents <const> = require "fs.extents"
local layout <const> = require "fs.layout"
local messagepack <const> = require "fs.messagepack"
local value_encoder <const> = require "fs.value_encoder"

local string_pack <const> = string.pack
local string_sub <const> = string.sub
local table_move <const> = table.move

local pieces = {}

local LEAF_BYTES <const> = layout.TREE_LEAF_BYTES
local FANOUT <const> = layout.TREE_FANOUT
local HASH_BITS <const> = layout.TREE_HASH_BITS
local HASH_MASK <const> = (1 << HASH_BITS) - 1
-- The longest head of a map, which a piece is reckoned with whatever it has.
local HEAD_BYTES <const> = 5

-- A piece of a string as it is stored: a bin, whatever its bytes.
local function string_piece(s)
  local n <const> = #s
  if n <= 0xff then return string_pack(">Bs1", messagepack.BIN8, s) end
  if n <= 0xffff then return string_pack(">Bs2", messagepack.BIN16, s) end
  return string_pack(">Bs4", messagepack.BIN32, s)
end

-- -> how many pieces a string of that many bytes has
function pieces.string_count(bytes)
  return (bytes + LEAF_BYTES - 1) // LEAF_BYTES
end

-- -> the bytes of piece `index` of a string
function pieces.string_part(s, index)
  return string_sub(s, (index - 1) * LEAF_BYTES + 1, index * LEAF_BYTES)
end

pieces.string_payload = string_piece

-- encode(list) -> its encoded array part. -> list of pieces of t[1..n]
function pieces.array(t, n, encode)
  local found = {}
  local function cut(first, size)
    if first > n then
      return
    end
    local last <const> = math.min(first + size - 1, n)
    -- An element takes a byte at least: more than this need not be tried.
    if last - first < LEAF_BYTES then
      local payload = encode(table_move(t, first, last, 1, {}))
      if #payload <= LEAF_BYTES or size == 1 then
        found[#found + 1] = { payload = payload, mark = first, zeros = -1 }
        return
      end
    end
    cut(first, size // 2)
    cut(first + size // 2, size // 2)
  end
  local size = 1
  while size < n do
    size = size * 2
  end
  cut(1, size)
  return found
end

local function low_zeros(hash)
  local zeros = 0
  while zeros < 32 and hash & 1 << zeros == 0 do
    zeros = zeros + 1
  end
  return zeros
end

-- The old pieces that a key ends by its hash, by their first keys: where one stands again byte for byte, it ends again there.
local function by_first_key(old, crc32c)
  local found = {}
  for i = 1, #old do
    local piece = old[i]
    piece.zeros = piece.zeros or low_zeros(crc32c(piece.mark))
    if piece.zeros >= HASH_BITS then
      local count, start = extents.count(piece.payload, 1)
      local key = string_sub(piece.payload, start, extents.after(piece.payload, start) - 1)
      found[key] = { piece = piece, count = count, body = string_sub(piece.payload, start) }
    end
  end
  return found
end

-- payload: of a table; at: where its map part begins; old: the pieces that it was cut into before, perhaps none: those that come
-- again are passed over without a look at what is in them. -> list of pieces
function pieces.map(payload, at, crc32c, old)
  local found = {}
  local left, start = extents.count(payload, at)
  local again <const> = by_first_key(old, crc32c)
  local p, held = start, 0
  local last, hash
  local function cut(stop)
    local head = value_encoder.count(held, messagepack.FIXMAP, messagepack.MAP16, messagepack.MAP32)
    found[#found + 1] = { payload = head .. string_sub(payload, start, stop - 1), mark = last, zeros = low_zeros(hash) }
    start, held = stop, 0
  end
  while left > 0 do
    local value_at = extents.after(payload, p)
    local key = string_sub(payload, p, value_at - 1)
    local known = held == 0 and again[key]
    if known and string_sub(payload, p, p + #known.body - 1) == known.body then
      local piece <const> = known.piece
      found[#found + 1] = { payload = piece.payload, mark = piece.mark, zeros = piece.zeros }
      p, left = p + #known.body, left - known.count
      start = p
    else
      local stop = extents.after(payload, value_at)
      if held > 0 and HEAD_BYTES + stop - start > LEAF_BYTES then
        cut(p)
      else
        last, held, left, p = key, held + 1, left - 1, stop
        hash = crc32c(last)
        if hash & HASH_MASK == 0 then
          cut(stop)
        end
      end
    end
  end
  if held > 0 then
    cut(p)
  end
  return found
end

-- row: the pieces or nodes of level `level` - 1 in order. -> the lists of those that make a node of level `level` each
function pieces.groups(row, level)
  local groups, group = {}, nil
  local enough <const> = (level + 1) * HASH_BITS
  for i = 1, #row do
    if not group then
      group = {}
      groups[#groups + 1] = group
    end
    group[#group + 1] = row[i]
    -- A hash has 32 bits: far above the leaves only the fan-out ends a node, so that every tree comes to an end.
    if #group == FANOUT or row[i].zeros >= enough then
      group = nil
    end
  end
  return groups
end

return pieces
