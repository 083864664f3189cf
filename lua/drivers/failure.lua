-- Expected failures of drivers: `nil, failure`.
--
-- A failure is a table {code=, message=, …}; `code` is one of the list below, `message` is one line
-- without a line break, `tostring` gives the message. Any further fields (lba, status, error) are
-- facts, not prose.

local failure <const> = {}

--- Every code a driver may return, and what it means.
failure.codes = {
  absent = "the device is not there",
  timeout = "the device did not answer in time",
  gone = "the device answered before and does not any more",
  busy = "the device cannot take the request now",
  protocol = "the device answered in a way its standard does not allow",
  range = "the request lies outside the device; the hardware was not touched",
  unsupported = "the device cannot do this",
  unc = "uncorrectable data: the sector cannot be read",
  idnf = "the sector's address was not found",
  abort = "the command was refused",
  fault = "device fault",
  bus = "the controller could not move the data to or from memory",
  crc = "checksum error on the cable",
  media = "media changed, missing or write-protected",
  reset = "the device was reset after writes that had not been flushed: they may be lost",
}

local meta <const> = {__tostring = function(err) return err.message end, __name = "failure"}

--- failure.new(code, message [, fields]) → failure. An unknown code is a mistake of the driver and
--- raises.
function failure.new(code, message, fields)
  if not failure.codes[code] then error("no such failure code: " .. tostring(code), 2) end
  local err = {}
  for name, value in pairs(fields or {}) do err[name] = value end
  err.code, err.message = code, message
  return setmetatable(err, meta)
end

return failure
