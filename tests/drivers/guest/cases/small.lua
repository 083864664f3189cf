-- fw_cfg, RTC, COM2 and VGA.

local core <const>, check <const>, machine <const> = ...
local fwcfg <const> = require "drivers.fwcfg"
local rtc <const> = require "drivers.rtc"
local serial <const> = require "drivers.serial"
local vga <const> = require "drivers.vga"

local fw = check("fw_cfg", fwcfg.new{ports = core.ports(0x510, 2), memory = machine.memory})
local large = fw.read("opt/khoros/large")
print("large", #large, ("%08x"):format(core.crc32c(large)))
check("small file", fw.read("opt/khoros/small") == "as it is", fw.read("opt/khoros/small"))
local missing, err = fw.read("opt/khoros/missing")
check("missing file", missing == nil and err.code == "absent")

local chip = rtc.new{ports = core.ports(0x70, 2), clock = machine.clock, sleep = machine.sleep}
print("time", chip.read())

local started = core.clock()
local absent
absent, err = serial.new{ports = core.ports(0x3E8, 8), clock = machine.clock, memory = machine.memory}
check("no COM3", absent == nil and err.code == "absent")
print("absent_microseconds", (core.clock() - started) // 1000)

local com2 = check("COM2", serial.new{ports = core.ports(0x2F8, 8), irq = core.irq(3), clock = machine.clock, sleep = machine.sleep,
  memory = machine.memory})
started = core.clock()
check("send", com2.write(("0123456789abcdef"):rep(640)))
print("serial_bytes_per_second", 10240 * 1000000000 // (core.clock() - started))
com2.write("ready\n")
local received = {}
local bytes = 0
while bytes < 3000 and com2.wait(20) do
  local some = com2.read()
  received[#received + 1] = some
  bytes = bytes + #some
end
print("received", bytes, ("%08x"):format(core.crc32c(table.concat(received))))
check("quiet line", com2.wait(0.01) == nil)
check("no overruns", com2.statistics().overruns == 0)

local screen = vga.new{memory = core.physical(0xB8000, 4000), crtc = core.ports(0x3D4, 2)}
started = core.clock()
for line = 1, 200 do screen.write(("line %d of a page that scrolls\r\n"):format(line)) end
print("vga_lines_per_second", 200 * 1000000000 // (core.clock() - started))
screen.write("\27[2J\27[H\27[1;37;44m Khoros \27[0m\r\n\27[31mred \27[32mgreen \27[93mbright\27[0m Grüße π ≈ ½ ║\r\n\27[10;20Hhere")
local block = core.physical(0xB8000, 4000)
check("cells", block:read(0, 16) == " \x1FK\x1Fh\x1Fo\x1Fr\x1Fo\x1Fs\x1F \x1F")
