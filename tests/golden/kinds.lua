-- What kinds-1.0.img holds: every kind of object, history, and a snapshot. See README.md beside this file.
root.up, root.down = load("local n = 0 return function() n = n + 1 return n end, function() n = n - 1 return n end", "=counter")()

root.Ship = load([[
  local made = 0
  local Ship = {}
  Ship.__index = Ship
  function Ship.new(name) made = made + 1 return setmetatable({name = name, fuel = 7}, Ship) end
  function Ship:burn(n) self.fuel = self.fuel - n return self end
  function Ship.count() return made end
  return Ship]], "=Ship")()
root.argo = root.Ship.new("Argo")

local Versioned = {__version = 2}
register("Versioned", Versioned)
root.versioned = setmetatable({1}, Versioned)

root.map = map()
for i = 1, 2000 do root.map:set(i, "value " .. i) end
root.map:set(false, "no")
root.map:set(2.5, root.argo)
root.map:set("key", {"in a map"})

root.list, root.names = {}, {}
for i = 1, 20000 do root.list[i] = i % 7 == 0 and "seven" or i end
for i = 1, 6000 do root.names["name " .. i] = i end
root.long = ("0123456789abcdef"):rep(8000)
commit "all kinds"

snapshot "first"
root.up()
root.up()
root.argo:burn(2)
root.map:remove(77)
root.list[10000] = "changed"
root.names["name 3000"] = nil
commit "changes"
root.map:set("late", 1)
commit "late"
undo "t3"
