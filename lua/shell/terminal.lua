-- The terminal as a program uses it: single keys, places on the screen, lines with the line editor.
--
--     local terminal = require("shell.terminal").new(console [, decoder])      console = {write, read, size}, as for shell.editor
--     terminal.key([seconds]) → "a", "ä", " ", "enter", "up", "ctrl-s", … | "paste", text | nil when the time is over
--     terminal.line(prompt) → what was entered | nil after Ctrl-D
--     terminal.write(…)       terminal.size() → columns, rows       terminal.clear()      terminal.move(row, column)
--     terminal.cursor(visible)      terminal.scroll_away(): what is on the screen goes up, so that a page begins with nothing lost
-- Keys are those of shell.keys; a character stands for itself. Ctrl-C raises terminal.INTERRUPTED, unless takes_interrupt is set.
-- Promises: no key is lost between key() and line(); rows and columns count from 1 and are never more than every console has.
-- Relies on: a terminal that understands VT100 sequences, as our screen does.

local cells <const> = require "shell.cells"
local keys <const> = require "shell.keys"

local terminal <const> = {}

local LEAST_ROWS <const>, MOST_ROWS <const> = 2, 24
local LONG_SECONDS <const> = 3600

terminal.INTERRUPTED = setmetatable({}, {__name = "interruption", __tostring = function() return "interrupted" end})

-- What io.read makes of a line: formats "l", "L" and "n", with or without the star of old.
function terminal.converted(text, format)
  if text == nil then return nil end
  format = type(format) == "string" and format:gsub("^%*", "") or format or "l"
  if format == "n" then return tonumber(text) end
  if format == "L" then return text .. "\n" end
  if format == "l" then return text end
  error("io.read: the console gives lines: \"l\", \"L\" or \"n\"", 3)
end

function terminal.new(console, decoder)
  local self <const> = {INTERRUPTED = terminal.INTERRUPTED, takes_interrupt = false}
  decoder = decoder or keys.new()
  local typed = ""                        -- text that came with a key and has not been asked for

  local line_editor

  function self.write(...)
    console.write((table.concat({...}):gsub("\r?\n", "\r\n")))
  end

  function self.size()
    local columns <const>, rows <const> = console.size()
    return columns or 80, math.max(LEAST_ROWS, math.min(rows or MOST_ROWS, MOST_ROWS))
  end

  function self.move(row, column) self.write(("\27[%d;%dH"):format(row, column)) end
  function self.clear() self.write("\27[0m\27[H\27[2J") end
  function self.cursor(visible) self.write(visible and "\27[?25h" or "\27[?25l") end

  function self.scroll_away()
    local _, rows <const> = self.size()
    self.write("\27[" .. rows .. ";1H", ("\n"):rep(rows))
    self.clear()
  end

  local function next_character()
    local stop <const> = cells.after(typed, 1)
    local character <const> = typed:sub(1, stop - 1)
    typed = typed:sub(stop)
    return character
  end

  local function pressed(name, text)
    if name == "text" then
      typed = text
      return next_character()
    end
    if name == "ctrl-c" and not self.takes_interrupt then error(terminal.INTERRUPTED, 0) end
    return name, text
  end

  function self.key(seconds)
    if typed ~= "" then return next_character() end
    while true do
      local name <const>, text <const> = decoder:next()
      if name then return pressed(name, text) end
      local waiting <const> = decoder:waiting()
      local bytes <const>, reason <const> = console.read(waiting or seconds or LONG_SECONDS)
      if bytes then
        decoder:feed(bytes)
      elseif reason ~= "timeout" then
        error("the console does not answer: " .. tostring(reason), 0)
      elseif waiting then
        decoder:flush()
      elseif seconds then
        return nil
      end
    end
  end

  function self.line(prompt)
    if not line_editor then
      line_editor = require("shell.editor").new{console = console, history = require("shell.history").new()}
      line_editor.decoder = decoder
    end
    local draft <const> = typed
    typed = ""
    local text <const>, reason <const> = line_editor:read{prompt = prompt or "", text = draft ~= "" and draft or nil}
    if reason == "interrupt" then error(terminal.INTERRUPTED, 0) end
    if reason == "closed" then error("the console does not answer", 0) end
    if text then line_editor.history:add(text) end
    return text
  end

  return self
end

return terminal
