-- The main chunk of a job, a program that a person has started (`run`, `start`): in its own process, with the console while it is in
-- front, and so that Ctrl-C ends it.
--
-- chunk(system, ask_console, main chunk, its text or false, packed arguments), by kernel.runtime. Its globals get `terminal` (shell.terminal)
-- and an io.read that asks with the line editor; without a store also a root that lives in memory. Ends with the results of the main
-- chunk; after an error, which it has shown, with status FAILED, after Ctrl-C with INTERRUPTED.

local system <const>, ask_console <const>, main_chunk <const>, text <const>, arguments <const> = ...

local errors <const> = require "shell.errors"
local terminal <const> = require "shell.terminal"

-- What is needed after the program, which may have changed what these names mean.
local describe <const>, capture <const>, INTERRUPTION <const> = errors.describe, errors.capture, terminal.INTERRUPTED
local unpack <const>, pack <const>, xpcall <const>, gsub <const> = table.unpack, table.pack, xpcall, string.gsub

local FAILED <const>, INTERRUPTED <const> = 1, 130

if _G.root == nil then
  require("shell.commands").install{environment = _G, objects = nil, system = system, print = print, interactive = false}
end

_G.terminal = terminal.new{
  write = function(bytes) return ask_console("write", bytes) end,
  read = function(seconds) return ask_console("read", seconds) end,
  size = function() return ask_console("size") end,
}
local line <const> = _G.terminal.line
function io.read(format) return terminal.converted(line(""), format) end

local function show(report)
  local function source_of() return text or nil end
  ask_console("write", (gsub(describe(report, source_of) .. "\n", "\n", "\r\n")))
end

local outcome
local evaluated <const> = system.evaluate(function()
  outcome = pack(xpcall(main_chunk, capture, unpack(arguments, 1, arguments.n)))
  if not outcome[1] and outcome[2].value ~= INTERRUPTION then show(outcome[2]) end
end)
if not evaluated or not outcome[1] and outcome[2].value == INTERRUPTION then return system.exit(INTERRUPTED) end
if not outcome[1] then return system.exit(FAILED) end
return unpack(outcome, 2, outcome.n)
