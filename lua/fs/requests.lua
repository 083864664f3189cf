-- What clients hand over, checked before anything else happens. The store trusts no client and decodes no value.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"

local requests <const> = {}

requests.READ_IDS_MAX = 4096

local OBJECT_KINDS <const> = {}
for kind = layout.KIND_TABLE, layout.KIND_MAP_NODE do OBJECT_KINDS[kind] = true end

local function invalid(message, id)
  return errors.new("invalid", message, {id = id})
end

local function is_id(id)
  return math.type(id) == "integer" and id >= layout.ROOT_ID and id <= layout.ID_MASK
end

--- requests.check_ids(ids) → true | nil, err.
function requests.check_ids(ids)
  if type(ids) ~= "table" then return invalid("read takes a list of ids") end
  if #ids > requests.READ_IDS_MAX then
    return errors.new("limit", ("one read takes %d ids, not %d"):format(requests.READ_IDS_MAX, #ids))
  end
  for _, id in ipairs(ids) do
    if not is_id(id) then return invalid("not an id: " .. tostring(id)) end
  end
  return true
end

local function check_payload(item, largest)
  if item.kind == layout.KIND_DELETE then
    if item.payload ~= nil and item.payload ~= "" then return invalid("a deletion has no payload", item.id) end
    return true
  end
  if not OBJECT_KINDS[item.kind] then return invalid("not a kind of object: " .. tostring(item.kind), item.id) end
  if type(item.payload) ~= "string" then return invalid("an object needs a payload", item.id) end
  if entry.size(#item.payload) > largest then
    return errors.new("too_large", ("object %d has %d bytes, an entry of this store at most %d"):format(
      item.id, #item.payload, largest), {id = item.id})
  end
  return true
end

local function check_entry(item, next_id, largest, seen)
  if type(item) ~= "table" or not is_id(item.id) then return invalid("an entry without an id") end
  if item.id >= next_id then
    return errors.new("invalid", ("id %d was not allocated"):format(item.id), {id = item.id, unallocated = true})
  end
  if seen[item.id] then return invalid(("object %d is there twice"):format(item.id), item.id) end
  seen[item.id] = true
  if item.expected ~= nil and (math.type(item.expected) ~= "integer" or item.expected < 0) then
    return invalid("not a version: " .. tostring(item.expected), item.id)
  end
  return check_payload(item, largest)
end

local function check_message(message)
  if message == nil then return true end
  if type(message) ~= "string" or not utf8.len(message) then return invalid("a message is UTF-8") end
  if #message > layout.MESSAGE_BYTES_MAX then
    return errors.new("limit", ("a message has at most %d bytes"):format(layout.MESSAGE_BYTES_MAX))
  end
  return true
end

--- requests.check_commit(request, next_id, largest entry in bytes) → true | nil, err.
function requests.check_commit(request, next_id, largest)
  if type(request) ~= "table" or type(request.entries) ~= "table" then return invalid("commit takes entries") end
  if #request.entries == 0 then return invalid("a commit needs at least one entry") end
  local seen <const> = {}
  for _, item in ipairs(request.entries) do
    local valid <const>, err = check_entry(item, next_id, largest, seen)
    if not valid then return nil, err end
  end
  return check_message(request.message)
end

return requests
