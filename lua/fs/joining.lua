-- Joining: commits of several clients that meet, as one transaction.
--
--   group = new() → meets(group, request)? → add(group, member) … → together(members) → results(members, …)
--
-- A member is {place =, request =, growth =, held =, referred =}: an examined request and where it stood in the list. Members of a
-- group have no object in common, and none deletes what another refers to, so that their entries stand side by side, and what
-- one of them expected is true for all.
-- Promise: every client is told of its own objects and bytes, and all of them the same transaction.

local layout <const> = require "fs.layout"

local joining <const> = {}

--- An empty group.
function joining.new()
  return {members = {}, ids = {}, deleted = {}, referred = {}}
end

local function each_id(request, visit)
  if type(request) ~= "table" or type(request.entries) ~= "table" then return end
  for _, item in ipairs(request.entries) do
    if type(item) == "table" and item.id ~= nil then visit(item.id) end
  end
end

--- Whether a request, which may be anything, has an object in common with the group.
function joining.meets(group, request)
  local met = false
  each_id(request, function(id) met = met or group.ids[id] end)
  return met
end

--- Whether an examined request refers to what the group deletes, or the other way round.
function joining.clashes(group, member)
  for _, id in ipairs(member.referred) do
    if group.deleted[id] then return true end
  end
  for _, item in ipairs(member.request.entries) do
    if item.kind == layout.KIND_DELETE and group.referred[item.id] then return true end
  end
  return false
end

--- Takes an examined request into the group.
function joining.add(group, member)
  group.members[#group.members + 1] = member
  for _, item in ipairs(member.request.entries) do
    group.ids[item.id] = true
    if item.kind == layout.KIND_DELETE then group.deleted[item.id] = true end
  end
  for _, id in ipairs(member.referred) do group.referred[id] = true end
end

--- Cuts text to at most `most` bytes, between characters.
local function shortened(text, most)
  if #text <= most then return text end
  return text:sub(1, utf8.offset(text, 0, most + 1) - 1)
end

--- Their messages, each once.
local function message_of(members)
  local texts <const>, seen <const> = {}, {}
  for _, member in ipairs(members) do
    local text <const> = member.request.message or ""
    if text ~= "" and not seen[text] then
      seen[text] = true
      texts[#texts + 1] = text
    end
  end
  return shortened(table.concat(texts, "; "), layout.MESSAGE_BYTES_MAX)
end

local function append(list, more)
  table.move(more, 1, #more, #list + 1, list)
end

--- joining.together(members) → {entries, message, change, referred}: all of them as one.
function joining.together(members)
  local joined <const> = {entries = {}, message = message_of(members), referred = {deleted = {}},
    change = {growth = 0, payload = 0, held = 0}}
  for _, member in ipairs(members) do
    append(joined.entries, member.request.entries)
    append(joined.referred, member.referred)
    append(joined.referred.deleted, member.referred.deleted)
    for what, bytes in pairs(member.change) do joined.change[what] = joined.change[what] + bytes end
  end
  return joined
end

local function payload_bytes(entries)
  local total = 0
  for _, item in ipairs(entries) do total = total + #(item.payload or "") end
  return total
end

--- What others than the member wrote since its client's state, up to this transaction: list of ids | false: not known any more.
local function others_of(members, member, between)
  local others <const> = between(member.request.since)
  if not others then return false end
  for _, other in ipairs(members) do
    if other ~= member then
      for _, item in ipairs(other.request.entries) do others[#others + 1] = item.id end
    end
  end
  return others
end

--- joining.results(members, versions of all entries, record, between) → list of {result}, one a member. between(sequence) → list of the
--- ids that transactions between that and this one wrote | nil.
function joining.results(members, versions, record, between)
  local outcomes <const>, first = {}, 1
  for place, member in ipairs(members) do
    local entries <const> = member.request.entries
    outcomes[place] = {{
      transaction = record.transaction, sequence = record.sequence, objects = #entries, bytes = payload_bytes(entries),
      time = record.time, others = member.request.since and others_of(members, member, between),
      versions = table.move(versions, first, first + #entries - 1, 1, {}),
    }}
    first = first + #entries
  end
  return outcomes
end

--- A list with outcome(member) for each.
function joining.each(members, outcome)
  local outcomes <const> = {}
  for place, member in ipairs(members) do outcomes[place] = outcome(member) end
  return outcomes
end

return joining
