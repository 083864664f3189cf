-- What is needed in a segment: the cleaner's look at a victim before anything is written.
--
--   frames of the segment → entries → those that the current index, or a snapshot's, points to are needed
--
-- The result is believed only if it adds up: every byte that the segment tables count as live, and every page that a tree is
-- known to have there, was found and verified. Otherwise something in the segment cannot be read, and it must stay as it is.
--
-- Trees share most of their pages: an id is looked up once in each leaf that is different, whatever the number of trees.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local frame <const> = require "fs.frame"
local geometry <const> = require "fs.geometry"
local snapshots <const> = require "fs.snapshots"

local survey <const> = {}

local SECTOR_BYTES <const>, UNIT <const> = layout.SECTOR_BYTES, layout.PLACE_UNIT_BYTES
local LEVEL_SHIFT <const> = layout.PAGE_LEVEL_SHIFT
local LAST_OBJECT_KIND <const> = layout.KIND_MAP_NODE
local OBJECT_PAGE <const>, SEGMENT_PAGE <const>, TRANSACTION_PAGE <const> =
  layout.KIND_OBJECT_PAGE, layout.KIND_SEGMENT_PAGE, layout.KIND_TRANSACTION_PAGE

--- Reads the frames of a segment, as far as they hang together, and calls visit(header, bytes) for each that is whole.
local function each_frame(volume, segment, visit)
  local shape <const> = volume.geometry
  local lba, last <const> = shape.segment_lba(segment), shape.segment_lba(segment + 1)
  while lba < last do
    local sector <const> = volume.reader:sectors(lba, 1)
    local header <const> = sector and frame.header(volume.crc32c, sector, 1)
    if not header or header.epoch ~= volume.superblock.epoch or header.lba ~= lba
      or header.segment_sequence ~= volume.segments.sequence[segment] then
      return
    end
    local span <const> = shape.append_span(frame.HEADER_BYTES + header.payload_bytes)
    if lba + span > last then return end
    local bytes <const> = volume.reader:sectors(lba, span)
    if not bytes or not frame.check_body(volume.crc32c, header, bytes) then return end
    visit(header, bytes)
    lba = lba + span
  end
end

--- Calls judge(id, pointer, kind, payload_bytes) for every entry of the segment that can be read.
local function each_entry(volume, segment, judge)
  each_frame(volume, segment, function(header, bytes)
    local first <const> = header.lba * geometry.PLACES_A_SECTOR
    frame.entries(volume.crc32c, header, bytes, function(id, kind, payload_bytes, crc, at)
      judge(id, entry.pointer(first + (at - 1) // UNIT, kind, payload_bytes, crc), kind, payload_bytes)
    end)
  end)
end

assert(UNIT * geometry.PLACES_A_SECTOR == SECTOR_BYTES, "places count parts of sectors")

--- All trees with objects, the current one first: number 0, snapshots from 1 on.
local function object_trees(volume)
  local trees <const> = {[0] = volume.objects}
  for position, record in ipairs(volume.snapshots) do trees[position] = (snapshots.trees(volume, record)) end
  return trees
end

--- The different leaves with that number: list of {pointer =, page =, holders = {numbers of the trees}} | nil, err.
local function leaves_of(trees, leaf)
  local list <const>, by_pointer <const> = {}, {}
  for number = 0, #trees do
    local pointer <const>, err = trees[number]:page_pointer(0, leaf)
    if not pointer then return nil, err end
    local one = by_pointer[pointer]
    if not one and pointer ~= entry.NOTHING then
      local page <const>, problem = trees[number]:page(0, leaf)
      if not page then return nil, problem end
      one = {page = page, holders = {}}
      by_pointer[pointer], list[#list + 1] = one, one
    end
    if one then one.holders[#one.holders + 1] = number end
  end
  return list
end

--- Notes who needs an object: `found` gets its id, pointer and the list of trees that have it.
local function judge_object(found, trees, id, pointer, size)
  local leaf <const>, slot <const> = id // layout.PAGE_FANOUT, id % layout.PAGE_FANOUT
  if found.leaf ~= leaf then
    local err
    found.leaf, found.variants, err = leaf, leaves_of(trees, leaf)
    if not found.variants then
      found.leaf, found.fault = nil, err
      return
    end
  end
  local holders
  for _, one in ipairs(found.variants) do
    local at <const> = slot * entry.POINTER_BYTES
    if one.page:sub(at + 1, at + entry.POINTER_BYTES) == pointer then
      if not one.counted then one.counted, found.leaf_pages = true, found.leaf_pages + 1 end
      if not holders then
        holders = one.holders
      else
        holders = table.move(one.holders, 1, #one.holders, #holders + 1, table.move(holders, 1, #holders, 1, {}))
      end
    end
  end
  if not holders then return end
  local count <const> = #found.ids + 1
  found.ids[count], found.pointers[count], found.holders[count] = id, pointer, holders
  for _, number in ipairs(holders) do
    found.bytes[number] = (found.bytes[number] or 0) + size
    if found.last_leaf[number] ~= leaf then
      found.last_leaf[number], found.leaves[number] = leaf, (found.leaves[number] or 0) + 1
    end
  end
end

--- The trees that have pages of that kind: {[0] = current one or nil, snapshots' …}.
local function page_trees(volume, kind)
  if kind == TRANSACTION_PAGE then return {[0] = volume.transactions} end
  if kind == OBJECT_PAGE then return object_trees(volume) end
  if kind ~= SEGMENT_PAGE then return nil end
  local trees <const> = {[0] = volume.segment_tree}
  for position, record in ipairs(volume.snapshots) do trees[position] = select(2, snapshots.trees(volume, record)) end
  return trees
end

--- Notes which trees have a page: `found.pages` gets {tree, level, number} for each.
local function judge_page(found, trees, id, pointer)
  local level <const>, number <const> = id >> LEVEL_SHIFT, id & (1 << LEVEL_SHIFT) - 1
  local held = false
  for position = 0, #trees do
    local current <const>, err = trees[position]:page_pointer(level, number)
    if current == nil then found.fault = err end
    if current == pointer then
      found.pages[#found.pages + 1] = {trees[position], level, number, position}
      if position == 0 then found.current_pages = found.current_pages + 1 else held = true end
    end
  end
  if held then found.snapshot_pages = found.snapshot_pages + 1 end
end

--- Whether all that is counted in the segment was found.
local function adds_up(volume, needs, segment, found)
  if (found.bytes[0] or 0) ~= volume.segments.live[segment] then return false end
  if found.current_pages ~= volume.segments.pages[segment] or found.snapshot_pages < (needs.pages[segment] or 0) then
    return false
  end
  for position, record in ipairs(volume.snapshots) do
    local _, table_of_segments <const> = snapshots.trees(volume, record)
    local value <const>, err = table_of_segments:find(segment)
    if value == nil then
      found.fault = err
      return false
    end
    local live <const> = value and layout.segment_record.unpack(value).live_bytes or 0
    if (found.bytes[position] or 0) ~= live then return false end
  end
  return true
end

--- survey.of(volume, needs, segment) → {ids, pointers, holders = list of lists of tree numbers (0: the current index, n: snapshot n),
--- pages = {{tree, level, number, tree number}…}, leaves = tree number → leaves with an object of it, leaf_pages = different
--- ones among them} | nil when something in the segment cannot be read or does not add up | nil, err when a page of a tree cannot
--- be read, so that nothing is known of the segment. Relies on no held change but what the cleaner itself has moved.
function survey.of(volume, needs, segment)
  local found <const> = {
    ids = {}, pointers = {}, holders = {}, bytes = {}, pages = {}, leaves = {}, last_leaf = {}, leaf_pages = 0,
    current_pages = 0, snapshot_pages = 0, fault = nil,
  }
  local trees <const>, of_kind <const> = object_trees(volume), {}
  each_entry(volume, segment, function(id, pointer, kind, payload_bytes)
    if kind <= LAST_OBJECT_KIND then return judge_object(found, trees, id, pointer, entry.size(payload_bytes)) end
    if of_kind[kind] == nil then of_kind[kind] = page_trees(volume, kind) or false end
    if of_kind[kind] then judge_page(found, of_kind[kind], id, pointer) end
  end)
  local sound <const> = not found.fault and adds_up(volume, needs, segment, found)
  if found.fault then return nil, found.fault end
  return sound and found or nil
end

return survey
