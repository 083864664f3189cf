-- A table of more than 100 MB, written, read, dropped and collected.
local core, check = ...

local N <const> = 10 * 1024 * 1024
local big = {}
for i = 1, N do big[i] = i end
check("it is big", collectgarbage("count") > 100 * 1024, collectgarbage("count"))
local sum = 0
for i = 1, N do sum = sum + big[i] end
check("its contents", sum == N * (N + 1) // 2, sum)
big = nil
collectgarbage()
check("memory comes back", collectgarbage("count") < 4 * 1024, collectgarbage("count"))
