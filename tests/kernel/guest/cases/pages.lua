-- The page allocator and guarded stacks under random use.
local core, check = ...

for seed = 1, 4 do
    local fault, lost = core.probe.pages(4000, seed, 3 ^ seed // 1 | 0)
    check("random runs", fault == nil and lost == 0, seed, fault, lost)
end
local fault, lost = core.probe.stacks(64)
check("stacks", fault == nil and lost <= 64, fault, lost)    -- split page tables stay
fault, lost = core.probe.stacks(64)
check("stacks again", fault == nil and lost == 0, fault, lost)
