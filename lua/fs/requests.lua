-- What clients hand over, checked before anything else happens. The store trusts no client and decodes no value.
--
-- A payload that passes is canonical for its kind, so every reader can decode it, and the ids that it refers to are known: those
-- that are not in the commit itself are given to the caller, who knows which objects exist.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"

local requests <const> = {}

requests.READ_IDS_MAX = 4096

local KIND_DELETE <const>, ROOT_ID <const>, ID_MASK <const> = layout.KIND_DELETE, layout.ROOT_ID, layout.ID_MASK
local entry_size <const>, math_type <const>, type <const> = entry.size, math.type, type

local OBJECT_KINDS <const> = {}
for kind = layout.KIND_TABLE, layout.KIND_MAP_NODE do OBJECT_KINDS[kind] = true end

function requests.is_object_kind(kind) return OBJECT_KINDS[kind] or false end

local function invalid(message, id)
  return errors.new("invalid", message, {id = id})
end

local function is_id(id)
  return math_type(id) == "integer" and id >= ROOT_ID and id <= ID_MASK
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

local function check_payload(id, kind, payload, largest)
  if kind == KIND_DELETE and math_type(kind) == "integer" then
    if payload ~= "" then return invalid("a deletion has no payload", id) end
    return true
  end
  if not OBJECT_KINDS[kind] or math_type(kind) ~= "integer" then
    return invalid("not a kind of object: " .. tostring(kind), id)
  end
  if type(payload) ~= "string" then return invalid("an object needs a payload", id) end
  if entry_size(#payload) > largest then
    return errors.new("too_large", ("object %d has %d bytes, an entry of this store at most %d"):format(
      id, #payload, largest), {id = id})
  end
  return true
end

--- Checks the entries of columns, which may hold anything, and notes in `seen` what happens to each id. Returns true | nil, err.
local function check_entries(columns, next_id, largest, seen)
  local ids <const>, kinds <const>, payloads <const>, expected <const> =
    columns.ids, columns.kinds, columns.payloads, columns.expected
  for position = 1, columns.count do
    local id <const>, kind <const>, version <const> = ids[position], kinds[position], expected[position]
    if not is_id(id) then return invalid("an entry without an id") end
    if id >= next_id then
      return errors.new("invalid", ("id %d was not allocated"):format(id), {id = id, unallocated = true})
    end
    if seen[id] then return invalid(("object %d is there twice"):format(id), id) end
    seen[id] = kind == KIND_DELETE and "deleted" or "written"
    if version and (math_type(version) ~= "integer" or version < 0) then
      return invalid("not a version: " .. tostring(version), id)
    end
    local valid <const>, err = check_payload(id, kind, payloads[position], largest)
    if not valid then return nil, err end
  end
  return true
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
local function check_payloads(columns, scan, next_id, seen)
  local ids <const>, kinds <const>, payloads <const> = columns.ids, columns.kinds, columns.payloads
  local outside <const>, found <const> = {deleted = {}}, {count = 0}
  for position = 1, columns.count do
    local kind <const> = kinds[position]
    if kind ~= KIND_DELETE then
      found.count = 0
      local sound <const>, problem = scan(kind, payloads[position], found)
      if not sound then
        local id <const> = ids[position]
        return errors.new("invalid", ("object %d is not canonical: %s"):format(id, problem.message),
          {id = id, offset = problem.offset, expected = problem.expected, found = problem.found})
      end
      local unknown <const> = found.count > 0 and note_references(found, next_id, seen, outside)
      if unknown then
        return invalid(("object %d refers to %d, which was not allocated"):format(ids[position], unknown), ids[position])
      end
    end
  end
  return outside
end

--- requests.check_commit(request, columns = fs.columns.of(request), next_id, largest entry in bytes, scan) → the ids that its payloads
--- refer to and that are not in it, each once; `deleted` = a list of those that it deletes and refers to | nil, err. scan:
--- references.scan.
function requests.check_commit(request, columns, next_id, largest, scan)
  if not columns then return invalid("commit takes entries") end
  if columns.count == 0 then return invalid("a commit needs at least one entry") end
  if request.since ~= nil and math_type(request.since) ~= "integer" then
    return invalid("not a sequence: " .. tostring(request.since))
  end
  local seen <const> = {}
  local valid, err = check_entries(columns, next_id, largest, seen)
  if valid then valid, err = check_message(request.message) end
  if not valid then return nil, err end
  return check_payloads(columns, scan, next_id, seen)
end

return requests
