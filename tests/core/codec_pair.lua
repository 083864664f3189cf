-- The codec in C beside the reference in Lua: dofile(…)(core.codec, fs.codec) → a table of functions that do a thing with
-- both, raise where they differ in anything that can be seen, and give what both gave.
--
--     world()                       names and links of a session: tables stand for objects, functions for permanents
--     encode(t, metatable, world, chosen)   → payload | nil; chosen(value) names some of the nameless, for long strings
--                                   the world does, and every call of `miss` is compared. chosen = nil: there is no miss
--     decode(payload, world)        → table, metatable | nil, err

return function(accelerator, reference)

local pair <const> = {reference = reference}

-- A string in which nothing is hard to read.
local function show_text(text)
  return "'" .. text:gsub("[^%g ]", function(c) return ("\\x%02x"):format(c:byte()) end) .. "'"
end

local function show(value)
  if type(value) == "string" then return show_text(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts <const> = {}
  for key, item in next, value do parts[#parts + 1] = ("%s=%s"):format(tostring(key), type(item) == "string" and show_text(item) or tostring(item)) end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function differ(what, a, b, payload)
  error(("%s: the reference gave %s, C gave %s%s"):format(what, show(a), show(b),
    payload and "\npayload " .. payload:gsub(".", function(c) return ("%02x"):format(c:byte()) end) or ""), 3)
end

local function same(a, b)
  return rawequal(a, b) and math.type(a) == math.type(b) and (a ~= 0 or 1 / a == 1 / b) or a ~= a and b ~= b
end

local function same_fields(a, b)
  for key, value in next, a do
    if not same(value, rawget(b, key)) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

function pair.world()
  local world <const> = {names = setmetatable({}, {__mode = "k"}), objects = {}, permanents = {}, functions = {}, made = {},
    long_texts = {}, long_ids = {}}
  local function object(id)
    local t <const> = {}
    world.objects[id], world.names[t] = t, id
    return t
  end
  function world.object(id) return world.objects[id] or object(id) end
  function world.permanent(name)
    local f = world.permanents[name]
    if not f then
      f = function() return name end
      world.permanents[name], world.names[f] = f, name
    end
    return f
  end
  function world.callable(id)
    local f = world.functions[id]
    if not f then
      f = function() return id end
      world.functions[id], world.names[f] = f, id
    end
    return f
  end
  -- A long string is what the store would have as a tree with that id.
  function world.long(id)
    local text = world.long_texts[id]
    if not text then
      text = ("long %d "):format(id):rep(20000)
      world.long_texts[id], world.long_ids[text] = text, id
    end
    return text
  end
  world.links = {string = world.long, callable = world.callable, objects = world.objects, permanents = world.permanents, make = function(id)
    world.made[#world.made + 1] = id
    return object(id)
  end}
  return world
end

-- A miss for encode that names what `chosen` says, its calls in `log`. What one run has named the other finds nameless.
local function recorder(world, log, chosen)
  local named <const> = {}
  local function miss(value, key)
    log[#log + 1] = {value, key}
    if type(value) == "string" then return world.long_ids[value] end
    local name <const> = chosen and chosen(value)
    if name then
      world.names[value] = name
      named[#named + 1] = value
    end
    return name
  end
  return miss, function()
    for _, value in ipairs(named) do world.names[value] = nil end
  end
end

function pair.encode(t, metatable, world, chosen)
  local results <const>, logs <const> = {}, {{}, {}}
  for place, codec in ipairs{reference, accelerator} do
    local miss, forget
    if chosen ~= nil then miss, forget = recorder(world, logs[place], chosen or nil) end
    results[place] = table.pack(codec.encode(t, world.names, metatable, miss))
    if forget then forget() end
  end
  local a <const>, b <const> = results[1], results[2]
  for i = 1, math.max(a.n, b.n) do
    if not same(a[i], b[i]) then differ("encode, result " .. i, a[i], b[i]) end
  end
  if #logs[1] ~= #logs[2] then differ("calls of miss", #logs[1], #logs[2]) end
  for i, call in ipairs(logs[1]) do
    if not same(call[1], logs[2][i][1]) or not same(call[2], logs[2][i][2]) then differ("a call of miss", call, logs[2][i]) end
  end
  return table.unpack(a, 1, a.n)
end

function pair.decode(payload, world)
  local a <const>, b <const> = {}, {}
  local ok, extra = reference.decode(payload, a, world.links)
  local made <const> = world.made
  for _, id in ipairs(made) do world.names[world.objects[id]], world.objects[id] = nil, nil end
  world.made = {}
  local ok_in_c <const>, extra_in_c = accelerator.decode(payload, b, world.links)
  if ok ~= ok_in_c then differ("decode", ok or extra, ok_in_c or extra_in_c, payload) end
  if #made ~= #world.made then differ("objects made", #made, #world.made, payload) end
  for i, id in ipairs(made) do
    if world.made[i] ~= id then differ("object made", id, world.made[i], payload) end
  end
  world.made = {}
  if not ok then
    if not same_fields(extra, extra_in_c) then differ("refusal", extra, extra_in_c, payload) end
    return nil, extra
  end
  -- The reference's objects that were made anew for C are other tables: read it again.
  local again <const> = {}
  ok, extra = reference.decode(payload, again, world.links)
  if not same_fields(again, b) then differ("decoded table", again, b, payload) end
  if not same(extra, extra_in_c) then differ("metatable", extra, extra_in_c, payload) end
  return b, extra_in_c
end

-- One value by itself, at any place of a payload.
function pair.decode_value(payload, at, world)
  local a <const> = table.pack(reference.decode_value(payload, at, world.links))
  local b <const> = table.pack(accelerator.decode_value(payload, at, world.links))
  if a[2] ~= b[2] then differ("decode_value", a, b, payload) end
  if a[2] and not same(a[1], b[1]) then differ("decode_value", a[1], b[1], payload) end
  if not a[2] and not same_fields(a[1], b[1]) then differ("refusal of a value", a[1], b[1], payload) end
  world.made = {}
end

function pair.encode_value(value, world, chosen)
  local results <const>, logs <const> = {}, {{}, {}}
  for place, codec in ipairs{reference, accelerator} do
    local miss <const>, forget <const> = recorder(world, logs[place], chosen)
    results[place] = codec.encode_value(value, world.names, miss, "key")
    forget()
  end
  if results[1] ~= results[2] then differ("encode_value", results[1], results[2]) end
  if #logs[1] ~= #logs[2] then differ("calls of miss", #logs[1], #logs[2]) end
end

return pair

end
