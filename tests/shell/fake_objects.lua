-- The interface of the objects module for the shell's tests: transactions are counted, nothing is stored.
--
-- return fake_objects() → objects with the functions of a session of fs.objects that commands call.

local function copy(value, seen)
  if type(value) ~= "table" then return value end
  if seen[value] then return seen[value] end
  local made = {}
  seen[value] = made
  for key, item in next, value do made[copy(key, seen)] = copy(item, seen) end
  return made
end

-- A map whose keys are strings.
local function fake_map()
  local values = {}
  local m = {}
  function m.get(_, key) return values[key] end
  function m.set(_, key, value) values[key] = value end
  function m.range(_, from, to)
    local keys = {}
    for key in next, values do
      if from <= key and key <= to then keys[#keys + 1] = key end
    end
    table.sort(keys)
    local at = 0
    return function()
      at = at + 1
      return keys[at], values[keys[at]]
    end
  end
  return m
end

local function fake_objects()
  local objects = { root = {}, map = fake_map }
  local committed, transactions = {}, {}

  function objects.commit(message)
    if objects.failure then return nil, objects.failure end
    committed = copy(objects.root, {})
    local transaction = { id = "t" .. #transactions + 1, objects = 3, bytes = 196, message = message,
      time = 1795359601000000 }
    transactions[#transactions + 1] = transaction
    return transaction
  end
  function objects.save(name, value)
    objects.root[name] = value
    return objects.commit("save " .. name)
  end
  function objects.fetch(name) return objects.root[name] end
  function objects.abort()
    for key in next, objects.root do objects.root[key] = nil end
    for key, value in next, copy(committed, {}) do objects.root[key] = value end
    return true
  end
  function objects.changes()
    local list = {}
    for key, value in next, objects.root do
      if committed[key] == nil then
        list[#list + 1] = { kind = "+", path = "root." .. key, new = value }
      elseif type(value) ~= "table" and committed[key] ~= value then
        list[#list + 1] = { kind = "~", path = "root." .. key, old = committed[key], new = value }
      end
    end
    for key in next, committed do
      if objects.root[key] == nil then list[#list + 1] = { kind = "-", path = "root." .. key } end
    end
    table.sort(list, function(a, b) return a.path < b.path end)
    return list
  end
  -- "t1" or a transaction; a snapshot is called like what it was taken of.
  local states, snapshots = {}, {}
  local committing = objects.commit
  function objects.commit(message)
    local transaction, err = committing(message)
    if transaction then states[transaction.id] = copy(committed, {}) end
    return transaction, err
  end
  local function state_of(what)
    return states[type(what) == "table" and what.id or snapshots[what] or what]
  end
  function objects.at(what) return state_of(what) or error("at: there is no " .. tostring(what), 2) end
  function objects.undo(transaction)
    local before = states["t" .. math.tointeger(transaction.id:sub(2)) - 1] or {}
    for key, value in next, state_of(transaction) do
      if before[key] == nil and objects.root[key] == value then objects.root[key] = nil end
    end
    return objects.commit("undo " .. transaction.id)
  end
  local function described(name)
    return { name = name, transaction = #transactions, time = 1795359601000000, objects = 3, bytes = 196 }
  end
  function objects.snapshot(name)
    snapshots[name] = "t" .. #transactions
    return described(name)
  end
  function objects.snapshots()
    local list = {}
    for name in next, snapshots do list[#list + 1] = described(name) end
    return list
  end
  function objects.delete_snapshot(name) snapshots[name] = nil end
  function objects.register() end
  function objects.keep() end
  function objects.gc() return { phase = "idle", marked = 3, swept = 1, swept_bytes = 12 } end
  function objects.refresh() return true end
  function objects.forget() end
  function objects.info() return { objects = 3, bytes = 196 } end
  function objects.log() return transactions end
  return objects
end

return fake_objects
