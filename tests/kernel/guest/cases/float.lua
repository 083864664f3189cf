-- x87 and SSE registers survive interrupts whose handler uses all of them.
local core, check = ...

local function orbit(steps)
    local x, y, vx, vy = 1.0, 0.0, 0.0, 1.0
    for i = 1, steps do
        local r3 = (x * x + y * y) ^ 1.5
        vx, vy = vx - x / r3 * 0.001, vy - y / r3 * 0.001
        x, y = x + vx * 0.001 + math.fmod(i, 3) * 1e-9, y + vy * 0.001
    end
    return string.format("%a %a %a %a %.15g", x, y, vx, vy, math.sin(x) + math.log(y * y + 1))
end

core.probe.spoil(false)
local right = orbit(20000)
local before = core.probe.spoil(true)
local wrong, runs = 0, 0
while core.probe.spoil(true) - before < 1000 do
    runs = runs + 1
    if orbit(20000) ~= right then wrong = wrong + 1 end
end
check("no result is wrong", wrong == 0 and runs > 5, wrong, runs)
