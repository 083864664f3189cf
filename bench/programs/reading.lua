-- In the guest, on what objects.lua left, just mounted: all objects read and decoded, then any of them. Prints as objects.lua
-- does. COUNT stands before this text.

local GETS <const> = 100000

print("begin load_all")
local found = 0
for _, object in ipairs(root.objects) do
  if object.name then found = found + 1 end
end
print("end load_all " .. found)
assert(found == COUNT)

print("begin warm_get")
local seed, sum = 42, 0
for _ = 1, GETS do
  seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
  sum = sum + root.objects[seed // 8 % COUNT + 1].count
end
print("end warm_get " .. GETS)
assert(sum > 0)
