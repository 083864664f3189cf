-- 16550 UART: a serial line.
--
-- Received bytes: the interrupt wakes whoever waits; `read` and `wait` empty the FIFO into a ring
-- of bounded size. A full ring leaves bytes in the UART, where its flow control or its overrun bit
-- speaks for them. Sending is polled, 16 bytes at a time when the FIFO has run empty.
--
-- Promises: a port that is not there, or not a UART, is recognised in microseconds by a loop-back
-- test of the modem lines, which costs nobody's typing: bytes that came before the driver are read
-- like any others. A line that does not take bytes ends in `timeout`, never in a hang. Overruns,
-- framing and parity errors are counted.
-- Source: National Semiconductor PC16550D data sheet, section 8 "Registers".

local failure <const> = require "drivers.failure"
local registers <const> = require "drivers.registers"
local waiting <const> = require "drivers.waiting"

local serial <const> = {}

local REGISTER <const> = registers.offsets{
  {"data",             0, "rw", "RBR/THR: the next byte received, the next to send", "8.0"},
  {"divisor_low",      0, "rw", "DLL, while DLAB is set",                            "8.3"},
  {"divisor_high",     1, "rw", "DLM, while DLAB is set",                            "8.3"},
  {"interrupt_enable", 1, "rw", "IER",                                               "8.7"},
  {"interrupt_id",     2, "r",  "IIR",                                               "8.6"},
  {"fifo_control",     2, "w",  "FCR",                                               "8.5"},
  {"line_control",     3, "rw", "LCR",                                               "8.1"},
  {"modem_control",    4, "rw", "MCR",                                               "8.8"},
  {"line_status",      5, "r",  "LSR",                                               "8.4"},
  {"modem_status",     6, "r",  "MSR",                                               "8.9"},
  {"scratch",          7, "rw", "SCR: keeps a byte and does nothing",                "8.10"},
}

local LINE <const> = registers.masks{
  {"DATA_READY",    0x01, "r", "LSR: a byte has been received",     "8.4"},
  {"OVERRUN",       0x02, "r", "LSR: a byte was lost",              "8.4"},
  {"PARITY",        0x04, "r", "LSR: parity error",                 "8.4"},
  {"FRAMING",       0x08, "r", "LSR: framing error",                "8.4"},
  {"BREAK",         0x10, "r", "LSR: break",                        "8.4"},
  {"SEND_EMPTY",    0x20, "r", "LSR: the transmit FIFO is empty",   "8.4"},
  {"IDLE",          0x40, "r", "LSR: nothing is being sent",        "8.4"},
}

local CONTROL <const> = registers.values{
  {"LINE_8N1",         0x03, "w", "LCR: 8 data bits, no parity, 1 stop bit",                    "8.1"},
  {"LINE_DIVISOR",     0x80, "w", "LCR: DLAB",                                                  "8.1"},
  {"FIFO_ON",          0xC1, "w", "FCR: FIFOs on, interrupt at 14 bytes or when the line rests", "8.5"},
  {"INTERRUPT_DATA",   0x01, "w", "IER: received data",                                         "8.7"},
  {"MODEM_ON",         0x0B, "w", "MCR: DTR, RTS, OUT2 (OUT2 gates the interrupt on a PC)",     "8.8"},
}

-- Loop-back (MCR bit 4) connects MCR's outputs with MSR's inputs: {MCR, MSR bits 7:4} (8.8).
local LOOP_PATTERNS <const> = {
  {0x1A, 0x90},      -- RTS → CTS, OUT2 → DCD
  {0x15, 0x60},      -- DTR → DSR, OUT1 → RI
}
local MODEM_LINES <const> = 0xF0

local CLOCK_BAUD <const> = 115200     -- 1.8432 MHz / 16
local FIFO_BYTES <const> = 16
local RING_BYTES <const> = 65536
local SCRATCH_BYTES <const> = {0xAE, 0x51}
local SEND_SECONDS <const> = 2        -- 16 bytes at 110 baud
local DRAIN_LIMIT <const> = 4096      -- bytes taken from the UART at a time: a line without end must not hold a process
local INTERRUPT_SLICE_SECONDS <const> = 0.1
local REST_SECONDS <const> = 0.2       -- a host that emulates the line may be busy with other things
local POLL_SLEEP_SECONDS <const> = 0.001      -- at 115200 baud the FIFO fills in 1.4 ms

local ERRORS <const> = {overruns = LINE.OVERRUN, parity_errors = LINE.PARITY, framing_errors = LINE.FRAMING, breaks = LINE.BREAK}

local function set_up(ports, baud)
  local divisor = CLOCK_BAUD // baud
  ports:out8(REGISTER.interrupt_enable, 0)
  ports:out8(REGISTER.line_control, CONTROL.LINE_DIVISOR | CONTROL.LINE_8N1)
  ports:out8(REGISTER.divisor_low, divisor & 0xFF)
  ports:out8(REGISTER.divisor_high, divisor >> 8)
  ports:out8(REGISTER.line_control, CONTROL.LINE_8N1)
  ports:out8(REGISTER.modem_control, CONTROL.MODEM_ON)
end

-- A UART keeps a byte in its scratch register and loops its modem lines back. Bytes are left out of
-- the test: somebody may be typing already.
local function answers(ports)
  for _, byte in ipairs(SCRATCH_BYTES) do
    ports:out8(REGISTER.scratch, byte)
    if ports:in8(REGISTER.scratch) ~= byte then return false end
  end
  for _, row in ipairs(LOOP_PATTERNS) do
    ports:out8(REGISTER.modem_control, row[1])
    if ports:in8(REGISTER.modem_status) & MODEM_LINES ~= row[2] then return false end
  end
  return true
end

--- serial.new{ports=ports(0x3F8, 8), irq=, clock=, sleep=, memory=, baud=115200} → line | nil,
--- failure (`absent`).
function serial.new(parts)
  local ports <const> = assert(parts.ports, "serial needs its ports")
  local clock <const> = assert(parts.clock, "serial needs a clock")
  local memory <const> = assert(parts.memory, "serial needs memory")
  local irq <const>, sleep <const>, baud <const> = parts.irq, parts.sleep, parts.baud or 115200
  assert(math.type(baud) == "integer" and baud >= 2 and CLOCK_BAUD % baud == 0, "baud must divide 115200")

  if not answers(ports) then return nil, failure.new("absent", "no UART: its loop-back test fails") end
  set_up(ports, baud)

  local line = {}
  local out_block <const> = memory(FIFO_BYTES)
  local ring, ring_bytes = {}, 0
  local counters = {received = 0, sent = 0, send_timeouts = 0, overruns = 0, parity_errors = 0, framing_errors = 0, breaks = 0}

  local function note_errors(status)
    for name, mask in pairs(ERRORS) do
      if status & mask ~= 0 then counters[name] = counters[name] + 1 end
    end
  end

  -- UART → ring. A status of all ones is a port that has vanished, not a byte.
  local function drain()
    local bytes, count = {}, 0
    local status = ports:in8(REGISTER.line_status)
    while status & LINE.DATA_READY ~= 0 and status ~= 0xFF and count < DRAIN_LIMIT and ring_bytes + count < RING_BYTES do
      if status & (LINE.OVERRUN | LINE.PARITY | LINE.FRAMING | LINE.BREAK) ~= 0 then note_errors(status) end
      count = count + 1
      bytes[count] = string.char(ports:in8(REGISTER.data))
      status = ports:in8(REGISTER.line_status)
    end
    if count > 0 then
      ring[#ring + 1] = table.concat(bytes)
      ring_bytes = ring_bytes + count
      counters.received = counters.received + count
    end
  end

  -- Switching the FIFOs on empties them (8.5): what has arrived until now is taken first; when somebody is sending, all of
  -- it up to a rest, or the byte that comes in just then would be lost.
  local function drain_until_rest()
    local deadline, before = waiting.deadline(clock, REST_SECONDS), 0
    drain()
    while ring_bytes > 0 and ring_bytes < RING_BYTES and waiting.remaining(clock, deadline) > 0 do
      if ring_bytes ~= before then deadline, before = waiting.deadline(clock, REST_SECONDS), ring_bytes end
      drain()
    end
  end

  drain_until_rest()
  ports:out8(REGISTER.fifo_control, CONTROL.FIFO_ON)
  if irq then ports:out8(REGISTER.interrupt_enable, CONTROL.INTERRUPT_DATA) end

  --- Bytes that have arrived since the last call; "" if none. Never waits.
  function line.read()
    drain()
    if ring_bytes == 0 then return "" end
    local bytes = table.concat(ring)
    ring, ring_bytes = {}, 0
    return bytes
  end

  --- Waits until there is something to read: true | nil, failure (`timeout`).
  function line.wait(seconds)
    local deadline = waiting.deadline(clock, seconds)
    while true do
      drain()
      if ring_bytes > 0 then return true end
      local left = waiting.remaining(clock, deadline)
      if left == 0 then return nil, failure.new("timeout", "nothing received") end
      -- Slices: an interrupt that was lost costs a tenth of a second, not the whole wait.
      if irq then irq:wait(math.min(left, INTERRUPT_SLICE_SECONDS))
      elseif sleep then sleep(math.min(left, POLL_SLEEP_SECONDS)) end
    end
  end

  local function can_send()
    return ports:in8(REGISTER.line_status) & LINE.SEND_EMPTY ~= 0
  end

  --- Sends all of `bytes` → true | nil, failure (`timeout`; `sent` = how many went out).
  function line.write(bytes)
    local position = 1
    while position <= #bytes do
      if not can_send() and not waiting.poll(clock, sleep, SEND_SECONDS, can_send) then
        counters.send_timeouts = counters.send_timeouts + 1
        return nil, failure.new("timeout", "the serial line takes no bytes", {sent = position - 1})
      end
      local count = math.min(FIFO_BYTES, #bytes - position + 1)
      out_block:write(0, bytes:sub(position, position + count - 1))
      ports:out8s(REGISTER.data, out_block, 0, count)
      position = position + count
      counters.sent = counters.sent + count
    end
    return true
  end

  --- Waits until the last byte has left (before power-off): true | nil, failure.
  function line.finish()
    local idle = waiting.poll(clock, sleep, SEND_SECONDS, function()
      return ports:in8(REGISTER.line_status) & LINE.IDLE ~= 0
    end)
    if idle then return true end
    return nil, failure.new("timeout", "the serial line takes no bytes")
  end

  --- Copy of the counters: received, sent, send_timeouts, overruns, parity_errors, framing_errors,
  --- breaks.
  function line.statistics()
    local copy = {}
    for name, value in pairs(counters) do copy[name] = value end
    return copy
  end

  return line
end

return serial
