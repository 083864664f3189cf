-- Snapshots: states of the store that stay under a name until they are deleted.
--
-- A snapshot is the object index and the segment table of the checkpoint that took it. Its pages are shared with the current
-- trees until these change; its own change only when the cleaner moves something that it needs. Its segment table says
-- how many bytes of its objects lie in each segment, so what may be freed is known without looking at its objects.
--
--   needed in a segment  ⇔  its table counts live bytes there, or a page of one of its two trees lies there
--
-- Relies on checkpoint.lua, which writes the list, and on nobody changing the trees but the cleaner.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local errors <const> = require "fs.errors"
local index <const> = require "fs.index"

local snapshots <const> = {}

local FORMAT <const>, SEGMENT <const> = layout.snapshot, layout.segment_record
local NAME_BYTES <const> = FORMAT.offsets.transaction
local KIND_OF <const> = {object = layout.KIND_OBJECT_PAGE, segment = layout.KIND_SEGMENT_PAGE}

--- Bytes of one in a checkpoint record.
snapshots.BYTES = FORMAT.size

--- What is wrong with one record behind `before`, the one taken before it; nil when nothing is.
local function fault(record, before, newest)
  for name in pairs(FORMAT.offsets) do
    if name ~= "name" and record[name] < 0 then return name .. " is above 2^63-1" end
  end
  local name <const> = record.name:match("^([^\0]+)\0*$")
  if not name or not utf8.len(name) then return "name" end
  if record.transaction > newest or before and record.transaction < before.transaction then
    return "transaction " .. record.transaction
  end
  for tree, kind in pairs(KIND_OF) do
    local levels <const>, root <const> = record[tree .. "_levels"], entry.from_fields(tree .. "s", record)
    local _, found <const> = entry.parse_pointer(root)
    if levels > layout.LEVELS_MAX or (root == entry.NOTHING) ~= (levels == 0) then return tree .. "_levels " .. levels end
    if levels > 0 and found ~= kind then return ("kind of the root of %ss %d"):format(tree, found) end
  end
  return nil
end

--- snapshots.parse(bytes, count, newest transaction) → list, oldest first | nil, what is wrong.
function snapshots.parse(bytes, count, newest)
  local list <const>, names <const> = {}, {}
  for position = 1, count do
    local record <const> = FORMAT.unpack(bytes, (position - 1) * FORMAT.size + 1)
    local why <const> = fault(record, list[position - 1], newest)
    if why then return nil, ("snapshot %d: %s"):format(position, why) end
    record.name = record.name:match("^[^\0]+")
    if names[record.name] then return nil, ("snapshot %d: its name is another's, too"):format(position) end
    names[record.name], list[position] = true, record
  end
  return list
end

--- snapshots.pack(list) → the bytes that stand behind a checkpoint record.
function snapshots.pack(list)
  local pieces <const> = {}
  for position, record in ipairs(list) do
    local fields <const> = {}
    for name in pairs(FORMAT.offsets) do fields[name] = record[name] end
    fields.name = record.name .. ("\0"):rep(NAME_BYTES - #record.name)
    pieces[position] = FORMAT.pack(fields)
  end
  return table.concat(pieces)
end

--- snapshots.check_name(name) → true | nil, err.
function snapshots.check_name(name)
  if type(name) == "string" and name ~= "" and #name <= NAME_BYTES and utf8.len(name) and not name:find("\0", 1, true) then
    return true
  end
  return errors.new("invalid", ("a snapshot's name is UTF-8 of 1 to %d bytes"):format(NAME_BYTES))
end

--- snapshots.find(list, name) → its record, its position | nil, err.
function snapshots.find(list, name)
  for position, record in ipairs(list) do
    if record.name == name then return record, position end
  end
  return errors.new("absent", "there is no snapshot " .. ("%q"):format(tostring(name)))
end

--- snapshots.describe(record) → what clients are told of it.
function snapshots.describe(record)
  return {
    name = record.name, transaction = record.transaction, time = record.time,
    objects = record.object_count, bytes = record.object_bytes,
  }
end

local function open_tree(volume, record, name)
  return index.new {
    kind = KIND_OF[name], reader = volume.reader, shared = volume.past_pages,
    root = entry.from_fields(name .. "s", record), levels = record[name .. "_levels"],
  }
end

--- snapshots.trees(volume, record) → its object index, its segment table, as index trees.
function snapshots.trees(volume, record)
  if not record.object_tree then
    record.object_tree, record.segment_tree = open_tree(volume, record, "object"), open_tree(volume, record, "segment")
  end
  return record.object_tree, record.segment_tree
end

--- Counts what one snapshot needs: bytes by its table, pages that the one after it (or nobody) has not. Returns true | nil, err.
local function add_needs(volume, needs, record, later)
  local objects <const>, segments = snapshots.trees(volume, record)
  local function page(pointer)
    local segment <const> = volume.geometry.segment_of_place((entry.parse_pointer(pointer)))
    needs.pages[segment] = (needs.pages[segment] or 0) + 1
    needs.page_total = needs.page_total + 1
  end
  local newest = 0
  local done, err = segments:each(function(segment, value)
    local row <const> = SEGMENT.unpack(value)
    newest = math.max(newest, row.tag & layout.ID_MASK)
    if row.live_bytes > 0 then needs.live[segment] = math.max(needs.live[segment] or 0, row.live_bytes) end
  end)
  needs.newest_sequence = newest
  for position, tree in ipairs {objects, segments} do
    local like <const> = later and select(position, snapshots.trees(volume, later))
    if done and like then done, err = tree:each_other_page(like, page) end
    if done and not like then done, err = tree:each_page(page) end
  end
  return done, err
end

--- snapshots.needs(volume) → {live = segment → bytes at least, pages = segment → pages, page_total, newest_sequence = of the newest
--- segment that the newest snapshot can need by its own} | nil, err. Kept until the list or a tree in it changes.
function snapshots.needs(volume)
  if volume.snapshot_needs then return volume.snapshot_needs end
  local needs <const> = {live = {}, pages = {}, page_total = 0, newest_sequence = 0}
  for position, record in ipairs(volume.snapshots) do
    local done <const>, err = add_needs(volume, needs, record, volume.snapshots[position + 1])
    if not done then return nil, err end
  end
  volume.snapshot_needs = needs
  return needs
end

--- Pages of the newest snapshot that the current index has not. nil, err when one cannot be read.
local function newest_pages(volume)
  local newest <const> = volume.snapshots[#volume.snapshots]
  local objects <const>, segments = snapshots.trees(volume, newest)
  local count, all = 0, 0
  local done, err = objects:each_other_page(volume.objects, function() count = count + 1 end)
  if done then done, err = objects:each_page(function() all = all + 1 end) end
  if done then done, err = segments:each_page(function() count, all = count + 1, all + 1 end) end
  if not done then return nil, err end
  return count, all
end

--- snapshots.burden(volume) → pages, bytes of objects that only snapshots need, as of the last checkpoint | nil, err. The bytes are
--- exact but for the segments in which the log stood when a snapshot was taken, and what was moved since: there they are
--- an estimate from below. Relies on the segments being loaded.
function snapshots.burden(volume)
  if #volume.snapshots == 0 then return 0, 0 end
  if volume.snapshot_burden then return table.unpack(volume.snapshot_burden) end
  local needs <const>, err = snapshots.needs(volume)
  if not needs then return nil, err end
  local own <const>, all = newest_pages(volume)
  if not own then return nil, all end
  local bytes = 0
  for segment, live in pairs(needs.live) do
    bytes = bytes + math.max(0, live - (volume.segments.live[segment] or 0))
  end
  volume.snapshot_burden = {needs.page_total - all + own, bytes}
  return table.unpack(volume.snapshot_burden)
end

--- snapshots.holds(volume, pointer) → whether the newest snapshot may need what the pointer of the current index points to: then
--- nothing gets free when the index lets go of it. Nothing is written into old segments, so their age tells.
function snapshots.holds(volume, pointer)
  if #volume.snapshots == 0 then return false end
  local needs <const> = snapshots.needs(volume)
  if not needs then return false end
  local segment <const> = volume.geometry.segment_of_place((entry.parse_pointer(pointer)))
  return volume.segments.sequence[segment] <= needs.newest_sequence
end

--- snapshots.changed(volume): the list, or what a tree in it points to.
function snapshots.changed(volume)
  volume.snapshot_needs, volume.snapshot_burden = nil, nil
end

return snapshots
