-- The list of transactions that can still be read, from the transaction table and the commit records it points to, and what each of
-- them wrote, from the log.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local past <const> = require "fs.past"
local views <const> = require "fs.views"

local history <const> = {}

--- Most transactions of one call.
history.LIST_MAX = 4096

--- Reads one commit record; what it says of itself must be what the table says of it.
local function line(mounted, number, pointer)
  local payload <const>, err, id = mounted.reader:entry(pointer, nil, layout.KIND_COMMIT)
  if not payload then return nil, err end
  local record <const> = #payload >= layout.commit.size and layout.commit.unpack(payload) or {}
  if record.transaction ~= number or record.sequence & layout.ID_MASK ~= id then
    return errors.new("corrupt", ("the commit record of transaction %d belongs to another"):format(number),
      {transaction = number})
  end
  return {
    transaction = number, time = record.time, message = payload:sub(layout.commit.size + 1),
    objects = record.entry_count, bytes = record.content_bytes,
  }
end

--- Pointers of the commit records first … last, their places ascending (as the log wrote them).
local function pointers(mounted, first, last)
  local found <const>, places <const> = {}, {}
  for number = first, last do
    local pointer <const>, err = past.commit_pointer(mounted, number)
    if not pointer then return nil, err end
    found[#found + 1], places[#places + 1] = pointer, (entry.parse_pointer(pointer))
  end
  table.sort(places)
  return found, places
end

--- history.list(volume [, limit]) → list of {transaction, time, message, objects, bytes}, oldest first | nil, err.
function history.list(mounted, limit)
  if limit ~= nil and (math.type(limit) ~= "integer" or limit < 0) then
    return errors.new("invalid", "log takes a number of transactions")
  end
  local last <const>, oldest <const> = mounted.log.transaction, mounted:oldest()
  if oldest == 0 or limit == 0 then return {} end
  local first <const> = math.max(oldest, last - math.min(limit or history.LIST_MAX, history.LIST_MAX) + 1)
  local found <const>, places <const> = pointers(mounted, first, last)
  if not found then return nil, places end
  mounted.reader:prefetch(places)
  local lines <const> = {}
  for position, pointer in ipairs(found) do
    local one <const>, err = line(mounted, first + position - 1, pointer)
    if not one then return nil, err end
    lines[position] = one
  end
  return lines
end

--- What an entry did to its object, and whether the object was there before.
local function describe(before, id, pointer)
  local _, kind <const> = entry.parse_pointer(pointer)
  local found <const>, err = before(id)
  if found == nil then return nil, err end
  return {id = id, kind = kind, existed = found ~= false}
end

--- history.written(volume, transaction) → list of {id, kind, existed} in the order written | nil, err ("not_kept", "absent").
function history.written(mounted, transaction)
  local oldest <const>, last <const> = mounted:oldest(), mounted.log.transaction
  if math.type(transaction) ~= "integer" or transaction < 1 or transaction > last then
    return errors.new("absent", ("there is no transaction %s"):format(tostring(transaction)))
  end
  if oldest == 0 or transaction < oldest then
    return errors.new("not_kept", ("transaction %d is no longer kept"):format(transaction), {transaction = transaction})
  end
  local pointer <const>, err = past.commit_pointer(mounted, transaction)
  if not pointer then return nil, err end
  local previous <const> = transaction > oldest and past.commit_pointer(mounted, transaction - 1) or nil
  local entries <const>, problem = past.entries(mounted, transaction, pointer, previous)
  if not entries then return nil, problem end
  local view <const>, failure = views.open(mounted, {before = transaction})
  if not view then return nil, failure end
  local before <const>, why = views.reader(mounted, view.view)
  if not before then return nil, why end
  local list <const> = {}
  for at = 1, #entries, 2 do
    local one <const>, fault = describe(before, entries[at], entries[at + 1])
    if not one then return nil, fault end
    list[#list + 1] = one
  end
  views.close(mounted, view.view)
  return list
end

return history
