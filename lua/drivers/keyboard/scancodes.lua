-- PS/2 scan codes, set 1 → names of keys.
--
-- The i8042 translates what the keyboard sends (set 2) into set 1: one byte for a key, with bit 7
-- set when it is let go, a prefix 0xE0 for keys that the first PC did not have, 0xE1 for Pause.
-- Source: IBM Personal System/2 Technical Reference, "Keyboard (101/102-key)", scan code set 1;
-- Microsoft "Keyboard Scan Code Specification" 1.3a, appendix A.
--
-- A key's name is what is printed on a US keyboard, lower case; layouts say what it types.

local scancodes <const> = {}

-- Runs of neighbouring codes: first code, names.
local runs <const> = {
  {0x01, "escape 1 2 3 4 5 6 7 8 9 0 - = backspace tab q w e r t y u i o p [ ] enter left_control"},
  {0x1E, "a s d f g h j k l ; ' ` left_shift \\ z x c v b n m , . / right_shift kp_* left_alt space caps_lock"},
  {0x3B, "f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 num_lock scroll_lock kp_7 kp_8 kp_9 kp_- kp_4 kp_5 kp_6 kp_+ kp_1 kp_2 kp_3 kp_0 kp_."},
  {0x56, "iso f11 f12"},
}

--- Code → key name, without prefix.
scancodes.plain = {}
for _, run in ipairs(runs) do
  local code = run[1]
  for name in run[2]:gmatch("%S+") do
    scancodes.plain[code] = name
    code = code + 1
  end
end

--- Code → key name, after 0xE0.
scancodes.extended = {
  [0x1C] = "kp_enter", [0x1D] = "right_control", [0x35] = "kp_/", [0x37] = "print_screen", [0x38] = "right_alt",
  [0x46] = "break", [0x47] = "home", [0x48] = "up", [0x49] = "page_up", [0x4B] = "left", [0x4D] = "right",
  [0x4F] = "end", [0x50] = "down", [0x51] = "page_down", [0x52] = "insert", [0x53] = "delete",
  [0x5B] = "left_super", [0x5C] = "right_super", [0x5D] = "menu",
}

local RELEASED <const>, EXTENDED <const>, PAUSE <const> = 0x80, 0xE0, 0xE1
local PAUSE_BYTES <const> = 2        -- after 0xE1: the codes of Control and Num Lock, which are not those keys

--- scancodes.decoder() → function(byte) → key name, pressed | nil while a sequence is unfinished or
--- unknown.
function scancodes.decoder()
  local extended, skip = false, 0
  return function(byte)
    if skip > 0 then
      skip = skip - 1
      return nil
    end
    if byte == EXTENDED then
      extended = true
      return nil
    end
    if byte == PAUSE then
      extended, skip = false, PAUSE_BYTES
      return nil
    end
    local names = extended and scancodes.extended or scancodes.plain
    extended = false
    local name = names[byte & ~RELEASED]
    if not name then return nil end      -- also the shifts that some keyboards put around extended keys
    return name, byte & RELEASED == 0
  end
end

return scancodes
