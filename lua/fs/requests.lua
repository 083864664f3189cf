-- What clients hand over, checked before anything else happens. The store trusts no client and decodes no value.
--
-- A payload that passes is canonical for its kind, so every reader can decode it, and the ids that it refers to are known: those
-- that are not in the commit itself are given to the caller, who knows which objects exist.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"

local requests <const> = {}

requests.READ_IDS_MAX = 4096

local OBJECT_KINDS <const> = {}
for kind = layout.KIND_TABLE, layout.KIND_MAP_NODE do OBJECT_KINDS[kind] = true end

function requests.is_object_kind(kind) return OBJECT_KINDS[kind] or false end

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
  if not requests.is_object_kind(item.kind) then return invalid("not a kind of object: " .. tostring(item.kind), item.id) end
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
  seen[item.id] = item.kind == layout.KIND_DELETE and "deleted" or "written"
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

--- Takes the ids that one payload refers to into the list of those that are not in the commit. `found` is scratch.
local function note_references(found, next_id, seen, outside)
  for position = 1, found.count do
    local id <const> = found[position]
    if id >= next_id then return id end
    if not seen[id] then
      seen[id], outside[#outside + 1] = "outside", id
    elseif seen[id] == "deleted" then
      seen[id], outside.deleted[#outside.deleted + 1] = "outside", id
    end
  end
  return nil
end

--- Looks through all payloads. Returns the ids that they refer to outside the commit, each once, with `deleted` = those that the
--- commit itself deletes | nil, err.
local function check_payloads(entries, scan, next_id, seen)
  local outside <const>, found <const> = {deleted = {}}, {count = 0}
  for _, item in ipairs(entries) do
    if item.kind ~= layout.KIND_DELETE then
      found.count = 0
      local sound <const>, problem = scan(item.kind, item.payload, found)
      if not sound then
        return errors.new("invalid", ("object %d is not canonical: %s"):format(item.id, problem.message),
          {id = item.id, offset = problem.offset, expected = problem.expected, found = problem.found})
      end
      local unknown <const> = note_references(found, next_id, seen, outside)
      if unknown then return invalid(("object %d refers to %d, which was not allocated"):format(item.id, unknown), item.id) end
    end
  end
  return outside
end

--- requests.check_commit(request, next_id, largest entry in bytes, scan) → the ids that its payloads refer to and that are not in it,
--- each once; `deleted` = a list of those that it deletes and refers to | nil, err. scan: references.scan.
function requests.check_commit(request, next_id, largest, scan)
  if type(request) ~= "table" or type(request.entries) ~= "table" then return invalid("commit takes entries") end
  if #request.entries == 0 then return invalid("a commit needs at least one entry") end
  if request.since ~= nil and math.type(request.since) ~= "integer" then
    return invalid("not a sequence: " .. tostring(request.since))
  end
  local seen <const> = {}
  for _, item in ipairs(request.entries) do
    local valid <const>, err = check_entry(item, next_id, largest, seen)
    if not valid then return nil, err end
  end
  local valid <const>, err = check_message(request.message)
  if not valid then return nil, err end
  return check_payloads(request.entries, scan, next_id, seen)
end

return requests
