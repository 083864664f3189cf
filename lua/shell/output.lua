-- print, io.write and io.read of the environment, bound to the session's console.
--
--     output.install(environment, emit, read_line)
-- emit(text) shows text; read_line() → a line without its end, nil when there is none, "interrupted" raised on Ctrl-C.
-- Promises: the rest of an `io` that the environment has already stays; results are those of Lua's own functions.
-- A file of its own so that traces can tell these frames from those of the session.

local output <const> = {}

local STREAM <const> = { __name = "file", __tostring = function() return "file (console)" end }

local function written(...)
  local parts = table.pack(...)
  for index = 1, parts.n do
    local kind = type(parts[index])
    if kind ~= "string" and kind ~= "number" then
      error(("bad argument #%d to 'write' (string expected, got %s)"):format(index, kind), 3)
    end
  end
  return table.concat(parts, "", 1, parts.n)
end

local function printed(...)
  local parts = table.pack(...)
  for index = 1, parts.n do parts[index] = tostring(parts[index]) end
  return table.concat(parts, "\t", 1, parts.n) .. "\n"
end

function output.install(environment, emit, read_line)
  local io = {}
  for key, value in pairs(type(environment.io) == "table" and environment.io or {}) do io[key] = value end
  io.stdout = setmetatable({
    write = function(stream, ...)
      emit(written(...))
      return stream
    end,
    flush = function(stream) return stream end,
  }, STREAM)
  function io.write(...)
    emit(written(...))
    return io.stdout
  end
  function io.read(format)
    return require("shell.terminal").converted(read_line(), format)
  end
  environment.io = io
  function environment.print(...) emit(printed(...)) end
end

return output
