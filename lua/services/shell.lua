-- The shell process: a person's session at the console, over the store where there is one.
--
-- chunk(grants, trust): grants.console = endpoint of the console service (write, read, size); grants.store = endpoint of the
-- disk service's store, or nil: then the session lives in memory; grants.banner = facts for shell.banner (version, disk,
-- warnings), completed here by what the store tells; grants.safe: nothing runs by itself; grants.life: how often
-- it was started; grants.is_start: the machine has just started.
-- trust.raw = metatables behind __metatable, for the store's client. system.evaluate runs what is typed so that Ctrl-C can
-- abandon it. Ends when the console does.
--
-- Promises: what is typed runs in a table of globals of its own, with library tables of its own, so that `table = 5` or
-- `math.floor = nil` spoils nothing of the shell's. Only `string` is shared: it is what methods of strings are found in.

local grants <const>, trust <const> = ...

local session <const> = require "shell.session"

-- What a session may not reach: it would be the shell's own.
local KEPT_BACK <const> = { _G = true, package = true, system = true }

-- The console service may end and come back: what was asked of it is asked again, until it is gone for good.
local CONSOLE_TRIES <const>, CONSOLE_PAUSE_SECONDS <const> = 200, 0.2

local function ask_console(operation, ...)
  local results
  for _ = 1, CONSOLE_TRIES do
    results = table.pack(system.call(grants.console, operation, ...))
    if results[1] ~= nil or results[2] ~= "dead" then break end
    system.sleep(CONSOLE_PAUSE_SECONDS)
  end
  return table.unpack(results, 1, results.n)
end

local console <const> = {
  write = function(bytes) return ask_console("write", bytes) end,
  read = function(seconds) return ask_console("read", seconds) end,
  size = function() return ask_console("size") end,
  front = function(job) return ask_console("front", job) end,
  kept = function(job, forget) return ask_console("kept", job, forget) end,
  id = grants.console:process(),
}

local function new_environment()
  local environment = {}
  for name, value in pairs(_G) do
    if KEPT_BACK[name] then value = nil end
    if type(value) == "table" and value ~= string then
      local library = {}
      for key, item in pairs(value) do library[key] = item end
      value = library
    end
    environment[name] = value
  end
  environment._G = environment
  -- Ending this process would only start another one.
  function environment.os.exit() error("poweroff() turns the machine off, reboot() starts it again", 2) end
  return environment
end

local function open_session(environment)
  return require("fs.objects").open {
    store = require("services.remote_store").new(system, grants.store), environment = environment, debug = trust.raw,
    codec = system.codec, crc32c = system.crc32c,
  }
end

-- → objects | nil, why there are none
local function open_objects(environment)
  if not grants.store then return nil end
  local ok, objects = pcall(open_session, environment)
  if ok then return objects end
  return nil, require("shell.errors").message(objects)
end

local function banner_facts(objects, problem)
  local facts = {}
  for name, value in pairs(grants.banner or {}) do facts[name] = value end
  facts.warnings = table.move(facts.warnings or {}, 1, #(facts.warnings or {}), 1, {})
  if problem then table.insert(facts.warnings, "the store cannot be used: " .. problem) end
  local ok, info = pcall(function() return objects and objects.info() end)
  if ok and info then
    facts.objects = facts.objects or info.objects
    facts.state = facts.state or info.verdict
  end
  return facts
end

-- What is typed may travel to other processes and may be saved.
local function keep_source(name, text)
  trust.keep_text("=" .. name, text)
  if grants.store then require("fs.chunk_texts").remember("=" .. name, text) end
end

-- What was entered is kept in root.shell.history, by a session of its own: so it is saved without what the person has not committed.
local function history_storage()
  if not grants.store then return nil end
  local mine
  local function root()
    mine = mine or open_session(nil)
    mine.refresh()
    return mine.root
  end
  local function save(entries)
    local all <const> = root()
    if all.shell == nil then all.shell = {} end
    if type(all.shell) ~= "table" then error("root.shell is something else", 0) end
    all.shell.history = entries
    mine.commit("shell history")
    return true
  end
  local storage <const> = {
    load = function()
      local kept <const> = root().shell
      return type(kept) == "table" and type(kept.history) == "table" and kept.history or {}
    end,
  }
  if grants.safe then return storage end
  function storage.save(entries)
    local done <const>, problem <const> = pcall(save, entries)
    if done then return true end
    if mine then pcall(mine.abort) end
    return nil, require("shell.errors").message(problem)
  end
  return storage
end

local environment <const> = new_environment()
trust.adopt(environment)
local objects <const>, problem <const> = open_objects(environment)

-- What is compiled at the prompt sees what stands at the prompt. (Over a store, fs.wrappers has seen to it.)
if environment.load == load then
  function environment.load(text, name, mode, ...)
    if select("#", ...) > 0 then return load(text, name, mode, ...) end
    return load(text, name, mode, environment)
  end
end

-- What was put in place of services' code at an earlier start; without a word, unless something is wrong with it.
local facts <const> = banner_facts(objects, problem)
local is_first_life <const> = grants.life == 1 and not grants.safe
if objects and is_first_life then
  local applied, problems = pcall(function() return require("shell.live").apply(system, objects.root) end)
  for _, text in ipairs(applied and problems or {"root.services: " .. tostring(problems)}) do table.insert(facts.warnings, text) end
end

session.run {
  console = console, environment = environment, objects = objects, system = system,
  banner = facts, evaluate = system.evaluate, asks_width = true,
  keep_source = keep_source, history = history_storage(), autorun = grants.is_start and not grants.safe,
}
