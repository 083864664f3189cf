-- Keeps services alive: starts them, and starts them again when they end, under the same id, so that the endpoints which
-- others hold stay good.
--
--     local services = require("kernel.services").new{core=, processes=, after=scheduler.after, log=function(text),
--                                                     record=function(entry of kernel.crash_log)}
--     local service = services.start{name=, module=, rows=, grants=, privileges=, memory=, on_restart=function()}
--        → {process = process or nil while it is down, id=}
-- Policy: a service that ends, however that came, is started again at once; from the fourth end within a minute on, after a
-- pause of 1, 2, 4 … at most LONGEST_PAUSE seconds, so that one that fails at its start does not take the machine.
-- A service is granted `life` besides: 1 at its first start, 2 at the next, and so on.
-- Promises: the end is recorded and logged with its traceback; who waits for an answer of the service, or calls it while it
-- is down, gets nil, "dead"; its ports, interrupt lines and memory are taken from the dead process and given anew.

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
  local core <const>, processes <const> = parts.core, parts.processes
  local self <const> = {}

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
    start(service)
    if service.process and service.spec.on_restart then service.spec.on_restart() end
  end

  -- Logged after the restart: the console itself may be what has ended.
  local function ended(service, outcome)
    local name <const>, text <const> = service.spec.name, services.describe(outcome)
    service.process = nil
    parts.record{kind = "service", name = name, how = outcome.how, text = text}
    local pause <const> = pause_after_end(service)
    if pause == 0 then
      start_again(service)
    else
      parts.after(pause, function() start_again(service) end)
    end
    parts.log(("service %s ended and starts again%s: %s"):format(name, pause > 0 and (" in %d s"):format(pause) or "", text))
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
      on_end = function(_, outcome) ended(service, outcome) end,
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

  function self.start(spec)
    local service <const> = {spec = spec, ends = {}, lives = 0}
    start(service)
    return service
  end

  return self
end

return services
