-- Runs escape attempts, a process each, and tells how each ended. A program of an ordinary process: the same text runs in
-- the booted guest (as what `khoros run` runs) and in the core's host build (host.lua).
--
-- chunk(grants, attempts, in_process): attempts = list of {name =, source =, memory = or nil, seconds = or nil, ports = boolean,
-- engine = boolean, unsafe = boolean, kill_after = seconds or nil}; in_process: `victim` is the attempt's own process, so that what no
-- boundary stops is seen to work. grants.ports, engines: port ranges and DMA engines, one for each attempt that wants one.
-- An attempt's source follows PRELUDE; it says "escaped" or "held". After every one a victim that lived beside it must
-- still answer and have its libraries, or the line says "harmed".
-- → lines "NAME\tOUTCOME", also printed.

local grants <const>, attempts <const>, in_process <const> = ...
local system <const> = require "system"

local PRELUDE <const> = [[
local parameters = ...
local pcall, tostring, type = pcall, tostring, type
local system = require "system"
local victim_id = parameters.victim
local function victim(text, ...) return system.call(victim_id, text, ...) end
-- Held when f raises.
local function raises(f, ...)
  local done, problem = pcall(f, ...)
  if done then return "escaped" end
  return "held", tostring(problem)
end
-- Held when f raises or gives nothing.
local function refused(f, ...)
  local done, value, why = pcall(f, ...)
  if done and value then return "escaped", type(value) end
  return "held", tostring(done and why or value)
end
]]
local LOCAL_VICTIM <const> = "victim = function(text, ...) return load(text)(...) end\n"
local VICTIM <const> = [[
local system = require "system"
while true do
  local function results(done, ...) if done then return ... end return nil, (...) end
  local function answer(from, text, ...) if from then system.reply(from, results(pcall(load(text), ...))) end end
  pcall(function() answer(system.receive()) end)
end
]]
local SOUND <const> = "return ('x'):rep(2) .. #'abc' .. math.floor(1.5) .. type(coroutine.create) .. tostring(pcall(error))"
local ANSWER <const> = "xx31functionfalse"
local SECONDS <const>, MEMORY <const> = 20, 8 << 20

local function shown(...)
  local parts <const> = table.pack(...)
  for place = 1, parts.n do parts[place] = tostring(parts[place]):gsub("%c", " "):sub(1, 200) end
  return table.concat(parts, " ", 1, parts.n)
end

local function end_of(child, attempt)
  if attempt.kill_after then
    system.sleep(attempt.kill_after)
    system.kill(child)
  end
  local ended <const> = table.pack(system.wait(child, attempt.seconds or SECONDS))
  if ended[1] == nil then
    system.kill(child)
    return "hung"
  end
  return shown(table.unpack(ended, 1, ended.n))
end

local function try(attempt)
  local victim <const> = assert(system.spawn{source = VICTIM, name = "victim", memory = 32 << 20})
  local parameters <const> = {victim = victim.id, director = system.id}
  if attempt.ports then parameters.ports = table.remove(grants.ports) end
  if attempt.engine then parameters.engine = table.remove(grants.engines) end
  if attempt.block then parameters.block = system.memory(64) end
  local child <const>, why <const> = system.spawn{
    name = attempt.name, source = PRELUDE .. (in_process and LOCAL_VICTIM or "") .. attempt.source, chunk = "=attempt",
    memory = attempt.memory or MEMORY, unsafe = attempt.unsafe, args = {parameters},
  }
  local outcome = child and end_of(child, attempt) or "not started: " .. why
  local sound <const> = system.call_within(SECONDS, victim, SOUND)
  if sound ~= ANSWER then outcome = "harmed: " .. tostring(sound) .. " after " .. outcome end
  system.kill(victim)
  while system.receive(0) do end
  return outcome
end

local lines <const> = {}
for place, attempt in ipairs(attempts) do
  lines[place] = attempt.name .. "\t" .. try(attempt):sub(1, 240)
  print(lines[place])
end
return table.concat(lines, "\n")
