-- clock: large digits, from a process that sends the time
--
-- run "clock" shows it, run("clock", 3) ends after three ticks, start "clock" runs it behind the prompt.
-- The ticker does nothing but wait and send; this process, its receiver, draws. The time is UTC.

local system <const> = require "system"

local TICKS <const> = ... or math.huge

-- Five rows of a digit, three cells each.
local DIGITS <const> = {
  ["0"] = "████ ██ ██ ████", ["1"] = "  █  █  █  █  █", ["2"] = "███  █████  ███", ["3"] = "███  ████  ████",
  ["4"] = "█ ██ ████  █  █", ["5"] = "████  ███  ████", ["6"] = "████  ████ ████", ["7"] = "███  █  █  █  █",
  ["8"] = "████ █████ ████", ["9"] = "████ ████  ████", [":"] = "    █     █    ",
}

local function large(text)
  local rows <const> = {"", "", "", "", ""}
  for digit in text:gmatch(".") do
    local cells <const> = {}
    for _, code in utf8.codes(DIGITS[digit]) do cells[#cells + 1] = utf8.char(code):rep(2) end
    for row = 1, 5 do rows[row] = rows[row] .. "  " .. table.concat(cells, "", 3 * row - 2, 3 * row) end
  end
  return rows
end

local function draw(seconds)
  local text <const> = ("%02d:%02d:%02d"):format(seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
  for row, cells in ipairs(large(text)) do
    terminal.move(row + 4, 8)
    terminal.write(cells)
  end
  terminal.move(12, 8)
  terminal.write("  UTC. q ends the clock, Ctrl-Z leaves it running behind the prompt.")
end

-- Runs in a process of its own: sends the time to whoever started it, on the second.
local function ticker(receiver)
  local clock <const> = require "system"
  while true do
    local now <const> = clock.time()
    if not clock.send(receiver, "tick", now // 1000000) then return end
    clock.sleep(1 - now % 1000000 / 1e6)
  end
end

local child <const> = spawn(ticker, {name = "ticker", args = {system.self().id}})
terminal.scroll_away()
terminal.cursor(false)
local ticks, quits = 0, false
while ticks < TICKS and not quits do
  local sender <const>, what <const>, seconds <const> = system.receive(0.1, child)
  if sender and what == "tick" then
    ticks = ticks + 1
    draw(seconds)
  end
  quits = terminal.key(0) == "q"
end
kill(child)
terminal.clear()
terminal.cursor(true)
