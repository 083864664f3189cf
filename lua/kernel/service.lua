-- The loop of a service: one request after the other.
--
--     local service = require "kernel.service"
--     service.serve(handlers [, {log = function(text), together = {operation = handler}, idle = function}])     never returns
-- A request is system.call(service, operation, …); handlers[operation](client id, …) gives the reply. A handler that
-- throws gives nil, message and is logged with its traceback; a reply that cannot be sent likewise. An operation that
-- nobody handles gives nil, "no such operation". service.badge() is the badge of the endpoint the request came by.
--
-- Requests for an operation of `together` that wait one behind the other are answered with one call of its handler: it gets
-- a list of {client =, arguments...}, at most TOGETHER_MAX of them, and returns a list of packed replies in their order.
--
-- While no letter waits, `idle` is called again and again, as long as it answers true; after the next letter it is asked again. Each
-- call should be short: a letter that comes meanwhile waits for it.
--
-- Promise: no request, whatever it carries, ends the loop, nor does a failure of `idle`.

local _, system <const> = ...

local service <const> = {}

local TOGETHER_MAX <const> = 64

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

--- Letters of calls for the same operation, the first of which was received: list of {sender =, …arguments}, and the letter
--- behind them, packed, if one was taken.
local function gather(operation, sender, ...)
  local list <const> = {table.pack(...)}
  list[1].sender, list[1].client = sender, sender.process
  while #list < TOGETHER_MAX do
    -- One that there is no memory for is gone, and its sender told.
    local letter <const> = table.pack(pcall(system.receive, 0))
    local following <const> = letter[1] and letter[2]
    if not following then return list end
    table.remove(letter, 1)
    letter.n = letter.n - 1
    if following.kind ~= "call" or letter[2] ~= operation then return list, letter end
    local arguments <const> = table.pack(table.unpack(letter, 3, letter.n))
    arguments.sender, arguments.client = following, following.process
    list[#list + 1] = arguments
  end
  return list
end

--- Answers the letters that were gathered.
local function handle_together(handler, log, list)
  local done <const>, replies = xpcall(handler, traced, list)
  if not done then
    log(replies)
    local text <const> = replies:match("^[^\n]*")
    replies = {}
    for place = 1, #list do replies[place] = {nil, text, n = 2} end
  end
  for place, request in ipairs(list) do
    local answer <const> = replies[place]
    reply(request.sender, log, true, table.unpack(answer, 1, answer.n or 2))
  end
end

function service.serve(handlers, options)
  local log <const> = options and options.log or system.log
  local together <const>, idle <const> = options and options.together or {}, options and options.idle
  local waiting, restless = nil, idle ~= nil
  local function took(sender, operation, ...)
    if not sender then return end
    restless = idle ~= nil
    local handler <const> = sender.kind == "call" and together[operation]
    if not handler then return service.handle(handlers, log, sender, operation, ...) end
    local list <const>, behind = gather(operation, sender, ...)
    waiting = behind
    handle_together(handler, log, list)
  end
  local function turn()
    local letter = waiting
    waiting = nil
    if letter then return took(table.unpack(letter, 1, letter.n)) end
    if restless then
      letter = table.pack(system.receive(0))
      if not letter[1] then
        -- Should it fail, it is asked again after the next letter, and not before.
        restless = false
        restless = idle() == true
        return
      end
      return took(table.unpack(letter, 1, letter.n))
    end
    took(system.receive())
  end
  -- A letter for which there is not enough memory raises in receive.
  while true do
    local done <const>, problem <const> = pcall(turn)
    if not done then pcall(log, tostring(problem)) end
  end
end

return service
