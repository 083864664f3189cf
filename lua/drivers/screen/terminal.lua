-- A VT100/ANSI terminal over a grid of cells: UTF-8 and escape sequences in, cells out. It knows no
-- hardware.
--
--     bytes → ground ──ESC──→ escape ──[──→ csi ──final byte──→ act
--               ↑                └──]──→ osc (ignored up to BEL or ESC \)
--
-- What it understands: C0 controls; CUU CUD CUF CUB CNL CPL CHA CUP HVP VPA; ED EL ECH; ICH DCH IL
-- DL; SU SD, DECSTBM, IND RI NEL; SGR; DECSC DECRC, SCO save/restore; DSR 5 and 6, DA; DECTCEM,
-- DECAWM; RIS. Everything else is read to its end and ignored.
-- Promise: no input raises, and no parameter makes it do more work than the screen has cells.
-- Sources: ECMA-48 fifth edition (8.3), DEC VT100 User Guide (chapter 3), XTerm Control Sequences.

local grid_module <const> = require "drivers.screen.grid"
local width <const> = require "drivers.screen.width"

local terminal <const> = {}

local Terminal <const> = {}
Terminal.__index = Terminal

local SPACE <const> = 0x20
local TAB_COLUMNS <const> = 8
local PARAMETERS_MAXIMUM <const>, PARAMETER_LIMIT <const> = 16, 9999
local DEFAULT_FOREGROUND <const>, DEFAULT_BACKGROUND <const> = 7, 0
local REPLACEMENT <const> = 0xFFFD

-- ANSI counts colours red, green, blue from bit 0; VGA the other way round.
local VGA_COLOURS <const> = {[0] = 0, 4, 2, 6, 1, 5, 3, 7}

--- terminal.new{columns=, rows=, charset=, reply=function(bytes)} → terminal. `charset` (drivers.screen) gives
--- glyphs; plain text is its own.
function terminal.new(parts)
  local self = setmetatable({
    columns = parts.columns, rows = parts.rows, charset = parts.charset, reply = parts.reply or function() end,
  }, Terminal)
  self:reset()
  return self
end

--- Everything as after power-on, history kept.
function Terminal:reset()
  self.foreground, self.background = DEFAULT_FOREGROUND, DEFAULT_BACKGROUND
  self.bold, self.inverse = false, false
  self:update_attribute()
  if self.grid then self.grid:fill_rows(1, self.rows, self.blank)
  else self.grid = grid_module.new(self.columns, self.rows, self.blank, self.charset.glyph_bits) end
  self.x, self.y = 1, 1
  self.wrap_pending, self.autowrap, self.cursor_visible = false, true, true
  self.top, self.bottom = 1, self.rows
  self.saved = nil
  self.state = "ground"
  self.partial = ""               -- first bytes of a UTF-8 character whose rest has not come
end

-- `attribute` for characters; `blank`, the cell that erasing leaves, keeps the background only (as
-- xterm and Linux do).
function Terminal:update_attribute()
  local foreground = self.foreground | (self.bold and 8 or 0)
  local background = self.background
  if self.inverse then foreground, background = background | (self.bold and 8 or 0), self.foreground & 7 end
  self.attribute = background << 4 | foreground
  self.blank = (self.background << 4 | self.foreground & 7) << self.charset.glyph_bits | SPACE
end

-- ---- cursor ----

function Terminal:move_to(x, y)
  self.x = math.max(1, math.min(self.columns, x))
  self.y = math.max(1, math.min(self.rows, y))
  self.wrap_pending = false
end

function Terminal:line_feed()
  self.wrap_pending = false
  if self.y == self.bottom then self.grid:scroll_up(self.top, self.bottom, 1, self.blank)
  elseif self.y < self.rows then self.y = self.y + 1 end
end

function Terminal:reverse_line_feed()
  self.wrap_pending = false
  if self.y == self.top then self.grid:scroll_down(self.top, self.bottom, 1, self.blank)
  elseif self.y > 1 then self.y = self.y - 1 end
end

function Terminal:save_cursor()
  self.saved = {x = self.x, y = self.y, foreground = self.foreground, background = self.background,
    bold = self.bold, inverse = self.inverse, wrap_pending = self.wrap_pending}
end

function Terminal:restore_cursor()
  local saved = self.saved or {x = 1, y = 1, foreground = DEFAULT_FOREGROUND, background = DEFAULT_BACKGROUND,
    bold = false, inverse = false, wrap_pending = false}
  for name, value in pairs(saved) do self[name] = value end
  self:update_attribute()
end

-- ---- printing ----

-- A character in the last column stays there with the cursor on it; the next one wraps (VT100
-- autowrap).
local function wrap_if_pending(self)
  if not self.wrap_pending then return end
  self.x = 1
  self:line_feed()
end

local function advance(self, count)
  self.x = self.x + count
  if self.x <= self.columns then return end
  self.x = self.columns
  self.wrap_pending = self.autowrap
end

local function put(self, glyph)
  wrap_if_pending(self)
  self.grid:set(self.x, self.y, self.attribute << self.charset.glyph_bits | glyph)
  advance(self, 1)
end

-- `text` is plain.
function Terminal:print(text)
  local position = 1
  while position <= #text do
    wrap_if_pending(self)
    local room = self.columns - self.x + 1
    local run = text:sub(position, position + room - 1)
    self.grid:set_run(self.x, self.y, self.attribute, run)
    position = position + #run
    local full = #run == room
    advance(self, #run)
    if full and not self.autowrap then
      -- Without autowrap the last column takes character after character: only the last one stays.
      self.grid:set_run(self.columns, self.y, self.attribute, text:sub(-1))
      return
    end
  end
end

local CONTROLS <const> = {
  [0x08] = function(self) self:move_to(self.x - 1, self.y) end,
  [0x09] = function(self) self:move_to((self.x - 1) // TAB_COLUMNS * TAB_COLUMNS + TAB_COLUMNS + 1, self.y) end,
  [0x0A] = Terminal.line_feed,
  [0x0B] = Terminal.line_feed,
  [0x0C] = Terminal.line_feed,
  [0x0D] = function(self) self:move_to(1, self.y) end,
  [0x1B] = function(self) self.state = "escape" end,
}

-- ---- SGR ----

-- 256 colours and true colour: the nearest of ours is not worth a table; the first 16 are ours.
local function extended_colour(parameters, index)
  if parameters[index + 1] == 5 then
    local number = parameters[index + 2] or 0
    return number < 16 and VGA_COLOURS[number & 7] | (number & 8) or nil, index + 2
  end
  if parameters[index + 1] == 2 then return nil, index + 4 end
  return nil, index
end

local SGR <const> = {
  [0] = function(self)
    self.foreground, self.background, self.bold, self.inverse = DEFAULT_FOREGROUND, DEFAULT_BACKGROUND, false, false
  end,
  [1] = function(self) self.bold = true end,
  [2] = function(self) self.foreground = 8 end,
  [7] = function(self) self.inverse = true end,
  [22] = function(self) self.bold = false; self.foreground = self.foreground & 7 end,
  [27] = function(self) self.inverse = false end,
  [39] = function(self) self.foreground = DEFAULT_FOREGROUND end,
  [49] = function(self) self.background = DEFAULT_BACKGROUND end,
}
for colour = 0, 7 do
  SGR[30 + colour] = function(self) self.foreground = VGA_COLOURS[colour] end
  SGR[90 + colour] = function(self) self.foreground = VGA_COLOURS[colour] | 8 end
  -- Bit 3 of the background is blinking on VGA: bright backgrounds are shown dark.
  SGR[40 + colour] = function(self) self.background = VGA_COLOURS[colour] end
  SGR[100 + colour] = SGR[40 + colour]
end

local function select_graphics(self, parameters)
  local index = 1
  while index <= math.max(1, #parameters) do
    local number = parameters[index] or 0
    if number == 38 or number == 48 then
      local colour
      colour, index = extended_colour(parameters, index)
      if colour and number == 38 then self.foreground = colour
      elseif colour then self.background = colour & 7 end
    elseif SGR[number] then
      SGR[number](self)
    end
    index = index + 1
  end
  self:update_attribute()
end

-- ---- erasing ----

local function erase_display(self, mode)
  if mode == 0 then
    self.grid:fill(self.y, self.x, self.columns, self.blank)
    self.grid:fill_rows(self.y + 1, self.rows, self.blank)
  elseif mode == 1 then
    self.grid:fill_rows(1, self.y - 1, self.blank)
    self.grid:fill(self.y, 1, self.x, self.blank)
  elseif mode == 2 or mode == 3 then
    self.grid:fill_rows(1, self.rows, self.blank)
  end
end

local function erase_line(self, mode)
  if mode == 0 then self.grid:fill(self.y, self.x, self.columns, self.blank)
  elseif mode == 1 then self.grid:fill(self.y, 1, self.x, self.blank)
  elseif mode == 2 then self.grid:fill(self.y, 1, self.columns, self.blank) end
end

-- ---- control sequences ----

local function set_region(self, parameters)
  local top, bottom = math.max(1, parameters[1] or 1), parameters[2] or 0
  if bottom == 0 or bottom > self.rows then bottom = self.rows end
  if top >= bottom then return end
  self.top, self.bottom = top, bottom
  self:move_to(1, 1)
end

local function in_region(self) return self.y >= self.top and self.y <= self.bottom end

local function report(self, what)
  if what == 5 then self.reply("\27[0n")
  elseif what == 6 then self.reply(("\27[%d;%dR"):format(self.y, self.x)) end
end

-- A count: missing or 0 means 1.
local function count_of(parameters) return math.max(1, parameters[1] or 1) end

-- The edges of the scrolling region stop the cursor, unless it is beyond them already (VT100,
-- xterm).
local function row_above(self, count) return math.max(self.y - count, self.y < self.top and 1 or self.top) end

local function row_below(self, count)
  return math.min(self.y + count, self.y > self.bottom and self.rows or self.bottom)
end

-- Both take the cursor to the first column, as VT102 and xterm do.
local function insert_lines(self, count)
  if not in_region(self) then return end
  self.grid:scroll_down(self.y, self.bottom, count, self.blank)
  self:move_to(1, self.y)
end

local function delete_lines(self, count)
  if not in_region(self) then return end
  self.grid:delete_rows(self.y, self.bottom, count, self.blank)
  self:move_to(1, self.y)
end

--- Final byte → function(self, count, parameters).
local CSI <const> = {
  A = function(self, n) self:move_to(self.x, row_above(self, n)) end,
  B = function(self, n) self:move_to(self.x, row_below(self, n)) end,
  C = function(self, n) self:move_to(self.x + n, self.y) end,
  D = function(self, n) self:move_to(self.x - n, self.y) end,
  E = function(self, n) self:move_to(1, row_below(self, n)) end,
  F = function(self, n) self:move_to(1, row_above(self, n)) end,
  G = function(self, n) self:move_to(n, self.y) end,
  H = function(self, n, p) self:move_to(math.max(1, p[2] or 1), n) end,
  J = function(self, _, p) erase_display(self, p[1] or 0) end,
  K = function(self, _, p) erase_line(self, p[1] or 0) end,
  L = insert_lines,
  M = delete_lines,
  P = function(self, n) self.grid:delete_cells(self.x, self.y, n, self.blank) end,
  S = function(self, n) self.grid:scroll_up(self.top, self.bottom, n, self.blank) end,
  T = function(self, n) self.grid:scroll_down(self.top, self.bottom, n, self.blank) end,
  X = function(self, n) self.grid:fill(self.y, self.x, self.x + n - 1, self.blank) end,
  ["@"] = function(self, n) self.grid:insert_cells(self.x, self.y, n, self.blank) end,
  c = function(self) self.reply("\27[?1;2c") end,
  d = function(self, n) self:move_to(self.x, n) end,
  m = function(self, _, p) select_graphics(self, p) end,
  n = function(self, _, p) report(self, p[1]) end,
  r = function(self, _, p) set_region(self, p) end,
  s = Terminal.save_cursor,
  u = Terminal.restore_cursor,
}
CSI.f, CSI["`"], CSI.a, CSI.e = CSI.H, CSI.G, CSI.C, CSI.B

-- Private modes, ESC [ ? number h or l. Others (bracketed paste, mouse, alternate screen) are
-- ignored.
local MODES <const> = {
  [7] = function(self, on) self.autowrap = on end,
  [25] = function(self, on) self.cursor_visible = on end,
}

local function parse_parameters(text)
  local parameters = {}
  for field in (text .. ";"):gmatch("([^;:]*)[;:]") do
    if #parameters >= PARAMETERS_MAXIMUM then break end
    parameters[#parameters + 1] = math.min(tonumber(field:match("^%d+")) or 0, PARAMETER_LIMIT) // 1 | 0
  end
  return parameters
end

local function run_sequence(self, text, final)
  local private = text:match("^[<=>?]")
  local parameters = parse_parameters(private and text:sub(2) or text)
  if private == "?" and (final == "h" or final == "l") then
    for _, number in ipairs(parameters) do
      if MODES[number] then MODES[number](self, final == "h") end
    end
  elseif not private and not text:find("[ -/]") and CSI[final] then
    CSI[final](self, count_of(parameters), parameters)
  end
end

-- ---- states ----

local ESCAPES <const> = {
  ["["] = function(self) self.state, self.sequence = "csi", "" end,
  ["]"] = function(self) self.state = "osc" end,
  ["P"] = function(self) self.state = "osc" end,
  ["X"] = function(self) self.state = "osc" end,
  ["^"] = function(self) self.state = "osc" end,
  ["_"] = function(self) self.state = "osc" end,
  ["7"] = Terminal.save_cursor,
  ["8"] = Terminal.restore_cursor,
  ["D"] = Terminal.line_feed,
  ["E"] = function(self) self.x = 1; self:line_feed() end,
  ["M"] = Terminal.reverse_line_feed,
  ["c"] = Terminal.reset,
}

local SEQUENCE_BYTES_MAXIMUM <const> = 256

-- Each state: function(self, bytes, position) → position after what it took.
local STATES <const> = {}

function STATES.escape(self, bytes, position)
  local character = bytes:sub(position, position)
  if character:find("^[ -/]") then
    self.state = "intermediate"      -- character sets and the like: one more byte, ignored
    return position + 1
  end
  self.state = "ground"
  local byte = character:byte()
  if byte < 0x20 then
    if CONTROLS[byte] then CONTROLS[byte](self) end
    if byte ~= 0x1B and byte ~= 0x18 and byte ~= 0x1A then self.state = "escape" end
  elseif ESCAPES[character] then
    ESCAPES[character](self)
  end
  return position + 1
end

function STATES.intermediate(self, bytes, position)
  if not bytes:find("^[ -/]", position) then self.state = "ground" end
  return position + 1
end

function STATES.csi(self, bytes, position)
  local byte = bytes:byte(position)
  if byte >= 0x40 and byte <= 0x7E then
    self.state = "ground"
    if #self.sequence <= SEQUENCE_BYTES_MAXIMUM then run_sequence(self, self.sequence, string.char(byte)) end
  elseif byte >= 0x20 and byte < 0x40 then
    -- Kept a little beyond the limit only, so that an endless sequence costs nothing and is not
    -- acted on.
    if #self.sequence <= SEQUENCE_BYTES_MAXIMUM then self.sequence = self.sequence .. string.char(byte) end
  elseif byte == 0x18 or byte == 0x1A then
    self.state = "ground"                        -- CAN, SUB abort
  elseif byte < 0x20 then
    if CONTROLS[byte] then CONTROLS[byte](self) end  -- controls act in the middle of a sequence
  else
    self.state = "ground"
    return position                              -- not ASCII: the sequence is broken, the byte is text
  end
  return position + 1
end

function STATES.osc(self, bytes, position)
  local stop = bytes:find("[\7\24\26\27]", position)
  if not stop then return #bytes + 1 end
  -- ESC \ ends it; the backslash then is an escape sequence without a meaning.
  self.state = bytes:byte(stop) == 0x1B and "escape" or "ground"
  return stop + 1
end

-- The length that a UTF-8 character's first byte announces; nil for a byte that cannot be one.
local function announced_length(byte)
  if byte >= 0xC2 and byte <= 0xDF then return 2 end
  if byte >= 0xE0 and byte <= 0xEF then return 3 end
  if byte >= 0xF0 and byte <= 0xF4 then return 4 end
  return nil
end

local function print_unicode(self, bytes, position)
  local length = announced_length(bytes:byte(position))
  local whole = length and bytes:match("^[\x80-\xBF]+", position + 1) or ""
  if length and #whole < length - 1 and position + #whole == #bytes then
    self.partial = bytes:sub(position)           -- the rest comes with the next write
    return #bytes + 1
  end
  local code = REPLACEMENT
  if length and #whole >= length - 1 and utf8.len(bytes, position, position + length - 1) then
    code = utf8.codepoint(bytes, position)
  else
    length = 1
  end
  -- Marks that combine with the letter before have no cell of their own.
  if code >= 0x300 and code <= 0x36F then return position + length end
  for _ = 1, width.cells(code) do put(self, self.charset.glyph(code)) end
  return position + length
end

function STATES.ground(self, bytes, position)
  local _, stop = bytes:find("^[\x20-\x7E]+", position)
  if stop then
    self:print(bytes:sub(position, stop))
    return stop + 1
  end
  local byte = bytes:byte(position)
  if byte >= 0x80 then return print_unicode(self, bytes, position) end
  if CONTROLS[byte] then CONTROLS[byte](self) end
  return position + 1
end

--- Interprets bytes; sequences and characters may be cut anywhere between calls.
function Terminal:feed(bytes)
  bytes = self.partial .. bytes
  self.partial = ""
  local position = 1
  while position <= #bytes do
    position = STATES[self.state](self, bytes, position)
  end
end

return terminal
