-- The process of `khoros run -e` and `khoros run FILE.lua`: runs one Lua text and ends with its status.
--
-- chunk(grants, trust) by kernel.runtime: trust.arguments = {source=, name= chunk name}; grants.store or nil; grants.console.
-- print and io.write go out as they are. An error or a syntax error ends with status 1 and message, source row and
-- traceback in a frame for stderr. os.exit(n) ends at once with n. Results of the chunk are ignored.

local grants <const>, trust <const> = ...

local errors <const> = require "shell.errors"
local system <const> = trust.system

local source <const>, name <const> = trust.arguments.source, trust.arguments.name

local function fail(text)
  system.call(grants.console, "frame", "e", text .. "\n")
  return 1
end

local function open_objects()
  if not grants.store then return nil end
  return require("fs.objects").open{
    store = require("services.remote_store").new(system, grants.store), environment = _G, debug = trust.raw, codec = system.codec,
    crc32c = system.crc32c,
  }
end

local function source_of(chunk)
  if chunk == name:gsub("^[=@]", "") then return source end
end

trust.keep_text(name, source)
if grants.store then require("fs.chunk_texts").remember(name, source) end
local main_chunk <const>, syntax_error <const> = load(source, name, "t")
if not main_chunk then return fail(errors.traceback(errors.report(syntax_error), source_of)) end

require("shell.commands").install{
  environment = _G, objects = open_objects(), system = system, print = print, interactive = false,
}
local ok <const>, report <const> = system.evaluate(main_chunk)
if not ok then return fail(errors.traceback(report, source_of)) end
return 0
