-- The process table: who exists, whose child it is, what became of it.
--
--     local processes = require("kernel.processes").new(core, scheduler, ipc)
--     processes.create(spec, parent) → process | nil, err
--     processes.find(id) → process | nil          processes.finish(process, outcome)
--     processes.list() → rows for ps()            processes.may_end(process, other) → boolean
-- spec = {name=, module= a trusted one, with arguments={…}, grants={…} | payload= packed (program, arguments), with chunk=,
--         memory=bytes, unsafe=boolean, service=boolean, privileges={name=true}, lines={irq line=true}, operator=boolean,
--         essential=boolean (the machine does not work without it), console=process, on_end=function(process, outcome),
--         texts = {module = text that it runs instead} or nil, job = boolean: the console tells it and what it starts from others}
-- An outcome is {how = "finished" | "error" | "fault" | "killed" | "exit", n = count, …}: results, or message and traceback,
-- or status.
--
-- Promises: ids are never used twice (a service that is started again keeps its own: spec.id); when a process has ended everything it held is free, those who wait for it or
-- called it know, who started it has a letter about it, and its outcome can still be asked for (the last KEPT_OUTCOMES of
-- them); its results by its ancestors alone. A process and all that it has started hold a bounded share of the memory, and of
-- the room in mailboxes (kernel.ipc), together.

local processes <const> = {}

local DEFAULT_MEMORY <const> = 16 * 1024 * 1024
local LEAST_MEMORY <const> = 256 * 1024
-- What a process and all that it has started may hold together, as a multiple of what it may hold alone; C stacks included.
local ACCOUNT_TIMES <const> = 2
local STACK_BYTES <const> = 512 * 1024
local MOST_PROCESSES <const> = 1000
local KEPT_OUTCOMES <const> = 64
local ANCESTORS_MOST <const> = 64
-- Part of the machine's memory that spawning leaves alone, so that a flood of processes ends before all else does.
local RESERVE_PART <const> = 8

function processes.new(core, scheduler, ipc)
  local table_of <const> = {}
  local outcomes <const>, ended_order = {}, {}
  local last_id, count = 0, 0
  local runtime_source <const>, runtime_chunk <const> = core.source("kernel.runtime")
  -- session: the module that opens the store for a process that another one gives it to, program: the one that runs the main
  -- chunk of a job (kernel.runtime).
  local self <const> = {epoch = 0, default_memory = DEFAULT_MEMORY, session = nil, program = nil}

  local function has_room()
    if count >= MOST_PROCESSES then return nil, "too many processes" end
    if core.free_bytes() < core.memory_bytes // RESERVE_PART then scheduler.bury_all() end
    if core.free_bytes() < core.memory_bytes // RESERVE_PART then return nil, "not enough memory" end
    return true
  end

  -- What kernel.runtime is told.
  local function boot_table(process, spec)
    return {
      id = process.id, name = process.name, parent = process.parent and process.parent.id or 0,
      chunk = spec.chunk, module = spec.module, grants = spec.grants or {},
      arguments = spec.arguments or {}, service = process.service, trusted = spec.module ~= nil,
      console = spec.console and core.endpoint(spec.console.id, process.job or 0) or nil, line_end = spec.line_end,
      epoch = self.epoch, unsafe = spec.unsafe or false,
      reports = spec.reports, session = self.session, texts = spec.texts,
      program = process.job == process.id and self.program or nil,
    }
  end

  local function new_process(spec, parent)
    local id = spec.id
    if not id then
      last_id = last_id + 1
      id = last_id
    end
    return {
      id = id, name = spec.name or "process " .. id, parent = parent, service = spec.service or false,
      job = spec.job and id or parent and parent.job or nil,
      operator = spec.operator or false, privileges = spec.privileges or {}, lines = spec.lines or {},
      console = spec.console, on_end = spec.on_end, state = "new", waiters = {}, line_end = spec.line_end,
      preempted = 0, parked = 0, burst = 0, name_count = 0, spawner = parent,
    }
  end

  -- Whoever sits at the machine, services and the supervisor start what they like; what these have started has an account of
  -- its own, and shares it with all that it starts.
  local function account_of(process, memory)
    local parent <const> = process.parent
    if process.service or process.operator then return nil end
    if parent and parent.account then return parent.account end
    return {handle = core.account(ACCOUNT_TIMES * (memory + STACK_BYTES)), letters = 0, bytes = 0}
  end

  -- What stood in the way of its program: its own quota, unless the rest of that was not to be had.
  local function why_not_loaded(process)
    local held <const>, quota <const> = process.handle:memory()
    local wanted <const> = quota - held
    if core.free_bytes() < wanted then return "not enough memory" end
    if process.account then
      local used <const>, limit <const> = process.account.handle:used()
      if limit - used < wanted then return "not enough memory" end
    end
    return "memory: too little for its program"
  end

  function self.create(spec, parent)
    local function refuse(reason)
      if spec.payload then spec.payload:free() end
      return nil, reason
    end
    local room <const>, reason <const> = has_room()
    if not room then return refuse(reason) end
    local memory <const> = spec.memory or DEFAULT_MEMORY
    if math.type(memory) ~= "integer" or memory < LEAST_MEMORY then return refuse("memory: too little to run in") end
    local process <const> = new_process(spec, parent)
    process.account = account_of(process, memory)
    local handle <const> = core.process{
      name = process.name, memory = memory, unsafe = spec.unsafe, essential = spec.essential, stack = STACK_BYTES,
      account = process.account and process.account.handle,
    }
    if not handle then return refuse("not enough memory") end
    process.handle = handle
    if not handle:load(runtime_source, runtime_chunk, boot_table(process, spec), spec.payload) then
      local why <const> = why_not_loaded(process)
      handle:kill()
      return nil, why
    end
    table_of[process.id] = process
    count = count + 1
    ipc.adopt(process)
    scheduler.ready(process)
    return process
  end

  function self.find(id)
    return table_of[id]
  end

  -- The ids of those whose business its results are.
  local function ancestors_of(process)
    local ids <const> = {}
    local ancestor = process.parent
    for _ = 1, ANCESTORS_MOST do
      if not ancestor then break end
      ids[ancestor.id] = true
      ancestor = ancestor.parent
    end
    return ids
  end

  -- An outcome as `waiter` may see it: others than its ancestors, and whoever sits at the machine, learn how it ended only.
  local function visible(waiter, outcome)
    if waiter.operator or waiter.service or outcome.ancestors[waiter.id] then
      return outcome.how, table.unpack(outcome, 1, outcome.n)
    end
    return outcome.how
  end

  local function keep_outcome(process, outcome)
    outcomes[process.id] = outcome
    outcome.ancestors = ancestors_of(process)
    ended_order[#ended_order + 1] = process.id
    if #ended_order > 2 * KEPT_OUTCOMES then
      for place = 1, KEPT_OUTCOMES do outcomes[ended_order[place]] = nil end
      ended_order = table.move(ended_order, KEPT_OUTCOMES + 1, #ended_order, 1, {})
    end
  end

  -- What whoever started it is told besides how it ended; results can be asked for.
  local function told(outcome)
    if outcome.how ~= "finished" then return outcome[1] end
  end

  --- self.on_finish(process) is called besides, if it is set.
  function self.finish(process, outcome)
    if process.state == "ended" then return end
    scheduler.forget(process)
    process.cpu_nanoseconds = process.handle:cpu()
    scheduler.bury(process)
    table_of[process.id] = nil
    count = count - 1
    keep_outcome(process, outcome)
    for waiter in pairs(process.waiters) do
      waiter.awaiting = nil
      scheduler.wake(waiter, visible(waiter, outcome))
    end
    ipc.ended(process)
    if self.on_finish then self.on_finish(process) end
    if process.spawner then ipc.notify_end(process.spawner, process.id, outcome.how, told(outcome)) end
    for _, child in pairs(table_of) do
      if child.parent == process then child.parent = process.parent end
    end
    if process.on_end then process.on_end(process, outcome) end
  end

  --- Blocks `waiter` until the process has ended; → the answer when there is one already.
  function self.wait(waiter, id, seconds)
    local process <const> = table_of[id]
    if not process then
      local outcome <const> = outcomes[id]
      if not outcome then return nil, "no such process" end
      return visible(waiter, outcome)
    end
    if process == waiter then return nil, "a process cannot wait for itself" end
    process.waiters[waiter] = true
    waiter.awaiting = process
    scheduler.block(waiter, seconds, function()
      process.waiters[waiter] = nil
      waiter.awaiting = nil
      scheduler.wake(waiter, nil, "timeout")
    end)
  end

  function self.may_end(process, other)
    if process == other then return true end
    if process.operator then return not other.service or process.privileges.services == true end
    local ancestor = other.parent
    while ancestor do
      if ancestor == process then return true end
      ancestor = ancestor.parent
    end
    return false
  end

  function self.list()
    local rows <const> = {}
    for id, process in pairs(table_of) do
      local held <const>, limit <const> = process.handle:memory()
      rows[#rows + 1] = {
        id = id, name = process.name, state = process.state, memory = held, memory_limit = limit,
        cpu_ns = process.handle:cpu(), mailbox = process.mailbox.letters, service = process.service,
        preempted = process.preempted, parked = process.parked, job = process.job,
        parent = process.parent and process.parent.id or nil,
      }
    end
    table.sort(rows, function(a, b) return a.id < b.id end)
    return rows
  end

  return self
end

return processes
