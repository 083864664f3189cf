-- The oracle of crash tests, run on one state of a disk: mount, compare with the models, write on, unmount, mount again.
--
-- models[t + 1]: what the store holds after user transaction t: {[id] = payload}; loose[t + 1]: ids among them that may have been
-- collected as garbage. `explore` answers nil when all is well, or one line that says what is not. A state that lies between two
-- acknowledged commits may show either; likewise a snapshot that was being taken or dropped.

local store <const> = require "fs.store"

local crash = {}

local function describe(err) return tostring(err.code) .. ": " .. tostring(err.message) end

--- What is wrong with one object, read for itself, that may be absent; nil when nothing is.
local function loose_differs(handle, id, payload, view)
  local records <const>, err = handle.read({id}, view)
  if not records then return err.code ~= "absent" and "read: " .. describe(err) or nil end
  return records[1].payload ~= payload and "object " .. id .. " has another value" or nil
end

--- Compares a store, or a view of it, with a model. Returns nil or what differs.
local function differs(handle, model, absent, loose, view)
  local ids <const>, count = {}, 0
  for id, payload in pairs(model) do
    if loose and loose[id] then
      local why <const> = loose_differs(handle, id, payload, view)
      if why then return why end
    else
      count = count + 1
      ids[count] = id
    end
  end
  for first = 1, count, store.READ_IDS_MAX do
    local part <const> = table.move(ids, first, math.min(count, first + store.READ_IDS_MAX - 1), 1, {})
    local records <const>, err = handle.read(part, view)
    if not records then return "read: " .. describe(err) end
    for position, id in ipairs(part) do
      if records[position].payload ~= model[id] then return "object " .. id .. " has another value" end
    end
  end
  for id in pairs(absent) do
    if model[id] == nil and id ~= 1 then
      local records <const>, err = handle.read({id}, view)
      if records or err.code ~= "absent" then return "object " .. id .. " exists in a state that does not have it" end
    end
  end
  return nil
end

--- Compares a view with the model of its transaction. Returns nil or what differs.
local function view_differs(options, handle, which, number)
  local view <const>, err = handle.view(which)
  local name <const> = ("view %s"):format(tostring(which))
  if not view then return name .. ": " .. describe(err) end
  if view.transaction ~= number then return ("%s is of transaction %d, not %d"):format(name, view.transaction, number) end
  local why <const> = differs(handle, options.models[number + 1], {}, options.loose[number + 1], view.view)
  handle.close_view(view.view)
  return why and name .. ": " .. why
end

--- Snapshots that were acknowledged are there and show their state, and no others but those under way. Returns nil or what is wrong.
local function snapshots_differ(options, handle)
  local list <const>, err = handle.snapshots()
  if not list then return "snapshots: " .. describe(err) end
  local found <const> = {}
  for _, one in ipairs(list) do
    local number <const> = options.there[one.name] or options.maybe[one.name]
    if not number then return "there is a snapshot " .. one.name end
    found[one.name] = true
    local why <const> = view_differs(options, handle, one.name, number)
    if why then return why end
  end
  for name in pairs(options.there) do
    if not found[name] then return "there is no snapshot " .. name end
  end
  return nil
end

--- The oldest state that is kept, and one in the middle. Returns nil or what is wrong.
local function history_differs(options, handle, newest)
  local info <const>, err = handle.info()
  if not info then return "info: " .. describe(err) end
  local oldest <const> = info.oldest_transaction
  if oldest == 0 then return nil end
  return view_differs(options, handle, oldest, oldest)
    or view_differs(options, handle, (oldest + newest) // 2, (oldest + newest) // 2)
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
local function open(options)
  local disk <const>, primitives <const>, models <const> = options.disk, options.primitives, options.models
  local acknowledged <const>, in_flight <const>, again <const> = options.acknowledged, options.in_flight, options.again
  local handle <const>, err = store.open {device = disk.device, primitives = primitives}
  if not handle then return nil, "mount: " .. describe(err) end
  local number <const> = handle.transaction()
  if again and is_ours(handle) then
    local why = differs(handle, model_after(models[number]), models[in_flight + 1], options.loose[number])
    if number <= acknowledged or number > in_flight + 1 then why = "transaction " .. number end
    if why then return nil, "after the recovery: " .. why end
    return handle, number, model_after(models[number])
  end
  if number < acknowledged or number > in_flight then
    return nil, ("transaction %d, acknowledged %d, at most %d"):format(number, acknowledged, in_flight)
  end
  if handle.status() == "read_only" then return nil, "read-only: " .. select(2, handle.status()) end
  local why <const> = differs(handle, models[number + 1], models[in_flight + 1], options.loose[number + 1])
    or options.collecting and (snapshots_differ(options, handle) or history_differs(options, handle, number))
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

--- crash.explore{disk=, primitives=, models=, loose=, acknowledged=, in_flight=, there=, maybe=, collecting=, leave=, again=}
--- → nil | what is wrong. there, maybe: snapshots, name → transaction. `collecting`: look at snapshots and history, too, and collect
--- garbage at the end. `leave` stops after the commit; `again` allows that the commit of an earlier `explore` is there.
function crash.explore(options)
  local disk <const> = options.disk
  local handle <const>, number, shown = open(options)
  if not handle then return number end
  local model = model_after(shown)
  local done, err = handle.commit {entries = {{id = 1, kind = 1, payload = model[1]}}, message = "on"}
  if not done then return "commit after the cut: " .. describe(err) end
  if done.transaction ~= number + 1 then return "the transaction after the cut is " .. done.transaction end
  local seen <const> = look_again(disk, options.primitives, done.transaction)
  if seen then return seen end
  if options.leave then return nil end
  if options.collecting then
    -- Nothing but the root is left, and what snapshots keep.
    done, err = handle.gc("run")
    if not done then return "collection after the cut: " .. describe(err) end
    model = {[1] = AFTER}
  end
  done, err = handle.checkpoint()
  if not done then return "checkpoint after the cut: " .. describe(err) end
  done, err = handle.close()
  if not done then return "unmount after the cut: " .. describe(err) end
  local again <const>, problem = store.open {device = disk.device, primitives = options.primitives}
  if not again then return "mount again: " .. describe(problem) end
  if again.status() ~= "clean" then return "mounted again as " .. table.concat({again.status()}, ": ") end
  local why <const> = differs(again, model, options.collecting and shown or {}, options.again and options.loose[number])
    or options.collecting and snapshots_differ(options, again)
  return why and "mounted again: " .. why or nil
end

--- Reads every object by itself: it has the model's value or a typed error. Returns how many errors | nil, what is wrong.
local function read_each(handle, model, view)
  local bad = 0
  for id, payload in pairs(model) do
    local records <const>, err = handle.read({id}, view)
    if records and records[1].payload ~= payload then return nil, "object " .. id .. " has another value" end
    if not records and err.code ~= "corrupt" and err.code ~= "io" then return nil, "object " .. id .. ": " .. describe(err) end
    if not records then bad = bad + 1 end
  end
  return bad
end

--- Reads what acknowledged snapshots keep, object by object. Returns how many errors | nil, what is wrong.
local function read_snapshots(options, handle)
  local bad = 0
  for name, number in pairs(options.there) do
    local view <const>, err = handle.view(name)
    if not view then
      if err.code ~= "corrupt" and err.code ~= "io" then return nil, "snapshot " .. name .. ": " .. describe(err) end
      bad = bad + 1
    else
      local some <const>, wrong = read_each(handle, options.models[number + 1], view.view)
      if not some then return nil, "snapshot " .. name .. ": " .. wrong end
      bad = bad + some
    end
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
  local worse <const>, lie = read_snapshots(options, handle)
  if not worse then return "snapshot", lie end
  return ("%s %d %d"):format(status, number, bad), nil
end

return crash
