-- The loop of a service: one request after the other.
--
--     local service = require "kernel.service"
--     service.serve(handlers [, {log = function(text)}])        never returns
-- A request is system.call(service, operation, …); handlers[operation](client id, …) gives the reply. A handler that
-- throws gives nil, message and is logged with its traceback; a reply that cannot be sent likewise. An operation that
-- nobody handles gives nil, "no such operation". service.badge() is the badge of the endpoint the request came by.
--
-- Promise: no request, whatever it carries, ends the loop.

local _, system <const> = ...

local service <const> = {}

local badge

function service.badge()
  return badge
end

local function traced(message)
  return debug.traceback(type(message) == "string" and message or tostring(message), 2)
end

local function reply(sender, log, succeeded, ...)
  if not succeeded then
    local text <const> = ...
    log(text)
    return system.reply(sender, nil, (text:match("^[^\n]*")))
  end
  local sent <const>, problem <const> = pcall(system.reply, sender, ...)
  if not sent then
    log(problem)
    system.reply(sender, nil, problem)
  end
end

--- Answers one letter that was received.
function service.handle(handlers, log, sender, operation, ...)
  local handler <const> = type(operation) == "string" and handlers[operation]
  badge = sender.badge
  if sender.kind == "call" then
    if not handler then return system.reply(sender, nil, "no such operation") end
    return reply(sender, log, xpcall(handler, traced, sender.process, ...))
  elseif handler then
    local done <const>, problem <const> = xpcall(handler, traced, sender.process, ...)
    if not done then log(problem) end
  end
end

function service.serve(handlers, options)
  local log <const> = options and options.log or system.log
  local function took(sender, ...)
    if sender then service.handle(handlers, log, sender, ...) end
  end
  local function turn()
    took(system.receive())
  end
  -- A letter for which there is not enough memory raises in receive.
  while true do
    local done <const>, problem <const> = pcall(turn)
    if not done then pcall(log, tostring(problem)) end
  end
end

return service
