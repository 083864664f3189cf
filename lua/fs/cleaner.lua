-- The cleaner: moves what is live out of segments that hold little, so that they can be reused.
--
--   choose the segment with the least live bytes → read its frames → what the indexes point to is live →
--   every live entry is verified → one system transaction with the same objects, same ids → FLUSH → new pointers
--
-- Nothing is freed here: the next checkpoint finds the segment without anything that is needed and marks it pending. A cut at
-- any instant leaves either the old pointers, with the old segment untouched, or the moved objects, replayed like any other
-- transaction. A record that cannot be read pins its segment: it is never moved, and its segment never reused.
--
-- Relies on a checkpoint having just been written: live bytes are exact, no change is held.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local frame <const> = require "fs.frame"
local geometry <const> = require "fs.geometry"
local index <const> = require "fs.index"
local log <const> = require "fs.log"

local cleaner <const> = {}

local SECTOR_BYTES <const>, UNIT <const> = layout.SECTOR_BYTES, layout.PLACE_UNIT_BYTES
local FULL <const> = layout.SEGMENT_FULL
local LEVEL_SHIFT <const> = layout.PAGE_LEVEL_SHIFT
local LAST_OBJECT_KIND <const> = layout.KIND_MAP_NODE

--- A segment in which more than this share must be written anew is not worth it.
local WORTH_NUMERATOR <const>, WORTH_DENOMINATOR <const> = 15, 16

--- Reads the frames of a segment, as far as they hang together. visit(header, bytes) for each that is whole. Returns whether
--- all that was written there could be read.
local function each_frame(volume, segment, visit)
  local shape <const> = volume.geometry
  local lba, last <const> = shape.segment_lba(segment), shape.segment_lba(segment + 1)
  while lba < last do
    local sector <const> = volume.reader:sectors(lba, 1)
    local header <const> = sector and frame.header(volume.crc32c, sector, 1)
    if not header or header.epoch ~= volume.superblock.epoch or header.lba ~= lba
      or header.segment_sequence ~= volume.segments.sequence[segment] then
      return sector ~= nil
    end
    local span <const> = shape.append_span(frame.HEADER_BYTES + header.payload_bytes)
    if lba + span > last then return false end
    local bytes <const> = volume.reader:sectors(lba, span)
    if not bytes or not frame.check_body(volume.crc32c, header, bytes) then return false end
    visit(header, bytes)
    lba = lba + span
  end
  return true
end

--- The trees by the kind of their pages.
local function trees_of(volume)
  return {
    [layout.KIND_OBJECT_PAGE] = volume.objects,
    [layout.KIND_SEGMENT_PAGE] = volume.segment_tree,
    [layout.KIND_TRANSACTION_PAGE] = volume.transactions,
  }
end

--- Collects what is live in a segment: {objects = {{id, pointer}…}, bytes =, pages = {{tree, level, number}…}} | nil when
--- something in it cannot be read or does not add up.
local function survey(volume, segment)
  local found <const> = {objects = {}, bytes = 0, pages = {}, leaves = {}, leaf_count = 0}
  local trees <const>, sound = trees_of(volume), true
  local function judge(id, pointer, kind, payload_bytes)
    if kind <= LAST_OBJECT_KIND then
      local current <const> = volume.objects:find(id)
      if current == nil then sound = false end
      if current ~= pointer then return end
      found.objects[#found.objects + 1] = {id, pointer}
      found.bytes = found.bytes + entry.size(payload_bytes)
      local leaf <const> = id // layout.PAGE_FANOUT
      if not found.leaves[leaf] then found.leaves[leaf], found.leaf_count = true, found.leaf_count + 1 end
    elseif trees[kind] then
      local level <const>, number <const> = id >> LEVEL_SHIFT, id & (1 << LEVEL_SHIFT) - 1
      local current <const> = trees[kind]:page_pointer(level, number)
      if current == nil then sound = false end
      if current == pointer then found.pages[#found.pages + 1] = {trees[kind], level, number} end
    end
  end
  local whole <const> = each_frame(volume, segment, function(header, bytes)
    local first <const> = header.lba * geometry.PLACES_A_SECTOR
    local entries_sound <const> = frame.entries(volume.crc32c, header, bytes, function(id, kind, payload_bytes, crc, at)
      judge(id, entry.pointer(first + (at - 1) // UNIT, kind, payload_bytes, crc), kind, payload_bytes)
    end)
    sound = sound and entries_sound
  end)
  if not whole or not sound or found.bytes ~= volume.segments.live[segment] then return nil end
  return found
end

--- Bytes in a segment that have to be written anew before it is free.
local function weight(volume, segment)
  return volume.segments.live[segment] + volume.segments.pages[segment] * index.PAGE_ENTRY_BYTES
end

--- Full segments that are worth it, the lightest first, of equal ones the oldest.
local function candidates(volume)
  local list <const>, weights <const>, table_of_segments <const> = {}, {}, volume.segments
  local worth <const> = volume.geometry.segment_bytes * WORTH_NUMERATOR // WORTH_DENOMINATOR
  for segment = 0, table_of_segments.count - 1 do
    if table_of_segments.state[segment] == FULL and weight(volume, segment) <= worth then
      list[#list + 1], weights[segment] = segment, weight(volume, segment)
    end
  end
  table.sort(list, function(one, other)
    if weights[one] ~= weights[other] then return weights[one] < weights[other] end
    return table_of_segments.sequence[one] < table_of_segments.sequence[other]
  end)
  return list
end

--- Places the pages of a checkpoint.
local function put_pages(trial, count)
  for _ = 1, count do
    if not trial:put(index.PAGE_ENTRY_BYTES) then return false end
  end
  trial:close()
  return true
end

--- Whether the moves fit, and after them the two checkpoints that make the segment free.
local function fits(volume, found)
  local trial <const> = volume.log:placement()
  for _, item in ipairs(found.objects) do
    local _, _, payload_bytes <const> = entry.parse_pointer(item[2])
    if not trial:put(entry.size(payload_bytes)) then return false end
  end
  if not trial:put(log.commit_entry_bytes("")) then return false end
  trial:close()
  local table_pages <const> = volume.segment_tree:pages_bound(4 + #found.pages, volume.geometry.segment_count)
  local pages <const> = volume.objects:pages_bound(found.leaf_count + #found.pages, volume.next_id)
    + volume.transactions:pages_bound(1 + #found.pages, volume.log.transaction + 1) + table_pages
  -- One page more for the checkpoint record and the commit record, each time.
  return put_pages(trial, pages + 1) and put_pages(trial, table_pages + 1)
end

--- Writes the live objects of a segment anew, as one system transaction. Returns true | nil, err.
local function move(volume, found)
  for _, page in ipairs(found.pages) do
    local touched <const>, err = page[1]:touch(page[2], page[3])
    if not touched then return nil, err end
  end
  if #found.objects == 0 then return true end
  local segment <const>, sequence <const> = volume.log.segment, volume.log.segment_sequence
  local transaction <const>, moved <const> = volume.log:begin(), {}
  for position, item in ipairs(found.objects) do
    local payload <const>, kind = volume.reader:entry(item[2], item[1])
    if not payload then return volume.log:fail(kind) end
    local pointer <const>, err = transaction:add(item[1], kind, payload)
    if not pointer then return nil, err end
    moved[position] = pointer
  end
  local record <const> = {
    transaction = volume.log.transaction, time = volume.now(), next_id = volume.next_id,
    commit_kind = layout.COMMIT_SYSTEM, message = "",
  }
  local pointer <const>, err = transaction:commit(record)
  if not pointer then return nil, err end
  volume.segments:follow(segment, transaction.where.opened, sequence + 1, volume.log.transaction)
  volume.segments_since = volume.segments_since + #transaction.where.opened
  for position, item in ipairs(found.objects) do volume.objects:set(item[1], moved[position]) end
  volume:committed(record)
  volume.log:done()
  return true
end

--- cleaner.clean(volume, wanted) → how many segments were emptied (false for none) | nil, err. Empties segments until what
--- they gain adds up to `wanted` whole ones, as far as moving is worth it and fits. The more at once the better: a page of
--- the index is written once for all of them. The caller writes checkpoints before and after.
function cleaner.clean(volume, wanted)
  local emptied, gain = 0, 0
  for _, segment in ipairs(candidates(volume)) do
    if gain >= wanted * volume.geometry.segment_bytes then break end
    local found <const> = survey(volume, segment)
    if not found then
      volume.segments:pin(segment)
    elseif not fits(volume, found) then
      break
    else
      local free <const> = volume.geometry.segment_bytes - weight(volume, segment)
      local moved <const>, err = move(volume, found)
      if not moved then return nil, err end
      emptied, gain = emptied + 1, gain + free
    end
  end
  return emptied > 0 and emptied
end

return cleaner
