-- Functions on their way to another process: as source, with copies of their upvalues.
--
--     local functions = functions.new{raw = kernel.raw, known = {[value] = name}, known_by_name = function(name) → value,
--                                     text_of = function(chunk name) → text | nil, process_metatable =}
--     functions.pack(values, count) → a table that can be sent | nil, why not
--     functions.unpack(parcel) → values…                 in the other process; raises what cannot be had there
-- known: what every process has, `_G` and the libraries; it travels by its name.
--
-- A function is {chunk, number, cells}: the text it was compiled from, which of the chunk's functions it is
-- (kernel/sandbox/functions.h), and its upvalues, those that functions share being one cell. Its chunk is compiled there, never run.
-- Promises: sharing and cycles are kept, among functions as well; metatables stay behind, but for processes' own; a function
-- whose text is not known, or that belongs to the system, is refused by its path; what is given stays as it was.

local functions <const> = {}

local find <const> = string.find
local SYSTEM_CHUNK <const> = "^=lua/"

function functions.new(parts)
  local raw <const>, known <const>, text_of <const> = parts.raw, parts.known, parts.text_of
  local self <const> = {}

  -- --- packing ----------------------------------------------------------------------------------------------------------

  -- The chunk of that name, compiled: {main =, number = its place in the parcel} | nil.
  local function chunk_named(packing, name)
    local chunk = packing.chunks[name]
    if chunk then return chunk end
    local text = text_of(name)
    if not text and not find(name, "^[=@]") then text = name end
    local main <const> = text and load(text, name, "t")
    if not main then return nil end
    local chunks <const> = packing.parcel.chunks
    chunks[#chunks + 1] = {name = name, text = text}
    chunk = {main = main, number = #chunks}
    packing.chunks[name] = chunk
    return chunk
  end

  -- Of which chunk it is and which of its functions, or why that cannot be said.
  local function origin_of(packing, f)
    local info <const> = raw.getinfo(f, "S")
    if info.what == "C" then return nil, "it is written in C" end
    if find(info.source, SYSTEM_CHUNK) then return nil, "it is one of the system's own (" .. info.short_src .. ")" end
    local chunk <const> = chunk_named(packing, info.source)
    local number <const> = chunk and raw.number_of(chunk.main, f)
    if not number then return nil, "the text it was compiled from is not known" end
    return {chunk = chunk.number, number = number, cells = {}}
  end

  -- What is being packed: values that wait for it, with their paths, and what has become of others.
  local function new_packing()
    return {
      parcel = {chunks = {}, functions = {}, cells = {}, cell_count = 0, places = {}, names = {}, processes = {}},
      replaced = {}, chunks = {}, cells = {}, waiting = {},
    }
  end

  -- A table that stands for what no message carries: place[stand-in] says for what.
  local function stand_in(packing, list, item)
    local table_of_nothing <const> = {}
    local places <const> = packing.parcel.places
    places[#places + 1] = table_of_nothing
    packing.parcel[list][#places] = item
    return table_of_nothing
  end

  local function cell_number(packing, f, place, path)
    local identity <const> = raw.upvalueid(f, place)
    local number = packing.cells[identity]
    if not number then
      local name <const>, value <const> = raw.getupvalue(f, place)
      number = packing.parcel.cell_count + 1
      packing.parcel.cell_count = number
      packing.cells[identity] = number
      packing.waiting[#packing.waiting + 1] = {into = packing.parcel.cells, key = number, value = value, path = path .. "." .. name}
    end
    return number
  end

  local function replace_function(packing, f, path)
    local item <const>, why <const> = origin_of(packing, f)
    if not item then return nil, path .. ": " .. why end
    local replacement <const> = stand_in(packing, "functions", item)
    packing.replaced[f] = replacement
    for place = 1, raw.getinfo(f, "u").nups do item.cells[place] = cell_number(packing, f, place, path) end
    return replacement
  end

  local function replace_table(packing, t, path)
    if raw.getmetatable(t) == parts.process_metatable then
      local replacement <const> = stand_in(packing, "processes", t.id)
      packing.replaced[t] = replacement
      return replacement
    end
    local copy <const> = {}
    packing.replaced[t] = copy
    for key, value in next, t do
      packing.waiting[#packing.waiting + 1] = {into = copy, key = key, value = value, path = path, is_entry = true}
    end
    return copy
  end

  local function replace(packing, value, path)
    local kind <const> = type(value)
    if kind == "thread" then return nil, path .. ": it is a coroutine" end
    if kind ~= "table" and kind ~= "function" then return value end
    if packing.replaced[value] ~= nil then return packing.replaced[value] end
    if known[value] then
      packing.replaced[value] = stand_in(packing, "names", known[value])
      return packing.replaced[value]
    end
    return (kind == "table" and replace_table or replace_function)(packing, value, path)
  end

  local function step(path, key)
    if type(key) == "string" then return path .. "." .. key end
    return path .. "[" .. (type(key) == "number" and tostring(key) or type(key)) .. "]"
  end

  local function pack_waiting(packing)
    while #packing.waiting > 0 do
      local item <const> = table.remove(packing.waiting)
      local key, why = item.key, nil
      local path <const> = item.is_entry and step(item.path, key) or item.path
      if item.is_entry then
        key, why = replace(packing, key, path)
        if why then return nil, why end
      end
      local value
      value, why = replace(packing, item.value, path)
      if why then return nil, why end
      item.into[key] = value
    end
    return packing.parcel
  end

  function self.pack(values, count)
    local packing <const> = new_packing()
    local list <const> = {}
    packing.parcel.values, packing.parcel.count = list, count
    for place = count, 1, -1 do
      local path <const> = place == 1 and "the function" or "argument " .. place - 1
      packing.waiting[#packing.waiting + 1] = {into = list, key = place, value = values[place], path = path}
    end
    return pack_waiting(packing)
  end

  -- --- unpacking --------------------------------------------------------------------------------------------------------

  local function known_value(name)
    local value <const> = parts.known_by_name(name)
    if value == nil then error(name .. " is not there in this process", 0) end
    return value
  end

  -- The functions, without the values of their cells; place → function.
  local function make_functions(parcel, made, owners)
    local chunks <const> = {}
    for place, chunk in ipairs(parcel.chunks) do chunks[place] = assert(load(chunk.text, chunk.name, "t")) end
    for place, item in pairs(parcel.functions) do
      local f <const> = raw.function_at(chunks[item.chunk], item.number)
      made[parcel.places[place]] = f
      for upvalue, cell in ipairs(item.cells) do
        local owner <const> = owners[cell]
        if owner then raw.upvaluejoin(f, upvalue, owner.f, owner.upvalue)
        else owners[cell] = {f = f, upvalue = upvalue} end
      end
    end
  end

  -- In every table that can be reached: what stands for others is replaced by them.
  local function fill_in(made, value)
    if type(value) ~= "table" then return value end
    if made[value] ~= nil then return made[value] end
    made[value] = value
    local waiting <const> = {value}
    local function reach(inner)
      if type(inner) ~= "table" then return inner end
      if made[inner] == nil then
        made[inner] = inner
        waiting[#waiting + 1] = inner
      end
      return made[inner]
    end
    while #waiting > 0 do
      local t <const> = table.remove(waiting)
      local entries <const>, count = {}, 0
      for key, inner in next, t do
        count = count + 1
        entries[count] = {key, inner}
      end
      for place = 1, count do
        local key <const>, inner <const> = entries[place][1], entries[place][2]
        local new_key <const> = reach(key)
        if new_key ~= key then t[key] = nil end
        t[new_key] = reach(inner)
      end
    end
    return value
  end

  function self.unpack(parcel)
    local made <const>, owners <const> = {}, {}
    for place, name in pairs(parcel.names) do made[parcel.places[place]] = known_value(name) end
    for place, id in pairs(parcel.processes) do
      made[parcel.places[place]] = setmetatable({id = id}, parts.process_metatable)
    end
    make_functions(parcel, made, owners)
    for cell = 1, parcel.cell_count do
      raw.setupvalue(owners[cell].f, owners[cell].upvalue, fill_in(made, parcel.cells[cell]))
    end
    local values <const> = {}
    for place = 1, parcel.count do values[place] = fill_in(made, parcel.values[place]) end
    return table.unpack(values, 1, parcel.count)
  end

  return self
end

return functions
