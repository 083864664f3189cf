-- Prints in hexadecimal what keys give, until a key gives Ctrl-D; echoes them on the screen.

local core <const>, check <const>, machine <const>, layout <const> = ...
local keyboard <const> = require "drivers.keyboard"
local vga <const> = require "drivers.vga"

local screen = vga.new{memory = core.physical(0xB8000, 4000), crtc = core.ports(0x3D4, 2)}
screen.write("\27[2J\27[H")
local keys = check("keyboard", keyboard.new{ports = core.ports(0x60, 5), irq = core.irq(1), clock = machine.clock,
  sleep = machine.sleep, layout = layout or "us"})
print("ready")
local last = ""
repeat
  if not keys.wait(30) then break end
  last = keys.read()
  print("key", (last:gsub(".", function(c) return ("%02x"):format(c:byte()) end)))
  screen.write(last)
until last:find("\4", 1, true)
