-- Cases of the codec in C: what random payloads (codec_fuzz.lua) do not come upon. Wrong use, tables that change while they are
-- encoded, quotas, pre-emption, and a whole session over it.

local core <const>, host <const>, folder <const>, name <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local raises <const> = harness.raises
local codec <const> = core.codec
local cases <const> = {}

local PAGES_OF_THE_SUPERVISOR <const> = 8   -- which its heap may come to hold meanwhile

table.insert(package.searchers, 2, function(module)
  local source <const>, chunk <const> = core.source(module)
  return source and assert(load(source, chunk, "t")) or nil
end)
local reference <const> = require "fs.codec"

-- Text for a process: `reference`, `codec` and `big`, a table that takes about 100 KB.
local PROGRAM <const> = [[
  local kernel = ...
  package.searchers = {function(module)
    local source, chunk = kernel.source(module)
    return assert(load(source, chunk, "t"))
  end}
  local codec, reference = kernel.codec, require "fs.codec"
  local function fill(n)
    local t = {}
    for i = 1, n do
      t[i] = i % 3 == 0 and ("element %d"):format(i) or i
      t["key " .. i] = i / 7
      t[-i] = true
    end
    return t
  end
  local big = fill(1500)
  local links = {objects = {}, permanents = {}, make = function() return {} end}
]]

function cases.wrong_arguments_raise()
  local links <const> = {objects = {}, permanents = {}}
  for _, call in ipairs{
    {codec.encode}, {codec.encode, 1, {}}, {codec.encode, {}}, {codec.encode, {}, 5}, {codec.encode, "", {}},
    {codec.encode, {1, {}}, {}, nil, 7}, {codec.encode, {[print] = 1}, {[print] = true}},
    {codec.encode, {print}, {[print] = -1}}, {codec.encode, {print}, {[print] = 1.5}}, {codec.encode, {print}, {[print] = {}}},
    {codec.encode_value}, {codec.encode_value, 1}, {codec.encode_value, 1, 2},
    {codec.decode}, {codec.decode, "\x90\x80"}, {codec.decode, "\x90\x80", {}}, {codec.decode, nil, {}, links},
    {codec.decode, "\x90\x80", 5, links}, {codec.decode, {}, {}, links},
    {codec.decode, "\x91\xd4\1\5\x80", {}, {}}, {codec.decode, "\x91\xd4\1\5\x80", {}, links},
    {codec.decode, "\x90\x81\xd4\1\5\1", {}, {objects = {}, make = function() end}},
    {codec.decode, "\x90\x81\xd4\1\5\1", {}, {objects = {}, make = function() return 0 / 0 end}},
    {codec.decode_value, "\1", 0, links}, {codec.decode_value, "\1", -1, links}, {codec.decode_value, "\1", 3, links},
    {codec.decode_value, "\1", math.maxinteger, links}, {codec.decode_value, "\1", "x", links},
    {codec.fingerprinter, "short"}, {codec.fingerprinter, {}},
  } do
    raises("", table.unpack(call, 1, 6))
  end
  local f <const> = codec.fingerprinter(("k"):rep(16))
  for _, call in ipairs{
    {f.same}, {f.same, {}, {}, "", {}}, {f.same, f, 1, "", {}}, {f.same, f, {}, 1}, {f.same, f, {}, "", nil},
    {f.same, io.stdout, {}, "", {}}, {f.same, setmetatable({}, {__index = f}), {}, "", {}},
    {f.changed, f, {}, {}, {}}, {f.changed, f, 1, {}, {}, {}}, {f.changed, {}, {}, {}, {}, {}},
  } do
    raises("", table.unpack(call, 1, 6))
  end
  assert(getmetatable(f) == false)
end

function cases.a_value_that_is_no_table_may_be_a_metatable()
  assert(codec.encode({}, {}, false) == reference.encode({}, {}, false))
  local payload, key, value, role = codec.encode({}, {}, print)
  assert(payload == nil and key == nil and value == print and role == "metatable")
end

function cases.what_is_named_while_it_is_encoded_is_used()
  local names, order = {}, {}
  local function miss(value, key)
    order[#order + 1] = tostring(key)
    if key ~= "last" then
      names[value] = #order
      return #order
    end
  end
  local child <const> = {}
  local payload, key, value, role = codec.encode({{}, {}, a = {}, b = child, c = child, last = {}}, names, nil, miss)
  assert(payload == nil and key == "last" and type(value) == "table" and role == "value")
  assert(table.concat(order, " ") == "1 2 a b last")
end

-- miss may do anything to the table: what was there when it was called stays alive, and nothing worse happens.
function cases.a_table_that_changes_while_it_is_encoded()
  for pairs_count = 1, 40 do
    local t <const> = {{}, {}, {}}
    for i = 1, pairs_count do t["key number " .. i .. (" "):rep(40)] = i % 2 == 0 and {} or ("text "):rep(20) .. i end
    t[{}] = {}
    local id = 0
    local names <const> = setmetatable({}, {__mode = "k"})
    codec.encode(t, names, nil, function()
      for key in next, t do t[key] = nil end
      for i = 1, 20 do t[i] = ("other %d"):format(i) end
      collectgarbage()
      id = id + 1
      return id
    end)
  end
end

function cases.a_finalizer_that_changes_the_table()
  local t <const>, stop = {}, false
  local function disturb()
    if stop then return end
    for key in next, t do t[key] = nil end
    for i = 1, 30 do t["key" .. i] = ("value %d"):format(i) end
    for i = 1, 30 do t[i] = i end
    setmetatable({}, {__gc = disturb})
  end
  disturb()
  collectgarbage("param", "pause", 10)
  for _ = 1, 300 do
    for i = 1, 300 do t[i], t["key" .. i] = i * 1000, ("v"):rep(50) end
    local ok <const>, message <const> = pcall(codec.encode, t, {})
    assert(ok or message:find("was changed while") or message:find("invalid key"), message)
  end
  stop = true
end

function cases.calls_into_calls_end_in_an_error()
  local why <const>, message <const> = harness.finish(harness.process(core, PROGRAM .. [[
    local function deeper() return codec.encode({{}}, {}, nil, deeper) end
    local ok, message = pcall(deeper)
    local function make() return codec.decode("\x91\xd4\1\5\x80", {}, {objects = {}, make = make}) end
    local decoded, reason = pcall(make)
    return ok, message, decoded, reason
  ]]))
  assert(why == "finished", message)
end

function cases.without_memory_there_is_an_error_and_nothing_is_lost()
  harness.memory = 4 << 20
  local refused <const>, grown <const> = harness.run(core, PROGRAM .. [[
    local payload = codec.encode(big, {})
    local held, refused = {}, 0
    local function try(...)
      local ok, result = pcall(...)
      if ok then held[#held + 1] = result else
        assert(result == "not enough memory", result)
        refused = refused + 1
      end
    end
    local function round()
      while refused < 20 do
        try(codec.encode, big, {})
        local into = {}
        try(codec.decode, payload, into, links)
        held[#held + 1] = into
        try(codec.encode, into, {})
      end
      held, refused = {}, 0
      collectgarbage()
      collectgarbage()
      return kernel.heap()
    end
    local before = round()
    for i = 1, 20 do round() end
    local after = round()
    local t = {}
    assert(codec.decode(payload, t, links) and codec.encode(t, {}) == payload)
    return 20, after - before
  ]])
  assert(refused == 20 and grown < 64 << 10, grown)
end

-- The n-th page that is asked for is not there, for every n.
function cases.pages_that_run_out()
  local finished = 0
  for budget = 0, 60 do
    collectgarbage()
    local before <const> = host.pages()
    local process <const> = harness.process(core, PROGRAM .. [[
      local payload = reference.encode(big, {})
      kernel.call("limit", 0)
      local ok, result = pcall(codec.encode, big, {})
      assert(ok and result == payload or result == "not enough memory", result)
      local t = {}
      ok, result = pcall(codec.decode, payload, t, links)
      assert(ok or result == "not enough memory", result)
      kernel.call("unlimit", 0)
      t = {}
      assert(codec.decode(payload, t, links) and codec.encode(t, {}) == payload)
    ]])
    local why <const>, message <const> = harness.finish(process, {
      limit = function() host.page_budget(budget) return true end,
      unlimit = function() host.page_budget() return true end,
    })
    host.page_budget()
    assert(why == "finished" or message:find("not enough memory"), message)
    if why == "finished" then finished = finished + 1 end
    process:kill()
    collectgarbage()
    assert(host.pages() <= before + PAGES_OF_THE_SUPERVISOR)
  end
  assert(finished > 20)
end

local INTERRUPTED <const> = PROGRAM .. [[
  local payload = reference.encode(big, {})
  local f = codec.fingerprinter()
  local loaded, payloads, marks, names = {}, {}, {}, {}
  for id = 1, 300 do
    local t = fill(id % 20)
    loaded[id], payloads[id], names[t] = t, reference.encode(t, {}), id
  end
  local function round(i)
    assert(codec.encode(big, {}) == payload)
    local t = {}
    assert(codec.decode(payload, t, links) and reference.encode(t, {}) == payload)
    for id = 1, 300 do marks[2 * id], marks[2 * id + 1] = false, false end
    local id = i % 300 + 1
    loaded[id].new = i
    local changed = f:changed(loaded, payloads, marks, names)
    assert(#changed == 1 and changed[1] == id)
    loaded[id].new = nil
    assert(#f:changed(loaded, payloads, marks, names) == 0)
  end
]]

function cases.pre_emption_anywhere()
  local process <const> = harness.process(core, INTERRUPTED .. "for i = 1, 60 do round(i) end return 'well'")
  host.tick_every(60)
  local why <const>, what <const> = harness.finish(process, nil, 1)
  host.tick_every(0)
  assert(why == "finished" and what == "well", what)
  assert(harness.stops.preempted > 0 and harness.stops.parked > 0)
end

function cases.a_kill_anywhere()
  for round = 1, 40 do
    collectgarbage()
    local before <const> = host.pages()
    local process <const> = harness.process(core, INTERRUPTED .. "for i = 1, 1e9 do round(i) end")
    host.tick_every(100)
    for _ = 1, 30 + round * 3 do assert(process:run(1)) end
    host.tick_every(0)
    process:kill()
    collectgarbage()
    assert(host.pages() <= before + PAGES_OF_THE_SUPERVISOR)
  end
end

-- --- a session ------------------------------------------------------------------------------------------------------------

local function memory_store()
  return dofile(folder .. "/../fs/memory_store.lua").new()
end

-- The ids that re-encoding everything finds.
local function changed_by_encoding(map)
  local ids <const> = {}
  for id, t in next, map.loaded do
    if reference.encode(t, map.names, getmetatable(t)) ~= map.payloads[id] then ids[#ids + 1] = id end
  end
  table.sort(ids)
  return ids
end

local function check_changed(fingerprinter, map)
  local found <const> = fingerprinter:changed(map.loaded, map.payloads, map.marks, map.names)
  table.sort(found)
  assert(table.concat(found, " ") == table.concat(changed_by_encoding(map), " "))
  return #found
end

local function random_change(tables)
  local t <const> = tables[math.random(#tables)]
  local kind <const> = math.random(9)
  if kind == 1 then t[#t + 1] = math.random(1000)
  elseif kind == 2 then t[#t] = nil
  elseif kind == 3 then t["field" .. math.random(5)] = tables[math.random(#tables)]
  elseif kind == 4 then t["field" .. math.random(5)] = nil
  elseif kind == 5 then t[math.random(100)] = ("x"):rep(math.random(0, 60))
  elseif kind == 6 then
    local new <const> = {math.random(10)}
    tables[#tables + 1] = new
    t[math.random(20)] = new
  elseif kind == 7 then setmetatable(t, math.random(2) == 1 and tables[math.random(#tables)] or nil)
  elseif kind == 8 then t.x = math.random(2) == 1 and 1 or 1.0
  else t.x = math.random(2) == 1 and 0.0 or -0.0 end
end

-- fs.objects sees the same changes with fingerprints as without.
function cases.a_session_finds_what_changed()
  local identity <const> = require "fs.identity"
  local map
  local made <const> = identity.new
  identity.new = function(...)
    map = made(...)
    return map
  end
  math.randomseed(7)
  local session <const> = require("fs.objects").open{store = memory_store(), codec = codec, environment = {}}
  identity.new = made
  local checker <const> = codec.fingerprinter()
  local tables = {session.root}
  local total = 0
  for _ = 1, 300 do
    for _ = 1, math.random(0, 6) do random_change(tables) end
    total = total + check_changed(checker, map)
    if math.random(10) == 1 then session.abort() else session.commit() end
    assert(check_changed(checker, map) == 0)
    assert(session.commit().objects == 0)
    tables = {session.root}
    for id, t in next, map.loaded do
      if id ~= 1 and #tables < 60 then tables[#tables + 1] = t end
    end
  end
  assert(total > 200)
end

local case <const> = cases[name]
if not case then
  local names <const> = {}
  for key in pairs(cases) do names[#names + 1] = key end
  table.sort(names)
  print(table.concat(names, "\n"))
else
  case()
end
