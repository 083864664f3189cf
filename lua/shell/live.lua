-- The live kernel: looking at the code of services, and putting other code in its place while they run.
--
--     local live = require("shell.live").commands{system =, console =, root = function() → root or nil, ask = function(question) → answer or nil,
--                                                 print =, text_of = function(value) → text}
--        → {services, source, replace, restore, accept}
--     require("shell.live").apply(system, root) → list of what went wrong        at the start: what is kept in root.services
-- Code that was accepted goes to root.services = {NAME = {MODULE = text}}; commit() keeps it over reboots, a safe start passes it over.
-- Promises: new code that does not compile changes nothing; code that ends or answers nothing is taken back by the supervisor
-- (kernel.replacements); a new console is kept only when a person answers through it, a new shell only when one types accept "shell".

local live <const> = {}

local LOOK_SECONDS <const>, LOOKS <const> = 0.1, 200

local function checked(result, err)
  if result == nil then error(err or "it did not work", 0) end
  return result
end

local function row_of(system, name)
  for _, row in ipairs(checked(system.services())) do
    if row.name == name then return row end
  end
  error(("there is no service %q: services() lists them"):format(tostring(name)), 0)
end

-- The code that a service runs now, where a commit keeps it.
local function remember(parts, name)
  local root <const> = parts.root()
  if not root then return end
  local modules <const> = {}
  for _, module in ipairs(row_of(parts.system, name).replaced) do modules[module] = checked(parts.system.source(module, name)) end
  if next(modules) == nil then
    if root.services then root.services[name] = nil end
  else
    root.services = root.services or {}
    root.services[name] = modules
  end
end

-- Until new code answers; raises why it is gone. An earlier replacement that was on trial too went with it.
local function await_answer(parts, name)
  local system <const> = parts.system
  for _ = 1, LOOKS do
    local row <const> = row_of(system, name)
    if row.failure then
      remember(parts, name)
      error(("%s: the code before runs again: %s"):format(name, row.failure), 0)
    end
    if row.trial ~= "starting" then return end
    system.sleep(LOOK_SECONDS)
  end
  error(name .. ": no word of the new code yet; services() tells", 0)
end

local KEPT <const> = "%s runs the new code: commit() keeps it for good, restore %q takes it back"

local function accept(parts, name)
  checked(parts.system.replace("accept", name))
  remember(parts, name)
  parts.print(KEPT:format(name, name))
end

function live.commands(parts)
  local system <const> = parts.system
  local found <const> = {}

  function found.services()
    return require("shell.views").services(checked(system.services()))
  end

  function found.source(name, module)
    for _, row in ipairs(checked(system.services())) do
      if row.name == name then return checked(system.source(module or row.module, name)) end
    end
    return checked(system.source(name))
  end

  function found.replace(name, code, module)
    local text <const> = parts.text_of(code)
    row_of(system, name)
    if name == "shell" then
      parts.print('the shell starts anew with it; accept "shell" keeps it, else the code before is back in a minute')
      system.sleep(LOOK_SECONDS)
    end
    checked(system.replace("propose", name, module, text))
    await_answer(parts, name)
    local row <const> = row_of(system, name)
    if name ~= "console" or not row.trial then
      remember(parts, name)
      return parts.print(KEPT:format(name, name))
    end
    -- The question goes out and the answer comes in through the new code.
    if parts.ask("do you see this? y keeps the new console: ") == "y" then return accept(parts, name) end
    system.replace("take_back", name)
    parts.print("the console before runs again")
  end

  function found.restore(name)
    checked(system.replace("restore", name))
    remember(parts, name)
  end

  function found.accept(name)
    row_of(system, name)
    accept(parts, name)
  end

  return found
end

local function apply_service(system, name, modules, problems)
  for module, text in pairs(modules) do
    local done <const>, why <const> = system.replace("propose", name, module, text, true)
    if not done then problems[#problems + 1] = ("root.services.%s: %s"):format(tostring(name), tostring(why)) end
  end
end

-- The shell's own code last: it ends this process.
function live.apply(system, root)
  local problems <const>, kept <const> = {}, root.services
  if type(kept) ~= "table" then return problems end
  for name, modules in pairs(kept) do
    if name ~= "shell" and type(modules) == "table" then apply_service(system, name, modules, problems) end
  end
  if type(kept.shell) == "table" then apply_service(system, "shell", kept.shell, problems) end
  return problems
end

return live
