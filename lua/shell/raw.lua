-- Raw mode: the prompt's evaluation for programs at the other end of the serial line.
--
--     request   Lua text ended by byte 4; byte 3 forgets what came so far; byte 2 leaves raw mode
--     answer    frames: KIND " " LENGTH "\n" payload "\n"
--               o = printed output, r = one result (a Lua literal where there is one), e = error with its trace,
--               x = end of the answer: "0" ran, "1" failed, "2" interrupted
--     on entry  x frame with "raw"; on leaving an x frame with "bye"
-- Promises: no echo, no prompt, no conversion of line ends; lengths make payloads unforgeable, whatever a program
-- prints. The same rules as at the prompt: expressions need no `return`, globals and `_` stay.
-- Relies on: the session that loads it (evaluation, console).

local raw <const> = {}

local LEAVE <const>, FORGET <const>, RUN <const> = "\2", "\3", "\4"
local EXACT <const> = {
  exact = true, quoted = true, depth = 100, length = 1000000, total = 1000000, string_length = math.maxinteger,
  text_length = math.maxinteger, width = math.maxinteger,
}

local function frame(session, kind, payload)
  session.console.write(("%s %d\n%s\n"):format(kind, #payload, payload))
end

local function answer(session, text)
  local chunk, problem, message = session:compile(text)
  if not chunk then
    if problem ~= "empty" then frame(session, "e", message or "the chunk is not finished") end
    return problem == "empty" and "0" or "1"
  end
  local printer = require "shell.printer"
  local function take(...)
    session:remember(...)
    for index = 1, select("#", ...) do frame(session, "r", printer.format((select(index, ...)), EXACT)) end
  end
  local main_chunk <const> = chunk.run -- the name that traces show
  local ok, report = session.evaluate(function() take(main_chunk()) end)
  if ok then return "0" end
  if ok == nil then return "2" end
  frame(session, "e", require("shell.errors").traceback(report, session.source_of))
  return "1"
end

-- Bytes up to RUN → text; nil when raw mode is left. `state.rest` keeps what came after.
local function next_request(session, state)
  while true do
    local before, mark, rest = state.rest:match("^([^\2\3\4]*)([\2\3\4])(.*)$")
    if mark then
      state.parts[#state.parts + 1] = before
      state.rest = rest
      local text = table.concat(state.parts)
      state.parts = {}
      if mark == LEAVE then return nil end
      if mark == RUN then return text end
      assert(mark == FORGET)
    else
      state.parts[#state.parts + 1] = state.rest
      state.rest = ""
      local bytes, reason = session.console.read(60)
      if bytes then state.rest = bytes elseif reason ~= "timeout" then return nil end
    end
  end
end

-- Serves until the other end leaves. `typed_ahead`: bytes that came with the request for raw mode.
-- → bytes that came after the end, for the line editor.
function raw.run(session, typed_ahead)
  local state = { parts = {}, rest = typed_ahead or "" }
  local emit = session.emit_bytes
  session.emit_bytes = function(bytes) if #bytes > 0 then frame(session, "o", bytes) end end
  session.leaving_raw = false
  frame(session, "x", "raw")
  while not session.leaving_raw do
    local text = next_request(session, state)
    if not text then break end
    frame(session, "x", answer(session, text))
  end
  frame(session, "x", "bye")
  session.emit_bytes = emit
  return state.rest
end

return raw
