-- info(): facts about a mounted store, as one table of plain values.

local layout <const> = require "fs.layout"
local entry <const> = require "fs.entry"
local retention <const> = require "fs.retention"
local snapshots <const> = require "fs.snapshots"

local information <const> = {}

local function uuid_text(bytes)
  local hex <const> = bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
  return (hex:gsub("^(........)(....)(....)(....)(............)$", "%1-%2-%3-%4-%5"))
end

--- Objects and their bytes, with what was committed since the last checkpoint. Returns count, bytes | nil, err.
local function totals(mounted)
  local count, bytes = mounted.record.object_count, mounted.record.object_bytes
  local function add(pointer, sign)
    local _, _, payload_bytes <const> = entry.parse_pointer(pointer)
    count, bytes = count + sign, bytes + sign * entry.size(payload_bytes)
  end
  for leaf, slots in pairs(mounted.objects.changes) do
    for slot, pointer in pairs(slots) do
      local old <const>, err = mounted.objects:stored(leaf * layout.PAGE_FANOUT + slot - 1)
      if old == nil then return nil, err end
      if old then add(old, -1) end
      if pointer then add(pointer, 1) end
    end
  end
  return count, bytes
end

--- What is kept besides the present: bytes of segments that only history keeps, bytes of objects that only snapshots keep; nil for what
--- an unreadable page hides.
local function held(mounted)
  if not retention.prepare(mounted) then return nil, nil end
  local by_history <const> = retention.held(mounted)
  local burden <const>, by_snapshots = snapshots.burden(mounted)
  return by_history, burden and by_snapshots + mounted.held
end

--- information.collect(volume, status, reason) → table | nil, err. Bytes unless the name says otherwise.
function information.collect(mounted, status, reason)
  local loaded, err = mounted:load_segments()
  if not loaded then return nil, err end
  local objects <const>, object_bytes = totals(mounted)
  if not objects then return nil, object_bytes end
  local history_bytes <const>, snapshot_bytes <const> = held(mounted)
  local shape <const>, fields <const> = mounted.geometry, mounted.superblock
  return {
    status = status, reason = reason, verdict = mounted.verdict, replayed_transactions = mounted.replayed,
    uuid = uuid_text(fields.uuid), label = fields.label:match("^[^\0]*"), generation = fields.generation,
    format = ("%d.%d"):format(fields.format_major, fields.format_minor),
    created_time = fields.created_time, device = mounted.device.description,
    total_bytes = fields.total_sectors * layout.SECTOR_BYTES, log_bytes = shape.segment_count * shape.segment_bytes,
    segment_bytes = shape.segment_bytes, segments = shape.segment_count, free_segments = mounted.segments.free,
    free_bytes = mounted.segments.free * shape.segment_bytes + mounted.log:placement():rest_bytes(),
    objects = objects, live_bytes = object_bytes, next_id = mounted.next_id,
    transactions = mounted.log.transaction, oldest_transaction = mounted:oldest(),
    keep_transactions = mounted.keep_transactions, snapshots = #mounted.snapshots,
    history_bytes = history_bytes, snapshot_bytes = snapshot_bytes,
    bytes_written = mounted.log.bytes_written, payload_bytes_written = mounted.payload_bytes,
    write_amplification = mounted.payload_bytes > 0 and mounted.log.bytes_written / mounted.payload_bytes or nil,
    segments_cleaned = mounted.segments_cleaned,
    segments_since_checkpoint = mounted.segments_since, commits_since_checkpoint = mounted.commits_since,
  }
end

return information
