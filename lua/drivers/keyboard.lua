-- i8042 keyboard controller and PS/2 keyboard.
--
--     keyboard.lua               this file: controller, commands to the keyboard, reading
--     keyboard/scancodes.lua     bytes of the controller → keys
--     keyboard/translator.lua    keys, modifiers and locks → what a terminal sends
--     keyboard/layouts.lua       what a key types
--
-- Promise: a machine without controller or keyboard is recognised by a timeout of a tenth of a
-- second at most; bytes of a mouse on the same controller are dropped; a key that is typed while a
-- command to the keyboard is under way is not lost.
-- Sources: IBM PS/2 Technical Reference, "Keyboard and Auxiliary Device Controller" (8042) and
-- "Keyboard (101/102-key)".

local failure <const> = require "drivers.failure"
local registers <const> = require "drivers.registers"
local scancodes <const> = require "drivers.keyboard.scancodes"
local translator <const> = require "drivers.keyboard.translator"
local waiting <const> = require "drivers.waiting"

local keyboard <const> = {}

local PORT <const> = registers.offsets{
  {"data",    0, "rw", "byte from the keyboard or to it",     "8042 \"Output buffer\", \"Input buffer\""},
  {"status",  4, "r",  "what the buffers hold",               "8042 \"Status register\""},
  {"command", 4, "w",  "command to the controller",           "8042 \"Commands\""},
}

local STATUS <const> = registers.masks{
  {"OUTPUT_FULL", 0x01, "r", "a byte can be read",                   "8042 \"Status register\""},
  {"INPUT_FULL",  0x02, "r", "the last byte written is not yet taken", "8042 \"Status register\""},
  {"AUXILIARY",   0x20, "r", "the byte comes from the mouse",        "8042 \"Status register\""},
}

local COMMAND <const> = registers.values{
  {"READ_CONFIGURATION",  0x20, "w", "the next byte read is the command byte", "8042 \"Commands\""},
  {"WRITE_CONFIGURATION", 0x60, "w", "the next byte written is it",            "8042 \"Commands\""},
  {"AUXILIARY_OFF",       0xA7, "w", "mouse off",                              "8042 \"Commands\""},
  {"KEYBOARD_OFF",        0xAD, "w", "keyboard off",                           "8042 \"Commands\""},
  {"KEYBOARD_ON",         0xAE, "w", "keyboard on",                            "8042 \"Commands\""},
}

local CONFIGURATION <const> = registers.masks{
  {"KEYBOARD_INTERRUPT",  0x01, "rw", "IRQ 1",                        "8042 \"Command byte\""},
  {"AUXILIARY_INTERRUPT", 0x02, "rw", "IRQ 12",                       "8042 \"Command byte\""},
  {"KEYBOARD_DISABLED",   0x10, "rw", "keyboard clock held",          "8042 \"Command byte\""},
  {"AUXILIARY_DISABLED",  0x20, "rw", "mouse clock held",             "8042 \"Command byte\""},
  {"TRANSLATE",           0x40, "rw", "scan code set 2 → set 1",      "8042 \"Command byte\""},
}

local KEYBOARD <const> = registers.values{
  {"SET_LEDS",    0xED, "w", "the next byte says which",     "Keyboard \"Commands from the system\""},
  {"SCAN_ON",     0xF4, "w", "start to send keys",           "Keyboard \"Commands from the system\""},
  {"ACKNOWLEDGE", 0xFA, "r", "command or parameter taken",   "Keyboard \"Commands to the system\""},
  {"RESEND",      0xFE, "r", "say it again",                 "Keyboard \"Commands to the system\""},
}

local LEDS <const> = registers.masks{{"scroll", 0x01}, {"num", 0x02}, {"caps", 0x04}}

local ANSWER_SECONDS <const> = 0.1
local TRIES <const> = 3
local STALE_BYTES <const> = 64        -- what firmware may have left in the controller
local READ_LIMIT <const> = 256        -- bytes taken at a time
local INTERRUPT_SLICE_SECONDS <const> = 0.1

--- keyboard.new{ports=ports(0x60, 5), irq=, clock=, sleep=, layout="us", actions={}} → keys | nil,
--- failure (`absent`).
function keyboard.new(parts)
  local ports <const> = assert(parts.ports, "keyboard needs its ports")
  local clock <const>, sleep <const>, irq <const> = assert(parts.clock, "keyboard needs a clock"), parts.sleep, parts.irq

  local function output_full() return ports:in8(PORT.status) & STATUS.OUTPUT_FULL ~= 0 end

  local function input_free() return ports:in8(PORT.status) & STATUS.INPUT_FULL == 0 end

  local function put(port, byte)
    if not waiting.poll(clock, sleep, ANSWER_SECONDS, input_free) then return nil end
    ports:out8(port, byte)
    return true
  end

  local function get()
    if not waiting.poll(clock, sleep, ANSWER_SECONDS, output_full) then return nil end
    return ports:in8(PORT.data)
  end

  local function discard_stale()
    for _ = 1, STALE_BYTES do
      if not output_full() then return end
      ports:in8(PORT.data)
    end
  end

  local function configure()
    if not put(PORT.command, COMMAND.KEYBOARD_OFF) then return nil end
    put(PORT.command, COMMAND.AUXILIARY_OFF)
    discard_stale()
    if not put(PORT.command, COMMAND.READ_CONFIGURATION) then return nil end
    local value = get()
    if not value then return nil end
    value = (value | CONFIGURATION.TRANSLATE | CONFIGURATION.AUXILIARY_DISABLED)
      & ~(CONFIGURATION.AUXILIARY_INTERRUPT | CONFIGURATION.KEYBOARD_DISABLED | CONFIGURATION.KEYBOARD_INTERRUPT)
    if irq then value = value | CONFIGURATION.KEYBOARD_INTERRUPT end
    return put(PORT.command, COMMAND.WRITE_CONFIGURATION) and put(PORT.data, value)
      and put(PORT.command, COMMAND.KEYBOARD_ON)
  end

  local waiting_codes = {}      -- scan codes that came in between

  -- One byte to the keyboard, acknowledged → true | nil.
  local function tell(byte)
    for _ = 1, TRIES do
      if not put(PORT.data, byte) then return nil end
      local answer = get()
      while answer and answer ~= KEYBOARD.ACKNOWLEDGE and answer ~= KEYBOARD.RESEND do
        waiting_codes[#waiting_codes + 1] = answer
        answer = get()
      end
      if not answer then return nil end
      if answer == KEYBOARD.ACKNOWLEDGE then return true end
    end
    return nil
  end

  local function show_locks(locks)
    local value = 0
    for _, name in ipairs{"scroll", "num", "caps"} do
      if locks[name] then value = value | LEDS[name] end
    end
    return tell(KEYBOARD.SET_LEDS) and tell(value)
  end

  if ports:in8(PORT.status) == 0xFF then return nil, failure.new("absent", "no keyboard controller") end
  if not configure() then return nil, failure.new("absent", "the keyboard controller does not answer") end
  if not tell(KEYBOARD.SCAN_ON) then return nil, failure.new("absent", "no keyboard") end

  local decode <const> = scancodes.decoder()
  local translate <const> = translator.new{layout = parts.layout, actions = parts.actions, leds = show_locks}
  local pending, pending_count = {}, 0

  local function take(code)
    local key, pressed = decode(code)
    local bytes = key and translate(key, pressed) or ""
    if bytes ~= "" then
      pending_count = pending_count + 1
      pending[pending_count] = bytes
    end
  end

  local function drain()
    for _ = 1, READ_LIMIT do
      if #waiting_codes > 0 then
        take(table.remove(waiting_codes, 1))
      else
        local status = ports:in8(PORT.status)
        if status & STATUS.OUTPUT_FULL == 0 or status == 0xFF then return end
        local code = ports:in8(PORT.data)
        if status & STATUS.AUXILIARY == 0 then take(code) end
      end
    end
  end

  local keys = {}

  --- Bytes of the keys pressed since the last call; "" if none. Never waits for a key.
  function keys.read()
    drain()
    if pending_count == 0 then return "" end
    local bytes = table.concat(pending)
    pending, pending_count = {}, 0
    return bytes
  end

  --- Waits until a key gave bytes: true | nil, failure (`timeout`).
  function keys.wait(seconds)
    local deadline = waiting.deadline(clock, seconds)
    while true do
      drain()
      if pending_count > 0 then return true end
      local left = waiting.remaining(clock, deadline)
      if left == 0 then return nil, failure.new("timeout", "no key pressed") end
      if irq then irq:wait(math.min(left, INTERRUPT_SLICE_SECONDS)) elseif sleep then sleep(math.min(left, 0.01)) end
    end
  end

  return keys
end

return keyboard
