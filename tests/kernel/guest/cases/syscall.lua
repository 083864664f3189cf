-- A system call changes rax, rcx and r11 and nothing else, although its C uses every register.
local core, check = ...

for _ = 1, 1000 do
    local changed = core.probe.syscall()
    if changed ~= 0 then check("a system call", false, changed) end
end
check("system calls", core.probe.syscall() == 0, core.probe.syscall())
