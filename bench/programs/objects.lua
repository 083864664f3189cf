-- In the guest, on an empty store: commits of one object, insertions and changes of many. Prints "begin NAME" and
-- "end NAME COUNT" around each. COUNT, UPDATES and COMMITS stand before this text; objects are of about 60 bytes.

local BATCH <const> = 1000

local function record(number)
  return {name = "object number " .. number, x = number * 0.5, count = number, kind = "site"}
end

local function measured(name, count, act)
  print("begin " .. name)
  act()
  print("end " .. name .. " " .. count)
end

root.one = record(1)
root.objects = {}
commit()
measured("commit_1", COMMITS, function()
  for number = 1, COMMITS do
    root.one.count = number
    commit()
  end
end)
measured("insert_1000", COUNT, function()
  local objects <const> = root.objects
  for number = 1, COUNT do
    objects[number] = record(number)
    if number % BATCH == 0 then commit() end
  end
end)
measured("update_1000", UPDATES, function()
  local objects <const> = root.objects
  local seed = 42
  for number = 1, UPDATES do
    seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
    objects[seed // 8 % COUNT + 1].x = number
    if number % BATCH == 0 then commit() end
  end
end)
