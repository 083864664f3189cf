-- The superblock: four slots, of which the newest generation that is whole says where the log is read from.
--
--   generation N stands twice:  head copy (LBA 8 or 16, by parity)   tail copy (24 or 16 sectors before the end)
--   update to N+1:  everything it points to → FLUSH → head → FLUSH → read back → tail → FLUSH
--
-- While N+1's pair is being written, N's pair is untouched: a cut at any instant leaves N or N+1 whole. The tail is
-- written only after the head is known to be durable, so a tail copy without its head copy is rot, never a cut.
--
-- Promises: nothing is written but by `update` and `repair`; what is read is believed only after magic, CRC, own
-- LBA, parity and agreement of all copies. Relies on `read(lba, count)` of a device in sectors of the store.

local layout <const> = require "fs.layout"
local errors <const> = require "fs.errors"
local geometry <const> = require "fs.geometry"

local superblock <const> = {}

local FORMAT <const> = layout.superblock
local SECTOR_BYTES <const> = layout.SECTOR_BYTES
local CRC_OFFSET <const> = FORMAT.offsets.crc

-- What every copy of a store agrees on, whatever its generation.
-- Why a slot does not count, where the medium cannot give it back.
local UNREADABLE <const> = "unreadable"
local SHARED <const> = {"uuid", "epoch", "total_sectors", "segment_sectors", "log_lba", "segment_count"}

-- Fields of 64 bits, which Lua reads as negative numbers above 2^63-1.
local LARGE <const> = {}
for name, value in pairs(FORMAT.unpack(("\xFF"):rep(FORMAT.size))) do
  if value == -1 then LARGE[#LARGE + 1] = name end
end

--- superblock.encode(crc32c, fields, lba) → the sector of a copy that stands at `lba`, its crc.
function superblock.encode(crc32c, fields, lba)
  local copy <const> = setmetatable({own_lba = lba, crc = 0}, {__index = fields})
  local covered <const> = FORMAT.pack(copy):sub(1, CRC_OFFSET)
  copy.crc = crc32c(covered)
  return FORMAT.pack(copy), copy.crc
end

--- superblock.head_crc(crc32c, fields) → the crc that the head copy of this generation has.
function superblock.head_crc(crc32c, fields)
  local head <const> = geometry.slot_lbas(fields.generation, fields.total_sectors)
  local _, crc <const> = superblock.encode(crc32c, fields, head)
  return crc
end

--- superblock.decode(crc32c, sector, lba, parity) → fields | nil, why the slot does not count, whether it is a newer format.
function superblock.decode(crc32c, sector, lba, parity)
  if sector:sub(1, 8) ~= FORMAT.constants.magic then return nil, "no magic" end
  local fields <const> = FORMAT.unpack(sector)
  local crc <const> = crc32c(sector:sub(1, CRC_OFFSET))
  if crc ~= fields.crc then return nil, ("crc: expected %08x, found %08x"):format(fields.crc, crc) end
  if fields.format_major ~= layout.FORMAT_MAJOR then return nil, "format " .. fields.format_major, true end
  for name, value in pairs(FORMAT.constants) do
    if fields[name] ~= value then return nil, name .. " is not what it must be" end
  end
  for _, name in ipairs(LARGE) do
    if fields[name] < 0 then return nil, name .. " is above 2^63-1" end
  end
  if fields.own_lba ~= lba then return nil, ("own_lba: expected %d, found %d"):format(lba, fields.own_lba) end
  if fields.generation < 1 or fields.generation % 2 ~= parity then
    return nil, ("generation %d in the slot of the other parity"):format(fields.generation)
  end
  return fields
end

--- Reads one slot. Returns {lba, parity, fields | reason}, or nil, err when the device is in trouble.
local function read_slot(device, crc32c, lba, parity)
  local slot <const> = {lba = lba, parity = parity}
  if lba < 0 or lba >= device.sector_count then
    slot.reason = "beyond the end of the device"
    return slot
  end
  local sector, cause = device.read(lba, 1)
  -- A second try, because one unreadable answer may come from the way to the disk, and what is at stake is the slot.
  if not sector then sector, cause = device.read(lba, 1) end
  if not sector and not errors.unreadable(cause) then return errors.device("reading the superblock", lba, cause) end
  if not sector then
    slot.reason = UNREADABLE
    return slot
  end
  slot.fields, slot.reason, slot.newer = superblock.decode(crc32c, sector, lba, parity)
  return slot
end

--- superblock.slots(device, crc32c) → list of the four slots as read | nil, err. Where the tail copies stand follows from
--- a head copy that counts, or, without one, from the size of the device. A cut leaves at most one copy of a pair unreadable,
--- since they are flushed one after the other. If both are, the device is in trouble: what they said may be the newest there
--- was, and going on from the pair before would throw acknowledged transactions away.
function superblock.slots(device, crc32c)
  local slots <const>, total = {}, device.sector_count
  for _, role in ipairs {"head", "tail"} do
    for parity = 0, 1 do
      local head <const>, tail <const> = geometry.slot_lbas(parity, total)
      local slot <const>, err = read_slot(device, crc32c, role == "head" and head or tail, parity)
      if not slot then return nil, err end
      slot.role = role
      slots[#slots + 1] = slot
    end
    for _, slot in ipairs(slots) do
      if slot.fields then total = slot.fields.total_sectors end
    end
  end
  for parity = 0, 1 do
    if slots[1 + parity].reason == UNREADABLE and slots[3 + parity].reason == UNREADABLE then
      return errors.new("io", ("neither copy of the superblock at LBA %d and %d can be read"):format(
        slots[1 + parity].lba, slots[3 + parity].lba), {lba = slots[1 + parity].lba})
    end
  end
  return slots
end

local function disagree(what)
  return errors.new("disagree", "the superblock copies disagree: " .. what)
end

--- The two copies of one generation are the same but for own_lba and crc.
local function check_copies(crc32c, one, other)
  if superblock.head_crc(crc32c, one) ~= superblock.head_crc(crc32c, other) then
    return disagree("two copies of generation " .. one.generation)
  end
  return true
end

--- Checks all counting copies against each other. Returns generation → fields | nil, err.
local function reconcile(crc32c, slots)
  local generations <const>, first = {}, nil
  for _, slot in ipairs(slots) do
    local fields <const> = slot.fields
    if fields then
      first = first or fields
      for _, name in ipairs(SHARED) do
        if fields[name] ~= first[name] then return disagree(name) end
      end
      if generations[fields.generation] then
        local same <const>, err = check_copies(crc32c, generations[fields.generation], fields)
        if not same then return nil, err end
      end
      generations[fields.generation] = fields
    end
  end
  for generation, fields in pairs(generations) do
    local parent <const> = generations[generation - 1]
    if parent and fields.parent_crc ~= superblock.head_crc(crc32c, parent) then
      return disagree("parent_crc of generation " .. generation)
    end
  end
  return generations
end

local function newest(generations)
  local result
  for generation, fields in pairs(generations) do
    if not result or generation > result.generation then result = fields end
  end
  return result
end

--- Features that this program may not pass over. Returns true, read-only reason or nil | nil, err.
local function check_features(fields)
  local unknown <const> = fields.features_incompat & ~layout.FEATURES_INCOMPAT
  if unknown ~= 0 then
    return errors.new("unknown_feature", ("the store uses incompatible features %#x"):format(unknown),
      {expected = layout.FEATURES_INCOMPAT, found = fields.features_incompat})
  end
  local limiting <const> = fields.features_ro_compat & ~layout.FEATURES_RO_COMPAT
  if limiting ~= 0 then return true, ("the store uses features %#x, which forbid writing"):format(limiting) end
  return true
end

local function check_pointers(fields)
  local place <const> = geometry.new(fields)
  local lba <const> = fields.replay_lba
  local bytes <const> = fields.checkpoint_payload_bytes + layout.entry_header.size
  if lba < place.log_lba or lba > place.end_lba or lba % fields.append_sectors ~= 0 then return "replay_lba " .. lba end
  if fields.replay_next_segment >= fields.segment_count then
    return "replay_next_segment " .. fields.replay_next_segment
  end
  if fields.replay_segment_sequence > layout.ID_MASK then return "replay_segment_sequence" end
  if fields.checkpoint_tag ~= 0 and not place.holds(fields.checkpoint_tag & layout.ID_MASK, bytes) then
    return "checkpoint at place " .. (fields.checkpoint_tag & layout.ID_MASK)
  end
  if fields.checkpoint_tag ~= 0 and fields.checkpoint_tag >> layout.ID_BITS ~= layout.KIND_CHECKPOINT then
    return "kind of the checkpoint's pointer " .. (fields.checkpoint_tag >> layout.ID_BITS)
  end
  if fields.replay_lsn < 1 then return "replay_lsn " .. fields.replay_lsn end
  if fields.replay_transaction > fields.replay_sequence then return "replay_transaction " .. fields.replay_transaction end
  if fields.incarnation > fields.incarnation_claimed then return "incarnation " .. fields.incarnation end
  return nil
end

local function check_fields(device, fields)
  if fields.total_sectors > device.sector_count then
    return errors.new("too_small", ("the store has %d sectors, the device only %d"):format(
      fields.total_sectors, device.sector_count), {expected = fields.total_sectors, found = device.sector_count})
  end
  local fault <const> = geometry.fault(fields) or check_pointers(fields)
  if fault then
    return errors.new("corrupt", ("superblock at LBA %d makes no sense: %s"):format(fields.own_lba, fault),
      {lba = fields.own_lba})
  end
  return true
end

--- superblock.choose(device, crc32c) → {fields, slots, read_only = reason | nil} | nil, err. Writes nothing.
function superblock.choose(device, crc32c)
  local slots <const>, err = superblock.slots(device, crc32c)
  if not slots then return nil, err end
  for _, slot in ipairs(slots) do
    if slot.newer then
      return errors.new("newer_format", ("superblock at LBA %d: %s, this program knows %d"):format(
        slot.lba, slot.reason, layout.FORMAT_MAJOR), {lba = slot.lba, expected = layout.FORMAT_MAJOR})
    end
  end
  local generations <const>, problem = reconcile(crc32c, slots)
  if not generations then return nil, problem end
  local fields <const> = newest(generations)
  if not fields then
    return errors.new("no_store", ("no superblock: LBA %d: %s"):format(slots[1].lba, slots[1].reason),
      {lba = slots[1].lba})
  end
  local known <const>, read_only = check_features(fields)
  if not known then return nil, read_only end
  local sound <const>, fault = check_fields(device, fields)
  if not sound then return nil, fault end
  return {fields = fields, slots = slots, read_only = read_only}
end

local function write_copy(device, sector, lba)
  local done <const>, cause = device.write(lba, sector)
  if not done then return errors.device("writing the superblock", lba, cause) end
  return true
end

local function flush(device, lba)
  local done <const>, cause = device.flush()
  if not done then return errors.device("flushing before or after the superblock", lba, cause) end
  return true
end

--- Head → FLUSH → read back → tail → FLUSH, for a device on which all else is durable.
local function write_pair(device, crc32c, fields)
  local head <const>, tail <const> = geometry.slot_lbas(fields.generation, fields.total_sectors)
  local sector <const> = superblock.encode(crc32c, fields, head)
  local done, err = write_copy(device, sector, head)
  if done then done, err = flush(device, head) end
  if not done then return nil, err end
  -- Read back before the second copy: a drive that drops or misplaces writes is found out while the generation before
  -- still stands whole in the other pair.
  local found <const>, cause = device.read(head, 1)
  if not found then return errors.device("reading back the superblock", head, cause) end
  if found ~= sector then
    return errors.new("io", ("the superblock written to LBA %d reads back different"):format(head), {lba = head})
  end
  -- Tail only after the head is durable: the two copies of a generation are never both in flight.
  done, err = write_copy(device, superblock.encode(crc32c, fields, tail), tail)
  if done then done, err = flush(device, tail) end
  if not done then return nil, err end
  return true
end

--- superblock.update(device, crc32c, current, changes) → fields of the next generation | nil, err.
--- The first FLUSH makes durable what the new generation points to; without it the superblock could reach the disk first.
function superblock.update(device, crc32c, current, changes)
  local fields <const> = {}
  for name in pairs(FORMAT.offsets) do fields[name] = current[name] end
  for name, value in pairs(changes) do fields[name] = value end
  fields.generation = current.generation + 1
  fields.parent_crc = superblock.head_crc(crc32c, current)
  local head <const>, tail <const> = geometry.slot_lbas(fields.generation, fields.total_sectors)
  local done, err = flush(device, head)
  if done then done, err = write_pair(device, crc32c, fields) end
  if not done then return nil, err end
  fields.own_lba, fields.crc = tail, select(2, superblock.encode(crc32c, fields, tail))
  return fields
end

--- superblock.repair(device, crc32c, chosen) → true | nil, err. Rewrites the pair of the current generation if a copy is
--- missing or bad. The good copy is made durable first (it may only be in the drive's cache), then the bad one written:
--- the good copy itself is not touched, so a cut in the repair leaves it.
function superblock.repair(device, crc32c, chosen)
  local fields <const> = chosen.fields
  local good <const> = {}
  for _, slot in ipairs(chosen.slots) do
    if slot.fields and slot.fields.generation == fields.generation then good[slot.lba] = true end
  end
  for _, lba in ipairs {geometry.slot_lbas(fields.generation, fields.total_sectors)} do
    if not good[lba] then
      local done, err = flush(device, lba)
      if done then done, err = write_copy(device, superblock.encode(crc32c, fields, lba), lba) end
      if done then done, err = flush(device, lba) end
      if not done then return nil, err end
    end
  end
  return true
end

superblock.SECTOR_BYTES = SECTOR_BYTES
return superblock
