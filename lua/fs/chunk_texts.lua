-- The texts that functions were compiled from: what is needed to save a function.
--
-- Lua keeps the text of a chunk that was compiled without a name. Of a chunk with a name it keeps the name only, and several texts
-- may have had it; so those who compile (the wrapped `load`, the shell, the runner of programs) have the texts remembered here.
--
-- A chunk is a table { name =, text =, source = }, one for each text under a source: `source` is what debug.getinfo says of
-- the chunk's functions, `name` what is stored. It is known as long as somebody holds it; those who save or load its functions do.
-- Others are held here: the newest, up to TEXTS_MAX of them and TEXT_BYTES_MAX together. A function of an older one cannot be
-- saved.
--
-- One memory for all of a process's sessions, because functions do not know which of them they will be saved in.
-- Relies on: nothing.

local setmetatable <const> = setmetatable
local string_find <const> = string.find
local string_match <const> = string.match
local string_sub <const> = string.sub

local chunk_texts = {}

local TEXT_BYTES_MAX <const>, TEXTS_MAX <const> = 1 << 20, 4096
-- Of a longer name Lua shows no more than its beginning, of a file's its end.
local NAME_BYTES_MAX <const>, NAME_BYTES_KEPT <const> = 255, 200

local WEAK_VALUES <const> = { __mode = "v" }

-- source -> { chunks = list of its chunks, newest last, with holes; last = its length; by_text = text -> newest chunk }.
-- Those that became empty are swept when their number has doubled.
local by_source, source_count, sweep_at = {}, 0, 256
-- The chunks that are held, oldest first: held[first … last].
local held, first, last, held_bytes = {}, 1, 0, 0

local function sweep()
  source_count = 0
  for source, list in next, by_source do
    if next(list.chunks) == nil then
      by_source[source] = nil
    else
      source_count = source_count + 1
    end
  end
  sweep_at = math.max(256, 2 * source_count)
end

local function list_of(source)
  local list = by_source[source]
  if not list then
    source_count = source_count + 1
    if source_count > sweep_at then
      sweep()
    end
    list = { last = 0, chunks = setmetatable({}, WEAK_VALUES), by_text = setmetatable({}, WEAK_VALUES) }
    by_source[source] = list
  end
  return list
end

local function is_name(source)
  return string_find(source, "^[=@]") ~= nil
end

-- The name under which a chunk of that source is stored. A text that is its own name is stored once: Lua shows its first row.
local function stored_name(source)
  if not is_name(source) then
    source = string_match(source, "^[^\n]*\n?")
  elseif #source > NAME_BYTES_MAX and string_sub(source, 1, 1) == "@" then
    return "@..." .. string_sub(source, -NAME_BYTES_KEPT)
  end
  return #source > NAME_BYTES_MAX and string_sub(source, 1, NAME_BYTES_KEPT) or source
end

-- The chunk with that text under that source, a new one if need be. name: what it is stored as, if that is known.
function chunk_texts.chunk(source, text, name)
  local list = list_of(source)
  local chunk = list.by_text[text]
  if chunk and (name == nil or chunk.name == name) then
    return chunk
  end
  chunk = { source = source, text = text, name = name or stored_name(source) }
  list.last = list.last + 1
  list.chunks[list.last], list.by_text[text] = chunk, chunk
  return chunk
end

local function hold(chunk)
  if chunk.held then
    return
  end
  last = last + 1
  held[last], chunk.held = chunk, true
  held_bytes = held_bytes + #chunk.text
  while held_bytes > TEXT_BYTES_MAX or last - first >= TEXTS_MAX do
    local oldest = held[first]
    held[first], oldest.held = nil, nil
    held_bytes = held_bytes - #oldest.text
    first = first + 1
  end
end

-- A text was compiled under a name, as load takes it; nil: without one.
function chunk_texts.remember(name, text)
  local source = string_match(name or text, "^[^\0]*") -- Lua ends it there
  if is_name(source) or source ~= text then
    hold(chunk_texts.chunk(source, text))
  end
end

-- The chunks that a function of that source may be of, newest first.
function chunk_texts.of(source)
  local list = by_source[source]
  local found, numbers = {}, {}
  for number in next, list and list.chunks or {} do
    numbers[#numbers + 1] = number
  end
  table.sort(numbers)
  for i = #numbers, 1, -1 do
    found[#found + 1] = list.chunks[numbers[i]]
  end
  if not is_name(source) then
    found[#found + 1] = chunk_texts.chunk(source, source)
  end
  return found
end

return chunk_texts
