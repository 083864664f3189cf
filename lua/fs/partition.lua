-- Finds the store on a disk: the whole of it, or a partition of our type. Reads only.
--
--   sector 0 is a partition table (55 AA and an entry in use)?
--     no  → a superblock's magic on the disk → the whole disk · otherwise "empty" or what it begins with
--     yes → protective entry (EE): the GPT whose CRCs are right, head or tail · otherwise the four MBR entries
--           → the first partition of our type → a device bounded to it · otherwise "foreign"
--
-- References: UEFI specification 2.10, 5.2 (MBR) and 5.3 (GPT). Both tables are foreign formats; their fields are below.

local layout <const> = require "fs.layout"
local crc32 <const> = require "fs.crc32"
local errors <const> = require "fs.errors"
local geometry <const> = require "fs.geometry"

local partition <const> = {}

local SECTOR_BYTES <const> = layout.SECTOR_BYTES
local MAGIC <const> = layout.superblock.constants.magic

-- UEFI 5.2.1, legacy MBR: signature at 510, four entries of 16 bytes at 446.
local MBR_SIGNATURE <const> = "\x55\xAA"
local MBR_SIGNATURE_AT <const>, MBR_ENTRIES_AT <const>, MBR_ENTRY_BYTES <const>, MBR_ENTRIES <const> = 510, 446, 16, 4
local MBR_ENTRY_FORMAT <const> = "<B c3 B c3 I4 I4" -- boot flag, CHS, type, CHS, first LBA, sectors
local MBR_PROTECTIVE <const> = 0xEE

-- UEFI 5.3.2, GPT header: signature, revision, header bytes, header CRC, reserved, own LBA, other LBA, first and last
-- usable LBA, disk GUID, LBA of the entries, their number, their size, their CRC.
local GPT_FORMAT <const> = "<c8 I4 I4 I4 I4 I8 I8 I8 I8 c16 I8 I4 I4 I4"
local GPT_SIGNATURE <const> = "EFI PART"
local GPT_CRC_AT <const>, GPT_CRC_BYTES <const> = 16, 4
-- UEFI 5.3.3, GPT entry: type GUID, own GUID, first LBA, last LBA.
local GPT_ENTRY_FORMAT <const> = "<c16 c16 I8 I8"
local GPT_ENTRY_BYTES_MIN <const>, GPT_ENTRY_BYTES_MAX <const>, GPT_ENTRIES_MAX <const> = 128, 4096, 1024
local UNUSED_GUID <const> = ("\0"):rep(16)

--- A GUID in the usual notation as it stands on disk: the first three groups little-endian (UEFI, appendix A).
local function guid_bytes(text)
  local a <const>, b <const>, c <const>, d <const>, e <const> = text:match("^(%x+)-(%x+)-(%x+)-(%x+)-(%x+)$")
  local rest <const> = (d .. e):gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)
  return string.pack("<I4 I2 I2", tonumber(a, 16), tonumber(b, 16), tonumber(c, 16)) .. rest
end

local OUR_GUID <const> = guid_bytes(layout.GPT_TYPE_GUID)

--- partition.bounded(device, first, count) → a device of `count` sectors from `first` on; nothing outside can be reached.
function partition.bounded(device, first, count)
  local function check(lba, sectors)
    if lba < 0 or sectors < 1 or lba > count or sectors > count - lba then
      return {code = "range", message = ("%d sectors at %d of a partition of %d"):format(sectors, lba, count), lba = lba}
    end
  end
  --- An error's LBA counts from the start of the partition, like every other.
  local function moved(result, err)
    if result then return result end
    if type(err) == "table" and math.type(err.lba) == "integer" then
      local copy <const> = {}
      for name, value in pairs(err) do copy[name] = value end
      copy.lba = err.lba - first
      return nil, copy
    end
    return nil, err
  end
  return {
    sector_count = count, description = ("%s, sectors %d to %d"):format(device.description or "disk", first,
      first + count - 1),
    read = function(lba, sectors)
      local wrong <const> = check(lba, sectors)
      if wrong then return nil, wrong end
      return moved(device.read(first + lba, sectors))
    end,
    write = function(lba, data)
      local wrong <const> = check(lba, #data // SECTOR_BYTES)
      if wrong then return nil, wrong end
      return moved(device.write(first + lba, data))
    end,
    flush = device.flush,
  }
end

local function mbr_rows(sector)
  if sector:sub(MBR_SIGNATURE_AT + 1, MBR_SIGNATURE_AT + 2) ~= MBR_SIGNATURE then return {} end
  local rows <const> = {}
  for number = 0, MBR_ENTRIES - 1 do
    local flag <const>, _, kind <const>, _, first <const>, count <const> =
      string.unpack(MBR_ENTRY_FORMAT, sector, MBR_ENTRIES_AT + number * MBR_ENTRY_BYTES + 1)
    if kind ~= 0 and count ~= 0 then
      rows[#rows + 1] = {first = first, count = count, kind = kind, table = "MBR",
        ours = kind == layout.MBR_TYPE and (flag == 0 or flag == 0x80)}
    end
  end
  return rows
end

local function gpt_rows(entries, count, entry_bytes)
  local rows <const> = {}
  for number = 0, count - 1 do
    local kind <const>, _, first <const>, last <const> = string.unpack(GPT_ENTRY_FORMAT, entries, number * entry_bytes + 1)
    if kind ~= UNUSED_GUID then
      local sound <const> = first >= 0 and last >= first
      rows[#rows + 1] = {first = first, count = sound and last - first + 1 or 0, table = "GPT", ours = kind == OUR_GUID}
    end
  end
  return rows
end

--- Checks a GPT header that stands at `lba`. Returns LBA, number, size and CRC of its entries | nil.
local function gpt_header(device, sector, lba)
  local signature <const>, _, bytes <const>, crc <const>, _, own <const>, _, _, _, _, first <const>, count <const>,
    size <const>, entries_crc <const> = string.unpack(GPT_FORMAT, sector)
  if signature ~= GPT_SIGNATURE or bytes < string.packsize(GPT_FORMAT) or bytes > SECTOR_BYTES then return nil end
  local covered <const> = sector:sub(1, GPT_CRC_AT) .. ("\0"):rep(GPT_CRC_BYTES)
    .. sector:sub(GPT_CRC_AT + GPT_CRC_BYTES + 1, bytes)
  if crc32(covered) ~= crc or own ~= lba or count > GPT_ENTRIES_MAX then return nil end
  if size < GPT_ENTRY_BYTES_MIN or size > GPT_ENTRY_BYTES_MAX or first < 0 then return nil end
  local sectors <const> = (count * size + SECTOR_BYTES - 1) // SECTOR_BYTES
  if count == 0 or first > device.sector_count - sectors then return nil end
  return first, sectors, count, size, entries_crc
end

--- The partitions of the GPT whose header stands at `lba` | false if there is none | nil, err.
local function gpt_at(device, lba)
  local sector <const>, cause = device.read(lba, 1)
  if not sector then
    if errors.unreadable(cause) then return false end
    return errors.device("reading the GPT", lba, cause)
  end
  local first <const>, sectors <const>, count <const>, size <const>, crc <const> = gpt_header(device, sector, lba)
  if not first then return false end
  local entries <const>, problem = device.read(first, sectors)
  if not entries then
    if errors.unreadable(problem) then return false end
    return errors.device("reading the GPT", first, problem)
  end
  if crc32(entries:sub(1, count * size)) ~= crc then return false end
  return gpt_rows(entries, count, size)
end

--- The partitions of a disk with a partition table; empty for one without | nil, err.
local function rows_of(device, sector)
  local rows <const> = mbr_rows(sector)
  local protective = false
  for _, row in ipairs(rows) do protective = protective or row.kind == MBR_PROTECTIVE end
  if not protective then return rows end
  for _, lba in ipairs {1, device.sector_count - 1} do
    local found <const>, err = gpt_at(device, lba)
    if found == nil then return nil, err end
    if found then
      found.table = "GPT"
      return found
    end
  end
  rows.damaged = true
  return rows
end

--- Whether a superblock's magic stands in one of the slots of a store that fills the device | nil, err.
local function has_store(device)
  for parity = 0, 1 do
    for _, lba in ipairs {geometry.slot_lbas(parity, device.sector_count)} do
      local sector, cause
      if lba > 0 and lba < device.sector_count then sector, cause = device.read(lba, 1) end
      if sector and sector:sub(1, #MAGIC) == MAGIC then return true end
      if cause and not errors.unreadable(cause) then return errors.device("looking for a superblock", lba, cause) end
    end
  end
  return false
end

--- Says what a disk without a partition table and without a store begins with.
local function judge_unknown(device, sector)
  local blocks <const> = device.read(0, math.min(device.sector_count, 2 * layout.LOG_LBA)) or sector
  local first <const> = blocks:find("[^\0]")
  if not first then
    return errors.new("empty", "empty (no partition table, no store)")
  end
  local bytes <const> = blocks:sub(first, first + 7):gsub(".", function(byte) return ("%02x "):format(byte:byte()) end)
  return errors.new("foreign", ("holds something else, left untouched; at byte %d: %s"):format(first - 1, bytes:sub(1, -2)))
end

local function judge_rows(device, rows)
  for _, row in ipairs(rows) do
    if row.ours and row.count > 0 and row.first > 0 and row.first <= device.sector_count - row.count then
      return partition.bounded(device, row.first, row.count)
    end
  end
  local kind <const> = rows.damaged and "GPT, damaged" or rows.table or "MBR"
  return errors.new("foreign", ("holds a partition table (%s, %d partition%s), none of them ours; left untouched"):format(
    kind, #rows, #rows == 1 and "" or "s"))
end

--- partition.find(device) → the device that the store fills (itself, or bounded to a partition) | nil, err: "empty",
--- "foreign" (the message says in one line what is there), "io".
function partition.find(device)
  if device.sector_count < 1 then return errors.new("empty", "the disk has no sectors") end
  local sector, cause = device.read(0, 1)
  if not sector and not errors.unreadable(cause) then return errors.device("reading the first sector", 0, cause) end
  sector = sector or ("\0"):rep(SECTOR_BYTES)
  local rows <const>, err = rows_of(device, sector)
  if not rows then return nil, err end
  if #rows > 0 or rows.table or rows.damaged then return judge_rows(device, rows) end
  local ours <const>, problem = has_store(device)
  if ours == nil then return nil, problem end
  if ours then return device end
  return judge_unknown(device, sector)
end

return partition
