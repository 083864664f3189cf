-- Functions as a session sees them: what a function is made of, and how one is made of that again.
--
-- A Lua function is the text of a chunk, its number in it, and its upvalues (formats/SPEC.md, section 7, KIND_FUNCTION). Its
-- number is found by compiling the text again, without running it, and looking for a function on the same lines with
-- the same stripped dump; functions with equal dumps can stand for each other. The same dump, by its length and CRC,
-- is asked for when the function is made again, so that it is the function that was saved or none at all.
--
-- An upvalue that functions share is a cell. Lua has no values for upvalues, so a cell is a closure of ours that has that one
-- upvalue and returns it: it keeps the upvalue alive, and the upvalue's identity leads to it. A cell lives as long as a function
-- that is known here and has the upvalue.
--
-- Promises: a chunk is never run; what cannot be saved or made is nil and a reason, for people.
-- Relies on: fs.chunk_texts, fs.prototypes; what it is handed by whoever opens the session, which no one else is given.

local chunk_texts <const> = require "fs.chunk_texts"
local prototypes <const> = require "fs.prototypes"

local load <const> = load
local next <const> = next
local setmetatable <const> = setmetatable
local string_format <const> = string.format

local functions = {}

-- What load, which raises nothing, says then.
local OUT_OF_MEMORY <const> = "not enough memory"

local WEAK_KEYS <const>, WEAK_VALUES <const>, WEAK <const> = { __mode = "k" }, { __mode = "v" }, { __mode = "kv" }

-- What Lua's own libraries offer, where they may be used. -> access | nil
function functions.standard_access()
  if not debug or not debug.upvaluejoin or not string.dump then
    return nil
  end
  local of_chunks <const> = prototypes.reference(string.dump, load, debug.getinfo)
  return {
    getinfo = debug.getinfo, getupvalue = debug.getupvalue, setupvalue = debug.setupvalue,
    upvalueid = debug.upvalueid, upvaluejoin = debug.upvaluejoin,
    number_of = of_chunks.number_of, function_at = of_chunks.function_at, dump = of_chunks.dump,
  }
end

local function new_cell()
  local value
  return function() return value end
end

-- A function stands in for one that cannot be made: `why` is what it says when it is called.
local function new_stand_in(why)
  local function stand_in()
    error(why(stand_in), 2)
  end
  return stand_in
end

-- Without any way to look into functions.
local function unable()
  local why <const> = "functions cannot be looked into in this process"
  return {
    unable = why, record = function() return nil, why end, each_upvalue = function() end,
    is_cell = function() return false end, remember_cell = function() end, stand_in = new_stand_in,
  }
end

-- access: { getinfo, getupvalue, setupvalue, upvalueid, upvaluejoin } as in Lua's debug library and { number_of, function_at, dump }
-- as in fs.prototypes, or nil; crc32c: function(string) → integer.
-- -> functions without self, below; without access only `unable`, which says why, and what works nevertheless
function functions.new(access, crc32c)
  if not access or not access.upvaluejoin or not access.function_at then
    return unable()
  end
  local getinfo <const>, getupvalue <const>, setupvalue <const> = access.getinfo, access.getupvalue, access.setupvalue
  local upvalueid <const>, upvaluejoin <const> = access.upvalueid, access.upvaluejoin
  local number_of <const>, function_at <const>, dump_of <const> = access.number_of, access.function_at, access.dump

  local records <const> = setmetatable({}, WEAK_KEYS)      -- function -> what it is made of
  local cells <const> = setmetatable({}, WEAK_KEYS)        -- cell -> true
  local by_upvalue <const> = setmetatable({}, WEAK_VALUES) -- identity of an upvalue -> its cell
  local compiled <const> = setmetatable({}, WEAK)          -- chunk -> its main function, for as long as nobody minds
  local stand_ins <const> = setmetatable({}, WEAK_KEYS)    -- function -> why(function) → text
  local self = {}

  -- -> its main function, which is never called | nil, message of the compiler
  local function compile(chunk)
    local found = compiled[chunk]
    if not found then
      local main, message = load(chunk.text, chunk.source, "t")
      if message == OUT_OF_MEMORY then
        error(message, 0)
      elseif not main then
        return nil, message
      end
      compiled[chunk] = main
      found = main
    end
    return found
  end

  -- The cell is in by_upvalue again, after the collector had given it up.
  function self.remember_cell(cell)
    by_upvalue[upvalueid(cell, 1)] = cell
  end

  function self.is_cell(f)
    return cells[f] ~= nil
  end

  -- A new cell with an upvalue of its own, nil.
  function self.new_cell()
    local cell = new_cell()
    cells[cell] = true
    self.remember_cell(cell)
    return cell
  end

  -- The cell of an upvalue.
  local function cell_of(f, i)
    local cell = by_upvalue[upvalueid(f, i)]
    if not cell then
      cell = new_cell()
      upvaluejoin(cell, 1, f, i)
      cells[cell] = true
      self.remember_cell(cell)
    end
    return cell
  end

  function self.set_cell(cell, value)
    setupvalue(cell, 1, value)
  end

  -- The cells of a function's upvalues as they are now. -> list; is it another one than before?
  function self.cells_of(f)
    local record <const> = records[f]
    local before <const> = record.cells
    for i = 1, #before do
      if upvalueid(f, i) ~= upvalueid(before[i], 1) then -- the debug library did it
        local now = {}
        for j = 1, #before do
          now[j] = cell_of(f, j)
        end
        record.cells = now
        return now, true
      end
    end
    return before, false
  end

  -- Gives the function these cells for upvalues.
  function self.join(f, list)
    for i = 1, #list do
      upvaluejoin(f, i, list[i], 1)
    end
    records[f].cells = list
  end

  -- Is it a Lua function, or one that stands in for one?
  function self.is_lua(f)
    return getinfo(f, "S").what ~= "C"
  end

  -- What a function is made of: { chunk =, number =, dump_bytes =, dump_crc =, cells = list } | nil, why that is not known
  function self.record(f)
    local record = records[f]
    if record then
      return record
    elseif stand_ins[f] then
      return nil, "it could not be loaded: " .. stand_ins[f](f)
    end
    local info <const> = getinfo(f, "S")
    if info.what == "C" then
      return nil, "C function"
    end
    for _, chunk in ipairs(chunk_texts.of(info.source)) do
      local main = compile(chunk)
      local number = main and number_of(main, f)
      if number then
        local dump <const> = dump_of(f)
        record = { chunk = chunk, number = number, dump_bytes = #dump, dump_crc = crc32c(dump), cells = {} }
        for i = 1, getinfo(f, "u").nups do
          record.cells[i] = cell_of(f, i)
        end
        records[f] = record
        return record
      end
    end
    return nil, string_format("its source text is not known (a function of %s)", info.short_src)
  end

  -- Makes a function. form: { number =, dump_bytes =, dump_crc =, release = }; list: the cells for its upvalues.
  -- -> function | nil, why not
  function self.make(chunk, form, list)
    local main, message = compile(chunk)
    if not main then
      return nil, "its text cannot be compiled: " .. message
    end
    local f <const> = function_at(main, form.number)
    if not f then
      return nil, string_format("its text has no function number %d", form.number)
    end
    local dump <const> = dump_of(f)
    if #dump ~= form.dump_bytes or crc32c(dump) ~= form.dump_crc then
      return nil, string_format("its text compiles to another function than the one that was saved by %s", form.release)
    elseif getinfo(f, "u").nups ~= #list then
      return nil, string_format("it has %d upvalues, and %d are stored", getinfo(f, "u").nups, #list)
    end
    records[f] = { chunk = chunk, number = form.number, dump_bytes = #dump, dump_crc = form.dump_crc, cells = list }
    self.join(f, list)
    return f
  end

  -- A function for the place of one that cannot be made. why(stand-in) → what it says when it is called.
  function self.stand_in(why)
    local f = new_stand_in(why)
    stand_ins[f] = why
    return f
  end

  function self.is_stand_in(f)
    return stand_ins[f] ~= nil
  end

  -- Calls found(number, name, value, cell or nil) for each upvalue of a Lua function that is no stand-in.
  function self.each_upvalue(f, found)
    if stand_ins[f] or not self.is_lua(f) then
      return
    end
    for i = 1, getinfo(f, "u").nups do
      local name, value = getupvalue(f, i)
      found(i, name, value, by_upvalue[upvalueid(f, i)])
    end
  end

  return self
end

return functions
