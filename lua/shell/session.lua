-- A session at a console: reads, evaluates, shows, until the console is closed.
--
--     session.run{console = {write, read, size}, environment = table of globals, objects = nil without a disk,
--                 system = nil outside the guest, banner = facts or text (shell.banner),
--                 history = {load =, save =} or nil, autorun = boolean, evaluate = function(f) → true | false, report | nil, "interrupted",
--                 keep_source = function(chunk name, compiled text) or nil, asks_width = boolean}
-- `evaluate` is where the kernel takes hold: it may abandon f at any instant (Ctrl-C), and the session goes on with what
-- it has outside of f. By default it is a plain xpcall.
--
-- Promises: whatever is typed, the prompt comes back; entries are chunks named stdin:1, stdin:2, …, whose text is kept
-- so that errors can show the source row; what is pasted runs as one chunk when it is one, otherwise row by row.
-- Relies on: shell.editor and shell.reader; everything else is loaded when it is first needed.

local commands <const> = require "shell.commands"
local editor <const> = require "shell.editor"
local history <const> = require "shell.history"
local output <const> = require "shell.output"
local reader <const> = require "shell.reader"

local session <const> = {}
session.__index = session

local HOW_TO_LEAVE <const> = "poweroff() leaves, reboot() starts again, help() shows what there is\n"
-- What people type who want to leave, when the name means nothing.
local FAREWELLS <const> = { exit = true, quit = true, bye = true, logout = true }

local PROMPT <const>, CONTINUATION <const> = "> ", ">> "
-- What was entered is saved when nobody has typed for so many waits of the editor.
local IDLE_ROUNDS <const> = 6
-- Texts of this many entries are kept for error messages.
local KEPT_SOURCES <const> = 300
-- A chunk that grows past this many rows during a paste is only tried where a row starts at the margin.
local TRIED_ROWS <const> = 40

local function evaluate_here(f)
  return xpcall(f, require("shell.errors").capture)
end

local function install_shell_table(self)
  self.environment.shell = {
    raw = function(on)
      if on == false then self.leaving_raw = true else self.wants_raw = true end
    end,
    history = function() return table.move(self.history.entries, 1, #self.history.entries, 1, {}) end,
  }
end

-- For Tab; what the first string of help, run and the like may be is looked up when it is needed.
local function complete(self, text)
  local strings = { help = function() return require("shell.help").names(self.environment) end }
  for name, list in pairs(self.programs.strings) do strings[name] = list end
  return require("shell.completion").find(text, self.environment, strings)
end

function session.new(options)
  local console = options.console
  local self = setmetatable({
    console = console, environment = options.environment, objects = options.objects, banner = options.banner,
    evaluate = options.evaluate or evaluate_here, keep_source = options.keep_source,
    sources = {}, entry = 0, at_margin = true, noted_local = false, notices = {}, idle_rounds = 0,
  }, session)
  self.emit_bytes = function(bytes) console.write((bytes:gsub("\n", "\r\n"))) end
  self.source_of = function(name) return self.sources[name] end
  self.history = history.new(options.history)
  if self.history.problem then self:notice("the history cannot be read: " .. self.history.problem) end
  self.editor = editor.new {
    console = console, history = self.history, asks_width = options.asks_width,
    complete = function(text) return complete(self, text) end,
    on_idle = function() self:idle() end,
  }
  self.autorun = options.autorun
  self.programs = {
    console = console, decoder = function() return self.editor.decoder end, emit = function(text) self:emit(text) end,
    came_back = function(...) self:came_back(...) end, keep = function(name, text) self.sources[name] = text end,
    news = function() return {} end, strings = {},
  }
  commands.install {
    environment = self.environment, objects = self.objects, system = options.system, interactive = true,
    print = function(text) self:emit(text .. "\n") end, before_power = function() self:end_session() end,
    session = self.programs,
  }
  output.install(self.environment, function(text) self:emit(text) end, function() return self:read_input() end)
  self.stdout = self.environment.io.stdout
  install_shell_table(self)
  return self
end

-- Shown before the next prompt.
function session:notice(text)
  self.notices[#self.notices + 1] = text
end

function session:save_history()
  local ok, problem = self.history:save()
  if not ok then self:notice("the history is not saved: " .. problem) end
end

-- Before the power goes: what would be said at the next prompt is said now.
function session:end_session()
  self:save_history()
  self:to_margin()
  for _, notice in ipairs(self.notices) do self:emit(notice .. "\n") end
end

function session:idle()
  self.idle_rounds = self.idle_rounds + 1
  if self.idle_rounds == IDLE_ROUNDS then self:save_history() end
end

-- A program had the screen: colours, cursor and the like are as the prompt wants them. Below a page that it left there is room.
function session:came_back(at_margin, left_page)
  self.emit_bytes("\27[0m\27[?25h\27[?7h\27[?2004l" .. (left_page and "\27[999;1H" or ""))
  self.at_margin = at_margin == true and not left_page
  self:to_margin()
end

-- Text for the person: "\n" is a line end. Remembers whether the cursor stands at the margin.
function session:emit(text)
  if text == "" then return end
  self.at_margin = text:byte(-1) == 10
  self.emit_bytes(text)
end

function session:to_margin()
  if not self.at_margin then self:emit("\n") end
end

-- io.read at the prompt: a line with the line editor, nil when there is none (Ctrl-D).
function session:read_input()
  self:to_margin()
  local text, reason = self.editor:read {}
  if reason == "interrupt" then error("interrupted", 0) end
  return text
end

-- Keeps the text of a chunk, and no more than KEPT_SOURCES of them.
function session:keep(name, text)
  self.sources[name] = text
  self.sources["stdin:" .. self.entry - KEPT_SOURCES] = nil
end

-- Compiles an entry under the next name. A name is used up only by what is run or wrong.
function session:compile(text)
  local name = "stdin:" .. self.entry + 1
  local chunk, problem, message = reader.compile(text, name, self.environment)
  if chunk or problem == "error" then
    self.entry = self.entry + 1
    self:keep(name, text)
    if chunk and self.keep_source then self.keep_source(name, chunk.text) end
  end
  return chunk, problem, message
end

function session:remember(...)
  if select("#", ...) > 0 then self.environment._ = (...) end
end

-- Evaluated as well, because an error object decides how it is shown.
function session:show_error(report)
  local text
  local described = self.evaluate(function() text = require("shell.errors").describe(report, self.source_of) end)
  self:to_margin()
  if described == nil then self:emit("interrupted\n")
  else self:emit((text or "an error that cannot be shown") .. "\n") end
end

local function show_results(self, ...)
  -- io.write returns the stream it wrote to, which nobody wants to see.
  if select("#", ...) == 0 or rawequal((...), self.stdout) then return end
  self:remember(...)
  local printer = require "shell.printer"
  local options = { width = self.editor.columns - 1 }
  self:to_margin()
  self:emit(printer.format_all(options, ...) .. "\n")
end

-- `root = {}` would only hide the store's table: nothing of it would ever be committed.
local function guard_root(self)
  local root = self.objects and self.objects.root
  if root ~= nil and rawget(self.environment, "root") ~= root then
    self.environment.root = root
    self:emit("root stays the store's own table: assign its fields (root.x = …), then commit()\n")
  end
end

local function note_local(self, text)
  if self.noted_local or not reader.declares_local(text) then return end
  self.noted_local = true
  self:emit("note: a local ends with its line; without `local` the name stays\n")
end

-- Runs a compiled entry and shows what comes of it. → true | false after an error or an interruption
function session:run_chunk(chunk)
  local main_chunk <const> = chunk.run -- the name that traces show
  local ok, report = self.evaluate(function() show_results(self, main_chunk()) end)
  self:to_margin()
  if ok == nil then self:emit("interrupted\n")
  elseif not ok then self:show_error(report)
  else note_local(self, chunk.source) end
  guard_root(self)
  return ok, report
end

-- An entry that is whole (the editor asked is_finished).
function session:enter(text)
  local chunk, problem, message = self:compile(text)
  if problem == "empty" then return end
  self.history:add(text)
  local word = text:match("^%s*(%a+)%s*%(?%)?%s*$")
  if FAREWELLS[word] and self.environment[word] == nil then return self:emit(HOW_TO_LEAVE) end
  if chunk then return self:run_chunk(chunk) end
  self:show_error(message or "the chunk is not finished")
end

-- Compiles to see; the entry number moves only when it is entered.
function session:is_finished(text)
  local _, problem = reader.compile(text, "stdin:" .. self.entry + 1, self.environment)
  return problem ~= "incomplete"
end

-- Rows one after the other, as if typed. → what is left over at the end because it is not finished, or nil
local function run_rows(self, text)
  local pending, rows = nil, 0
  for row in (text .. "\n"):gmatch("([^\n]*)\n") do
    pending = pending and pending .. "\n" .. row or row
    rows = rows + 1
    if rows <= TRIED_ROWS or row:find("^[^%s]") then
      local chunk, problem, message = self:compile(pending)
      if problem ~= "incomplete" then
        if chunk then
          self.history:add(pending)
          if self:run_chunk(chunk) == nil then return nil end
        elseif message then
          self:show_error(message)
        end
        pending, rows = nil, 0
      end
    end
  end
  return pending
end

-- What was pasted, up to its last line end. → the start of the next entry when it is not finished, or nil
function session:paste(text)
  local chunk, problem = self:compile(text)
  if chunk then
    self.history:add(text)
    self:run_chunk(chunk)
    return nil
  end
  if problem == "incomplete" then return text end
  if problem == "error" then self.entry = self.entry - 1 end
  return run_rows(self, text)
end

local function enter_raw(self)
  self.wants_raw = false
  local decoder = self.editor.decoder
  local rest = require("shell.raw").run(self, decoder.bytes:sub(decoder.at))
  decoder.bytes, decoder.at = "", 1
  decoder:feed(rest)
  self.at_margin = false
end

-- One turn of the loop. → false when the console is closed
local function turn(self, state)
  self:to_margin()
  for _, row in ipairs(self.programs.news()) do self:notice(row) end
  for _, notice in ipairs(self.notices) do self:emit(notice .. "\n") end
  self.notices = {}
  if self.wants_raw then enter_raw(self) end
  local text, reason = self.editor:read {
    prompt = PROMPT, continuation = CONTINUATION, text = state.text, takes_paste = true,
    finished = function(typed) return self:is_finished(typed) end,
  }
  state.text, self.idle_rounds = nil, 0
  if reason == "enter" then self:enter(text)
  elseif reason == "paste" then
    local rest = self:paste(text)
    if rest then
      state.text = rest .. "\n" .. (self.editor.draft or "")
      self.editor.draft = nil
    end
  elseif reason == "end" then self:emit(HOW_TO_LEAVE)
  elseif reason == "raw" then self.wants_raw = true
  elseif reason == "closed" then return false end
  return true
end

-- root.autorun: Lua text, a program or a function, run as if it were typed when the machine has started; Ctrl-C ends it.
function session:run_autorun()
  local root <const> = self.autorun and self.objects and self.objects.root
  if not root then return end
  local chunk
  local read <const> = self.evaluate(function()
    local what <const> = root.autorun
    if what == nil then return end
    local text <const> = type(what) == "string" and what or "root.autorun()"
    self:emit("autorun: " .. require("shell.printer").format(text, { length = 1, string_length = 60 }) .. "\n")
    local problem, message
    chunk, problem, message = self:compile(text)
    if problem then error(message or "root.autorun is not a whole chunk", 0) end
  end)
  if not read then self:emit("root.autorun cannot be run; root.autorun = nil, commit() lets it go\n") end
  if chunk then self:run_chunk(chunk) end
end

function session:loop()
  if self.banner then self:emit(require("shell.banner").text(self.banner) .. "\n") end
  self:run_autorun()
  self.editor:ask_width() -- goes out with the first prompt
  local state = {}
  while turn(self, state) do end
  self:end_session()
end

function session.run(options)
  return session.new(options):loop()
end

return session
