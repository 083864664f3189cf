-- Keys → the bytes that a VT100/xterm terminal sends.
--
-- Source: XTerm Control Sequences, "PC-Style Function Keys" (modifier parameter = 1 + shift + 2 alt
-- + 4 control) and ECMA-48.
-- Promise: every result is valid UTF-8 (Ctrl combinations are single control bytes); a key without
-- a meaning gives "".

local layouts <const> = require "drivers.keyboard.layouts"

local translator <const> = {}

-- Cursor keys: final byte of ESC [ … (1;modifier before it when there is one).
local CURSOR <const> = {up = "A", down = "B", right = "C", left = "D", home = "H", ["end"] = "F", kp_5 = "E"}
-- F1 to F4: final byte of ESC O …; with a modifier they look like cursor keys.
local FUNCTION <const> = {f1 = "P", f2 = "Q", f3 = "R", f4 = "S"}
-- Editing and further function keys: number in ESC [ number ~
local NUMBERED <const> = {
  insert = 2, delete = 3, page_up = 5, page_down = 6, f5 = 15, f6 = 17, f7 = 18, f8 = 19, f9 = 20, f10 = 21, f11 = 23, f12 = 24,
}
-- The keypad without Num Lock.
local KEYPAD <const> = {
  kp_7 = "home", kp_8 = "up", kp_9 = "page_up", kp_4 = "left", kp_5 = "kp_5", kp_6 = "right", kp_1 = "end", kp_2 = "down",
  kp_3 = "page_down", kp_0 = "insert", ["kp_."] = "delete",
}
local KEYPAD_SIGNS <const> = {["kp_*"] = "*", ["kp_-"] = "-", ["kp_+"] = "+", ["kp_/"] = "/"}

-- Control with characters that are not letters (xterm and VT220 agree on these).
local CONTROL <const> = {
  [" "] = "\0", ["2"] = "\0", ["@"] = "\0", ["3"] = "\27", ["["] = "\27", ["4"] = "\28", ["\\"] = "\28", ["5"] = "\29", ["]"] = "\29",
  ["6"] = "\30", ["^"] = "\30", ["7"] = "\31", ["/"] = "\31", ["_"] = "\31", ["-"] = "\31", ["8"] = "\127", ["?"] = "\127",
}

local MODIFIERS <const> = {
  left_shift = "shift", right_shift = "shift", left_control = "control", right_control = "control",
  left_alt = "alt", right_alt = "alt",
}
local LOCKS <const> = {caps_lock = "caps", num_lock = "num", scroll_lock = "scroll"}

local function modifier(held)
  local value = 1 + (held.shift and 1 or 0) + (held.alt and 2 or 0) + (held.control and 4 or 0)
  return value > 1 and value or nil
end

local function sequence(key, held)
  local value = modifier(held)
  local final = CURSOR[key] or FUNCTION[key]
  if final then
    if value then return ("\27[1;%d%s"):format(value, final) end
    return (CURSOR[key] and "\27[" or "\27O") .. final
  end
  local number = NUMBERED[key]
  if not number then return nil end
  return value and ("\27[%d;%d~"):format(number, value) or ("\27[%d~"):format(number)
end

local function with_alt(bytes, held) return held.alt and "\27" .. bytes or bytes end

local function simple(key, held)
  if key == "enter" or key == "kp_enter" then return with_alt("\r", held) end
  if key == "escape" then return with_alt("\27", held) end
  if key == "tab" then return held.shift and "\27[Z" or with_alt("\t", held) end
  if key == "backspace" then return with_alt(held.control and "\8" or "\127", held) end
  if KEYPAD_SIGNS[key] then return with_alt(KEYPAD_SIGNS[key], held) end
  return nil
end

local function control_character(character)
  local letter = character:lower()
  if letter:match("^%l$") then return string.char(letter:byte() - 96) end
  return CONTROL[character]
end

local function typed(layout, key, held, locks)
  local row = layout[key]
  if not row then return "" end
  if held.alt_gr then return row[3] or "" end
  local shifted = held.shift or false
  if locks.caps and row.letter then shifted = not shifted end
  local character = row[shifted and 2 or 1]
  if held.control then
    -- A layout's own letters have no control character; the unshifted sign may have one.
    character = control_character(character) or control_character(row[1]) or ""
  end
  return character == "" and "" or with_alt(character, held)
end

--- translator.new{layout="us"|table, actions={scroll=function(pages), reboot=function()},
--- leds=function(locks)} → function(key, pressed) → bytes.
function translator.new(parts)
  local layout = parts.layout or "us"
  if type(layout) == "string" then
    layout = layouts[layout] or error("no such keyboard layout: " .. layout, 2)
  end
  local actions <const>, leds <const> = parts.actions or {}, parts.leds or function() end
  local down = {}                                  -- modifier keys that are held
  local locks = {caps = false, num = true, scroll = false}
  local lock_down = {}                             -- lock keys that are held: they repeat, and must not toggle

  local function held_now()
    local held = {}
    for key in pairs(down) do
      held[(key == "right_alt" and layout.has_alt_gr) and "alt_gr" or MODIFIERS[key]] = true
    end
    return held
  end

  local function toggle(key, pressed)
    if pressed and not lock_down[key] then
      locks[LOCKS[key]] = not locks[LOCKS[key]]
      leds(locks)
    end
    lock_down[key] = pressed or nil
  end

  -- Combinations that mean something to the machine → true if it was one.
  local function acted(key, held)
    if held.shift and (key == "page_up" or key == "page_down") and actions.scroll then
      actions.scroll(key == "page_up" and 1 or -1)
      return true
    end
    if held.control and held.alt and key == "delete" and actions.reboot then
      actions.reboot()
      return true
    end
    return false
  end

  leds(locks)
  return function(key, pressed)
    if MODIFIERS[key] then
      down[key] = pressed or nil
      return ""
    end
    if LOCKS[key] then
      toggle(key, pressed)
      return ""
    end
    if not pressed then return "" end
    local held = held_now()
    if KEYPAD[key] then
      if locks.num and not held.shift then
        return with_alt(key:sub(4), held)
      end
      key = KEYPAD[key]
    end
    if key == "break" then return "\3" end          -- Ctrl-Pause
    if acted(key, held) then return "" end
    return simple(key, held) or sequence(key, held) or typed(layout, key, held, locks)
  end
end

return translator
