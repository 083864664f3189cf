-- IDENTIFY DEVICE: 512 bytes → a table of facts.
--
-- Source: ATA/ATAPI-6 8.15 (words 0…100), ATA/ATAPI-7 and ATA8-ACS 7.12 (words 106, 117, 118:
-- sector sizes).
-- Promise: never raises on any 512 bytes; a field that the drive does not vouch for (its validity
-- bits are wrong) is decoded as "not offered".

local identify <const> = {}

--- The words that are used: {name, first word, meaning}. Words are little-endian.
local words <const> = {}
for _, row in ipairs{
  {"general",             0, "bit 15 clear: an ATA device; bit 2: the response is incomplete"},
  {"serial",             10, "20 characters"},
  {"firmware",           23, "8 characters"},
  {"model",              27, "40 characters"},
  {"multiple_maximum",   47, "bits 7:0: sectors a block that READ/WRITE MULTIPLE can take, 0: not offered"},
  {"capabilities",       49, "bit 9: LBA, bit 8: DMA"},
  {"validity",           53, "bit 2: word 88 is valid, bit 1: words 64 to 70 are"},
  {"sectors_28",         60, "two words: sectors that 28-bit commands reach"},
  {"multiword_dma",      63, "bits 10:8: which multiword DMA mode is selected; one at most"},
  {"commands_1",         82, "bit 5: write cache"},
  {"commands_2",         83, "bit 10: 48-bit addresses, 12: FLUSH CACHE, 13: FLUSH CACHE EXT; 15:14 = 01: valid"},
  {"enabled_1",          85, "bit 5: write cache is on"},
  {"enabled_3",          87, "15:14 = 01: words 85 to 87 are valid"},
  {"ultra_dma",          88, "bits 14:8: which Ultra DMA mode is selected; one at most"},
  {"sectors_48",        100, "four words: sectors that 48-bit commands reach"},
  {"sector_size",       106, "15:14 = 01: valid; bit 13: several logical a physical sector, 3:0: log2 of how many; bit 12: logical > 512"},
  {"logical_words",     117, "two words: words in a logical sector, if bit 12 of word 106"},
} do words[row[1]] = row[2] end

local RESPONSE_BYTES <const> = 512

local function word(bytes, index) return (string.unpack("<I2", bytes, index * 2 + 1)) end

local function number(bytes, index, count)
  local value = 0
  for i = count - 1, 0, -1 do value = value << 16 | word(bytes, index + i) end
  return value
end

local function bit(value, index) return value >> index & 1 == 1 end

-- The validity pattern of several words: bit 15 clear and bit 14 set.
local function vouched(value) return value >> 14 == 1 end

-- Text comes with the two characters of each word swapped, padded by spaces.
local function text(bytes, index, count)
  local swapped = bytes:sub(index * 2 + 1, (index + count) * 2):gsub("(.)(.)", "%2%1")
  return (swapped:gsub("[^\x20-\x7E]", " "):gsub("^%s+", ""):gsub("%s+$", ""))
end

local function sector_sizes(bytes)
  local flags = word(bytes, words.sector_size)
  if not vouched(flags) then return 512, 512 end
  local logical = bit(flags, 12) and number(bytes, words.logical_words, 2) * 2 or 512
  local physical = bit(flags, 13) and logical << (flags & 0xF) or logical
  return logical, physical
end

local function capacity(bytes, lba48)
  local sectors_28 = number(bytes, words.sectors_28, 2)
  if not lba48 then return sectors_28, sectors_28 end
  local sectors_48 = number(bytes, words.sectors_48, 4) & 0xFFFFFFFFFFFF
  -- Some drives offer 48-bit commands and leave these words empty.
  return math.max(sectors_48, sectors_28), sectors_28
end

-- Whether the firmware has set a DMA mode up: only then are the controller's timings for it right, too.
local function dma_mode_is_set(bytes)
  local ultra = bit(word(bytes, words.validity), 2) and word(bytes, words.ultra_dma) >> 8 & 0x7F or 0
  return ultra ~= 0 or word(bytes, words.multiword_dma) >> 8 & 0x07 ~= 0
end

--- 512 bytes → {model, serial, firmware, ata, incomplete, lba, lba48, sector_count,
--- sector_count_28, multiple_maximum, dma (offered, and a mode is set), write_cache, write_cache_enabled, flush, flush_ext,
--- logical_sector_bytes, physical_sector_bytes}.
function identify.decode(bytes)
  assert(#bytes == RESPONSE_BYTES, "IDENTIFY DEVICE gives 512 bytes")
  local general = word(bytes, words.general)
  local capabilities = word(bytes, words.capabilities)
  local commands_2 = word(bytes, words.commands_2)
  local offered = vouched(commands_2)
  local lba48 = offered and bit(commands_2, 10)
  local write_cache = offered and bit(word(bytes, words.commands_1), 5)
  local sector_count, sector_count_28 = capacity(bytes, lba48)
  local logical, physical = sector_sizes(bytes)
  return {
    model = text(bytes, words.model, 20),
    serial = text(bytes, words.serial, 10),
    firmware = text(bytes, words.firmware, 4),
    ata = not bit(general, 15),
    incomplete = bit(general, 2),
    lba = bit(capabilities, 9),
    dma = bit(capabilities, 8) and dma_mode_is_set(bytes),
    lba48 = lba48,
    sector_count = sector_count,
    sector_count_28 = sector_count_28,
    multiple_maximum = word(bytes, words.multiple_maximum) & 0xFF,
    write_cache = write_cache,
    write_cache_enabled = write_cache and vouched(word(bytes, words.enabled_3))
      and bit(word(bytes, words.enabled_1), 5),
    flush = offered and bit(commands_2, 12),
    flush_ext = lba48 and bit(commands_2, 13),
    logical_sector_bytes = logical,
    physical_sector_bytes = physical,
  }
end

--- Why Khoros cannot use the drive, or nil.
function identify.objection(identity)
  if not identity.ata then return "not an ATA disk" end
  if not identity.lba then return "addresses sectors by cylinder and head only" end
  if identity.logical_sector_bytes ~= 512 then
    return ("logical sectors of %d bytes"):format(identity.logical_sector_bytes)
  end
  if identity.sector_count < 1 then return "says it has no sectors" end
  return nil
end

return identify
