-- Everything that a store can hold, in small: the contents of the richest base image of the fuzzer.

local handle <const> = ...
local objects <const> = require "fs.objects"
local session <const> = objects.open {store = handle, environment = _G}
local root <const> = session.root

root.ship = {name = "Argo", fuel = 7, crew = {"Jason", "Orpheus"}, [1.5] = -0.0, [true] = "\xff\0"}
root.crew, root.ship.me = root.ship.crew, root.ship
root.numbers, root.floats = {}, {}
for i = 1, 40 do root.numbers[i], root.floats[i] = i * i, i / 3 end
root.long = ("long "):rep(14000)
assert(session.commit("first"))

root.large = {}
for i = 1, 40 do root.large["key " .. i] = (("%d "):format(i)):rep(800) end
root.class = setmetatable({}, {__index = root.ship})
root.map = session.map()
for i = 1, 60 do root.map:set(i, ("value %d"):format(i)) end
assert(session.commit("second"))
assert(handle.snapshot("kept"))
assert(handle.checkpoint())

root.ship.fuel, root.crew[3], root.numbers = 5, "Medea", nil
root.map:set(7, root.ship)
assert(session.commit("third"))
