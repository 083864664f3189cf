-- Ports, interrupts, physical memory, time: what `core` hands out, and its bounds.
local core, check = ...

local function refuses(name, f, ...)
    local ok, err = pcall(f, ...)
    check("refuses " .. name, not ok, err)
end

-- COM1, 16550: scratch register, and loop-back for an interrupt of our own making.
local uart = core.ports(0x3f8, 8)
uart:out8(7, 0xa5)
check("port round trip", uart:in8(7) == 0xa5)
check("slice", uart:slice(7, 1):in8(0) == 0xa5 and uart:slice(7, 1):size() == 1)
refuses("an offset past the end", uart.in8, uart, 8)
refuses("a wide access across the end", uart.in16, uart, 7)
refuses("a wide access across the end", uart.in32, uart, 5)
refuses("a negative offset", uart.in8, uart, -1)
refuses("a huge offset", uart.in32, uart, math.maxinteger)
refuses("the smallest offset", uart.in32, uart, math.mininteger)
refuses("a slice past the end", uart.slice, uart, 7, 2)
refuses("an empty slice", uart.slice, uart, 0, 0)
refuses("a huge slice", uart.slice, uart, 1, math.maxinteger)
refuses("ports past the last", core.ports, 65535, 2)
refuses("a negative port", core.ports, -1, 1)
refuses("another value for a range", uart.in8, io.stdout, 0)
check("metatable is protected", type(getmetatable(uart)) == "string")

local block = core.memory(8)
block:write(0, "\1\2\3\4\5\6\7\8")
refuses("a burst past the block", uart.out8s, uart, 7, block, 4, 5)
refuses("a burst before the block", uart.out8s, uart, 7, block, -1, 1)
refuses("a burst of huge length", uart.out32s, uart, 0, block, 0, math.maxinteger // 2)
refuses("a negative burst", uart.in8s, uart, 7, block, 0, -1)
uart:out8s(7, block, 0, 8)
check("burst out", uart:in8(7) == 8)
uart:in8s(7, block, 2, 3)
check("burst in", block:read(0, 8) == "\1\2\8\8\8\6\7\8")

local irq4 = core.irq(4)
check("nothing fired", irq4:count() == 0)
local started = core.clock()
local fired, why = irq4:wait(0.02)
check("wait times out", fired == nil and why == "timeout" and core.clock() - started >= 20000000)
-- The UART interrupts whenever its transmitter is empty, so nothing may be printed meanwhile.
uart:out8(1, 2)
local sees, counted, again = irq4:wait(1), irq4:count(), irq4:wait(0)
uart:out8(1, 0)
core.halt(0)
uart:out8(1, 2)
started = core.clock()
core.halt(started + 1000000000)
local halted = core.clock() - started
uart:out8(1, 0)
check("wait sees it, once", sees == true and again == nil)
check("it is counted", counted == 1, counted)
check("halt ends at an interrupt", halted < 900000000, halted)
irq4:wait(0)
core.halt(0)
for line = -1, 17 do
    if line <= 0 or line == 2 or line > 15 then refuses("line " .. line, core.irq, line) end
end

started = core.clock()
core.halt(started + 5000000)
check("halt ends at its deadline", core.clock() - started >= 5000000)
core.halt(0)
core.halt(math.mininteger)
local previous, backward = core.clock(), 0
for _ = 1, 20000 do
    local now = core.clock()
    if now < previous then backward = backward + 1 end
    previous = now
end
check("the clock never goes back", backward == 0)

check("VGA text", core.physical(0xb8000, 4000):size() == 4000)
local apic = core.physical(0xfee00000, 4096)
check("device memory", apic:size() == 4096)
refuses("page 0", core.physical, 0, 4096)
refuses("memory in use", core.physical, 0x200000, 16)
refuses("a range that reaches into it", core.physical, 0xff000, 0x2000)
refuses("the kernel", core.physical, 0x100000, 16)
refuses("a negative size", core.physical, 0xb8000, -1)
refuses("a huge size", core.physical, 0xb8000, math.maxinteger)
refuses("a huge address", core.physical, math.maxinteger, 1)

check("random", #core.random(17) == 17 and core.random(16) ~= core.random(16) and core.random(0) == "")
refuses("negative random", core.random, -1)
check("crc32c", core.crc32c("123456789") == 0xe3069283
    and core.crc32c("6789", core.crc32c("12345")) == 0xe3069283 and core.crc32c("") == 0)
check("crc32c of a block", core.crc32c(block) == core.crc32c(block:read(0, 8)))
for n = 0, 40 do
    local s = string.rep("\xff", n)
    print("crc", n, core.crc32c(s))
end

check("source", core.source("cases.capabilities"):find("COM1") and select(2, core.source("init")) == "=lua/init.lua")
check("no such module", core.source("nowhere") == nil and core.source("cases/float") == nil)
check("modules", #core.modules() >= 6)
check("ACPI", core.rsdp and core.rsdp:sub(1, 8) == "RSD PTR ")
