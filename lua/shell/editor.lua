-- The line editor: keys in, an edited text out, the screen kept up to date in between.
--
--     local editor = editor.new{console = console, history = history, complete = function(text, cursor) → …}
--     editor:read{prompt =, continuation =, text =, finished = function(text) → boolean}
--        → text, "enter" | text, "paste" | nil, "interrupt" | nil, "end" | nil, "raw" | nil, "closed"
-- Enter ends the text when `finished` says so and starts a new row of it otherwise. A paste of several lines ends the
-- text at its last line end; what follows waits as the start of the next read. See bindings() for the keys.
--
-- Promises: bytes that arrive while nobody reads the line are not lost (they wait in the decoder or the console).
-- Relies on: console = {write(bytes), read(seconds) → bytes | nil, "timeout", size() → columns, rows}.

local cells <const> = require "shell.cells"
local display <const> = require "shell.display"
local keys <const> = require "shell.keys"
local layout <const> = require "shell.layout"
local line <const> = require "shell.line"

local editor <const> = {}
editor.__index = editor

-- A terminal sends this string to ask for raw mode: ESC _ khoros:raw ESC \
editor.RAW_REQUEST = "khoros:raw"
local BRACKETED_PASTE_ON <const> = "\27[?2004h"
local BRACKETED_PASTE_OFF <const> = "\27[?2004l"
-- From the margin to the far right and back, asking where that is: terminals answer with their width.
local ASK_WIDTH <const> = "\27[999C\27[6n\r"
local IDLE_SECONDS <const> = 5
local LISTED_CANDIDATES <const> = 100

function editor.new(options)
  local console <const> = options.console
  local self = setmetatable({
    console = console, pending = {}, history = options.history, complete = options.complete, on_idle = options.on_idle,
    decoder = keys.new(), line = line.new(),
    columns = 80, rows = 24, asks_width = options.asks_width, answered_columns = nil,
  }, editor)
  self.display = display.new(function(bytes) self:write(bytes) end)
  return self
end

-- What is written goes out in one piece, before the next wait for a key and at the end of a read.
function editor:write(bytes)
  self.pending[#self.pending + 1] = bytes
end

function editor:flush()
  if #self.pending == 0 then return end
  local bytes = table.concat(self.pending)
  self.pending = {}
  self.console.write(bytes)
end

function editor:measure()
  local columns, rows = self.console.size()
  self.columns = math.min(columns or 80, self.answered_columns or math.huge)
  self.rows = rows or 24
end

-- Asks the terminal how wide it is, from the margin; the answer comes as a key and may never come.
function editor:ask_width()
  if not self.asks_width then return end
  self.answered_columns = nil
  self:write(ASK_WIDTH)
end

-- The next key. Reads the console; idle time is given to on_idle.
function editor:next_key()
  while true do
    local name, text, more = self.decoder:next()
    if name then return name, text, more end
    local waiting = self.decoder:waiting()
    self:flush()
    local bytes, reason = self.console.read(waiting or IDLE_SECONDS)
    if bytes and bytes ~= "" then
      self.decoder:feed(bytes)
    elseif not bytes and reason ~= "timeout" then
      return "closed"
    elseif waiting then
      self.decoder:flush()
    elseif self.on_idle then
      self.on_idle()
    end
  end
end

function editor:draw(prompt, text, cursor)
  local rows, row, column = layout.rows(prompt, self.continuation, text, cursor, self.columns)
  self.display:show(rows, row, column, self.rows)
end

function editor:redraw()
  self:draw(self.prompt, self.line.text, self.line.cursor)
end

-- Ends the text on the screen: the cursor goes below all of it.
function editor:leave()
  self.line.cursor = #self.line.text + 1
  self:redraw()
  self.display:finish()
end

local function recall(self, direction)
  local text = self.history:walk(direction, self.line.text)
  if text then self.line:set(text) end
end

-- Actions: action(self, text of the key, joined = the command before killed too) → result, reason ends the read.
local actions <const> = {}

function actions.enter(self)
  if not self.finished or self.finished(self.line.text) then
    self:leave()
    return self.line.text, "enter"
  end
  self.line:insert("\n")
end

function actions.newline(self) self.line:insert("\n") end

function actions.paste(self, pasted)
  local before, after = self.line.text:sub(1, self.line.cursor - 1), self.line.text:sub(self.line.cursor)
  local newline = pasted:match(".*()\n")
  if not newline or not self.takes_paste then
    self.line:insert(pasted)
    return
  end
  self.line:set(before .. pasted:sub(1, newline - 1))
  self:leave()
  self.draft = pasted:sub(newline + 1) .. after
  self.draft_cursor = #pasted - newline + 1
  return self.line.text, "paste"
end

function actions.interrupt(self)
  self:leave()
  return nil, "interrupt"
end

function actions.end_or_delete(self)
  if self.line.text ~= "" then
    self.line:delete_at()
    return
  end
  self:leave()
  return nil, "end"
end

function actions.clear(self)
  self:write("\27[H\27[2J")
  self.display:forget()
  self:measure()
  self:ask_width()
end

function actions.up(self)
  if not self.line:vertical(-1) then recall(self, -1) end
end

function actions.down(self)
  if not self.line:vertical(1) then recall(self, 1) end
end

function actions.older(self) recall(self, -1) end
function actions.newer(self) recall(self, 1) end

function actions.search(self)
  local name, text = require("shell.search").run(self)
  if name then return self:handle(name, text) end
end

-- Writes the candidates in columns below the text.
local function list_candidates(self, candidates)
  local widest, shown = 0, math.min(#candidates, LISTED_CANDIDATES)
  for index = 1, shown do widest = math.max(widest, cells.width(candidates[index])) end
  local across = math.max(1, (self.columns - 1) // (widest + 2))
  local down = (shown + across - 1) // across
  local cursor = self.line.cursor
  self:leave()
  self.line.cursor = cursor
  for row = 1, down do
    local parts = {}
    for index = row, shown, down do
      local candidate = candidates[index]
      local padding = index + down <= shown and (" "):rep(widest - cells.width(candidate) + 2) or ""
      parts[#parts + 1] = cells.visible(candidate) .. padding
    end
    self:write(table.concat(parts) .. "\r\n")
  end
  if #candidates > shown then self:write(("... %d more\r\n"):format(#candidates - shown)) end
end

local function common_start(candidates)
  local common = candidates[1]
  for _, candidate in ipairs(candidates) do
    while candidate:sub(1, #common) ~= common do
      common = common:sub(1, cells.before(common, #common + 1) - 1)
    end
  end
  return common
end

function actions.complete(self)
  local row = self.line.text:sub(self.line:row_start(), self.line.cursor - 1)
  if not self.complete or not row:find("%S") then
    self.line:insert("  ")
    return
  end
  local start, candidates = self.complete(self.line.text:sub(1, self.line.cursor - 1))
  if not start or #candidates == 0 then return end
  local common = common_start(candidates)
  local typed = self.line.text:sub(start, self.line.cursor - 1)
  if common ~= typed and #common >= #typed then
    self.line:cut(start, self.line.cursor)
    self.line:insert(common)
  elseif #candidates > 1 then
    list_candidates(self, candidates)
  end
end

function actions.position(self, _, column)
  if column and column > 1 then
    self.answered_columns = math.min(column, self.answered_columns or math.huge)
    self:measure()
  end
end

function actions.sequence(self, text)
  if text == editor.RAW_REQUEST and self.takes_paste then
    self:leave()
    return nil, "raw"
  end
end

function actions.closed(self)
  self:leave()
  return nil, "closed"
end

-- The methods of shell.line as actions; those that kill join what was killed just before.
for _, name in ipairs { "left", "right", "home", "finish", "to_word_left", "to_word_right", "delete_before",
  "delete_at", "yank", "transpose" } do
  actions[name] = function(self) self.line[name](self.line) end
end
for _, name in ipairs { "kill_to_end", "kill_to_start", "kill_blank_word", "kill_word_left", "kill_word_right" } do
  actions[name] = function(self, _, _, joined) self.line[name](self.line, joined) end
end

function actions.text(self, text) self.line:insert(text) end

local BINDINGS <const> = {
  text = "text", paste = "paste", enter = "enter", ["alt-enter"] = "newline", tab = "complete",
  ["ctrl-c"] = "interrupt", ["ctrl-d"] = "end_or_delete", ["ctrl-l"] = "clear", ["ctrl-r"] = "search",
  left = "left", ["ctrl-b"] = "left", right = "right", ["ctrl-f"] = "right",
  home = "home", ["ctrl-a"] = "home", ["end"] = "finish", ["ctrl-e"] = "finish",
  up = "up", down = "down", ["ctrl-p"] = "older", ["ctrl-n"] = "newer",
  ["alt-b"] = "to_word_left", ["ctrl-left"] = "to_word_left", ["alt-left"] = "to_word_left",
  ["alt-f"] = "to_word_right", ["ctrl-right"] = "to_word_right", ["alt-right"] = "to_word_right",
  backspace = "delete_before", delete = "delete_at",
  ["ctrl-k"] = "kill_to_end", ["ctrl-u"] = "kill_to_start", ["ctrl-w"] = "kill_blank_word",
  ["alt-d"] = "kill_word_right", ["alt-backspace"] = "kill_word_left", ["ctrl-y"] = "yank",
  ["ctrl-t"] = "transpose", position = "position", sequence = "sequence", closed = "closed",
}

-- → table of key name → action name, for the help.
function editor.bindings()
  return BINDINGS
end

-- Does what a key means. → result, reason when that ends the read; reason is nil otherwise.
function editor:handle(name, text, more)
  local binding = BINDINGS[name]
  if not binding then return nil, nil end
  local joined = self.killed_last
  self.killed_last = binding:find("^kill") ~= nil
  return actions[binding](self, text, more, joined)
end

function editor:read(options)
  self.prompt, self.continuation = options.prompt or "", options.continuation or options.prompt or ""
  self.finished, self.takes_paste = options.finished, options.takes_paste
  self.killed_last = false
  local text, cursor = options.text or self.draft or "", nil
  if not options.text and self.draft then cursor = self.draft_cursor end
  self.draft, self.draft_cursor = nil, nil
  self.line:set(text, cursor)
  self.display:forget()
  self:measure()
  self:write(BRACKETED_PASTE_ON)
  while true do
    -- What was typed ahead is drawn when it has all been taken in.
    if not self.decoder:has_more() then self:redraw() end
    local result, reason = self:handle(self:next_key())
    if reason then
      self:write(BRACKETED_PASTE_OFF)
      self:flush()
      return result, reason
    end
  end
end

return editor
