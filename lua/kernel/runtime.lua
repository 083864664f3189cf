-- The first chunk of every process: runtime(kernel, boot). Makes `system`, `require`, print and io, then runs what the
-- process is for.
--
-- `kernel` is the C core's table (kernel/sandbox/libraries.c), `boot` what the supervisor says (kernel.processes). Neither
-- is reachable by other code: a module that the system trusts is called with (grants, trust) where trust = {evaluate,
-- raw, system, arguments, keep_text, adopt}, anything else with (arguments…).
--
-- `system` (a global in services; everywhere the module of that name):
--     id, name · send, receive, call, call_within, reply · sleep, now, time, clock, cpu, random, memory, crc32c, codec, heap
--     spawn, kill, wait, ps, exit, yield, self, evaluate · register, unregister, lookup · listen, interrupt, power, machine
-- Promises: a process sees its own libraries and nothing of another's; print and io.write reach the console in the order
-- in which they were called.

-- What another process has started comes with its program, text or a function (kernel.functions), as that one sent it, and perhaps
-- with the endpoint of the store.
local kernel <const>, boot <const>, sent_program <const>, sent_arguments <const>, sent_store <const> = ...
local call <const> = kernel.call

-- What is used after the program has begun, which may change what these names and the string metatable mean.
local assert <const>, error <const>, ipairs <const>, select <const>, setmetatable <const> =
  assert, error, ipairs, select, setmetatable
local type <const>, tostring <const>, math_type <const> = type, tostring, math.type
local find <const>, format <const>, gsub <const>, sub <const> = string.find, string.format, string.gsub, string.sub
local insert <const>, pack <const>, remove <const>, unpack <const> = table.insert, table.pack, table.remove, table.unpack
local max <const>, match <const>, pairs <const>, pcall <const>, text_load <const> = math.max, string.match, pairs, pcall, load
local loaded <const>, require <const> = package.loaded, require

-- The globals of kernel.functions, which is loaded when it is needed.
local UNTOUCHED <const> = {
  assert = assert, error = error, ipairs = ipairs, load = load, next = next, pairs = pairs, setmetatable = setmetatable,
  string = {find = find}, table = {remove = remove, unpack = unpack}, tostring = tostring, type = type,
}

local TEXTS_MOST <const>, PASSED_OVER_MOST <const> = 500, 1024

local system <const> = {id = boot.id, name = boot.name, parent = boot.parent}

-- Modules that code which the system does not trust may load: pure Lua that asks for what it uses.
local PUBLIC_MODULES <const> = {"^fs%.", "^shell%.", "^kernel%.service$", "^services%.remote_store$"}

-- --- processes and messages ---------------------------------------------------------------------------------------------------

local PROCESS <const> = {__name = "process"}
PROCESS.__index = PROCESS
function PROCESS.__tostring(process) return "process " .. process.id end

-- Of a process, of the sender of a letter, of an endpoint; a number is one already.
local function id_of(process)
  if type(process) == "table" then return process.process or process.id end
  if type(process) == "userdata" then return process:process() end
  return process
end

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
  return setmetatable({kind = kind, process = (...)}, LETTER), select(2, ...)
end

-- The next letter of the mailbox. Raises "not enough memory" when it does not fit; it is gone then, and its sender, if it
-- waits, is told.
local function next_letter(seconds, from)
  local function took(succeeded, ...)
    if succeeded then return received(...) end
    call("unread", 0)
    error((...), 0)
  end
  return took(pcall(call, "receive", 2, seconds, from))
end

-- Letters that a filter passed over, oldest first.
local passed_over <const> = {}

local removals = 0

-- → was it still there? A filter may receive letters itself.
local function take_passed_over(letter)
  for place, each in ipairs(passed_over) do
    if each == letter then
      remove(passed_over, place)
      removals = removals + 1
      return true
    end
  end
  return false
end

-- The first of them that the filter wants, of those that it has not been asked about.
local function find_passed_over(filter, asked)
  local place = 1
  while passed_over[place] do
    local letter <const>, before <const> = passed_over[place], removals
    if not asked[letter] then
      asked[letter] = true
      if filter(unpack(letter, 1, letter.n)) and take_passed_over(letter) then return letter end
    end
    place = removals == before and place + 1 or 1
  end
end

local function receive_filtered(seconds, filter)
  local deadline <const> = seconds and kernel.clock() + seconds * 1e9
  local asked <const> = {}
  while true do
    local letter <const> = find_passed_over(filter, asked)
    if letter then return unpack(letter, 1, letter.n) end
    if #passed_over >= PASSED_OVER_MOST then error("receive: too many letters were passed over", 0) end
    local new <const> = pack(next_letter(deadline and max(0, (deadline - kernel.clock()) / 1e9)))
    if new[1] == nil then return unpack(new, 1, new.n) end
    insert(passed_over, new)
  end
end

--- receive([seconds [, filter]]) → sender, values… | nil, "timeout". filter: a process, from which alone a letter is taken, or
--- a function that is called with what receive would return and says whether it shall; other letters stay for later.
function system.receive(seconds, filter)
  if type(filter) == "function" then return receive_filtered(seconds, filter) end
  local from <const> = id_of(filter)
  if #passed_over == 0 then return next_letter(seconds, from) end
  local letter <const> = find_passed_over(function(sender) return from == nil or sender.process == from end, {})
  if letter then return unpack(letter, 1, letter.n) end
  return next_letter(seconds, from)
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

-- The texts of chunks by their names, for functions that travel (kernel.functions), the last TEXTS_MOST.
local texts <const>, names_of_texts <const> = {}, {}

local function keep_text(name, text)
  if not texts[name] then insert(names_of_texts, name) end
  texts[name] = text
  if #names_of_texts > TEXTS_MOST then texts[remove(names_of_texts, 1)] = nil end
end

-- What every process has, in this one: value → name. `environments` are tables that programs take for _G.
local LIBRARIES <const> = {"_G", "string", "table", "math", "utf8", "coroutine", "io", "os", "debug", "package"}
local environments <const> = {_G}
local os_exit

local function known_values()
  local known <const> = {}
  local function know(library, name, only_c)
    for key, value in pairs(library) do
      local is_ours <const> = type(value) == "function" and type(key) == "string"
      if is_ours and not known[value] and (not only_c or kernel.raw.getinfo(value, "S").what == "C") then
        known[value] = name .. "." .. key
      end
    end
  end
  for _, name in ipairs(LIBRARIES) do
    if loaded[name] then know(loaded[name], name, true) end
  end
  for name, library in pairs(loaded) do known[library] = name end
  for _, environment in ipairs(environments) do
    known[environment] = "_G"
    if environment.print then known[environment.print] = "_G.print" end
  end
  know(system, "system", false)
  known[os_exit] = "os.exit"
  return known
end

local function known_by_name(name)
  local library <const>, key <const> = match(name, "^([%w_]+)%.([%w_]+)$")
  if loaded[name] then return loaded[name] end
  if key and type(loaded[library]) == "table" then return loaded[library][key] end
  return require(name)
end

-- Loaded when a function first travels, with globals that the program has not touched.
local function functions()
  local source <const>, chunk <const> = kernel.source("kernel.functions")
  return assert(text_load(source, chunk, "t", UNTOUCHED))().new{
    raw = kernel.raw, known = known_values(), known_by_name = known_by_name,
    text_of = function(name) return texts[name] end, process_metatable = PROCESS,
  }
end

-- What is sent to the child: the program, and its arguments, which go with a function in one parcel.
local function parcel_of(program, args)
  local count <const> = args.n or #args
  if type(program) == "string" then return program, pack(unpack(args, 1, count)) end
  return functions().pack({program, unpack(args, 1, count)}, count + 1)
end

--- spawn(program [, {name=, memory=bytes, args={…}, store=, unsafe=}]) → process | nil, err. The program is Lua text or a function; it
--- is called with the args. A function travels as source with copies of its upvalues: kernel.functions. store = true: the program
--- finds root, commit and the other commands in its globals, over the store of this process, of which it has a session of its own.
function system.spawn(program, options)
  if type(program) == "table" then program, options = program.source, program end
  local spec <const> = options or {}
  if type(program) ~= "string" and type(program) ~= "function" then error("spawn takes Lua text or a function", 2) end
  local args <const> = spec.args or {}
  if type(args) ~= "table" then error("spawn: args is a list", 2) end
  local store <const> = spec.store and (sent_store or boot.trusted and boot.grants.store) or nil
  if spec.store and not store then error("spawn: this process has no store to share", 2) end
  local parcel <const>, rest <const> = parcel_of(program, args)
  if not parcel then return nil, "spawn: " .. rest end
  local id <const>, err <const> = call("spawn", 5, spec.name, spec.chunk, spec.memory, spec.unsafe, spec.job == true, parcel, rest, store)
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

--- For who sits at the machine: the services, the text of a module, and other code for a service (kernel.replacements).
function system.services() return call("services", 0) end
function system.source(module, service) return call("source", 2, module, service) end
function system.replace(what, name, module, text, sure) return call("replace", 4, what, name, module, sure, text) end

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

--- From now on lookup(name) → an endpoint that leads here, for everybody. → true | nil, "taken" | "not allowed" | …
function system.register(name) return call("register", 1, name) end
function system.unregister(name) return call("unregister", 1, name) end
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

-- What a person has put in place of a module, or the module as it was delivered: text and chunk name.
local function module_source(name)
  local text <const> = boot.texts and boot.texts[name]
  if text then return text, "=lua/" .. gsub(name, "%.", "/") .. ".lua" end
  return kernel.source(name)
end

-- A searcher of `require`, for the modules of this system. A module is called with its name and where it comes from;
-- those of this folder with `system`, because they serve processes where that is no global.
local function search_embedded(name)
  local source <const>, chunk <const> = module_source(name)
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
os_exit = os.exit

for name, library in pairs(_G) do
  if type(library) == "table" then loaded[name] = library end
end
loaded.system = system

-- --- the program ------------------------------------------------------------------------------------------------

if boot.trusted then
  if boot.service then _G.system = system end
  local source <const>, chunk <const> = module_source(boot.module)
  local main <const> = assert(text_load(source or error("no module " .. boot.module, 0), chunk, "t"))
  return main(boot.grants, {
    evaluate = kernel.evaluate, raw = kernel.raw, system = system, arguments = boot.arguments, keep_text = keep_text,
    adopt = function(environment) insert(environments, environment) end,
  })
end

local function run(program, ...)
  return program(...)
end

local is_text <const> = type(sent_program) == "string"
for _, chunk in ipairs(is_text and {{name = boot.chunk, text = sent_program}} or sent_program.chunks) do
  keep_text(chunk.name, chunk.text)
end

-- What goes with a store that the process was given, the module named by boot.session knows.
if sent_store then
  local source <const>, chunk <const> = kernel.source(boot.session)
  assert(text_load(source, chunk, "t"))(system, sent_store, kernel.raw, texts)
  -- The modules under it now hold raw access: the program gets others of the same names, and nothing to reach these by.
  for name in pairs(loaded) do
    if find(name, "^fs%.") then loaded[name] = nil end
  end
end

-- What the main program of a job may ask of its console.
local CONSOLE_OPERATIONS <const> = {read = true, write = true, size = true}
local function ask_console(operation, ...)
  assert(CONSOLE_OPERATIONS[operation], "no such operation of the console")
  return call("call", 2, boot.console, false, operation, ...)
end

local function start(main, ...)
  if not boot.program then return run(main, ...) end
  local source <const>, chunk <const> = kernel.source(boot.program)
  return assert(text_load(source, chunk, "t"))(system, ask_console, main, is_text and sent_program, pack(...))
end

if not is_text then return start(functions().unpack(sent_program)) end
return start(assert(text_load(sent_program, boot.chunk, "t")), unpack(sent_arguments, 1, sent_arguments.n))
