-- The commands for programs, jobs and services: run, start, front, jobs, output, programs, install, program, edit; services, source,
-- replace, restore, accept.
--
--     program_commands.commands(context) → commands by name; context as for shell.commands, with session = what a person's session is:
--         {console = {read, write, size, front, kept, id}, decoder = function(), emit =, print =, came_back =, keep =, strings =: for Tab}, nil without a person
-- Without a person, and in programs, `run` runs in the same process: only the shell starts jobs.

local programs <const> = require "shell.programs"

local program_commands <const> = {}

-- Names of texts that the system carries; a process that may not ask for them has none.
local function source_of(system)
  return function(module)
    if not (system and system.source) then return nil end
    return system.source(module)
  end
end

local function here(environment, text_source)
  return function(what, ...)
    local name <const>, program <const> = programs.find(environment, text_source, what)
    local main <const> = type(program) == "function" and program or assert(load(program, "=" .. name, "t", environment))
    return main(...)
  end
end

-- Other processes have committed meanwhile: what a program has left is to be seen, without what waits here being lost.
local function take_over(context)
  local objects <const> = context.objects
  if not objects then return end
  local done <const> = pcall(objects.refresh)
  if not done then context.session.emit("what it changed collides with changes here: abort() drops yours, refresh() says where\n") end
end

local function job_commands(context, text_source)
  local session <const>, environment <const> = context.session, context.environment
  local made
  local function jobs()
    made = made or require("shell.jobs").new{
      system = context.system, console = session.console.front and session.console or nil, has_store = context.objects ~= nil,
      find = function(what) return programs.find(environment, text_source, what) end,
      keep = session.keep, emit = session.emit, came_back = session.came_back,
    }
    return made
  end
  local function after(...)
    take_over(context)
    return ...
  end
  session.news = function() return made and made.news() or {} end
  local function names()
    local found <const> = {}
    for place, row in ipairs(programs.list(environment, text_source)) do found[place] = row.name end
    return found
  end
  for _, command in ipairs{"run", "start", "edit", "install"} do session.strings[command] = names end
  return {
    run = function(what, ...) return after(jobs().run(what, ...)) end,
    start = function(what, ...) return jobs().start(what, ...) end,
    front = function(job) return after(jobs().front(job)) end,
    output = function(job) return jobs().output(job) end,
    jobs = function() return require("shell.views").jobs(jobs().list()) end,
  }
end

-- A text is committed at once, unless that would commit other things as well.
local function saver(context, place)
  return function(text)
    local objects <const> = context.objects
    local others <const> = objects and #objects.changes() or 0
    place.save(text)
    if not objects then return "kept in memory until power-off" end
    if others > 0 then return ("put under root; %d other change%s: commit() keeps all"):format(others, others == 1 and "" or "s") end
    local transaction, err = objects.commit("edit " .. place.title)
    if not transaction then error(err, 0) end
    return ("saved, %s"):format(tostring(transaction.id))
  end
end

local function edit_command(context, text_source)
  return function(what)
    local place <const> = programs.place(context.environment, text_source, what)
    local session <const> = context.session
    local saved <const> = require("shell.text_editor").run{
      terminal = require("shell.terminal").new(session.console, session.decoder()), title = place.title, load = place.load,
      save = saver(context, place), run = place.runs and function() context.environment.run(place.title) end or nil,
    }
    session.emit(("%s: %s\n"):format(place.title, saved and "saved" or "not changed"))
  end
end

local function text_of(value)
  if type(value) == "string" then return value end
  if getmetatable(value) == programs.CLASS then return value.text end
  error("the new code is Lua text or a program: root.programs.console, say", 0)
end

local function live_commands(context)
  local session <const> = context.session
  local function names()
    local found <const> = {}
    for place, row in ipairs(context.system.services()) do found[place] = row.name end
    return found
  end
  for _, command in ipairs{"source", "replace", "restore"} do session.strings[command] = names end
  return require("shell.live").commands{
    system = context.system, console = session.console, text_of = text_of, print = context.print,
    root = function() return context.objects and context.objects.root end,
    ask = function(question)
      session.emit(question)
      local bytes <const> = session.console.read(20)
      session.emit("\n")
      return bytes and bytes:sub(1, 1):lower() or nil
    end,
  }
end

function program_commands.commands(context)
  local environment <const>, system <const> = context.environment, context.system
  local text_source <const> = source_of(system)
  local found <const> = {
    run = here(environment, text_source),
    program = function(text, name) return programs.new(text, name) end,
    programs = function() return require("shell.views").programs(programs.list(environment, text_source)) end,
    install = function(name) return require("shell.views").installed(programs.install(environment, text_source, name)) end,
  }
  if context.session and system and system.spawn then
    for name, command in pairs(job_commands(context, text_source)) do found[name] = command end
    found.edit = edit_command(context, text_source)
    if system.services then
      for name, command in pairs(live_commands(context)) do found[name] = command end
    end
  end
  programs.set_runner(function(...) return found.run(...) end)
  return found
end

return program_commands
