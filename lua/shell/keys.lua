-- Keys from bytes: what a VT100/xterm terminal (or our keyboard driver) sends, as named keys.
--
--     local decoder = keys.new();  decoder:feed(bytes)
--     decoder:next() → "text", "abc" | "enter" | "left" | "ctrl-a" | "alt-b" | "paste", "…" | "position", row, column
--                      | "sequence", text (an APC string) | "unknown" | nil (nothing whole is there yet)
--     decoder:waiting() → seconds after which what is pending should be taken as it is (decoder:flush()), or nil
--
-- Promises: bytes may be split anywhere; every byte of text and of a bracketed paste arrives exactly once, in order;
-- sequences nobody knows are swallowed as "unknown" and never leak into the text. Line ends in a paste become "\n".

local keys <const> = {}

local decoder <const> = {}
decoder.__index = decoder

-- A lone ESC is a key, or the start of a sequence whose rest is still on the line.
local ESCAPE_SECONDS <const> = 0.05
-- A paste whose end mark was lost must not swallow the keyboard for ever.
local PASTE_SECONDS <const> = 2.0
local PASTE_END <const> = "\27[201~"
local LONGEST_SEQUENCE <const> = 64
local LONGEST_STRING <const> = 256

local LETTER_KEYS <const> = {
  A = "up", B = "down", C = "right", D = "left", H = "home", F = "end", Z = "backtab",
}
local NUMBER_KEYS <const> = {
  ["1"] = "home", ["2"] = "insert", ["3"] = "delete", ["4"] = "end", ["5"] = "page-up", ["6"] = "page-down",
  ["7"] = "home", ["8"] = "end",
}
-- The second parameter of a sequence: xterm's 1 + (1 shift, 2 alt, 4 control).
local MODIFIERS <const> = { ["3"] = "alt-", ["5"] = "ctrl-", ["7"] = "ctrl-alt-" }
local CONTROL_KEYS <const> = { [9] = "tab", [10] = "enter", [13] = "enter", [8] = "backspace", [127] = "backspace" }

function keys.new()
  return setmetatable({ bytes = "", at = 1, after_return = false, parts = nil, forced = false }, decoder)
end

function decoder:feed(bytes)
  self.bytes = self.bytes:sub(self.at) .. bytes
  self.at = 1
  self.forced = false
end

-- Nothing more came: take an incomplete sequence for what it is.
function decoder:flush()
  self.forced = true
end

function decoder:waiting()
  if self.parts then return PASTE_SECONDS end
  return self.at <= #self.bytes and ESCAPE_SECONDS or nil
end

-- Bytes are there that have not been taken as keys.
function decoder:has_more()
  return self.at <= #self.bytes
end

function decoder:take(count)
  self.at = self.at + count
end

-- Bytes of a paste: all but what may be the start of the end mark goes into `parts`, so that the work is linear.
function decoder:next_of_paste()
  local first, last = self.bytes:find(PASTE_END, self.at, true)
  if not first and not self.forced then
    local keep = math.max(self.at, #self.bytes - #PASTE_END + 2)
    self.parts[#self.parts + 1] = self.bytes:sub(self.at, keep - 1)
    self.at = keep
    return nil
  end
  self.parts[#self.parts + 1] = self.bytes:sub(self.at, (first or #self.bytes + 1) - 1)
  self.at = (last or #self.bytes) + 1
  local text = table.concat(self.parts)
  self.parts, self.forced = nil, false
  return "paste", (text:gsub("\r\n?", "\n"))
end

local function named_sequence(parameters, final)
  local first, second = parameters:match("^(%d*);?(%d*)")
  if final == "R" then
    local row, column = parameters:match("^(%d+);(%d+)$")
    if row then return "position", tonumber(row), tonumber(column) end
  end
  local name
  if final == "~" then name = NUMBER_KEYS[first] else name = LETTER_KEYS[final] end
  if not name then return "unknown" end
  return (MODIFIERS[second] or "") .. name
end

-- CSI: ESC [ parameters intermediates final.
function decoder:next_of_csi()
  if self.bytes:sub(self.at + 2, self.at + 2) == "[" then -- the Linux console's function keys: ESC [ [ A
    if #self.bytes < self.at + 3 and not self.forced then return nil end
    self:take(4)
    return "unknown"
  end
  local parameters, final = self.bytes:match("^([0-?]*)[ -/]*([@-~])", self.at + 2)
  if not parameters then
    local unfinished = self.bytes:match("^[ -?]*()", self.at + 2) > #self.bytes
    if unfinished and not self.forced and #self.bytes - self.at < LONGEST_SEQUENCE then return nil end
    self:take(#self.bytes:match("^[ -?]*", self.at + 2) + 2)
    return "unknown"
  end
  self:take(#self.bytes:match("^[0-?]*[ -/]*[@-~]", self.at + 2) + 2)
  if parameters == "200" and final == "~" then
    self.parts = {}
    return self:next_of_paste()
  end
  return named_sequence(parameters, final)
end

-- Strings (APC ESC _, DCS ESC P, OSC ESC ]) end with ESC \ or BEL. Only APC has a meaning here.
function decoder:next_of_string(kind)
  local text, stop = self.bytes:match("^([^\27\7]*)\27\\()", self.at + 2)
  if not text then text, stop = self.bytes:match("^([^\27\7]*)\7()", self.at + 2) end
  if text then
    self.at = stop
    if kind == "_" then return "sequence", text end
    return "unknown"
  end
  if not self.forced and #self.bytes - self.at < LONGEST_STRING then return nil end
  self:take(2)
  return "alt-" .. kind:lower()
end

function decoder:next_of_escape()
  local second = self.bytes:sub(self.at + 1, self.at + 1)
  if second == "" then
    if not self.forced then return nil end
    self:take(1)
    return "escape"
  end
  if second == "[" then return self:next_of_csi() end
  if second == "O" then
    local letter = self.bytes:match("^%a", self.at + 2)
    if not letter and #self.bytes < self.at + 2 and not self.forced then return nil end
    self:take(letter and 3 or 2)
    return letter and LETTER_KEYS[letter] or "unknown"
  end
  if second == "_" or second == "P" or second == "]" then return self:next_of_string(second) end
  if second == "\27" then -- the first one was a key of its own
    self:take(1)
    return "escape"
  end
  local byte = second:byte()
  self:take(2)
  if CONTROL_KEYS[byte] then return "alt-" .. CONTROL_KEYS[byte] end
  if byte < 0x20 or byte >= 0x80 then return "unknown" end
  return "alt-" .. second:lower()
end

-- How many bytes of UTF-8 that start at `at` are still to come; 0 when the sequence is whole or is no UTF-8.
local function bytes_missing(bytes, at)
  local lead = bytes:byte(at)
  local length = lead >= 0xF0 and lead < 0xF8 and 4 or lead >= 0xE0 and lead < 0xF0 and 3
    or lead >= 0xC2 and lead < 0xE0 and 2 or 1
  local have = #bytes:match("^[\x80-\xBF]*", at + 1) + 1
  return at + have > #bytes and math.max(0, length - have) or 0
end

-- A run of printable characters. A UTF-8 sequence that the end of the bytes cuts waits for its rest.
function decoder:next_of_text()
  local run = self.bytes:match("^[ -~\x80-\xFF]+", self.at)
  local stop = self.at + #run
  if stop > #self.bytes and not self.forced then
    local lead = #run - #run:match("[\x80-\xBF]*$")
    if lead > 0 and run:byte(lead) >= 0xC0 and bytes_missing(run, lead) > 0 then run = run:sub(1, lead - 1) end
    if run == "" then return nil end
  end
  self:take(#run)
  return "text", run
end

function decoder:next()
  if self.parts then return self:next_of_paste() end
  while true do
    local byte = self.bytes:byte(self.at)
    if not byte then return nil end
    local follows_return = self.after_return
    self.after_return = byte == 13
    if byte == 10 and follows_return then -- CR LF is one line end
      self:take(1)
    elseif byte == 27 then
      return self:next_of_escape()
    elseif byte >= 32 and byte ~= 127 then
      return self:next_of_text()
    else
      self:take(1)
      if byte == 0 or (byte >= 28 and byte < 31) then return "unknown" end
      return CONTROL_KEYS[byte] or "ctrl-" .. string.char(byte + 64):lower()
    end
  end
end

return keys
