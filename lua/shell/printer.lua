-- Values as people read them: tables sorted, indented, and cut where they get too long.
--
--     printer.format(value, options) → text (rows separated by "\n", no line end)
--     printer.quote(string) → a Lua literal of it;  printer.scalar(value, exact) → text
-- Options (defaults): width 79 · depth 5 (tables inside tables) · length 60 (entries of one table) · total 500 (entries
-- in all) · string_length 500 (bytes of one string inside a table) · text_length 20000 (of a string by itself) ·
-- quoted (a string by itself is quoted too) · exact (numbers as literals that read back to the same value).
--
-- Promises: never raises and ends soon, whatever the value: tables are walked raw and only as far as they are shown,
-- and no metamethod is called but __tostring, under pcall. A table met again is marked: `<cycle .a.b>` inside itself,
-- `<shared .a.b>` elsewhere, with the path from the value to where it is printed. Equal values print equally: keys come
-- in the order of the disk format (false, true, integers, floats, strings by bytes), then other keys as next gives them.
-- A table that cannot be loaded shows why, and nothing else suffers.
-- Relies on: shell.raw_access.

local access <const> = require "shell.raw_access"
local cells <const> = require "shell.cells"

local printer <const> = {}

local DEFAULTS <const> = {
  width = 79, depth = 5, length = 60, total = 500, string_length = 500, text_length = 20000,
}
-- A table with more keys than this is not sorted as a whole; what is shown of it is sorted.
local LONGEST_WALK <const> = 2000

local RESERVED <const> = {}
for word in ([[and break do else elseif end false for function global goto if in local nil not or repeat return then
  true until while]]):gmatch("%a+") do
  RESERVED[word] = true
end

local ESCAPES <const> = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

local function escape_byte(byte)
  return ESCAPES[byte] or ("\\x%02X"):format(byte:byte())
end

-- A Lua literal: UTF-8 stays readable, everything else that is not printable ASCII is escaped.
function printer.quote(s)
  if not s:find('[^ !#-Z%[%]^-~]') then return '"' .. s .. '"' end
  local parts, i = { '"' }, 1
  while i <= #s do
    local run = s:match('^[ !#-Z%[%]^-~]+', i)
    if run then
      parts[#parts + 1], i = run, i + #run
    elseif s:byte(i) < 0x80 then
      parts[#parts + 1], i = escape_byte(s:sub(i, i)), i + 1
    else
      local stop, shown = cells.element(s, i)
      parts[#parts + 1], i = shown, stop
    end
  end
  parts[#parts + 1] = '"'
  return table.concat(parts)
end

local function number(value, exact)
  if exact and value == math.mininteger and math.type(value) == "integer" then return "0x8000000000000000" end
  if value ~= value then return exact and "(0/0)" or "nan" end
  if value == math.huge then return exact and "math.huge" or "inf" end
  if value == -math.huge then return exact and "-math.huge" or "-inf" end
  return tostring(value)
end

-- Numbers, booleans and nil. Integers and floats differ: 1 and 1.0.
function printer.scalar(value, exact)
  if math.type(value) then return number(value, exact) end
  return tostring(value)
end

local function cut_text(s, limit)
  if #s <= limit then return cells.visible(s) end
  local stop = limit
  while stop > limit - 4 and (s:byte(stop + 1) & 0xC0) == 0x80 do stop = stop - 1 end
  return cells.visible(s:sub(1, stop)) .. ("... (%d more bytes)"):format(#s - stop)
end

-- What a value's metatable says: its __tostring text, its __name.
local function described(value)
  local metatable = access.getmetatable(value)
  if type(metatable) ~= "table" then return nil, nil end
  local name = rawget(metatable, "__name")
  if type(name) ~= "string" then name = nil end
  if rawget(metatable, "__tostring") == nil then return nil, name end
  local ok, text = pcall(tostring, value)
  return ok and text or nil, name
end

-- "function: 0x…", "thread: 0x…": never through a metamethod.
local function address(value, name)
  return ("%s: %p"):format(name or type(value), value)
end

local RANK <const> = { boolean = 1, number = 2, string = 3 }

local function key_before(a, b)
  local rank_a, rank_b = RANK[type(a)] or 4, RANK[type(b)] or 4
  if rank_a ~= rank_b then return rank_a < rank_b end
  if rank_a == 1 then return not a and b end
  if rank_a == 2 then
    local integer_a, integer_b = math.type(a) == "integer", math.type(b) == "integer"
    if integer_a ~= integer_b then return integer_a end
    return a < b
  end
  return rank_a == 3 and a < b
end

local function key_text(key)
  if type(key) == "string" then
    if key:find("^[%a_][%w_]*$") and not RESERVED[key] then return key end
    return "[" .. printer.quote(#key > 80 and key:sub(1, 80) .. "..." or key) .. "]"
  end
  if RANK[type(key)] then return "[" .. printer.scalar(key) .. "]" end
  return "[" .. address(key) .. "]"
end

local function path_of(path, key)
  local text = math.type(key) == "integer" and "[" .. key .. "]" or key_text(key)
  return path .. (text:sub(1, 1) == "[" and text or "." .. text)
end

-- How many entries from 1 on are there, up to `limit`.
local function run_length(t, limit)
  local count = 0
  while count < limit and access.rawget(t, count + 1) ~= nil do count = count + 1 end
  return count
end

-- The keys that are not 1 … covered, sorted; second result: true when the walk was given up.
local function other_keys(t, covered)
  local keys, steps = {}, 0
  local border = access.rawlen(t)
  -- A long array is stepped over: its own part holds no other keys.
  local start = border > LONGEST_WALK and access.rawget(t, border) ~= nil and border or nil
  for key in access.next, t, start do
    steps = steps + 1
    if steps > LONGEST_WALK then return keys, true end
    if not (math.type(key) == "integer" and key >= 1 and key <= math.max(covered, start or 0)) then
      keys[#keys + 1] = key
    end
  end
  -- Keys of no order of their own keep that of next: table.sort is not stable, so they are sorted apart.
  local ordered, rest = {}, {}
  for _, key in ipairs(keys) do
    local list = RANK[type(key)] and ordered or rest
    list[#list + 1] = key
  end
  table.sort(ordered, key_before)
  return table.move(rest, 1, #rest, #ordered + 1, ordered), false
end

local render

-- The entries of a table as {text, key or nil}, within the limits.
local function render_entries(t, state, indent, path)
  local options = state.options
  local run = run_length(t, options.length + 1)
  -- A run that is cut goes on to the border, and so do the keys that need no look.
  local covered = run > options.length and math.max(run, access.rawlen(t)) or run
  local keys, given_up = other_keys(t, covered)
  local total = covered + #keys
  local entries, shown = {}, 0
  local function add(key, value, prefix)
    if shown >= options.length or state.left <= 0 then return false end
    shown, state.left = shown + 1, state.left - 1
    local text = render(value, state, indent + 2, #prefix, path_of(path, key))
    entries[shown] = { text = prefix .. text, plain = prefix == "" and not text:find("\n", 1, true) }
    return true
  end
  for index = 1, run do
    if not add(index, access.rawget(t, index), "") then break end
  end
  for _, key in ipairs(keys) do
    if not add(key, access.rawget(t, key), key_text(key) .. " = ") then break end
  end
  if given_up then entries[#entries + 1] = { text = "... more" }
  elseif total > shown then entries[#entries + 1] = { text = ("... %d more"):format(total - shown) } end
  return entries
end

-- Rows of entries: those without keys share rows as far as they fit, the others stand alone.
local function rows_of(entries, indent, width)
  local rows, row = {}, nil
  for index, entry in ipairs(entries) do
    local text = entry.text .. (index < #entries and "," or "")
    if entry.plain and row and indent + #row + 1 + #text <= width then
      row = row .. " " .. text
      rows[#rows] = row
    else
      rows[#rows + 1] = text
      row = entry.plain and text or nil
    end
  end
  return rows
end

local function join(entries, indent, lead, width, name)
  local open = name and name .. " {" or "{"
  local length, one_row = #open + 1, true
  for _, entry in ipairs(entries) do
    length = length + #entry.text + 2
    if entry.text:find("\n", 1, true) then one_row = false end
  end
  if one_row and indent + lead + length - 2 <= width then
    local texts = {}
    for index, entry in ipairs(entries) do texts[index] = entry.text end
    return open .. table.concat(texts, ", ") .. "}"
  end
  local margin = "\n" .. (" "):rep(indent + 2)
  return open .. margin .. table.concat(rows_of(entries, indent + 2, width), margin)
    .. "\n" .. (" "):rep(indent) .. "}"
end

local function render_table(t, state, indent, lead, path, name)
  if state.open[t] then return "<cycle " .. state.open[t] .. ">" end
  if state.seen[t] then return "<shared " .. state.seen[t] .. ">" end
  if access.next(t) == nil then return name and name .. " {}" or "{}" end
  if state.depth >= state.options.depth or state.left <= 0 then return name and name .. " {...}" or "{...}" end
  local shown_path = path == "" and "." or path
  local depth = state.depth
  state.open[t], state.depth = shown_path, depth + 1
  local entries = render_entries(t, state, indent, path)
  state.open[t], state.depth = nil, depth
  state.seen[t] = shown_path
  return join(entries, indent, lead, state.options.width, name)
end

-- Tables and userdata: by their own text, or by their contents. Raises when an object cannot be loaded.
local function render_object(value, state, indent, lead, path)
  local text, name = described(value)
  if text then return (cut_text(text, state.options.text_length):gsub("\n", "\n" .. (" "):rep(indent))) end
  if type(value) == "table" then return render_table(value, state, indent, lead, path, name) end
  return address(value, name)
end

function render(value, state, indent, lead, path)
  local kind, options = type(value), state.options
  if kind == "string" then
    local limit = options.string_length
    if #value > limit then
      return printer.quote(value:sub(1, limit)) .. ("... (%d more bytes)"):format(#value - limit)
    end
    return printer.quote(value)
  end
  if kind == "table" or kind == "userdata" then
    local depth = state.depth
    local ok, text = pcall(render_object, value, state, indent, lead, path)
    if ok then return text end
    state.depth, state.open[value] = depth, nil
    -- The place where it was raised is a line of the system's, and of no use to the reader.
    return "<" .. cut_text(tostring(text):gsub("^[^:]*lua/[%w_/]+%.lua:%d+: ", ""), 200) .. ">"
  end
  if RANK[kind] or value == nil then return printer.scalar(value, options.exact) end
  return address(value)
end

function printer.format(value, options)
  local chosen = {}
  for name, default in next, DEFAULTS do
    local given = options and options[name]
    chosen[name] = given == nil and default or given
  end
  chosen.exact = options and options.exact
  if type(value) == "string" and not (options and options.quoted) then
    return cut_text(value, chosen.text_length)
  end
  if type(value) == "string" then chosen.string_length = chosen.text_length end
  local state = { options = chosen, open = {}, seen = {}, depth = 0, left = chosen.total }
  return render(value, state, 0, 0, "")
end

-- Several values, as the prompt shows them: in one row with tabs between them, or one below the other.
function printer.format_all(options, ...)
  local texts, rows = {}, false
  for index = 1, select("#", ...) do
    texts[index] = printer.format((select(index, ...)), options)
    rows = rows or texts[index]:find("\n", 1, true) ~= nil
  end
  return table.concat(texts, rows and "\n" or "\t")
end

return printer
