-- Keeps services alive: starts them, and starts them again when they end, under the same id, so that the endpoints which
-- others hold stay good.
--
--     local services = require("kernel.services").new{core=, processes=, after=scheduler.after, log=function(text),
--                                                     record=function(entry of kernel.crash_log),
--                                                     replacements = kernel.replacements, ask=function(service, on_reply, …)}
--     local service = services.start{name=, module=, rows=, grants=, privileges=, memory=, on_restart=function()}
--        → {process = process or nil while it is down, id=}; asks: a person must say that new code of it works
--     services.list() → rows {name=, id=, state= "running" | "down", lives=, module=, replaced=, trial=, failure=}
-- Policy: a service that ends, however that came, is started again at once; from the fourth end within a minute on, after a
-- pause of 1, 2, 4 … at most LONGEST_PAUSE seconds, so that one that fails at its start does not take the machine.
-- A service is granted `life` besides: 1 at its first start, 2 at the next, and so on.
-- Promises: the end is recorded and logged with its traceback; who waits for an answer of the service, or calls it while it
-- is down, gets nil, "dead"; its ports, interrupt lines and memory are taken from the dead process and given anew.
-- Code that a person has put in place of a module (kernel.replacements) is what it starts with; new code that ends makes room for
-- the code before at once.

local capabilities <const> = require "kernel.capabilities"

local services <const> = {}

local PROMPT_RESTARTS <const> = 3
local RECENT_SECONDS <const> = 60
local LONGEST_PAUSE_SECONDS <const> = 32
local NANOSECONDS <const> = 1000000000
local SERVICE_MEMORY <const> = 32 * 1024 * 1024

function services.describe(outcome)
  if outcome.how == "killed" then return "killed" end
  local text <const> = tostring(outcome[1] or outcome.how)
  return outcome[2] and text .. "\n" .. tostring(outcome[2]) or text
end

function services.new(parts)
  local core <const>, processes <const>, replacements <const> = parts.core, parts.processes, parts.replacements
  local self <const>, all <const> = {}, {}

  -- Seconds until the next start, after one more end.
  local function pause_after_end(service)
    local now <const> = core.clock()
    local recent <const> = {now}
    for _, time in ipairs(service.ends) do
      if now - time < RECENT_SECONDS * NANOSECONDS and #recent < 16 then recent[#recent + 1] = time end
    end
    service.ends = recent
    if #recent <= PROMPT_RESTARTS then return 0 end
    return math.min(1 << (#recent - PROMPT_RESTARTS - 1), LONGEST_PAUSE_SECONDS)
  end

  local start

  local function start_again(service)
    if service.process then return end
    start(service)
    if service.process and service.spec.on_restart then service.spec.on_restart() end
  end

  -- Logged after the restart: the console itself may be what has ended.
  local function ended(service, outcome)
    local name <const>, text <const> = service.spec.name, services.describe(outcome)
    service.process = nil
    if service.making_way then
      service.making_way = false
      return start_again(service)
    end
    parts.record{kind = "service", name = name, how = outcome.how, text = text}
    local taken_back <const> = replacements.ended(name, (text:match("^[^\n]*")))
    local pause <const> = taken_back and 0 or pause_after_end(service)
    if pause == 0 then
      start_again(service)
    else
      parts.after(pause, function() start_again(service) end)
    end
    local what <const> = taken_back and " with the code before" or pause > 0 and (" in %d s"):format(pause) or ""
    parts.log(("service %s ended and starts again%s: %s"):format(name, what, text))
  end

  function start(service)
    local spec <const> = service.spec
    local grants, lines = {}, {}
    if spec.rows then grants, lines = capabilities.grant(core, spec.rows) end
    for name, value in pairs(spec.grants or {}) do grants[name] = value end
    service.lives = service.lives + 1
    grants.life = service.lives
    local process <const>, err <const> = processes.create({
      id = service.id, name = spec.name, module = spec.module, service = true, essential = true,
      memory = spec.memory or SERVICE_MEMORY, grants = grants, lines = lines, privileges = spec.privileges,
      texts = replacements.texts(spec.name), on_end = function(_, outcome) ended(service, outcome) end,
    })
    if process then
      service.process, service.id = process, process.id
    elseif service.id then
      parts.log(("service %s does not start: %s"):format(spec.name, err))
      parts.after(LONGEST_PAUSE_SECONDS, function() start_again(service) end)
    else
      error(("service %s does not start: %s"):format(spec.name, err))
    end
  end

  -- An end that was asked for: no crash, and no reason to wait.
  local function restart(service)
    if not service.process then return start_again(service) end
    service.making_way = true
    processes.finish(service.process, {how = "killed", n = 0})
  end

  -- Any answer will do, also that there is no such operation.
  local function ask_for_life(service, on_answer)
    parts.ask(service, function(_, err) on_answer(err ~= "dead") end, "alive")
  end

  function self.start(spec)
    local service <const> = {spec = spec, ends = {}, lives = 0, making_way = false}
    replacements.declare(spec.name, {
      module = spec.module, asks = spec.asks, restart = function() restart(service) end,
      alive = function(on_answer) ask_for_life(service, on_answer) end,
    })
    all[#all + 1] = service
    start(service)
    return service
  end

  function self.list()
    local rows <const> = {}
    for place, service in ipairs(all) do
      local row <const> = replacements.status(service.spec.name)
      row.name, row.id, row.lives = service.spec.name, service.id, service.lives
      row.state = service.process and "running" or "down"
      rows[place] = row
    end
    return rows
  end

  return self
end

return services
