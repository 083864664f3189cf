-- A full-screen editor for Lua text in objects: edit "clock".
--
--     text_editor.run{terminal = shell.terminal, title =, load = function() → text, row; save = function(text) → what to say,
--                     run = function() or nil} → saved?
-- The last row of the screen says what is edited, where the cursor is and what the keys are; see KEYS.
--
-- Promises: nothing is lost without a question; a text that is no Lua yet can be saved as well, and is told where it is not; an error
-- of load, save or run is shown and leaves the text as it is.
-- Relies on: a screen of 80 columns; rows longer than it are shown through a window that follows the cursor.

local cells <const> = require "shell.cells"
local text_buffer <const> = require "shell.text_buffer"

local text_editor <const> = {}

local PASTE_ON <const>, PASTE_OFF <const> = "\27[?2004h", "\27[?2004l"
local INVERSE <const>, PLAIN <const>, CLEAR_REST <const> = "\27[7m", "\27[0m", "\27[K"
local SCROLL_COLUMNS <const> = 20
local KEYS <const> = "^S save ^R run ^F find ^K cut ^Y paste ^Z undo ^O reload ^Q quit"

local editor <const> = {}
editor.__index = editor

-- Named keys are words; a character stands for itself.
local function is_character(key)
  return not key:find("^%l[%l-]+$") and not key:find("^%l+%-.$")
end

-- The part of a row that stands in columns first … first + count - 1.
local function window(row, first, count)
  if first == 0 and #row <= count and not row:find("[^ -~]") then return row end
  local parts <const>, column, at = {}, 0, 1
  while at <= #row and column < first + count do
    local stop <const>, shown <const>, width <const> = cells.element(row, at)
    if column >= first and column + width <= first + count then parts[#parts + 1] = shown
    elseif column + width > first and column < first then parts[#parts + 1] = (" "):rep(column + width - first) end
    column, at = column + width, stop
  end
  return table.concat(parts)
end

function editor:place_window()
  local buffer <const> = self.buffer
  if buffer.row < self.top then self.top = buffer.row end
  if buffer.row >= self.top + self.height then self.top = buffer.row - self.height + 1 end
  local column <const>, room <const> = buffer:column(), self.columns - 1
  if column < self.first then self.first = math.max(0, column - SCROLL_COLUMNS) end
  if column >= self.first + room then self.first = column - room + SCROLL_COLUMNS end
  if column < room - SCROLL_COLUMNS then self.first = 0 end
end

function editor:status()
  local buffer <const> = self.buffer
  local changed <const> = buffer.changes ~= self.saved_at and " *" or ""
  local place <const> = ("%d:%d"):format(buffer.row, buffer:column() + 1)
  local said <const> = self.message or KEYS
  local left <const> = cells.visible(self.title) .. changed .. "  " .. place .. "  "
  return window(left .. cells.visible(said):gsub("\n", " "), 0, self.columns - 1)
end

-- Rows that differ from what stands there are written, and nothing else.
function editor:draw()
  self:place_window()
  local out <const> = {}
  local function show(row, text, before, after)
    if self.shown[row] == text then return end
    self.shown[row] = text
    out[#out + 1] = ("\27[%d;1H%s%s%s%s"):format(row, before, text, CLEAR_REST, after)
  end
  for row = 1, self.height do
    local text <const> = self.buffer.rows[self.top + row - 1]
    show(row, text and window(text, self.first, self.columns - 1) or "~", "", "")
  end
  show(self.height + 1, self:status(), INVERSE, PLAIN)
  out[#out + 1] = ("\27[%d;%dH"):format(self.buffer.row - self.top + 1, self.buffer:column() - self.first + 1)
  self.terminal.write(table.concat(out))
end

-- Everything anew: at the start, after a program has had the screen, on Ctrl-L.
function editor:begin_screen()
  self.columns, self.height = self.terminal.size()
  self.height = self.height - 1
  self.shown = {}
  self.terminal.clear()
  self.terminal.write(PASTE_ON)
end

function editor:say(text)
  self.message = text
end

-- f's result, or nothing after its error is told.
function editor:guarded(f, ...)
  local done <const>, result <const> = pcall(f, ...)
  if done then return result end
  self:say(require("shell.errors").message(result))
  return nil
end

-- A question in the last row → what was entered | nil when it was not meant.
function editor:ask(question)
  local answer = ""
  while true do
    self:say(question .. answer)
    self:draw()
    local key <const> = self.terminal.key()
    if key == "enter" then
      self.message = nil
      return answer
    elseif key == "escape" or key == "ctrl-g" or key == "ctrl-c" or key == "ctrl-q" then
      self.message = nil
      return nil
    elseif key == "backspace" then
      answer = answer:sub(1, cells.before(answer, #answer + 1) - 1)
    elseif is_character(key) then
      answer = answer .. key
    end
  end
end

local function problem_of(text, title)
  local compiled <const>, problem <const> = load(text, "=" .. title, "t")
  return not compiled and problem or nil
end

local actions <const> = {}

actions["ctrl-s"] = function(self)
  local text <const> = self.buffer:text()
  local said <const> = self:guarded(self.save, text)
  if not said then return false end
  self.saved_at, self.saved = self.buffer.changes, true
  local problem <const> = problem_of(text, self.title)
  self:say(problem and said .. "; not Lua yet: " .. problem or said)
  return true
end

actions["ctrl-r"] = function(self)
  if not self.run then return self:say("only programs run: edit \"name\"") end
  if self.buffer.changes ~= self.saved_at and not actions["ctrl-s"](self) then return end
  self.terminal.write(PASTE_OFF)
  self.terminal.clear()
  local done <const>, problem <const> = pcall(self.run)
  if not done then self.terminal.write("\n" .. require("shell.errors").message(problem)) end
  self.terminal.write("\n[any key: back to the text]")
  self.terminal.key()
  self:begin_screen()
end

actions["ctrl-o"] = function(self)
  if self.buffer.changes ~= self.saved_at and self:ask("drop the changes and reload? y: ") ~= "y" then return end
  local text <const> = self:guarded(self.load)
  if not text then return end
  local row <const> = self.buffer.row
  self.buffer:set(text)
  self.buffer:to_row(row)
  self.saved_at = self.buffer.changes
  self:say("reloaded")
end

actions["ctrl-q"] = function(self)
  if self.buffer.changes == self.saved_at then
    self.leaving = true
    return
  end
  local answer <const> = self:ask("save? y, n, or Escape to go on: ")
  if answer == "n" then self.leaving = true
  elseif answer == "y" then self.leaving = actions["ctrl-s"](self) end
end

actions["ctrl-f"] = function(self)
  local wanted <const> = self:ask("find: " .. (self.wanted and "(" .. self.wanted .. ") " or ""))
  if not wanted then return end
  if wanted ~= "" then self.wanted = wanted end
  if self.wanted and not self.buffer:find(self.wanted) then self:say("not found: " .. self.wanted) end
end

actions["ctrl-g"] = function(self)
  local row <const> = tonumber(self:ask("go to row: ") or "")
  if row then self.buffer:to_row(math.tointeger(row) or 1) end
end

actions["ctrl-l"] = function(self) self:begin_screen() end
actions["ctrl-c"] = function(self) self:say("Ctrl-Q leaves the editor") end
actions["ctrl-x"] = actions["ctrl-q"]

local function of_buffer(method, ...)
  local arguments <const> = table.pack(...)
  return function(self) self.buffer[method](self.buffer, table.unpack(arguments, 1, arguments.n)) end
end

for key, method in pairs{
  left = "left", right = "right", up = "up", down = "down", home = "home", ["end"] = "finish", enter = "newline",
  backspace = "delete_before", delete = "delete_at", tab = "indent", ["ctrl-a"] = "home", ["ctrl-e"] = "finish",
  ["ctrl-d"] = "delete_at", ["ctrl-y"] = "paste_rows", ["ctrl-v"] = "paste_rows", ["ctrl-z"] = "undo", ["ctrl-b"] = "left",
  ["ctrl-p"] = "up", ["ctrl-n"] = "down", ["ctrl-left"] = "word_left", ["ctrl-right"] = "word_right", ["alt-b"] = "word_left",
  ["alt-f"] = "word_right",
} do
  actions[key] = of_buffer(method)
end
actions["page-up"] = function(self) self.buffer:up(self.height - 1) end
actions["page-down"] = function(self) self.buffer:down(self.height - 1) end
actions["ctrl-k"] = function(self, _, again) self.buffer:cut_row(again) end
actions.paste = function(self, text) self.buffer:insert(text) end

function editor:handle(key, text)
  local again <const> = key == self.last_key
  self.message, self.last_key = nil, key
  if actions[key] then actions[key](self, text, again)
  elseif is_character(key) then self.buffer:insert(key) end
end

-- The keys that wait already are taken before anything is drawn.
function editor:loop()
  while not self.leaving do
    self:draw()
    self:handle(self.terminal.key())
    while not self.leaving do
      local key <const>, text <const> = self.terminal.key(0)
      if not key then break end
      self:handle(key, text)
    end
  end
end

function text_editor.run(options)
  local terminal <const> = options.terminal
  local text <const>, row <const> = options.load()
  local self <const> = setmetatable({
    terminal = terminal, title = options.title, load = options.load, save = options.save, run = options.run,
    buffer = text_buffer.new(text), top = 1, first = 0, saved = false, shown = {},
  }, editor)
  self.buffer:to_row(row or 1)
  self.saved_at = self.buffer.changes
  terminal.takes_interrupt = true
  terminal.scroll_away()
  self:begin_screen()
  local done <const>, problem <const> = xpcall(self.loop, debug.traceback, self)
  terminal.takes_interrupt = false
  terminal.write(PASTE_OFF)
  terminal.clear()
  if not done then error(problem, 0) end
  return self.saved
end

return text_editor
