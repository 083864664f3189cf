-- Each of these ends the machine with a readable panic; the argument says which.
local core, _, which = ...

local endings = {
    null = function() core.probe.read(8) end,
    wild = function() core.probe.read(0x123456789000) end,
    noncanonical = function() core.probe.read(math.mininteger + 5) end,
    text = function() core.probe.write((core.probe.addresses())) end,
    constant = function() core.probe.write((select(2, core.probe.addresses()))) end,
    data = function() core.probe.jump((select(3, core.probe.addresses()))) end,
    undefined = function() core.probe.undefined() end,
    divide = function() core.probe.divide(0) end,
    overflow = function() core.probe.overflow() end,
    free_twice = function() core.probe.free_twice() end,
    error = function() error("on purpose") end,
    exit = function() os.exit(3) end,
}

local function culprit() endings[which]() end
culprit()
print("still alive")
