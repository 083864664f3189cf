-- The first chunk of every process: runtime(kernel, boot). Makes `system`, `require`, print and io, then runs what the
-- process is for.
--
-- `kernel` is the C core's table (kernel/sandbox/libraries.c), `boot` what the supervisor says (kernel.processes). Neither
-- is reachable by other code: a module that the system trusts is called with (grants, trust) where trust = {evaluate,
-- raw, system, arguments}, anything else with (grants, arguments…).
--
-- `system` (a global in services; everywhere the module of that name):
--     id, name · send, receive, call, call_within, reply · sleep, now, time, clock, cpu, random, memory, crc32c, codec, heap
--     spawn, kill, wait, ps, exit, yield, self, evaluate · register, lookup · listen, interrupt, power, machine
-- Promises: a process sees its own libraries and nothing of another's; print and io.write reach the console in the order
-- in which they were called.

-- What another process has started comes with its source, grants and arguments as that one sent them.
local kernel <const>, boot <const>, sent_source <const>, sent_grants <const>, sent_arguments <const> = ...
if sent_source then boot.source, boot.grants, boot.arguments = sent_source, sent_grants, sent_arguments end
local call <const> = kernel.call

-- What is used after the program has begun, which may change what these names and the string metatable mean.
local assert <const>, error <const>, ipairs <const>, select <const>, setmetatable <const> =
  assert, error, ipairs, select, setmetatable
local type <const>, tostring <const>, math_type <const> = type, tostring, math.type
local find <const>, format <const>, gsub <const>, sub <const> = string.find, string.format, string.gsub, string.sub

local system <const> = {id = boot.id, name = boot.name, parent = boot.parent}

-- Modules that code which the system does not trust may load: pure Lua that asks for what it uses.
local PUBLIC_MODULES <const> = {"^fs%.", "^shell%.", "^kernel%.service$"}

-- --- messages ---------------------------------------------------------------------------------------------------

local LETTER <const> = {__name = "sender"}
function LETTER.__tostring(from) return format("%s from %s", from.kind, from.process or from.line or "the supervisor") end

-- An endpoint, a process id, or the sender of a letter.
local function address(to)
  if type(to) == "table" then to = to.process or to.id end
  if math_type(to) == "integer" or type(to) == "userdata" then return to end
  error("expected an endpoint, a process id or a sender", 3)
end

function system.send(to, ...)
  return call("send", 1, address(to), ...)
end

--- Results of the other side's reply | nil, "dead" | "full" | "too large".
function system.call(to, ...)
  return call("call", 2, address(to), false, ...)
end

--- The same, with nil, "timeout" after so many seconds.
function system.call_within(seconds, to, ...)
  return call("call", 2, address(to), seconds, ...)
end

local function received(kind, ...)
  if kind == nil then return nil, ... end
  if kind == "message" then
    local process <const>, request <const>, badge <const> = ...
    return setmetatable({kind = request and "call" or "send", process = process, request = request, badge = badge}, LETTER),
      select(4, ...)
  elseif kind == "irq" then
    return setmetatable({kind = "irq", line = (...)}, LETTER), ...
  end
  return setmetatable({kind = kind}, LETTER), ...
end

--- receive([seconds [, process id]]) → sender, values… | nil, "timeout".
--- Raises "not enough memory" when a letter does not fit; it is gone then, and its sender, if it waits, is told.
function system.receive(seconds, from)
  local function took(succeeded, ...)
    if succeeded then return received(...) end
    call("unread", 0)
    error((...), 0)
  end
  return took(pcall(call, "receive", 2, seconds, from))
end

function system.reply(sender, ...)
  return call("reply", 1, type(sender) == "table" and sender.request or sender, ...)
end

-- --- time, chance, memory ---------------------------------------------------------------------------------------

system.clock, system.random, system.memory, system.crc32c = kernel.clock, kernel.random, kernel.memory, kernel.crc32c
system.codec, system.cpu, system.heap = kernel.codec, kernel.cpu, kernel.heap

--- Seconds since the machine started.
function system.now()
  return kernel.clock() / 1e9
end

--- Microseconds since 1970 UTC.
function system.time()
  return boot.epoch + kernel.clock() // 1000
end

function system.sleep(seconds)
  return call("sleep", 1, seconds)
end

function system.yield()
  return call("yield", 0)
end

-- --- processes --------------------------------------------------------------------------------------------------

local PROCESS <const> = {__name = "process"}
PROCESS.__index = PROCESS
function PROCESS.__tostring(process) return "process " .. process.id end

local function id_of(process)
  return type(process) == "table" and process.id or process
end

--- spawn{source=, name=, memory=, arguments={…}, grants={…}} → process | nil, err.
function system.spawn(spec)
  if type(spec) == "string" then spec = {source = spec} end
  if type(spec) ~= "table" then error("spawn takes Lua text or a table", 2) end
  if spec.source == nil then return nil, "spawn: only Lua text can be run so far, not a function" end
  if type(spec.source) ~= "string" then return nil, "spawn: `source` must be Lua text" end
  local grants <const>, arguments <const> = spec.grants or {}, spec.arguments or {}
  if type(grants) ~= "table" or type(arguments) ~= "table" then return nil, "spawn: grants and arguments are tables" end
  local id <const>, err <const> =
    call("spawn", 4, spec.name, spec.chunk, spec.memory, spec.unsafe, spec.source, grants, arguments)
  if not id then return nil, err end
  return setmetatable({id = id}, PROCESS)
end

function system.kill(process)
  return call("kill", 1, id_of(process))
end

--- wait(process [, seconds]) → "finished", results… | "error", message, traceback | "killed" | "exit", status | nil, err.
function system.wait(process, seconds)
  return call("wait", 2, id_of(process), seconds)
end

function system.self()
  return setmetatable({id = boot.id}, PROCESS)
end

function system.ps()
  return call("ps", 0)
end

--- The whole machine: {memory_bytes, free_bytes, turns, idle_seconds, uptime_seconds}.
function system.machine()
  return call("machine", 0)
end

--- A line of the system's own on the console, for services.
function system.log(text)
  return call("log", 1, tostring(text))
end

--- Panics and deaths of services: a list of {time, boot, kind, name, how, text} (kernel.crash_log).
function system.crashes(forget)
  return call("crashes", 1, forget == true)
end

function system.exit(status)
  call("exit", 1, status)
end

--- evaluate(f): runs f so that Ctrl-C can abandon it → true | false, report | nil, "interrupted". The report is what the
--- module named by boot.reports makes of the error and its traceback.
function system.evaluate(f)
  local ran <const>, value <const>, trace <const> = kernel.evaluate(f)
  if ran then return true end
  if ran == nil then return nil, "interrupted" end
  if not boot.reports then return false, tostring(value) .. "\n" .. trace end
  return false, _G.require(boot.reports).report(value, trace)
end

PROCESS.kill, PROCESS.wait, PROCESS.send, PROCESS.call = system.kill, system.wait, system.send, system.call

-- --- the system -------------------------------------------------------------------------------------------------

function system.register(name) return call("register", 1, name) end
function system.lookup(name) return call("lookup", 1, name) end
function system.listen(line) return call("listen", 1, line) end
--- Abandons what the process evaluates; `end_it`: ends the process instead.
function system.interrupt(process, end_it) return call("interrupt", 2, id_of(process), end_it) end
function system.power(what) return call("power", 1, what) end

-- --- require ----------------------------------------------------------------------------------------------------

local function is_public(name)
  for _, pattern in ipairs(PUBLIC_MODULES) do
    if find(name, pattern) then return true end
  end
  return boot.trusted
end

local text_load <const> = load

-- A searcher of `require`, for the modules of this system. A module is called with its name and where it comes from;
-- those of this folder with `system`, because they serve processes where that is no global.
local function search_embedded(name)
  local source <const>, chunk <const> = kernel.source(name)
  if not source then return nil end
  if not is_public(name) then return format("module '%s' is not for this process", name) end
  return assert(text_load(source, chunk, "t")), find(name, "^kernel%.") and system or chunk
end

-- With all of Lua's libraries, its searchers for files stay: they find none, and say so as everywhere.
if boot.unsafe then
  table.insert(package.searchers, 2, search_embedded)
else
  package.searchers = {package.searchers[1], search_embedded}
end

-- --- print, io, os ----------------------------------------------------------------------------------------------

-- Output is one-way, but who writes much waits for the console from time to time, and while its mailbox is full: others
-- want to be heard as well.
local WRITES_AHEAD <const>, BYTES_AHEAD <const> = 16, 8192
local writes, written = 0, 0

local function write_piece(operation, text)
  writes, written = writes + 1, written + #text
  local waits <const> = writes > WRITES_AHEAD or written > BYTES_AHEAD
  if waits then writes, written = 0, 0 end
  local sent, reason
  repeat
    if waits then sent, reason = call("call", 2, boot.console, false, operation, text)
    else sent, reason = call("send", 1, boot.console, operation, text) end
    if not sent and reason == "full" then call("sleep", 1, 0.001) end
  until sent or reason ~= "full"
end

-- Lua's own print and io write through this function (kernel/sandbox/hosted.h).
kernel.writer(function(text, is_error)
  if not boot.console then return end
  if boot.line_end then text = gsub(text, "\r?\n", boot.line_end) end
  for place = 1, #text, BYTES_AHEAD do
    write_piece(is_error and "error" or "write", sub(text, place, place + BYTES_AHEAD - 1))
  end
end)

function os.exit(status)
  if status == nil or status == true then status = 0 elseif status == false then status = 1 end
  system.exit(status)
end

for name, library in pairs(_G) do
  if type(library) == "table" then package.loaded[name] = library end
end
package.loaded.system = system

-- --- the program ------------------------------------------------------------------------------------------------

if boot.trusted then
  if boot.service then _G.system = system end
  local source <const>, chunk <const> = kernel.source(boot.module)
  local main <const> = assert(text_load(source or error("no module " .. boot.module, 0), chunk, "t"))
  return main(boot.grants, {evaluate = kernel.evaluate, raw = kernel.raw, system = system, arguments = boot.arguments})
end
return assert(text_load(boot.source, boot.chunk, "t"))(boot.grants, table.unpack(boot.arguments))
