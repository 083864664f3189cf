-- A store in memory that keeps the contract between objects and store, and can be told to fail.
-- memory_store.new() -> store; store.reads counts calls, store.bad[id] = err makes an object unreadable,
-- store.fail_commit = err refuses the next commit.

local memory_store = {}

local READ_MAX <const> = 64

local function copy(record)
  return { id = record.id, kind = record.kind, payload = record.payload, version = record.version }
end

local EMPTY <const> = "\x90\x80"

function memory_store.new()
  local store = { objects = {}, next_id = 2, transactions = {}, reads = 0, bad = {}, clock = 0 }

  function store.allocate(count)
    assert(math.type(count) == "integer" and count > 0)
    local first = store.next_id
    store.next_id = first + count
    return first
  end

  function store.read(ids)
    store.reads = store.reads + 1
    if #ids > READ_MAX then
      return nil, { code = "limit", message = "too many ids in one read" }
    end
    local list = {}
    for i, id in ipairs(ids) do
      local record = store.objects[id]
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
    local ids = check(request.entries)
    if #ids > 0 then
      return nil, { code = "conflict", ids = ids, message = #ids .. " objects changed" }
    end
    local number = #store.transactions + 1
    local bytes, versions = 0, {}
    for i, entry in ipairs(request.entries) do
      store.clock = store.clock + 1
      local deleted = entry.kind == KIND_DELETE
      store.objects[entry.id] = not deleted
        and { id = entry.id, kind = entry.kind, payload = entry.payload, version = store.clock } or nil
      versions[i] = deleted and 0 or store.clock
      bytes = bytes + #(entry.payload or "")
    end
    store.last_entries = request.entries
    local transaction = {
      transaction = number, objects = #request.entries, bytes = bytes, time = 1700000000000000 + number,
      message = request.message,
    }
    store.transactions[number] = transaction
    return {
      transaction = number, objects = transaction.objects, bytes = bytes, time = transaction.time, versions = versions,
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

  function store.info()
    local count = 0
    for _ in pairs(store.objects) do count = count + 1 end
    return { objects = count, transactions = #store.transactions }
  end

  return store
end

return memory_store
