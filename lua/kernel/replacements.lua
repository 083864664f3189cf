-- Code of services that a person has replaced while the machine runs: on trial first, then kept, or taken back.
--
--     local replacements = require("kernel.replacements").new{after = scheduler.after, log = function(text)}
--     replacements.declare(name, {module = its main module, asks = must a person say that it is good,
--                                 alive = function(on_answer(answered, why)), restart = function()})
--     replacements.propose(name, module, text or nil, sure) → true | nil, why     nil: the module as it was delivered; sure: it was
--                                                        accepted at an earlier start
--     replacements.accept(name) → true | nil, why        replacements.take_back(name, why) → true | nil, why
--     replacements.texts(name) → {module = text} for its next start
--     replacements.ended(name, why) → true when it was on trial: the code before is back, start it now and say so
--     replacements.status(name) → {module=, replaced = {module names}, trial = nil | "starting" | "answers", sure=, failure = text}
--
--          propose          answers one request            accepted, or TRIAL_SECONDS without an end
--     kept ───────→ starting ─────────────→ answers ─────────────────────────────────────────────────→ kept (the new code)
--                      └── ended, no answer ──┴── ended, not accepted where a person must ──→ kept (the code before)
-- Promises: text that does not compile changes nothing; whatever new code does, the code before it is started again, unless it lived
-- through its trial and, where a person is needed to see that it works, a person has said so. Nothing here outlives the machine.

local replacements <const> = {}

local ANSWER_SECONDS <const> = 15
local TRIAL_SECONDS <const> = 5
local DECISION_SECONDS <const> = 60
local TEXT_BYTES <const> = 1 << 20
local MODULE_BYTES <const> = 100

local function copy(texts)
  local same <const> = {}
  for module, text in pairs(texts) do same[module] = text end
  return same
end

-- true | nil, why not: names and texts come from a process.
local function check(module, text)
  if type(module) ~= "string" or #module > MODULE_BYTES or not module:find("^[%w_.]+$") then
    return nil, "a module is named like drivers.vga"
  end
  if text == nil then return true end
  if type(text) ~= "string" or #text > TEXT_BYTES then return nil, "the new code is Lua text of 1 MiB at most" end
  local compiled <const>, problem <const> = load(text, "=lua/" .. module:gsub("%.", "/") .. ".lua", "t")
  if not compiled then return nil, problem end
  return true
end

function replacements.new(parts)
  local self <const>, entries <const> = {}, {}

  function self.declare(name, spec)
    entries[name] = {name = name, spec = spec, kept = {}, trial = nil, stage = nil, number = 0, failure = nil}
  end

  local function settle(entry)
    entry.trial, entry.stage = nil, nil
    entry.number = entry.number + 1
  end

  local function keep(entry)
    entry.kept = entry.trial
    settle(entry)
    return true
  end

  -- Calls action() after that time, if the trial is still the same.
  local function later(entry, seconds, action)
    local number <const> = entry.number
    parts.after(seconds, function()
      if entry.trial and entry.number == number then action() end
    end)
  end

  local function fail(entry, why)
    settle(entry)
    entry.failure = why
    entry.spec.restart()
    parts.log(("service %s: the new code is taken back, the code before runs again: %s"):format(entry.name, why))
  end

  local function answered(entry)
    entry.stage = "answers"
    if entry.sure or not entry.spec.asks then return later(entry, TRIAL_SECONDS, function() keep(entry) end) end
    later(entry, DECISION_SECONDS, function()
      fail(entry, ("nobody has accepted it within %d s"):format(DECISION_SECONDS))
    end)
  end

  local function begin(entry, texts, sure)
    settle(entry)
    entry.trial, entry.stage, entry.failure, entry.sure = texts, "starting", nil, sure
    entry.spec.restart()
    if not entry.trial then return end
    local number <const> = entry.number
    later(entry, ANSWER_SECONDS, function()
      if entry.stage == "starting" then fail(entry, ("it has not answered within %d s"):format(ANSWER_SECONDS)) end
    end)
    entry.spec.alive(function(alive)
      -- An end while it was asked is told by ended().
      if alive and entry.trial and entry.number == number then answered(entry) end
    end)
  end

  local function find(name)
    local entry <const> = type(name) == "string" and entries[name]
    if not entry then return nil, "there is no such service" end
    return entry
  end

  function self.propose(name, module, text, sure)
    local entry <const>, unknown <const> = find(name)
    if not entry then return nil, unknown end
    module = module == nil and entry.spec.module or module
    local fine <const>, problem <const> = check(module, text)
    if not fine then return nil, problem end
    local texts <const> = copy(entry.trial or entry.kept)
    texts[module] = text
    begin(entry, texts, sure == true)
    return true
  end

  --- All of it as it was delivered, at once and without a trial.
  function self.restore(name)
    local entry <const>, unknown <const> = find(name)
    if not entry then return nil, unknown end
    if not next(entry.trial or entry.kept) then return true end
    settle(entry)
    entry.kept, entry.failure = {}, nil
    entry.spec.restart()
    return true
  end

  function self.accept(name)
    local entry <const>, unknown <const> = find(name)
    if not entry then return nil, unknown end
    if not entry.trial then return nil, entry.failure or "nothing is on trial" end
    return keep(entry)
  end

  function self.take_back(name, why)
    local entry <const>, unknown <const> = find(name)
    if not entry then return nil, unknown end
    if not entry.trial then return nil, "nothing is on trial" end
    fail(entry, why)
    return true
  end

  function self.texts(name)
    local entry <const> = entries[name]
    return copy(entry.trial or entry.kept)
  end

  function self.ended(name, why)
    local entry <const> = entries[name]
    if not entry.trial then return false end
    settle(entry)
    entry.failure = "it ended: " .. why
    return true
  end

  function self.status(name)
    local entry <const> = entries[name]
    local modules <const> = {}
    for module in pairs(entry.trial or entry.kept) do modules[#modules + 1] = module end
    table.sort(modules)
    return {module = entry.spec.module, replaced = modules, trial = entry.stage, sure = entry.sure, failure = entry.failure}
  end

  --- The text that a service runs in place of a module as delivered, or nil.
  function self.text(name, module)
    local entry <const> = entries[name]
    return entry and (entry.trial or entry.kept)[module] or nil
  end

  function self.names()
    local names <const> = {}
    for name in pairs(entries) do names[#names + 1] = name end
    table.sort(names)
    return names
  end

  return self
end

return replacements
