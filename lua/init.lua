-- The composition root: the supervisor, from the C core's table `core` to a prompt or a running program.
--
--     supervisor ─┬─ console service   COM1, COM2, screen, keyboard
--                 ├─ disk service      ATA, partition, store
--                 └─ shell or runner   started when the disk service has said what it found
-- Never returns: ends in the scheduler's loop. This is the only file that knows every part.

local core <const> = ...

package.searchers = {function(name)
  local source <const>, chunk <const> = core.source(name)
  if not source then return "no module " .. name end
  return assert(load(source, chunk, "t")), chunk
end}

local VERSION <const> = "0.1.0"
local SHELL_MEMORY_PART <const> = 2       -- of the machine's memory, to the process that people program in
local DISK_MEMORY_PART <const> = 4        -- to the disk service, into which a whole commit must fit
local LEAST_SHELL_MEMORY <const> = 8 * 1024 * 1024
local LEAST_DISK_MEMORY <const> = 32 << 20
local CLOSE_SECONDS <const> = 10
local SHELL_LIVES_SECONDS <const>, LONGEST_PAUSE_SECONDS <const> = 2, 10
local EXIT_FAILURE <const> = 1

local DESCRIBE_TRIES <const>, DESCRIBE_PAUSE_SECONDS <const> = 4, 0.1

local capabilities <const> = require "kernel.capabilities"
local supervision <const> = require "kernel.services"
local replacements_module <const> = require "kernel.replacements"

local machine <const> = require("kernel.machine").new(core, {
  bus_master = function() return require "drivers.ata.bus_master" end,
  fwcfg = function() return require "drivers.fwcfg" end,
  pci = function() return require "drivers.pci" end,
  power = function() return require "drivers.power" end,
  rtc = function() return require "drivers.rtc" end,
})
local scheduler <const> = require("kernel.scheduler").new(core)
local ipc <const> = require("kernel.ipc").new(scheduler, core)
local processes <const> = require("kernel.processes").new(core, scheduler, ipc)

local program <const> = machine.configuration("run")
local options <const> = machine.options()
local safe <const> = options.safe == "1"
processes.epoch = machine.set_clock()
processes.session, processes.program = "services.child_session", "services.program"
local crashes <const> = require("kernel.crash_log").new(core, processes.epoch)
local console, disk

-- --- what the supervisor says --------------------------------------------------------------------------------------

--- One request of ours to a service; on_reply(values…) | on_reply(nil, err).
local function ask(service, on_reply, ...)
  if not service or not service.process then return on_reply(nil, "dead") end
  return ipc.ask(service.process, core.pack(...), function(message, err)
    if not message then return on_reply(nil, err) end
    on_reply(core.unpack(message))
  end)
end

local function ignore() end

-- Without a console the C core's own line to COM1 is better than silence.
local function log(text)
  if not console or not console.process then return print(text) end
  ask(console, ignore, "log", text)
end

-- --- the end of the machine ------------------------------------------------------------------------------------------

--- Closes the store, lets the console finish, turns the machine off. `status`: what a program run by -e ends with.
local function shut_down(what, status, on_failure)
  local function switch()
    local _, failure <const> = machine.power(what)
    if on_failure then on_failure(failure and failure.message or "it does not switch off") end
  end
  local function closed()
    ask(console, switch, "finish", program and status or nil)
  end
  local request <const> = ask(disk, closed, "close")
  if request then scheduler.after(CLOSE_SECONDS, function() ipc.abandon(request) end) end
end

local shell, shell_started, shell_pause, shell_lives = nil, 0, 0, 0

local replacements <const> = replacements_module.new{after = scheduler.after, log = log}
local services <const> = supervision.new{
  core = core, processes = processes, after = scheduler.after, log = log, record = crashes.add, replacements = replacements,
  ask = ask,
}

-- The shell is started here and not by the services' supervisor, but its code can be replaced like theirs.
local function list_services()
  local rows <const> = services.list()
  if shell_lives > 0 then
    local row <const> = replacements.status("shell")
    row.name, row.id, row.lives, row.state = "shell", shell and shell.id, shell_lives, shell and "running" or "down"
    rows[#rows + 1] = row
  end
  return rows
end

local calls <const> = require("kernel.calls").new{
  core = core, scheduler = scheduler, ipc = ipc, processes = processes, log = log, crashes = crashes,
  list_services = list_services, replacements = replacements,
  power = function(what, process)
    scheduler.block(process)
    shut_down(what, 0, function(reason) scheduler.wake(process, nil, reason) end)
  end,
}
scheduler.on_stop = calls.stopped

-- --- the programs ------------------------------------------------------------------------------------------------------

local function shell_memory()
  return math.max(LEAST_SHELL_MEMORY, core.memory_bytes // SHELL_MEMORY_PART)
end

local function describe_end(outcome)
  if outcome.how == "fault" then return "the process was ended: " .. tostring(outcome[1]) end
  if outcome.how == "killed" then return "the process was killed" end
  return supervision.describe(outcome)
end

local function program_ended(_, outcome)
  local status = EXIT_FAILURE
  if outcome.how == "exit" or outcome.how == "finished" then
    status = math.type(outcome[1]) == "integer" and outcome[1] & 0xFF or 0
  else
    ask(console, ignore, "frame", "e", describe_end(outcome) .. "\n")
  end
  shut_down("off", status)
end

local function start_program(store)
  if not store.endpoint and #store.warnings == 0 then
    store.warnings[1] = "no disk: what the program makes is gone after power-off"
  end
  for _, warning in ipairs(store.warnings) do ask(console, ignore, "frame", "b", warning .. "\n") end
  local created <const>, err <const> = processes.create{
    name = "program", module = "services.runner", memory = shell_memory(), console = console,
    privileges = {power = true}, operator = true, unsafe = options.unsafe_libraries == "1",
    reports = "shell.errors", grants = {store = store.endpoint, console = core.endpoint(console.id)},
    arguments = {source = program, name = machine.configuration("name") or "=run"}, on_end = program_ended,
  }
  if not created then program_ended(nil, {how = "error", n = 1, err}) end
end

-- A shell that ends comes back: at once after a session, more slowly the more often it fails at its start.
local shell_makes_way = false
local start_shell

local function shell_ended(store, outcome)
  shell = nil
  if shell_makes_way then
    shell_makes_way = false
    return start_shell(store)
  end
  local text <const> = describe_end(outcome)
  log("the shell ended: " .. text)
  -- Ending it is what two Ctrl-C do, and no crash.
  if outcome.how == "error" or outcome.how == "fault" then
    crashes.add{kind = "shell", name = "shell", how = outcome.how, text = text}
  end
  if replacements.ended("shell", (text:match("^[^\n]*"))) then return start_shell(store) end
  local lived <const> = (core.clock() - shell_started) / 1e9
  shell_pause = lived > SHELL_LIVES_SECONDS and 0 or math.min(2 * shell_pause + 0.1, LONGEST_PAUSE_SECONDS)
  scheduler.after(shell_pause, function() start_shell(store) end)
end

function start_shell(store)
  shell_started, shell_lives = core.clock(), shell_lives + 1
  local err
  shell, err = processes.create{
    name = "shell", module = "services.shell", service = true, memory = shell_memory(), console = console,
    privileges = {power = true, services = true}, operator = true, line_end = "\r\n",
    on_end = function(_, outcome) shell_ended(store, outcome) end,
    unsafe = options.unsafe_libraries == "1", reports = "shell.errors", texts = replacements.texts("shell"),
    grants = {
      store = store.endpoint, console = core.endpoint(console.id), safe = safe, life = shell_lives,
      -- A shell that was put in place of the first one at the start is the first that a person meets.
      is_start = shell_lives == 1 or shell_lives == 2 and replacements.status("shell").sure == true,
      banner = {
        version = VERSION, disk = store.description, state = store.state, warnings = store.warnings,
        last_time = crashes.last_words(),
      },
    },
  }
  if not shell then log("the shell does not start: " .. err) end
end

-- Nobody asks the shell anything: it lives when it has not ended.
local function declare_shell(store)
  replacements.declare("shell", {
    module = "services.shell", asks = true,
    alive = function(on_answer) scheduler.after(SHELL_LIVES_SECONDS, function() on_answer(shell ~= nil) end) end,
    restart = function()
      if not shell then return end
      shell_makes_way = true
      processes.finish(shell, {how = "killed", n = 0})
    end,
  })
  start_shell(store)
end

--- The disk service's answer to "describe" → {endpoint=, description=, state=, warnings=}.
local function store_facts(found, err)
  if type(found) ~= "table" then
    return {warnings = {"the disk service does not answer: " .. tostring(err)}}
  end
  local warnings <const> = found.warnings or {}
  if safe then warnings[#warnings + 1] = "safe start: nothing runs by itself, the store is read-only" end
  return {
    endpoint = found.usable and core.endpoint(disk.id) or nil, description = found.description, state = found.state,
    warnings = warnings,
  }
end

-- The disk service may end while it looks at its disks: its next life is asked again.
local function describe_disk(tries)
  ask(disk, function(found, err)
    if err == "dead" and tries > 1 then
      return scheduler.after(DESCRIBE_PAUSE_SECONDS, function() describe_disk(tries - 1) end)
    end
    local start <const> = program and start_program or declare_shell
    start(store_facts(found, err))
  end, "describe")
end

-- What the clients of the disk service go on with after its restart.
local function log_new_life()
  ask(disk, function(found)
    if type(found) ~= "table" then return end
    local state <const> = found.usable and "mounted again, " .. found.state or "no store is in use"
    local warnings <const> = table.concat(found.warnings or {}, "; ")
    log("service disk: " .. state .. (warnings ~= "" and " (" .. warnings .. ")" or ""))
  end, "describe")
end

-- --- boot ----------------------------------------------------------------------------------------------------------------

console = services.start{
  name = "console", module = "services.console", privileges = {interrupt = true}, asks = true,
  rows = program and capabilities.run_console or capabilities.console_on(core.framebuffer),
  grants = {
    program = program ~= nil, headless = options.headless == "1", framebuffer = core.framebuffer, font = core.font,
  },
}
disk = services.start{
  name = "disk", module = "services.disk", rows = machine.disk_channels(options.dma ~= "0" and not safe), privileges = {},
  grants = {read_only = safe}, memory = math.max(LEAST_DISK_MEMORY, core.memory_bytes // DISK_MEMORY_PART),
  on_restart = log_new_life,
}
describe_disk(DESCRIBE_TRIES)

scheduler.run()
