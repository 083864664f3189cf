-- The registers, bits and commands of an ATA channel.
--
-- Sources: ATA/ATAPI-6 (T13/1410D revision 3b), section 7 "Interface register definitions" and
-- section 8 "Command descriptions"; later standards keep these. The names are the standard's.

local registers <const> = require "drivers.registers"

local M <const> = {}

--- Command block: eight ports (0x1F0 or 0x170 in compatibility mode).
M.command_rows = {
  {"data",         0, "rw", "Data: one word, or a double word, of the current DRQ data block",       "ATA-6 7.6"},
  {"error",        1, "r",  "Error: why the last command failed; valid while Status.ERR is set",     "ATA-6 7.9"},
  {"features",     1, "w",  "Features: parameter of a command",                                      "ATA-6 7.10"},
  {"sector_count", 2, "rw", "Sector Count; 48-bit commands write it twice, the high byte first",     "ATA-6 7.14"},
  {"lba_low",      3, "rw", "LBA Low: bits 7:0, before that bits 31:24 of a 48-bit address",         "ATA-6 7.12"},
  {"lba_mid",      4, "rw", "LBA Mid: bits 15:8, before that bits 39:32",                            "ATA-6 7.13"},
  {"lba_high",     5, "rw", "LBA High: bits 23:16, before that bits 47:40",                          "ATA-6 7.11"},
  {"device",       6, "rw", "Device: which drive, LBA mode, bits 27:24 of a 28-bit address",         "ATA-6 7.7"},
  {"status",       7, "r",  "Status; reading it clears a pending interrupt",                         "ATA-6 7.15"},
  {"command",      7, "w",  "Command: writing it starts the command",                                "ATA-6 7.4"},
}
M.command = registers.offsets(M.command_rows)

--- Control block: one port (0x3F6 or 0x376 in compatibility mode).
M.control_rows = {
  {"alternate_status", 0, "r", "Alternate Status: Status without clearing the interrupt", "ATA-6 7.3"},
  {"device_control",   0, "w", "Device Control: HOB, SRST, nIEN",                         "ATA-6 7.8"},
}
M.control = registers.offsets(M.control_rows)

M.status_rows = {
  {"BSY",  0x80, "r", "busy: the drive owns the command block, no other bit counts", "ATA-6 7.15.6.1"},
  {"DRDY", 0x40, "r", "ready to take commands",                                      "ATA-6 7.15.6.2"},
  {"DF",   0x20, "r", "device fault",                                                "ATA-6 7.15.6.3"},
  {"DSC",  0x10, "r", "seek complete (older drives), command dependent",             "ATA-3 5.2.13"},
  {"DRQ",  0x08, "r", "a DRQ data block waits to be transferred",                    "ATA-6 7.15.6.5"},
  {"CORR", 0x04, "r", "data was corrected (older drives)",                           "ATA-3 5.2.13"},
  {"IDX",  0x02, "r", "index mark (older drives)",                                   "ATA-3 5.2.13"},
  {"ERR",  0x01, "r", "the command ended in an error, see Error",                    "ATA-6 7.15.6.7"},
}
M.status = registers.masks(M.status_rows)

M.error_rows = {
  {"ICRC", 0x80, "r", "checksum error on the cable (BBK, bad block, on very old drives)", "ATA-6 8.27.6"},
  {"UNC",  0x40, "r", "uncorrectable data (WP, write protected, for some writes)",        "ATA-6 8.34.6"},
  {"MC",   0x20, "r", "media changed",                                                    "ATA-6 8.34.6"},
  {"IDNF", 0x10, "r", "no sector with this address",                                      "ATA-6 8.34.6"},
  {"MCR",  0x08, "r", "media change requested",                                           "ATA-6 8.34.6"},
  {"ABRT", 0x04, "r", "command refused or not supported",                                 "ATA-6 7.9"},
  {"NM",   0x02, "r", "no media",                                                         "ATA-6 8.34.6"},
  {"AMNF", 0x01, "r", "address mark not found (very old drives)",                         "ATA-3 5.2.9"},
}
M.error = registers.masks(M.error_rows)

M.device_rows = {
  {"obsolete", 0xA0, "w", "bits 7 and 5, one for drives that predate ATA-5",  "ATA-6 7.7"},
  {"LBA",      0x40, "rw", "the address is an LBA",                           "ATA-6 7.7"},
  {"DEV",      0x10, "rw", "drive 1 (slave) is selected",                     "ATA-6 7.7"},
  {"address",  0x0F, "rw", "bits 27:24 of a 28-bit LBA",                      "ATA-6 7.7"},
}
M.device = registers.masks(M.device_rows)

M.device_control_rows = {
  {"HOB",  0x80, "w", "read back the previous content (the high bytes) of the address registers", "ATA-6 7.8"},
  {"SRST", 0x04, "w", "software reset of both drives while set",                                  "ATA-6 7.8"},
  {"nIEN", 0x02, "w", "interrupts off",                                                           "ATA-6 7.8"},
}
M.device_control = registers.masks(M.device_control_rows)

--- Commands; section 8 of ATA-6 has one subsection of the same name for each.
M.operation_rows = {
  {"READ_SECTORS",        0x20, "PIO data-in",  "28-bit address, an interrupt for each sector"},
  {"READ_SECTORS_EXT",    0x24, "PIO data-in",  "48-bit address"},
  {"READ_DMA",            0xC8, "DMA",          "28-bit address; the controller moves the data, one interrupt at the end"},
  {"READ_DMA_EXT",        0x25, "DMA",          "48-bit address"},
  {"WRITE_DMA",           0xCA, "DMA",          "28-bit address"},
  {"WRITE_DMA_EXT",       0x35, "DMA",          "48-bit address"},
  {"READ_MULTIPLE",       0xC4, "PIO data-in",  "28-bit address, an interrupt for each block of sectors"},
  {"READ_MULTIPLE_EXT",   0x29, "PIO data-in",  "48-bit address"},
  {"WRITE_SECTORS",       0x30, "PIO data-out", "28-bit address"},
  {"WRITE_SECTORS_EXT",   0x34, "PIO data-out", "48-bit address"},
  {"WRITE_MULTIPLE",      0xC5, "PIO data-out", "28-bit address, an interrupt for each block of sectors"},
  {"WRITE_MULTIPLE_EXT",  0x39, "PIO data-out", "48-bit address"},
  {"SET_MULTIPLE_MODE",   0xC6, "non-data",     "sectors in a block of READ and WRITE MULTIPLE"},
  {"FLUSH_CACHE",         0xE7, "non-data",     "write the cache to the medium"},
  {"FLUSH_CACHE_EXT",     0xEA, "non-data",     "the same, failing address in 48 bits"},
  {"SET_FEATURES",        0xEF, "non-data",     "subcommand in Features"},
  {"IDENTIFY_DEVICE",     0xEC, "PIO data-in",  "512 bytes that describe the drive"},
}
M.operation = registers.values(M.operation_rows)

--- Subcommands of SET FEATURES (ATA-6 8.46).
M.feature = registers.values{
  {"DISABLE_WRITE_CACHE", 0x82},
}

--- What LBA Mid and LBA High hold after a reset or a refused IDENTIFY DEVICE (ATA-6 9.12
--- "Signature").
M.signatures = {
  [0x0000] = "ata",
  [0xEB14] = "atapi",
  [0xC33C] = "ata",    -- Serial ATA disk behind a bridge
  [0x9669] = "atapi",  -- Serial ATAPI
}

--- Sizes: a sector is 512 bytes; 28-bit commands take 256 sectors, 48-bit ones 65,536 (written as
--- 0).
M.SECTOR_BYTES = 512
M.SECTORS_28 = 0x0FFFFFFF
M.COUNT_28 = 256

return M
