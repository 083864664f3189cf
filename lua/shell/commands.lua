-- The commands: what stands in the environment besides Lua itself, each a function with its help in shell.help_texts.
--
--     commands.install{environment =, objects = nil without a disk, system = nil outside the guest,
--                      print = function(text), interactive = boolean, before_power = function() or nil,
--                      session = a person's session (shell.program_commands) or nil}
--        → the names installed
-- Promises: only what works here is installed (no processes without a system that has them); a failure the store or
-- the system reports as nil, err is raised, so that a program cannot overlook it. Used by the prompt and by programs
-- that are run without one.
-- Relies on: objects as fs.objects has them; with its register(name, value), where it is, the commands can be saved inside objects, by
-- their names.

local access <const> = require "shell.raw_access"

local commands <const> = {}

-- nil, err of a lower part → an error at the place where the command was called.
local function checked(result, ...)
  local err = ...
  if result ~= nil or err == nil then return result, ... end
  error(err, 0)
end

local NO_STORE <const> = "nothing can be saved: no disk with a store is in use, root lives in memory until power-off"

local function without_store(environment)
  environment.root = environment.root or {}
  local function refuse() error(NO_STORE, 2) end
  local found = {}
  for _, name in ipairs {
    "commit", "save", "fetch", "abort", "changes", "log", "info", "refresh", "forget", "map", "at", "undo", "snapshot", "snapshots",
    "delete_snapshot", "keep", "gc", "register",
  } do
    found[name] = refuse
  end
  return found
end

local function object_commands(objects)
  local function view(name, value) return require("shell.views")[name](value) end
  return {
    commit = function(message)
      if message ~= nil and type(message) ~= "string" then
        error("commit: the message must be a string, not a " .. type(message), 2)
      end
      local transaction = checked(objects.commit(message))
      return type(transaction) == "table" and view("transaction", transaction) or transaction
    end,
    save = function(name, value)
      local transaction = checked(objects.save(name, value))
      return type(transaction) == "table" and transaction.id and view("transaction", transaction) or transaction
    end,
    fetch = function(name) return (checked(objects.fetch(name))) end,
    abort = function() checked(objects.abort()) end,
    changes = function() return view("changes", checked(objects.changes())) end,
    log = function(count) return view("transactions", checked(objects.log(count))) end,
    map = objects.map,
    register = objects.register,
    at = objects.at,
    undo = objects.undo,
    snapshot = function(name) return view("snapshot", objects.snapshot(name)) end,
    snapshots = function() return view("snapshots", objects.snapshots()) end,
    delete_snapshot = function(name) objects.delete_snapshot(name) end,
    keep = function(count) objects.keep(count) end,
    gc = function() return view("collection", objects.gc()) end,
    info = function() return (checked(objects.info())) end,
    refresh = function() checked(objects.refresh()) end,
    forget = function(object) checked(objects.forget(object)) end,
  }
end

local function process_commands(system)
  local found = {}
  if system.spawn then
    function found.spawn(program, options) return (checked(system.spawn(program, options))) end
  end
  if system.ps then
    function found.ps() return require("shell.views").processes((checked(system.ps()))) end
  end
  if system.crashes then
    function found.crashes(what)
      if what ~= nil and what ~= "forget" then error("crashes() shows the log, crashes \"forget\" empties it too", 2) end
      return require("shell.views").crashes((checked(system.crashes(what == "forget"))))
    end
  end
  found.self = system.self
  for _, name in ipairs { "kill", "wait", "sleep" } do
    local call = system[name]
    if call then found[name] = function(...) return checked(call(...)) end end
  end
  return found
end

-- Turning the machine off loses what was not committed: at the prompt that is asked for twice.
local function power_command(context, what)
  local warned = false
  return function(now)
    local objects = context.objects
    local changes = context.interactive and not warned and now ~= "now" and objects and objects.changes()
    if type(changes) == "table" and #changes > 0 then
      warned = true
      context.print(("%d change%s not committed: commit() keeps them; %s() again drops them"):format(#changes,
        #changes == 1 and " is" or "s are", what == "off" and "poweroff" or "reboot"))
      return
    end
    if context.before_power then context.before_power() end
    checked(context.system.power(what))
  end
end

local function machine_commands(context)
  if not context.system or not context.system.power then return {} end
  return { poweroff = power_command(context, "off"), reboot = power_command(context, "reboot") }
end

-- Looks at a value more closely than the prompt does: show(value, {depth = 20, length = 1000, total = 10000}).
local function show_command(context)
  return function(value, options)
    context.print(require("shell.printer").format(value, options))
  end
end

local function help_command(context)
  return function(...)
    local help = require "shell.help"
    context.print(select("#", ...) == 0 and help.overview(context.environment)
      or help.about((...), context.environment))
  end
end

function commands.install(context)
  local environment <const> = context.environment
  access.use(environment)
  local names = {}
  local function add(found)
    for name, command in pairs(found) do
      environment[name] = command
      names[#names + 1] = name
    end
  end
  if context.objects then
    environment.root = context.objects.root
    add(object_commands(context.objects))
  else
    add(without_store(environment))
  end
  if context.system then add(process_commands(context.system)) end
  add(machine_commands(context))
  add { help = help_command(context), show = show_command(context) }
  add(require("shell.program_commands").commands(context))
  table.sort(names)
  if context.objects and context.objects.register then
    for _, name in ipairs(names) do context.objects.register(name, environment[name]) end
    local programs = require "shell.programs"
    context.objects.register(programs.CLASS_NAME, programs.CLASS)
  end
  return names
end

return commands
