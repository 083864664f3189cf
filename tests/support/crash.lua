-- The oracle of crash tests, run on one state of a disk: mount, compare with the models, write on, unmount, mount again.
--
-- models[t + 1]: what the store holds after user transaction t: {[id] = payload}. `explore` answers nil when all is well,
-- or one line that says what is not. A state that lies between two acknowledged commits may show either.

local store <const> = require "fs.store"

local crash = {}

local function describe(err) return tostring(err.code) .. ": " .. tostring(err.message) end

--- Compares a store with a model. Returns nil or what differs.
local function differs(handle, model, absent)
  local ids <const>, count = {}, 0
  for id in pairs(model) do
    count = count + 1
    ids[count] = id
  end
  for first = 1, count, store.READ_IDS_MAX do
    local part <const> = table.move(ids, first, math.min(count, first + store.READ_IDS_MAX - 1), 1, {})
    local records <const>, err = handle.read(part)
    if not records then return "read: " .. describe(err) end
    for position, id in ipairs(part) do
      if records[position].payload ~= model[id] then return "object " .. id .. " has another value" end
    end
  end
  for id in pairs(absent) do
    if model[id] == nil and id ~= 1 then
      local records <const>, err = handle.read {id}
      if records or err.code ~= "absent" then return "object " .. id .. " exists in a state that does not have it" end
    end
  end
  return nil
end

local AFTER <const> = "\x91\xadafter the cut\x80"

--- What the store holds once `explore` has committed after the cut.
local function model_after(model)
  local after <const> = {}
  for id, payload in pairs(model) do after[id] = payload end
  after[1] = AFTER
  return after
end

--- Whether the last transaction is the one that an earlier `explore` committed.
local function is_ours(handle)
  local last <const> = handle.log(1)
  return last and last[1] and last[1].message == "on"
end

--- Opens the device. Returns handle, transaction, model | nil, what is wrong.
local function open(disk, primitives, models, acknowledged, in_flight, again)
  local handle <const>, err = store.open {device = disk.device, primitives = primitives}
  if not handle then return nil, "mount: " .. describe(err) end
  local number <const> = handle.transaction()
  if again and is_ours(handle) then
    local why = differs(handle, model_after(models[number]), models[in_flight + 1])
    if number <= acknowledged or number > in_flight + 1 then why = "transaction " .. number end
    if why then return nil, "after the recovery: " .. why end
    return handle, number, model_after(models[number])
  end
  if number < acknowledged or number > in_flight then
    return nil, ("transaction %d, acknowledged %d, at most %d"):format(number, acknowledged, in_flight)
  end
  if handle.status() == "read_only" then return nil, "read-only: " .. select(2, handle.status()) end
  local why <const> = differs(handle, models[number + 1], models[in_flight + 1])
  if why then return nil, ("at transaction %d: %s"):format(number, why) end
  return handle, number, models[number + 1]
end

--- Mounts once more without writing, as after another cut right behind the acknowledgement. Returns nil or what is wrong.
local function look_again(disk, primitives, transaction)
  local handle <const>, err = store.open {device = disk.device, primitives = primitives, read_only = true}
  if not handle then return "mount after the commit: " .. describe(err) end
  local records <const>, problem = handle.read {1}
  if handle.transaction() ~= transaction then
    return ("acknowledged transaction %d, the disk shows %d"):format(transaction, handle.transaction())
  end
  return not records and "read after the commit: " .. describe(problem)
    or records[1].payload ~= AFTER and "the commit after the cut is not there" or nil
end

--- crash.explore{disk=, primitives=, models=, acknowledged=, in_flight=, leave=, again=} → nil | what is wrong.
--- `leave` stops after the commit; `again` allows that the commit of an earlier `explore` is there.
function crash.explore(options)
  local disk <const>, models <const> = options.disk, options.models
  local handle <const>, number, shown = open(disk, options.primitives, models, options.acknowledged, options.in_flight,
    options.again)
  if not handle then return number end
  local model <const> = model_after(shown)
  local done, err = handle.commit {entries = {{id = 1, kind = 1, payload = model[1]}}, message = "on"}
  if not done then return "commit after the cut: " .. describe(err) end
  if done.transaction ~= number + 1 then return "the transaction after the cut is " .. done.transaction end
  local seen <const> = look_again(disk, options.primitives, done.transaction)
  if seen then return seen end
  if options.leave then return nil end
  done, err = handle.checkpoint()
  if not done then return "checkpoint after the cut: " .. describe(err) end
  done, err = handle.close()
  if not done then return "unmount after the cut: " .. describe(err) end
  local again <const>, problem = store.open {device = disk.device, primitives = options.primitives}
  if not again then return "mount again: " .. describe(problem) end
  if again.status() ~= "clean" then return "mounted again as " .. table.concat({again.status()}, ": ") end
  local why <const> = differs(again, model, {})
  return why and "mounted again: " .. why
end

--- Reads every object by itself: it has the model's value or a typed error. Returns how many errors | nil, what is wrong.
local function read_each(handle, model)
  local bad = 0
  for id, payload in pairs(model) do
    local records <const>, err = handle.read {id}
    if records and records[1].payload ~= payload then return nil, "object " .. id .. " has another value" end
    if not records and err.code ~= "corrupt" and err.code ~= "io" then return nil, "object " .. id .. ": " .. describe(err) end
    if not records then bad = bad + 1 end
  end
  return bad
end

--- crash.inspect{disk=, primitives=, models=, newest=, oldest=} → what a disk with wrong bytes is taken for, wrong | nil.
--- The first is "error CODE", or "STATUS TRANSACTION BAD-OBJECTS". `wrong` says which promise is broken: a value that never
--- was, or an older state (below `oldest`) that is not said to be damaged.
function crash.inspect(options)
  local handle <const>, err = store.open {device = options.disk.device, primitives = options.primitives}
  if not handle then return "error " .. err.code, nil end
  local number <const>, status <const> = handle.transaction(), handle.status()
  local model <const> = options.models[number + 1]
  if not model then return "transaction", "transaction " .. number .. " never was" end
  if number < options.oldest and status ~= "read_only" then
    return "old", ("shows transaction %d of %d and says nothing"):format(number, options.newest)
  end
  local bad <const>, wrong = read_each(handle, model)
  if not bad then return "value", wrong end
  return ("%s %d %d"):format(status, number, bad), nil
end

return crash
