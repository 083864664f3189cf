-- The store in a process that was started with it: spawn(program, {store = true}).
--
-- chunk(system, endpoint of the store, raw access to functions and metatables): root, commit and the other commands become
-- globals of the process. Its session is its own: what it does not commit ends with it.

local system <const>, endpoint <const>, raw <const> = ...

local objects <const> = require("fs.objects").open{
  store = require("services.remote_store").new(system, endpoint), environment = _G, debug = raw, codec = system.codec,
  crc32c = system.crc32c,
}

require("shell.commands").install{
  environment = _G, objects = objects, system = system, print = print, interactive = false,
}
