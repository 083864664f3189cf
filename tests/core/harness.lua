-- What the cases of tests/core/*_cases.lua share: a small supervisor that runs one process or several, and equality of
-- value graphs. Loaded by the cases with dofile; they are run by the host program (host.c).

local harness <const> = {}

--- Runs the process until it ends; calls[operation](process, control values…) answers its system calls.
--- → why it ended, values…; counts of "preempted" and "parked" stand in harness.stops.
function harness.finish(process, calls, slice)
  harness.stops = {preempted = 0, parked = 0, call = 0}
  while true do
    local stopped <const> = table.pack(process:run(slice or 2))
    local why <const> = stopped[1]
    if why == "call" then
      harness.stops.call = harness.stops.call + 1
      local handler <const> = calls and calls[stopped[2]]
      if handler then process:answer(handler(process, table.unpack(stopped, 3, stopped.n)))
      else process:answer(nil, "no such call") end
    elseif why == "preempted" or why == "parked" then
      harness.stops[why] = harness.stops[why] + 1
    else
      return table.unpack(stopped, 1, stopped.n)
    end
  end
end

--- A process with the text as its program, which starts with `local kernel, … = ...`.
function harness.process(core, text, ...)
  local process <const> = assert(core.process{name = "case", memory = harness.memory or 16 << 20})
  assert(process:load(text, "=case", ...))
  return process
end

--- Runs the text to its end, which must be a good one; → its results.
function harness.run(core, text, calls, ...)
  local process <const> = harness.process(core, text, ...)
  local ended <const> = table.pack(harness.finish(process, calls))
  if ended[1] ~= "finished" then
    error(("%s: %s\n%s"):format(ended[1], tostring(ended[2]), tostring(ended[3])), 2)
  end
  process:kill()
  return table.unpack(ended, 2, ended.n)
end

--- Are two value graphs isomorphic?
function harness.same(a, b, seen)
  seen = seen or {}
  local work <const> = {{a, b}}
  while #work > 0 do
    local pair <const> = table.remove(work)
    local one <const>, other <const> = pair[1], pair[2]
    if type(one) ~= "table" or type(other) ~= "table" then
      if math.type(one) ~= math.type(other) or (one ~= other and (one == one or other == other)) then return false end
    elseif seen[one] ~= nil then
      if seen[one] ~= other then return false end
    else
      seen[one] = other
      local count = 0
      for key, value in next, one do
        count = count + 1
        if type(key) ~= "table" then work[#work + 1] = {value, rawget(other, key)} end
      end
      for _ in next, other do count = count - 1 end
      if count ~= 0 then return false end
    end
  end
  return true
end

function harness.raises(pattern, f, ...)
  local ok <const>, message <const> = pcall(f, ...)
  if ok then error("no error was raised; expected one like " .. pattern, 2) end
  if not tostring(message):find(pattern) then
    error(("expected an error like %q, got %q"):format(pattern, tostring(message)), 2)
  end
end

return harness
