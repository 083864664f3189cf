-- What a drive's Status and Error registers mean, as failures.
--
-- Source: ATA/ATAPI-6 7.9 (Error), 7.15 (Status) and "error outputs" of each command in section 8.

local failure <const> = require "drivers.failure"
local registers <const> = require "drivers.registers"
local ata <const> = require "drivers.ata.registers"

local errors <const> = {}

--- Error bits → codes, the most telling first: drives set ABRT together with others.
local precedence <const> = {
  {ata.error.UNC,  "unc",   "the sector cannot be read"},
  {ata.error.IDNF, "idnf",  "the drive does not find the sector"},
  {ata.error.ICRC, "crc",   "checksum error on the cable"},
  {ata.error.NM,   "media", "no medium"},
  {ata.error.MC,   "media", "the medium was changed"},
  {ata.error.MCR,  "media", "the medium is being changed"},
  {ata.error.AMNF, "idnf",  "the drive does not find the sector's address mark"},
  {ata.error.ABRT, "abort", "the drive refused the command"},
}

-- In a write, bit 6 of Error means that the medium is write-protected (ATA-6 8.64.6), not
-- unreadable data.
local WRITE_PROTECTED <const> = {ata.error.UNC, "media", "the medium is write-protected"}

local function cause(operation, status, error_bits)
  if status & ata.status.DF ~= 0 then return "fault", "device fault" end
  if operation == "write" and error_bits & ata.error.UNC ~= 0 then
    return WRITE_PROTECTED[2], WRITE_PROTECTED[3]
  end
  for _, row in ipairs(precedence) do
    if error_bits & row[1] ~= 0 then return row[2], row[3] end
  end
  return "protocol", "the drive reports an error without a cause"
end

--- errors.from_registers(name, operation, status, error, lba) → failure. `operation` is "read",
--- "write", "flush", …
function errors.from_registers(name, operation, status, error_bits, lba)
  local code, prose = cause(operation, status, error_bits)
  local place = lba and (" at LBA %d"):format(lba) or ""
  local message = ("%s: %s failed%s: %s (status %s, error %s)"):format(name, operation, place, prose,
    registers.decode(ata.status_rows, status), registers.decode(ata.error_rows, error_bits))
  return failure.new(code, message, {lba = lba, status = status, error = error_bits, operation = operation})
end

--- A failure that the registers do not explain: timeout, gone, protocol, reset.
function errors.plain(name, code, operation, prose, fields)
  local err = failure.new(code, ("%s: %s failed: %s"):format(name, operation, prose), fields)
  err.operation = operation
  return err
end

return errors
