-- A store in memory that keeps the contract between objects and store, and can be told to fail.
-- memory_store.new() -> store; store.reads counts calls, store.bad[id] = err makes an object unreadable,
-- store.fail_commit = err refuses the next commit.

local columns = require "fs.columns"

local memory_store = {}

local READ_MAX <const> = 64

local function copy(record)
  return { id = record.id, kind = record.kind, payload = record.payload, version = record.version }
end

local EMPTY <const> = "\x90\x80"

function memory_store.new()
  local store = { objects = {}, next_id = 2, transactions = {}, reads = 0, bad = {}, clock = 0, states = {}, written_by = {}, views = {}, taken = {} }

  function store.allocate(count)
    assert(math.type(count) == "integer" and count > 0)
    local first = store.next_id
    store.next_id = first + count
    return first
  end

  local function state_after(number)
    return number == #store.transactions and store.objects or store.states[number]
  end

  -- The ids that were written behind a sequence, which is the number of a transaction here, and before another.
  local function between(after, before)
    local list = {}
    for number = after + 1, before do
      table.move(store.written_by[number], 1, #store.written_by[number], #list + 1, list)
    end
    return list
  end

  function store.view(which, since, old)
    store.views[old or 0] = nil
    local number = #store.transactions
    if type(which) == "table" then
      number = which.before - 1
    elseif type(which) == "string" then
      number = store.taken[which]
      if not number then
        return nil, { code = "absent", message = ("there is no snapshot %q"):format(which) }
      end
    elseif which then
      number = which
    end
    if number < 0 or number > #store.transactions then
      return nil, { code = "absent", message = "there is no transaction " .. number }
    elseif number < (store.kept_from or 0) then
      return nil, { code = "not_kept", message = "transaction " .. number .. " is no longer kept" }
    end
    store.last_view = (store.last_view or 0) + 1
    store.views[store.last_view] = number
    return {
      view = store.last_view, transaction = number, sequence = number,
      changed = since and between(since, #store.transactions) or nil,
    }
  end

  function store.close_view(view)
    store.views[view] = nil
    return true
  end

  function store.read(ids, view)
    store.reads = store.reads + 1
    if #ids > READ_MAX then
      return nil, { code = "limit", message = "too many ids in one read" }
    end
    local number = view and store.views[view] or #store.transactions
    if view and (not store.views[view] or number < (store.kept_from or 0)) then
      return nil, { code = "view_too_old", message = "there is no such view any more" }
    end
    local objects, list = state_after(number), {}
    for i, id in ipairs(ids) do
      local record = objects[id]
      if store.bad[id] then
        return nil, store.bad[id]
      elseif record then
        list[i] = copy(record)
      elseif id == 1 then
        list[i] = { id = 1, kind = 1, payload = EMPTY, version = 0 }
      else
        return nil, { code = "absent", id = id, message = "there is no object " .. id }
      end
    end
    return list
  end

  local KIND_DELETE <const> = 16

  -- Both forms in which entries are handed over, as a list of tables.
  local function listed(request)
    local from, list = assert(columns.of(request), "no entries"), {}
    for i = 1, from.count do
      list[i] = { id = from.ids[i], kind = from.kinds[i], payload = from.payloads[i], expected = from.expected[i] or nil }
    end
    return list
  end

  local function check(entries)
    local ids, seen = {}, {}
    for _, entry in ipairs(entries) do
      assert(not seen[entry.id], "an id twice in one commit")
      seen[entry.id] = true
      assert(entry.id < store.next_id, "an id that was never handed out")
      local current = store.objects[entry.id]
      assert(current or entry.kind ~= KIND_DELETE or entry.expected, "deletes what is not there")
      if entry.expected and (current and current.version or 0) ~= entry.expected then
        ids[#ids + 1] = entry.id
      end
    end
    return ids
  end

  function store.commit(request)
    if store.fail_commit then
      local err = store.fail_commit
      store.fail_commit = nil
      return nil, err
    end
    local entries = listed(request)
    local ids = check(entries)
    if #ids > 0 then
      return nil, { code = "conflict", ids = ids, message = #ids .. " objects changed" }
    end
    local number = #store.transactions + 1
    local before, written = {}, {}
    for id, record in pairs(store.objects) do before[id] = record end
    store.states[number - 1], store.written_by[number] = before, written
    local others = request.since and between(request.since, number - 1)
    local bytes = 0
    for i, entry in ipairs(entries) do
      store.clock = number
      written[i] = entry.id
      local deleted = entry.kind == KIND_DELETE
      store.objects[entry.id] = not deleted
        and { id = entry.id, kind = entry.kind, payload = entry.payload, version = store.clock } or nil
      bytes = bytes + #(entry.payload or "")
    end
    store.last_entries = entries
    local transaction = {
      transaction = number, objects = #entries, bytes = bytes, time = 1700000000000000 + number,
      message = request.message,
    }
    store.transactions[number] = transaction
    return {
      transaction = number, sequence = number, objects = transaction.objects, bytes = bytes, time = transaction.time,
      others = others,
    }
  end

  function store.missing(ids)
    if #ids > READ_MAX then
      return nil, { code = "limit", message = "too many ids in one question" }
    end
    local list = {}
    for _, id in ipairs(ids) do
      if not store.objects[id] and id ~= 1 then list[#list + 1] = id end
    end
    return list
  end

  function store.log(limit)
    local list = {}
    for i = math.max(1, #store.transactions - (limit or math.huge) + 1), #store.transactions do
      local t = store.transactions[i]
      list[#list + 1] = {
        transaction = t.transaction, objects = t.objects, bytes = t.bytes, time = t.time, message = t.message,
      }
    end
    return list
  end

  function store.written(number)
    local before, list = store.states[number - 1] or {}, {}
    for i, id in ipairs(store.written_by[number] or {}) do
      local record = state_after(number)[id]
      list[i] = { id = id, kind = record and record.kind or KIND_DELETE, existed = before[id] ~= nil }
    end
    return list
  end

  local function describe(name)
    return { name = name, transaction = store.taken[name], time = 1700000000000000, objects = 1, bytes = 10 }
  end

  function store.snapshot(name)
    store.taken[name] = #store.transactions
    return describe(name)
  end

  function store.snapshots()
    local list = {}
    for name in pairs(store.taken) do list[#list + 1] = describe(name) end
    return list
  end

  function store.delete_snapshot(name)
    store.taken[name] = nil
    return true
  end

  function store.keep(count)
    store.kept_from = math.max(0, #store.transactions - (count or math.huge))
    return true
  end

  -- Nothing is ever removed.
  function store.gc() return { phase = "idle", marked = 0, swept = 0, swept_bytes = 0 } end

  function store.info()
    local count = 0
    for _ in pairs(store.objects) do count = count + 1 end
    return { objects = count, transactions = #store.transactions }
  end

  return store
end

return memory_store
