-- The system calls: what a process may ask of the supervisor, one function each.
--
--     local calls = require("kernel.calls").new{core=, scheduler=, ipc=, processes=, power=function(what), log=function(text),
--                                               list_services = function() → rows, replacements = kernel.replacements, crashes=}
--     calls.stopped(process, reason, …)      for scheduler.on_stop
-- A function gets the calling process and the call's control values, and returns the answer; BLOCKED: it will be woken
-- with it later. What it gets was written by the process: every value is checked here. An error in here is answered with
-- nil, message and logged; it never reaches the supervisor's loop.

local calls <const> = {}

local BLOCKED <const> = {}
local NAME_BYTES <const>, CHUNK_BYTES <const> = 48, 256
local NAMES_MOST <const> = 16             -- that one process may register
-- Names under which nobody but a service shall be found.
local OF_SERVICES <const> = {
  supervisor = true, system = true, kernel = true, console = true, disk = true, store = true, shell = true, net = true,
}

local function to_seconds(value)
  return type(value) == "number" and value or nil
end

function calls.new(parts)
  local core <const>, scheduler <const>, ipc <const>, processes <const> =
    parts.core, parts.scheduler, parts.ipc, parts.processes
  local self <const> = {}
  local names <const> = {}                -- name → process
  local answers <const> = {}

  -- Where an endpoint or a process id leads: process | nil, badge. A number is no capability: with it a process reaches
  -- its like and its parent, but services only if it is one.
  local function destination(process, to)
    if type(to) == "userdata" then return processes.find(to:process()), to:badge() end
    local target <const> = math.type(to) == "integer" and processes.find(to) or nil
    if target and target.service and not process.service and target ~= process.parent then return nil, 0 end
    return target, 0
  end

  local function blocked_or(first, ...)
    if first == nil and select("#", ...) == 0 then return BLOCKED end
    return first, ...
  end

  function answers.send(process, to)
    local target <const>, badge <const> = destination(process, to)
    return ipc.send(process, target, process.handle:payload(), badge)
  end

  function answers.call(process, to, seconds)
    local target <const>, badge <const> = destination(process, to)
    local waits <const>, reason <const> = ipc.call(process, target, process.handle:payload(), badge, to_seconds(seconds))
    if waits then return BLOCKED end
    return nil, reason
  end

  function answers.reply(process, request)
    return ipc.reply(process, request, process.handle:payload())
  end

  function answers.receive(process, seconds, wanted)
    local line <const> = wanted == nil and process.fired and next(process.fired)
    if line then
      process.fired[line] = nil
      return "irq", line
    end
    return blocked_or(ipc.receive(process, to_seconds(seconds), wanted))
  end

  --- What `receive` gave last could not be unpacked for want of memory.
  function answers.unread(process)
    ipc.unread(process)
    return true
  end

  function answers.sleep(process, seconds)
    scheduler.block(process, to_seconds(seconds) or 0, function() scheduler.wake(process, true) end)
    return BLOCKED
  end

  function answers.yield()
    return true
  end

  function answers.irq_wait(process, line, seconds)
    if not process.lines[line] then return nil, "not its interrupt line" end
    scheduler.block(process, to_seconds(seconds), function() scheduler.wake(process, nil, "timeout") end)
    scheduler.wait_for_irq(process, line, function() scheduler.wake(process, true) end)
    return BLOCKED
  end

  --- From now on `receive` also returns "irq", line.
  function answers.listen(process, line)
    if not process.lines[line] then return nil, "not its interrupt line" end
    process.fired = process.fired or {}
    scheduler.listen(process, line, function()
      if process.state == "waiting" and process.receiving and process.receiving.wanted == nil then
        process.receiving = nil
        scheduler.wake(process, "irq", line)
      else
        process.fired[line] = true
      end
    end)
    return true
  end

  -- What an unprivileged process may ask for when it spawns another: no more memory than it has itself, and a name that
  -- is harmless where it is shown.
  local function child_spec(process, name, chunk, memory, unsafe, job)
    local _, own_memory <const> = process.handle:memory()
    if memory ~= nil and math.type(memory) ~= "integer" then return nil, "spawn: memory is a number of bytes" end
    if memory and memory > own_memory then return nil, "spawn: more memory than this process has itself" end
    if unsafe and not process.privileges.unsafe then return nil, "spawn: not allowed to be unsafe" end
    if job and not process.operator then return nil, "spawn: jobs are the shell's" end
    return {
      name = type(name) == "string" and name:sub(1, NAME_BYTES):gsub("%c", "?") or nil,
      chunk = type(chunk) == "string" and chunk:sub(1, CHUNK_BYTES) or "=spawn",
      memory = memory or math.min(processes.default_memory, own_memory), unsafe = unsafe == true,
      console = process.console, line_end = process.line_end, job = job == true,
    }
  end

  --- The payload, (program, arguments), goes to the child unopened: what is in it is its sender's and its receiver's.
  function answers.spawn(process, ...)
    local message <const> = process.handle:payload()
    if not message then return nil, "spawn: there is no program" end
    local spec <const>, reason <const> = child_spec(process, ...)
    if not spec then
      message:free()
      return nil, reason
    end
    spec.payload = message
    local child <const>, problem <const> = processes.create(spec, process)
    if not child then return nil, problem end
    return child.id
  end

  function answers.kill(process, id)
    local other <const> = processes.find(id)
    if not other then return nil, "no such process" end
    if not processes.may_end(process, other) then return nil, "not allowed" end
    processes.finish(other, {how = "killed", n = 0})
    return other ~= process and true or BLOCKED
  end

  function answers.wait(process, id, seconds)
    return blocked_or(processes.wait(process, id, to_seconds(seconds)))
  end

  function answers.exit(process, status)
    processes.finish(process, {how = "exit", n = 1, math.type(status) == "integer" and status or 0})
    return BLOCKED
  end

  function answers.ps()
    return processes.list()
  end

  --- A line of a service's own, on the console.
  function answers.log(process, text)
    if not process.service then return nil, "not allowed" end
    parts.log(("%s: %s"):format(process.name, tostring(text)))
    return true
  end

  --- The crash log (kernel.crash_log), for who sits at the machine. With `forget` it is empty afterwards.
  function answers.crashes(process, forget)
    if not process.operator then return nil, "not allowed" end
    local rows <const> = parts.crashes.list()
    if forget then parts.crashes.forget() end
    return rows
  end

  --- The services and their code, for who sits at the machine: rows of kernel.services.
  function answers.services(process)
    if not process.operator then return nil, "not allowed" end
    return parts.list_services()
  end

  --- The text of a module, as delivered or, for a service, as it runs it.
  function answers.source(process, module, service)
    if not process.operator then return nil, "not allowed" end
    if type(module) ~= "string" then return nil, "a module is named like drivers.vga" end
    local text <const> = service ~= nil and parts.replacements.text(service, module) or core.source(module)
    if not text then return nil, ("there is no module %s"):format(module) end
    return text
  end

  --- propose, restore, accept and take_back of kernel.replacements, for who may start services anew. The text comes as the payload.
  function answers.replace(process, what, name, module, sure)
    local message <const> = process.handle:payload()
    local text <const> = message and core.unpack(message)
    if not process.privileges.services then return nil, "not allowed" end
    local done, why = nil, "no such action"
    if what == "propose" then done, why = parts.replacements.propose(name, module, text, sure)
    elseif what == "restore" then done, why = parts.replacements.restore(name)
    elseif what == "accept" then done, why = parts.replacements.accept(name)
    elseif what == "take_back" then done, why = parts.replacements.take_back(name, "it was not accepted") end
    -- It may have been its own code that was replaced.
    if process.state == "ended" then return BLOCKED end
    return done, why
  end

  --- {memory_bytes, free_bytes, turns, idle_seconds, uptime_seconds} of the whole machine; service_waits and
  --- service_turns_most: see kernel.scheduler.
  function answers.machine()
    return {
      memory_bytes = core.memory_bytes, free_bytes = core.free_bytes(), turns = scheduler.turns,
      idle_seconds = scheduler.idle_nanoseconds / 1e9, uptime_seconds = core.clock() / 1e9,
      service_waits = scheduler.service_waits, service_turns_most = scheduler.service_turns_most,
    }
  end

  local function is_name(name)
    return type(name) == "string" and #name > 0 and #name <= NAME_BYTES and not name:find("%c")
  end

  --- A name leads to whoever registered it, until that unregisters it or ends.
  function answers.register(process, name)
    if not is_name(name) then return nil, ("a name is a string of 1 to %d bytes"):format(NAME_BYTES) end
    if OF_SERVICES[name] and not process.service then return nil, "not allowed" end
    local holder <const> = names[name]
    if holder == process then return true end
    if holder then return nil, "taken" end
    if process.name_count >= NAMES_MOST then return nil, "too many names" end
    names[name] = process
    process.name_count = process.name_count + 1
    return true
  end

  function answers.unregister(process, name)
    if not is_name(name) or names[name] ~= process then return nil, "not a name of this process" end
    names[name] = nil
    process.name_count = process.name_count - 1
    return true
  end

  function answers.lookup(_, name)
    local holder <const> = is_name(name) and names[name]
    if not holder then return nil, "no such name" end
    return core.endpoint(holder.id)
  end

  processes.on_finish = function(process)
    if process.name_count == 0 then return end
    for name, holder in pairs(names) do
      if holder == process then names[name] = nil end
    end
  end

  --- Abandons what another process evaluates; → true | nil, "busy" when it evaluates nothing that can be abandoned.
  --- With `end_it` the process is ended instead: for what stays busy in code that cannot be left at a yield.
  function answers.interrupt(process, id, end_it)
    local other <const> = processes.find(id)
    if not process.privileges.interrupt then return nil, "not allowed" end
    if not other then return nil, "dead" end
    if end_it then
      processes.finish(other, {how = "killed", n = 0})
      return true
    end
    if not other.handle:interrupt() then return nil, "busy" end
    if other.state == "waiting" then
      ipc.cancel(other)
      if other.awaiting then
        other.awaiting.waiters[other] = nil
        other.awaiting = nil
      end
      scheduler.wake(other)
    end
    return true
  end

  function answers.power(process, what)
    if not process.privileges.power then return nil, "not allowed" end
    if what ~= "off" and what ~= "reboot" then return nil, "power: off or reboot" end
    return blocked_or(parts.power(what, process))
  end

  local function answer(process, succeeded, first, ...)
    if not succeeded then
      parts.log(("system call of %s: %s"):format(process.name, tostring(first)))
      scheduler.wake(process, nil, "system call failed: " .. tostring(first))
    elseif first ~= BLOCKED then
      local paid <const> = scheduler.wake(process, first, ...)
      if not paid and first == "message" then ipc.unread(process) end
    end
  end

  local function called(process, operation, ...)
    local handler <const> = answers[operation]
    if not handler then return scheduler.wake(process, nil, "no such system call") end
    answer(process, pcall(handler, process, ...))
  end

  function self.stopped(process, reason, ...)
    if reason == "call" then
      called(process, ...)
    elseif reason == "preempted" or reason == "parked" then
      process[reason] = process[reason] + 1
      scheduler.ready(process, true)
    else
      processes.finish(process, {how = reason, n = select("#", ...), ...})
    end
  end

  return self
end

return calls
