-- The console service: one stream of bytes out to COM1 and the screen, one in from COM1 and the keyboard.
--
-- chunk(grants): grants.com1, com2, keyboard, screen (kernel.capabilities); grants.framebuffer, font: what the screen is, if it is
-- a picture (core.framebuffer, core.font); grants.program: a program runs without a person,
-- then COM1 carries its output alone and COM2 frames for its starter; grants.headless: nobody types.
-- Requests (contract of the console):
--     write(bytes)                 out as they are      error(bytes)  the same for stderr, which is a program's frames
--     read(seconds) → bytes | nil, "timeout"      as soon as there are any, all there are
--     size() → columns, rows       mode(name) → the mode before      foreground(process id)
--     log(text)                    a line of the system's own
--     frame(kind, payload)         one frame on COM2      finish([status]) the last words; → true when all is out
--
-- Ctrl-C is a byte like any other while somebody reads; otherwise what the process that read last evaluates is abandoned,
-- and the next one, if it has not read since, ends that process; so it is said when the first one shows no effect. Screen and keyboard are started when nothing
-- else is to be done, so that the first output does not wait for them; until then output for the screen is kept.
-- Promise: bytes typed while nobody reads are kept, up to INPUT_BYTES.

local grants <const> = ...

local serial <const> = require "drivers.serial"
local service <const> = require "kernel.service"

local COLUMNS <const>, ROWS <const> = 80, 24
local INPUT_BYTES <const> = 1024 * 1024
local KEPT_FOR_SCREEN <const> = 8192
local CTRL_C <const> = "\3"
local PATIENCE_SECONDS <const> = 2        -- with an interrupted process, until a person is told what else can be done
local HOW_TO_END <const> = "\r\nbusy in one long step; Ctrl-C again ends the shell and what is not committed\r\n"
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

local function write(bytes)
  if com1 then com1.write(bytes) end
  if screen then
    screen.write(bytes)
  elseif not grants.program then
    kept_for_screen = (kept_for_screen .. bytes):sub(-KEPT_FOR_SCREEN)
  end
end

-- --- in ----------------------------------------------------------------------------------------------------------------

local input <const> = {}
local input_bytes = 0
local readers <const> = {}                -- those who wait: {sender =, deadline =}
local foreground
local interrupted = false                 -- has the foreground process been, since it read last?
local tell_at                             -- when the person is told that it is still busy

local function take_input()
  local bytes <const> = table.concat(input)
  for place = #input, 1, -1 do input[place] = nil end
  input_bytes = 0
  return bytes
end

local function serve_readers()
  while readers[1] and input_bytes > 0 do
    system.reply(table.remove(readers, 1).sender, take_input())
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
  write(HOW_TO_END)
end

-- Seconds until the first reader's time, or the person's patience, is over.
local function next_deadline()
  local first = tell_at or math.huge
  for _, reader in ipairs(readers) do first = math.min(first, reader.deadline) end
  if first == math.huge then return nil end
  return math.max(0, first - system.now())
end

-- What was typed before a Ctrl-C that interrupts is forgotten.
local function interrupt()
  take_input()
  if not foreground then return end
  system.interrupt(foreground, interrupted)
  tell_at = not interrupted and system.now() + PATIENCE_SECONDS or nil
  interrupted = true
end

local function typed(bytes)
  if bytes == "" then return end
  if #readers == 0 and bytes:find(CTRL_C, 1, true) then
    interrupt()
    bytes = bytes:match("[^\3]*$")
  end
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
  write(bytes)
  return true
end

-- What a program writes to stderr.
function handlers.error(_, bytes)
  if type(bytes) ~= "string" then return nil, "error takes bytes" end
  if grants.program then frame("e", bytes) else write(bytes) end
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

function handlers.foreground(_, process)
  come_forward(process)
  return true
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
  come_forward(sender.process)
  if input_bytes == 0 then poll_input() end
  if input_bytes > 0 then return system.reply(sender, take_input()) end
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
