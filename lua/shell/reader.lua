-- From typed text to a Lua function: expressions, statements, and what is not finished yet.
--
--     reader.compile(text, name, environment) → chunk | nil, "incomplete" | nil, "empty" | nil, "error", message
--     chunk = {run = function, text = what was compiled, prefix = what was put before the typed text, source = typed,
--              name = chunk name}
-- An expression (list) is compiled with `return ` before it. When Lua cannot read the text only because what follows the
-- last `;` or row end is an expression (`x = 1; x`), that one is returned.
--
-- Promises: nothing is run. Unfinished means that more text could make it right: the compiler complains at the end of
-- the text, with a line end added, so that an open short string is an error at once and an open long one is not.
-- Relies on: `load` (text chunks).

local reader <const> = {}

local RETURN <const> = "return "
-- A variable to be closed makes the compiler call where it would make a tail call, so that the chunk stays in traces and
-- `error(…, 2)` blames it. Functions inside an expression compile the same with and without it.
local NO_TAIL_CALL <const> = "local shell_chunk <close> = nil "
-- How many places from the end may start a last expression; each costs a compilation.
local SPLITS <const> = 8
local LONGEST_SPLIT <const> = 131072

local function try(text, name, environment)
  return load(text, "=" .. name, "t", environment)
end

local function at_end(message)
  return message:find("near <eof>$") ~= nil
end

-- Only for text that is no chunk as it stands: a `return` put into one of its strings cannot make it a chunk.
local function with_last_expression(text, name, environment)
  if #text > LONGEST_SPLIT then return nil end
  local places, at = {}, 1
  while true do
    at = text:match("()[;\n]", at)
    if not at then break end
    places[#places + 1] = at
    at = at + 1
  end
  for index = #places, math.max(1, #places - SPLITS + 1), -1 do
    local place = places[index]
    if not text:find("^%s*$", place + 1) then
      local whole = text:sub(1, place) .. RETURN .. text:sub(place + 1)
      local run = try(whole .. "\n", name, environment)
      if run then return run, whole end
    end
  end
end

-- The statement form failed on its very first token: then it was meant as an expression.
local function fails_at_once(message, text)
  local token = message:match("unexpected symbol near '(.*)'$")
  return token ~= nil and text:match("^%s*(.*)"):sub(1, #token) == token
end

local function chunk(run, compiled, prefix, text, name)
  return { run = run, text = compiled, prefix = prefix, source = text, name = name }
end

function reader.compile(text, name, environment)
  if not text:find("%S") then return nil, "empty" end
  local run, expression_message = try(NO_TAIL_CALL .. RETURN .. text .. "\n", name, environment)
  if run then return chunk(run, RETURN .. text, RETURN, text, name) end
  local statement_message
  run, statement_message = try(text .. "\n", name, environment)
  if run then return chunk(run, text, "", text, name) end

  local last, compiled = with_last_expression(text, name, environment)
  if last then return chunk(last, compiled, "", text, name) end
  if at_end(statement_message) or at_end(expression_message) then return nil, "incomplete" end
  return nil, "error", fails_at_once(statement_message, text) and expression_message or statement_message
end

-- True for a chunk of one row that declares a local: the name ends with the row.
function reader.declares_local(text)
  return not text:find("\n", 1, true) and text:find("^%s*local%s+[%a_]") ~= nil
end

return reader
