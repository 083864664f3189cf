-- The console service: one stream of bytes out to COM1 and the screen, one in from COM1 and the keyboard.
--
-- chunk(grants): grants.com1, com2, keyboard, screen (kernel.capabilities); grants.framebuffer, font: what the screen is, if it is
-- a picture (core.framebuffer, core.font); grants.program: a program runs without a person,
-- then COM1 carries its output alone and COM2 frames for its starter; grants.headless: nobody types.
-- Requests (contract of the console):
--     write(bytes)                 out as they are      error(bytes)  the same for stderr, which is a program's frames
--     read(seconds) → bytes | nil, "timeout"      as soon as there are any, all there are
--     size() → columns, rows       mode(name) → the mode before
--     front(job)                   this job has keys and screen from now on, 0: the shell → does the cursor stand at the margin, and
--                                  has whoever had them before written at places of the screen?
--     kept(job [, forget]) → text  what it printed while another one had them
--     log(text)                    a line of the system's own
--     frame(kind, payload)         one frame on COM2      finish([status]) the last words; → true when all is out
--
-- Who asks is told apart by the badge of its endpoint: 0 is the shell (and programs that are none of its jobs), others are jobs, each
-- with all that it has started. The shell gives the front to a job, Ctrl-Z or its own next read takes it back. What a job prints
-- meanwhile is kept, the last KEPT_OF_JOB bytes, and shown when it comes to the front; what it wants to read waits.
-- Ctrl-C is a byte like any other while somebody in front reads; otherwise what the process in front evaluates is abandoned,
-- and the next one, if it has not read since, ends that process; so it is said when the first one shows no effect. Screen and keyboard are started when nothing
-- else is to be done, so that the first output does not wait for them; until then output for the screen is kept.
-- Promise: bytes typed while nobody reads are kept, up to INPUT_BYTES.

local grants <const> = ...

local serial <const> = require "drivers.serial"
local service <const> = require "kernel.service"

local COLUMNS <const>, ROWS <const> = 80, 24
local INPUT_BYTES <const> = 1024 * 1024
local KEPT_FOR_SCREEN <const> = 8192
local KEPT_OF_JOB <const>, JOBS_KEPT <const> = 65536, 16
local PLACE <const> = "\27%[%d+;%d+H"
local CTRL_C <const>, CTRL_Z <const> = "\3", "\26"
local PATIENCE_SECONDS <const> = 2        -- with an interrupted process, until a person is told what else can be done
local HOW_TO_END <const> = "\r\nbusy in one long step; Ctrl-C again ends the shell and what is not committed\r\n"
local HOW_TO_END_JOB <const> = "\r\nbusy in one long step; Ctrl-C again ends it, Ctrl-Z leaves it running\r\n"
local FIFO_FILLED <const>, REFILL_NANOSECONDS <const>, BURST_BYTES <const> = 8, 300000, 4096

local parts <const> = {clock = system.clock, sleep = system.sleep, memory = system.memory}

local function with_parts(more)
  for name, value in pairs(parts) do
    if more[name] == nil then more[name] = value end
  end
  return more
end

local function open_line(row)
  return row and serial.new(with_parts{ports = row.ports, irq = row.irq}) or nil
end

local com1 <const> = open_line(grants.com1)
local com2 <const> = grants.program and open_line(grants.com2) or nil
local screen, keys
local mode = "raw"

-- --- out ---------------------------------------------------------------------------------------------------------------

local kept_for_screen = ""
local last_byte, placed = "\n", false
local front, shell = 0, nil               -- the job that has keys and screen; the process that gave it to it
local kept_jobs <const>, jobs_in_order <const> = {}, {}

local function write(bytes)
  if bytes == "" then return end
  last_byte = bytes:sub(-1)
  if com1 then com1.write(bytes) end
  if screen then
    screen.write(bytes)
  elseif not grants.program then
    kept_for_screen = (kept_for_screen .. bytes):sub(-KEPT_FOR_SCREEN)
  end
end

-- A few bytes at a time must not become a few strings for each: joined when they are twice too many.
local function keep_for_job(job, bytes)
  local kept = kept_jobs[job]
  if not kept then
    kept = {bytes = 0}
    kept_jobs[job] = kept
    jobs_in_order[#jobs_in_order + 1] = job
    if #jobs_in_order > JOBS_KEPT then kept_jobs[table.remove(jobs_in_order, 1)] = nil end
  end
  kept[#kept + 1] = bytes
  kept.bytes = kept.bytes + #bytes
  if kept.bytes <= 2 * KEPT_OF_JOB and #kept < 1024 then return end
  local newest <const> = table.concat(kept):sub(-KEPT_OF_JOB)
  for place = #kept, 1, -1 do kept[place] = nil end
  kept[1], kept.bytes = newest, #newest
end

local function kept_of(job)
  local kept <const> = kept_jobs[job]
  return kept and table.concat(kept):sub(-KEPT_OF_JOB) or ""
end

local function forget_kept(job)
  if not kept_jobs[job] then return end
  kept_jobs[job] = nil
  for place, other in ipairs(jobs_in_order) do
    if other == job then return table.remove(jobs_in_order, place) end
  end
end

local function write_of(job, bytes)
  if job ~= 0 and job ~= front then return keep_for_job(job, bytes) end
  if bytes:find(PLACE) then placed = true end
  write(bytes)
end

-- --- in ----------------------------------------------------------------------------------------------------------------

local input <const> = {}
local input_bytes = 0
local readers <const> = {}                -- those who wait: {sender =, deadline =}; only those in front are served
local foreground
local interrupted = false                 -- has the foreground process been, since it read last?
local tell_at                             -- when the person is told that it is still busy

local function take_input()
  local bytes <const> = table.concat(input)
  for place = #input, 1, -1 do input[place] = nil end
  input_bytes = 0
  return bytes
end

-- The place of the first who waits and is in front | nil.
local function reader_in_front()
  for place, reader in ipairs(readers) do
    if reader.sender.badge == front then return place end
  end
end

local function serve_readers()
  while input_bytes > 0 do
    local place <const> = reader_in_front()
    if not place then return end
    system.reply(table.remove(readers, place).sender, take_input())
  end
end

local function expire_readers()
  local now <const> = system.now()
  for place = #readers, 1, -1 do
    if readers[place].deadline <= now then system.reply(table.remove(readers, place).sender, nil, "timeout") end
  end
end

local function come_forward(process)
  foreground, interrupted, tell_at = process, false, nil
end

local function tell_that_it_is_busy()
  if not tell_at or system.now() < tell_at then return end
  tell_at = nil
  write(front == 0 and HOW_TO_END or HOW_TO_END_JOB)
end

-- Seconds until the first reader's time, or the person's patience, is over.
local function next_deadline()
  local first = tell_at or math.huge
  for _, reader in ipairs(readers) do first = math.min(first, reader.deadline) end
  if first == math.huge then return nil end
  return math.max(0, first - system.now())
end

-- What was typed before a Ctrl-C that interrupts is forgotten. → has it an effect? Where nothing is evaluated, as between two reads of
-- the line editor, it has none and is a key for the next one; a job that evaluates nothing yet is ended.
local function interrupt()
  if not foreground then return false end
  local done = system.interrupt(foreground, interrupted)
  if not done and front ~= 0 then done = system.interrupt(foreground, true) end
  if done then take_input() end
  tell_at = not interrupted and system.now() + PATIENCE_SECONDS or nil
  interrupted = true
  return done == true
end

local function give_front(job, process)
  if job == front then return end
  front = job
  come_forward(process)
  local kept <const> = kept_of(job)
  forget_kept(job)
  if kept:find(PLACE) then placed = true end
  write(kept)
end

-- The shell waits for its job; it learns that it need not any longer.
local function leave_job()
  local job <const> = front
  give_front(0, shell)
  system.send(shell, "background", job)
end

local function typed(bytes)
  if bytes == "" then return end
  if front ~= 0 and bytes:find(CTRL_Z, 1, true) then
    leave_job()
    bytes = bytes:match("[^\26]*$")
  end
  if bytes:find(CTRL_C, 1, true) and not reader_in_front() and interrupt() then bytes = bytes:match("[^\3]*$") end
  if bytes == "" or input_bytes + #bytes > INPUT_BYTES then return end
  input[#input + 1] = bytes
  input_bytes = input_bytes + #bytes
  serve_readers()
end

-- A paste comes in FIFOs of 16 bytes, each a moment after the last was emptied: waiting that moment saves an interrupt
-- and two messages a FIFO.
local function read_com1()
  local bytes = com1.read()
  if #bytes < FIFO_FILLED then return bytes end
  local all <const>, count, deadline = {bytes}, #bytes, system.clock() + REFILL_NANOSECONDS
  repeat
    bytes = com1.read()
    if bytes ~= "" then
      all[#all + 1] = bytes
      count = count + #bytes
      deadline = system.clock() + REFILL_NANOSECONDS
    end
  until count >= BURST_BYTES or system.clock() >= deadline
  return table.concat(all)
end

local function poll_input()
  if com1 then typed(read_com1()) end
  if keys then typed(keys.read()) end
end

-- --- screen and keyboard -------------------------------------------------------------------------------------------------

-- The screen answers no queries: the terminal on COM1 does, and two answers would be one too many.
-- On a picture there are as many cells as on VGA's text screen, so that what is laid out for COM1's terminal fits both.
local function open_screen()
  screen = require(grants.framebuffer and "drivers.framebuffer" or "drivers.vga").new(with_parts{
    memory = grants.screen.memory, crtc = grants.screen.crtc, format = grants.framebuffer, font = grants.font,
    columns = 80, rows = 25,
  })
  screen.write(kept_for_screen)
  kept_for_screen = ""
end

local function open_keyboard()
  keys = require("drivers.keyboard").new(with_parts{
    ports = grants.keyboard.ports, irq = grants.keyboard.irq,
    actions = {
      scroll = function(pages) if screen then screen.scroll_pages(pages) end end,
      reboot = function() system.send(system.parent, "reboot") end,
    },
  })
  if keys then system.listen(grants.keyboard.line) end
end

local later <const> = {}
if grants.screen then later[#later + 1] = open_screen end
if grants.keyboard then later[#later + 1] = open_keyboard end

-- --- requests --------------------------------------------------------------------------------------------------------------

local handlers <const> = {}

local function frame(kind, payload)
  if not com2 then return end
  local checked <const> = string.pack("<c1s4", kind, payload)
  com2.write("KF" .. checked .. string.pack("<I4", system.crc32c(checked)))
end

function handlers.write(_, bytes)
  if type(bytes) ~= "string" then return nil, "write takes bytes" end
  write_of(service.badge(), bytes)
  return true
end

-- What a program writes to stderr.
function handlers.error(_, bytes)
  if type(bytes) ~= "string" then return nil, "error takes bytes" end
  if grants.program then frame("e", bytes) else write_of(service.badge(), bytes) end
  return true
end

function handlers.size()
  if screen then return screen.size() end
  return COLUMNS, ROWS
end

function handlers.mode(_, wanted)
  local before <const> = mode
  if wanted == "raw" or wanted == "cooked" then mode = wanted end
  return before
end

local function is_shell()
  return service.badge() == 0
end

function handlers.front(client, job)
  if not is_shell() or math.type(job) ~= "integer" then return nil, "not allowed" end
  shell = client
  local had_places <const> = placed
  placed = false
  give_front(job, job == 0 and client or job)
  return last_byte == "\n", had_places
end

function handlers.kept(_, job, forget)
  if not is_shell() then return nil, "not allowed" end
  local text <const> = kept_of(job)
  if forget then forget_kept(job) end
  return text
end

function handlers.frame(_, kind, payload)
  frame(kind, payload)
  return true
end

function handlers.log(_, text)
  if grants.program then
    frame("b", text .. "\n")
  else
    write("\r\n" .. text:gsub("\r?\n", "\r\n") .. "\r\n")
  end
  return true
end

function handlers.finish(_, status)
  if com1 then com1.finish() end
  if status then frame("x", string.char(status)) end
  if com2 then com2.finish() end
  return true
end

local function handle_read(sender, seconds)
  if sender.badge == 0 and front ~= 0 then give_front(0, sender.process) end
  if sender.badge == front then
    come_forward(sender.process)
    if input_bytes == 0 then poll_input() end
    if input_bytes > 0 then return system.reply(sender, take_input()) end
  end
  seconds = type(seconds) == "number" and seconds or math.huge
  if seconds <= 0 then return system.reply(sender, nil, "timeout") end
  readers[#readers + 1] = {sender = sender, deadline = system.now() + seconds}
end

local function complain(text)
  write("\r\nconsole: " .. text:gsub("\n", "\r\n") .. "\r\n")
end

local function took(sender, operation, ...)
  if not sender then return operation == "timeout" end
  if sender.kind == "irq" then
    poll_input()
  elseif operation == "read" and sender.kind == "call" then
    handle_read(sender, ...)
  else
    service.handle(handlers, complain, sender, operation, ...)
  end
end

if grants.com1 and grants.com1.line and not grants.headless then system.listen(grants.com1.line) end

-- A letter for which there is not enough memory raises in receive: no reason to end. What a driver throws is one: the
-- supervisor logs it with its traceback and starts this service again, with devices in a known state.
local function received(done, ...)
  if done then return took(...) end
  complain(tostring((...)))
  return false
end

while true do
  local idle <const> = received(pcall(system.receive, later[1] and 0 or next_deadline()))
  expire_readers()
  tell_that_it_is_busy()
  if idle and later[1] then table.remove(later, 1)() end
end
