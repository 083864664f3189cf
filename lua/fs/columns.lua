-- Columns: the entries of a commit side by side, one list for each of their fields instead of a table for each of them.
--
--   { count = n, ids = {…}, kinds = {…}, payloads = {…}, expected = {…} }
--
-- payloads: "" where an object is deleted. expected: the version that was read, 0 for what must not exist yet, false for whatever
-- is there. A commit of 100,000 objects is then four lists: it takes a fifth of the memory, on its way to the store too.
-- Promise: what comes from clients is copied or taken as it is, and looked at by nobody here but for its shape (fs.requests does).

local layout <const> = require "fs.layout"

local columns <const> = {}

--- columns.new() → columns without entries.
function columns.new()
  return {count = 0, ids = {}, kinds = {}, payloads = {}, expected = {}}
end

--- columns.add(into, id, kind, payload, expected).
function columns.add(into, id, kind, payload, expected)
  local n <const> = into.count + 1
  into.count, into.ids[n], into.kinds[n], into.payloads[n], into.expected[n] = n, id, kind, payload, expected
end

--- columns.append(into, more): the entries of `more` behind the others.
function columns.append(into, more)
  local n <const>, count <const> = into.count, more.count
  for _, field in ipairs {"ids", "kinds", "payloads", "expected"} do table.move(more[field], 1, count, n + 1, into[field]) end
  into.count = n + count
end

--- Columns of a list of {id, kind, payload, expected}; a field that is missing is false, the payload of a deletion "". An entry that is
--- no table has no id.
local function of_list(list)
  local into <const> = columns.new()
  for position = 1, #list do
    local item = list[position]
    if type(item) ~= "table" then item = {} end
    local payload <const> = item.payload
    columns.add(into, item.id or false, item.kind or false,
      payload == nil and item.kind == layout.KIND_DELETE and "" or payload or false, item.expected or false)
  end
  return into
end

--- columns.of(request) → the entries that a client hands over, as `entries`, a list of tables, or as columns | nil: neither.
function columns.of(request)
  if type(request) ~= "table" then return nil end
  if request.entries ~= nil then return type(request.entries) == "table" and of_list(request.entries) or nil end
  local ids <const>, kinds <const>, payloads <const>, expected <const> =
    request.ids, request.kinds, request.payloads, request.expected
  if type(ids) ~= "table" or type(kinds) ~= "table" or type(payloads) ~= "table" or type(expected) ~= "table" then return nil end
  return {count = #ids, ids = ids, kinds = kinds, payloads = payloads, expected = expected}
end

return columns
