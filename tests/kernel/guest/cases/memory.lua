-- How much memory there is, that it is mapped to its end, and that a large piece of it can be had.
-- Reads only: what the guest never writes, the host does not have to back.
local core, check = ...

local MIB <const> = 1 << 20
-- The machine's gap for devices: QEMU's pc puts RAM below 3.5 GiB if it fits, else below 3 and above 4.
local HOLE_START <const> = core.memory_bytes < 0xdff00000 and 0xe0000000 or 0xc0000000
local HOLE_END <const> = 1 << 32

local free, total = core.probe.memory()
print("memory", core.memory_bytes, free, total)
check("nearly all is ours", total * 4096 > core.memory_bytes - 3 * MIB)
check("most of that is free", free > total - 2000)
local address, seen = 4 * MIB, 0
while seen * 16 * MIB < core.memory_bytes - 32 * MIB do
    if address < HOLE_START or address >= HOLE_END then
        core.probe.read(address)
        seen = seen + 1
    end
    address = address + 16 * MIB
end
check("mapped", seen * 16 * MIB + 32 * MIB >= core.memory_bytes, seen)
check("a large piece", core.probe.piece(free // 2 < 4096 and free // 2 or 4096))
check("not more than there is", not core.probe.piece(free + 1))
