-- Expected failures of the store: `nil, err`, where err is a plain table {code=, message=, …facts}.
--
-- `code` is one of the list below and is what programs test; `message` is one line for people: what, where, expected,
-- found. Further fields (lba, id, expected, found, device) are facts. No metatable, so that an error crosses IPC.

local errors <const> = {}

--- Every code that lua/fs returns, and what it means.
errors.codes = {
  -- the device and what stands on it
  io = "the device reported an error; `device` is its own err",
  empty = "the disk holds nothing",
  foreign = "the disk holds something that is not ours",
  no_store = "there is no store here",
  too_small = "the device is smaller than its superblock says",
  newer_format = "the store was written in a format that this program does not know",
  unknown_feature = "the store uses a feature that this program does not know",
  disagree = "the superblock copies contradict each other",
  stale = "the log is newer than the superblock: a superblock write was lost",
  changed = "somebody else wrote to the store while it was mounted",
  corrupt = "bytes failed their CRC or identity check",
  damaged = "a transaction that was acknowledged is unreadable",
  -- requests
  absent = "there is no object with this id",
  conflict = "an object changed since the version that the commit expects",
  missing_reference = "a commit refers to objects that do not exist; `ids` are theirs",
  exists = "there is one with this name already",
  not_kept = "the history does not go back so far any more",
  view_too_old = "what the view needs had to make room",
  invalid = "the request is not well formed",
  limit = "the request asks for more than one call gives",
  too_large = "the object does not fit into a segment",
  no_space = "the store has no room for this; nothing was changed",
  read_only = "the store does not accept writes; the message says why",
  closed = "the store was closed",
  -- values and objects
  malformed = "a payload is not canonical; `offset`, `expected`, `found` say where and how",
  unknown_permanent = "a payload names a value that is not registered here",
  cannot_save = "a value has no form in the store; `path` says where it is",
}

--- errors.new(code, message [, facts]) → nil, err. An unknown code is a mistake of the caller and raises.
function errors.new(code, message, facts)
  if not errors.codes[code] then error("no such error code: " .. tostring(code), 2) end
  local err <const> = {}
  for name, value in pairs(facts or {}) do err[name] = value end
  err.code, err.message = code, message
  return nil, err
end

--- errors.device(doing, lba, cause) → nil, err of code "io" around a device's own err.
function errors.device(doing, lba, cause)
  local text <const> = type(cause) == "table" and cause.message or tostring(cause)
  return errors.new("io", ("%s at LBA %d: %s"):format(doing, lba, text),
    {lba = type(cause) == "table" and cause.lba or lba, device = cause})
end

--- errors.unreadable(cause) → whether a device's err says that the medium cannot give this sector back, as a write that
--- was cut leaves it, rather than that the device or the way to it is in trouble (which a later try may see healed).
function errors.unreadable(cause)
  return type(cause) == "table" and (cause.code == "unc" or cause.code == "idnf")
end

return errors
