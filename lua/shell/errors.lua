-- What went wrong, for people: the message, the line of source it is about, and a short trace.
--
--     errors.capture(value) → report          (the message handler of xpcall: to be called where it was raised)
--     errors.report(value, trace) → report
--     errors.describe(report, sources) → text (what the prompt shows)
--     errors.traceback(report, sources) → text (complete, as the stand-alone interpreter writes it, plus source line)
-- A report carries the error object and its traceback; whatever else is passed is taken as the error object. sources(chunk name) → text | nil.
--
-- Promises: never raises; error objects that are tables are shown by the printer, strings stay as Lua made them.

local errors <const> = {}

local TRACE_ROWS <const> = 8
-- Our own frames say nothing to the person at the prompt; below these files there is nothing of theirs.
local OWN_FILES <const> = { "lua/shell/", "lua/fs/", "lua/kernel/" }
local BOUNDARIES <const> = { "lua/shell/session.lua", "lua/shell/raw.lua", "lua/services/", "lua/kernel/runtime.lua" }

local REPORT <const> = { __name = "error report" }

-- A report made by others (the kernel, when a process died): the error object and a traceback text or nil.
function errors.report(value, trace)
  return setmetatable({ value = value, trace = trace }, REPORT)
end

function errors.capture(value)
  local traced, trace = pcall(debug.traceback, "", 2)
  return errors.report(value, traced and trace or nil)
end

-- → error object, trace; anything that is no report is an error object itself.
local function parts_of(report)
  if type(report) == "table" and getmetatable(report) == REPORT then return report.value, report.trace end
  return report, nil
end

-- The error object as text.
function errors.message(value)
  if type(value) == "string" then return value end
  if value == nil then return "error without a value (nil)" end
  local metatable = getmetatable(value)
  if type(metatable) == "table" and rawget(metatable, "__tostring") ~= nil then
    local ok, text = pcall(tostring, value)
    if ok then return text end
  end
  -- The errors of our own parts say what happened in one line.
  if type(value) == "table" and type(rawget(value, "message")) == "string" and rawget(value, "code") ~= nil then
    return rawget(value, "message")
  end
  return "error object: " .. require("shell.printer").format(value)
end

-- "stdin:3:1: …" → "stdin:3", 1
function errors.position(message)
  local chunk, row = message:match("^([^\n]-):(%d+): ")
  return chunk, row and tonumber(row)
end

local function row_of(text, wanted)
  local row = 1
  for content in (text .. "\n"):gmatch("([^\n]*)\n") do
    if row == wanted then return content end
    row = row + 1
  end
end

-- "   2 | return x + y" for the place a message is about; nil when its text is not known.
function errors.source_row(message, sources)
  local chunk, row = errors.position(message)
  local text = chunk and sources and sources(chunk)
  local content = text and row_of(text, row)
  if not content or not content:find("%S") then return nil end
  content = require("shell.cells").visible(content)
  if #content > 200 then content = content:sub(1, 200) .. "..." end
  return ("%4d | %s"):format(row, content)
end

local function frames_of(trace)
  local frames = {}
  for frame in trace:gmatch("\n\t([^\n]+)") do frames[#frames + 1] = frame end
  return frames
end

local function names_one_of(frame, files)
  for _, file in ipairs(files) do
    if frame:find(file, 1, true) then return true end
  end
  return false
end

local function is_noise(frame)
  return names_one_of(frame, OWN_FILES) or frame:find("^%[C%]: in %?") or frame:find("^%[C%]: in %a+ 'error'") or frame:find("^%[C%]: in %a+ 'xpcall'")
end

local TAIL_CALLS <const> = "(...tail calls...)"

-- The frames between where it was raised and who started the chunk.
local function user_frames(trace)
  local kept = {}
  for _, frame in ipairs(frames_of(trace)) do
    if names_one_of(frame, BOUNDARIES) then break end
    if not is_noise(frame) and (frame ~= TAIL_CALLS or #kept > 0) then
      kept[#kept + 1] = (frame:gsub("in %a+ 'main_chunk'$", "in main chunk"))
    end
  end
  if kept[#kept] == TAIL_CALLS then kept[#kept] = nil end
  return kept
end

-- No trace is needed for one frame that the message names, nor for a C function called in the row just entered.
local function is_obvious(frames, message)
  local last = frames[#frames]
  if not last then return true end
  for index = 1, #frames - 1 do
    if not frames[index]:find("^%[C%]") then return false end
  end
  local chunk, row = errors.position(message)
  return last:find(":1: in main chunk$") ~= nil
    or chunk ~= nil and last:find(chunk .. ":" .. row .. ":", 1, true) ~= nil
end

local function short_trace(report, message)
  local frames = user_frames(report.trace)
  if is_obvious(frames, message) then return {} end
  if #frames > TRACE_ROWS then
    local left_out = #frames - TRACE_ROWS
    frames = table.move(frames, #frames - 2, #frames, TRACE_ROWS - 1, table.move(frames, 1, TRACE_ROWS - 3, 1, {}))
    frames[TRACE_ROWS - 2] = ("(%d more)"):format(left_out + 1)
  end
  return frames
end

function errors.describe(report, sources)
  local value, trace = parts_of(report)
  local message = errors.message(value)
  local rows = { require("shell.cells").visible(message) }
  rows[#rows + 1] = errors.source_row(message, sources)
  if trace then
    for _, frame in ipairs(short_trace(report, message)) do rows[#rows + 1] = "  " .. frame end
  end
  return table.concat(rows, "\n")
end

function errors.traceback(report, sources)
  local value, trace = parts_of(report)
  local message = errors.message(value)
  local rows = { message }
  rows[#rows + 1] = errors.source_row(message, sources)
  local frames = trace and user_frames(trace) or {}
  if #frames > 0 then
    rows[#rows + 1] = "stack traceback:"
    for _, frame in ipairs(frames) do rows[#rows + 1] = "\t" .. frame end
  end
  return table.concat(rows, "\n")
end

return errors
