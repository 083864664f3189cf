-- Jobs: programs that a person has started, in front with keys and screen or behind, where what they print is kept.
--
--     local jobs = require("shell.jobs").new{system =, console = {front =, kept =, id =} or nil, find = function(what) → name, program,
--                                            has_store = boolean, keep = function(chunk name, text), emit =,
--                                            came_back = function(at margin, did it leave a page half way)}
--     jobs.run(what, …) → its results        jobs.start(what, …) → job
--     jobs.front(job) → its results          jobs.output(job) → text         jobs.list() → rows {id, name, state, note}
--     jobs.news() → rows about jobs behind that have ended since it was asked last
-- A job is {id =, name =}, so kill(job) and wait(job) take it; where one is asked for, its id will do.
-- Promises: whatever a job does, it ends by Ctrl-C twice at most; Ctrl-Z gives the prompt back and leaves it running; its errors are
-- shown when they happen, with the row of the program.
-- Relies on: the console (lua/services/console.lua) for who has keys and screen, and for Ctrl-Z; kernel.runtime for what a job is.

local jobs <const> = {}

local LOOK_SECONDS <const> = 1            -- after which the front is asked for again: the console may have been started anew
local FAILED <const>, INTERRUPTED <const> = 1, 130

local JOB <const> = {__name = "job"}
function JOB.__tostring(job)
  return ("job %d, %s: front(%d) brings it here, output(%d) shows what it printed"):format(job.id, job.name, job.id, job.id)
end

function jobs.new(parts)
  local self <const>, behind <const>, known <const> = {}, {}, {}
  local system <const>, console <const> = parts.system, parts.console

  local function start(what, ...)
    local name <const>, program <const> = parts.find(what)
    if type(program) == "string" then
      parts.keep(name, program)
      local compiled <const>, problem <const> = load(program, "=" .. name, "t")
      if not compiled then error(problem, 0) end
    end
    local process <const>, problem <const> = system.spawn(program, {
      name = name, chunk = "=" .. name, job = true, store = parts.has_store or nil, args = table.pack(...),
    })
    if not process then error(problem, 0) end
    local job <const> = setmetatable({id = process.id, name = name}, JOB)
    known[job.id] = job
    return job
  end

  local function job_of(what)
    local id <const> = type(what) == "table" and what.id or what
    local job <const> = known[id]
    if job then return job end
    for _, row in ipairs(system.ps()) do
      if row.id == id and row.job == id then return setmetatable({id = id, name = row.name}, JOB) end
    end
    error("there is no such job: jobs() lists them", 0)
  end

  -- What has become of a job, in the words of wait; nothing while it runs.
  local function outcome_of(job)
    local outcome <const> = table.pack(system.wait(job.id, 0))
    if outcome[1] == nil and outcome[2] == "timeout" then return nil end
    return outcome
  end

  local function results(job, outcome)
    local how <const>, what <const> = outcome[1], outcome[2]
    if how == "finished" or how == "exit" and what == 0 then
      if how == "finished" then return table.unpack(outcome, 2, outcome.n) end
      return
    end
    if how == "exit" and what == INTERRUPTED then
      parts.emit("interrupted\n")
    elseif how == "killed" then
      parts.emit(job.name .. " was ended\n")
    elseif how == "exit" and what == FAILED then
      error(job.name .. " ended after an error", 0)
    else
      error(("%s ended: %s"):format(job.name, how == "error" and tostring(what) or how == "exit" and "status " .. tostring(what)
        or tostring(what or how)), 0)
    end
  end

  -- Until the job has ended or Ctrl-Z has put it behind → its outcome | nil
  local function attend(job)
    local function concerns_it(sender, word, id)
      return sender.kind == "ended" and sender.process == job.id
        or sender.process == console.id and word == "background" and id == job.id
    end
    while true do
      local sender <const> = system.receive(LOOK_SECONDS, concerns_it)
      if sender and sender.kind ~= "ended" then return nil end
      local outcome <const> = outcome_of(job)
      if outcome then return outcome end
      console.front(job.id)
    end
  end

  function self.front(what)
    local job <const> = job_of(what)
    behind[job.id] = nil
    local outcome
    if console then
      console.front(job.id)
      outcome = attend(job)
      local at_margin <const>, page <const> = console.front(0)
      parts.came_back(at_margin, page and (not outcome or outcome[1] ~= "finished"))
    else
      outcome = table.pack(system.wait(job.id))
    end
    if outcome then
      if console then console.kept(job.id, true) end
      known[job.id] = nil
      return results(job, outcome)
    end
    behind[job.id] = job
    parts.emit(tostring(job) .. "\n")
  end

  function self.run(what, ...)
    return self.front(start(what, ...))
  end

  function self.start(what, ...)
    local job <const> = start(what, ...)
    behind[job.id] = job
    return job
  end

  function self.output(what)
    local id <const> = type(what) == "table" and what.id or what
    if math.type(id) ~= "integer" then error("output of what? jobs() lists them", 0) end
    return (console and console.kept(id) or ""):gsub("\r\n", "\n") .. ""
  end

  local function words_for(outcome)
    if not outcome then return "running" end
    local how <const>, what <const> = outcome[1], outcome[2]
    if how == "exit" and what == FAILED then return "ended after an error" end
    if how == "exit" and what == INTERRUPTED then return "interrupted" end
    if how == "finished" or how == "exit" then return "finished" end
    return how == "killed" and "killed" or "ended: " .. tostring(what)
  end

  function self.list()
    local rows <const>, listed <const> = {}, {}
    for _, row in ipairs(system.ps()) do
      if row.job == row.id then known[row.id] = known[row.id] or setmetatable({id = row.id, name = row.name}, JOB) end
    end
    for _, job in pairs(known) do listed[#listed + 1] = job end
    table.sort(listed, function(one, other) return one.id < other.id end)
    for place, job in ipairs(listed) do
      local note <const> = self.output(job):match("([^\n]+)\n*$") or ""
      rows[place] = {id = job.id, name = job.name, state = words_for(outcome_of(job)), note = note}
    end
    return rows
  end

  function self.news()
    local rows <const> = {}
    for id, job in pairs(behind) do
      local outcome <const> = outcome_of(job)
      if outcome then
        behind[id] = nil
        rows[#rows + 1] = ("job %d, %s: %s"):format(id, job.name, words_for(outcome))
      end
    end
    table.sort(rows)
    return rows
  end

  return self
end

return jobs
