-- Looking into values without their metamethods, with the functions of the environment that is looked into.
--
--     access.use(environment)        once, before anything of the user's has run
--     access.next  access.rawget  access.rawlen  access.getmetatable
-- An environment over a store brings its own versions, which load an object before they look at it (a table that is
-- not loaded yet has no contents for Lua's own). They may raise: the object may be damaged.
-- Relies on: one environment a process.

local access <const> = { next = next, rawget = rawget, rawlen = rawlen, getmetatable = getmetatable }

local NAMES <const> = { "next", "rawget", "rawlen", "getmetatable" }

function access.use(environment)
  for _, name in ipairs(NAMES) do
    if type(environment[name]) == "function" then access[name] = environment[name] end
  end
end

return access
