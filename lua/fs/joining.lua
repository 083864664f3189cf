-- Joining: commits of several clients that meet, as one transaction.
--
--   group = new() → meets(group, request)? → add(group, member) … → together(members) → results(members, …)
--
-- A member is {place =, request =, entries =, change =, referred =}: an examined request, its columns, and where it stood in the list. Members of a
-- group have no object in common, and none deletes what another refers to, so that their entries stand side by side, and what
-- one of them expected is true for all.
-- Promise: every client is told of its own objects and bytes, and all of them the same transaction.

local columns <const> = require "fs.columns"
local layout <const> = require "fs.layout"

local joining <const> = {}

--- An empty group.
function joining.new()
  return {members = {}, ids = {}, deleted = {}, referred = {}}
end

--- Whether the entries of a request, which may hold anything, have an object in common with the group.
function joining.meets(group, entries)
  if #group.members == 0 or not entries then return false end
  local taken <const>, ids <const> = group.ids, entries.ids
  for position = 1, entries.count do
    local id <const> = ids[position]
    if id and taken[id] then return true end
  end
  return false
end

--- Whether an examined request refers to what the group deletes, or the other way round.
function joining.clashes(group, member)
  for _, id in ipairs(member.referred) do
    if group.deleted[id] then return true end
  end
  local ids <const>, kinds <const> = member.entries.ids, member.entries.kinds
  for position = 1, member.entries.count do
    if kinds[position] == layout.KIND_DELETE and group.referred[ids[position]] then return true end
  end
  return false
end

--- Takes an examined request into the group.
function joining.add(group, member)
  group.members[#group.members + 1] = member
  local ids <const>, kinds <const> = member.entries.ids, member.entries.kinds
  for position = 1, member.entries.count do
    group.ids[ids[position]] = true
    if kinds[position] == layout.KIND_DELETE then group.deleted[ids[position]] = true end
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
  local one <const> = members[1]
  if #members == 1 then
    return {entries = one.entries, message = one.request.message or "", change = one.change, referred = one.referred}
  end
  local joined <const> = {entries = columns.new(), message = message_of(members), referred = {deleted = {}},
    change = {growth = 0, payload = 0, held = 0}}
  for _, member in ipairs(members) do
    columns.append(joined.entries, member.entries)
    append(joined.referred, member.referred)
    append(joined.referred.deleted, member.referred.deleted)
    for what, bytes in pairs(member.change) do joined.change[what] = joined.change[what] + bytes end
  end
  return joined
end

local function payload_bytes(entries)
  local payloads <const>, total = entries.payloads, 0
  for position = 1, entries.count do total = total + #payloads[position] end
  return total
end

--- What others than the member wrote since its client's state, up to this transaction: list of ids | false: not known any more.
local function others_of(members, member, recent)
  local others <const> = recent:behind(member.request.since)
  if not others then return false end
  for _, other in ipairs(members) do
    if other ~= member then append(others, other.entries.ids) end
  end
  return others
end

--- joining.others(members, recent) → for each member that says where its client stands, what others wrote since: a list of ids, false
--- where that is not known any more. recent: as it is before the members' transaction is noted, which may leave no room there for
--- what came before it.
function joining.others(members, recent)
  local others <const> = {}
  for place, member in ipairs(members) do
    others[place] = member.request.since and others_of(members, member, recent)
  end
  return others
end

--- joining.results(members, record, others) → list of {result}, one a member.
function joining.results(members, record, others)
  local outcomes <const> = {}
  for place, member in ipairs(members) do
    outcomes[place] = {{
      transaction = record.transaction, sequence = record.sequence, objects = member.entries.count,
      bytes = payload_bytes(member.entries), time = record.time, others = others[place],
    }}
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
