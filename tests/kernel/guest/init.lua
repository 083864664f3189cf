-- The supervisor of the test image: runs the case that the kernel's command line names ("NAME" or
-- "NAME ARGUMENT"), and ends QEMU.
--
-- A case is a chunk called with (core, check, argument); check(name, condition, ...) reports one line,
-- "ok NAME" or "FAIL NAME values". QEMU's exit status is 1 when the case has run to its end (the
-- isa-debug-exit device makes 1 of our 0) and 255 after a panic.

local core = ...

local DEBUG_EXIT_PORT <const> = 0x501

local function check(name, condition, ...)
    print((condition and "ok " or "FAIL ") .. name, ...)
end

local words = {}
for word in core.command_line:gmatch("%g+") do words[#words + 1] = word end
local name = words[1] or "hello"
local case = assert(load(core.source("cases." .. name)))
print("case", table.concat(words, " "), core.loader)
case(core, check, words[2])
print("end")
core.ports(DEBUG_EXIT_PORT, 1):out8(0, 0)
