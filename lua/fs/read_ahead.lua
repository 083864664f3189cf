-- Reading records, and with each a few more that will probably be wanted next.
--
-- A read is a round trip to the store. Ids are given out in the order in which a commit walks the graph, children of one
-- table next to each other, so what follows an id closely is likely to be near it in the graph too: siblings whose stubs
-- are known, and children whose parents are not read yet. Records that were not asked for are kept until they are,
-- bounded by count and bytes; the bounds grow with what is loaded, so that they never dominate.
-- The number read at once adapts: smaller after large answers or when few of the kept ones were of use.
-- An id in between may not exist, or be bad, or the answer be too large: then the wanted one is read alone, and for a while
-- only known neighbours are tried.
--
-- Promises: the record that is wanted is read if it can be; nothing is kept over drop(), nor of an object that was written since:
-- one may be read ahead while it is loaded, if the session has let go of its table (fs.detached).
-- Relies on: the store's read(ids); an identity map for what is known.

local read_ahead = {}

local BATCH_FIRST <const>, BATCH_MAX <const> = 4, 32
-- How far beyond the wanted id neighbours are looked for.
local WINDOW <const> = 64
-- An answer above the first many bytes makes the next reads smaller, one below the second larger.
local ANSWER_LARGE <const>, ANSWER_SMALL <const> = 65536, 16384
-- What is kept: at least this many records and bytes, and more in proportion to the number of loaded objects.
local KEPT_MIN <const>, KEPT_BYTES_MIN <const>, KEPT_BYTES_EACH <const> = 256, 262144, 128
-- So many reads keep to known neighbours after one that failed.
local CAREFUL_READS <const> = 64

function read_ahead.new(store, map)
  local self = { store = store, map = map, batch = BATCH_FIRST, careful = 0 }
  read_ahead.drop(self)
  return self
end

-- Drops what is kept.
function read_ahead.drop(self)
  self.kept, self.count, self.bytes = {}, 0, 0
  self.fetched, self.used = 0, 0
end

-- Takes out what is kept of an object. -> record | nil
local function take(self, id)
  local record <const> = self.kept[id]
  if record then
    self.kept[id] = nil
    self.count = self.count - 1
    self.bytes = self.bytes - #record.payload
  end
  return record
end

-- Drops what is kept of these objects, which have been written.
function read_ahead.drop_written(self, ids)
  for i = 1, self.count > 0 and #ids or 0 do
    take(self, ids[i])
  end
end

-- `id` and ids after it that are worth reading.
local function neighbourhood(self, id)
  local ids, n = { id }, 1
  local batch <const>, kept <const> = self.batch, self.kept
  local objects <const>, loaded <const> = self.map.objects, self.map.loaded
  local only_known <const> = self.careful > 0
  local near, last = id + 1, math.min(id + WINDOW, self.map.max_id)
  while n < batch and near <= last do
    local known = objects[near]
    if not loaded[near] and not kept[near] and (known or not only_known) then
      n = n + 1
      ids[n] = near
    end
    near = near + 1
  end
  return ids
end

local function adapt(self, bytes)
  if bytes > ANSWER_LARGE then
    self.batch = math.max(1, self.batch // 4)
  elseif bytes < ANSWER_SMALL then
    self.batch = math.min(BATCH_MAX, self.batch * 2)
  end
end

-- Makes room for what was read. When little of what is dropped was of use, less is read ahead from now on.
local function make_room(self, count, bytes)
  local loaded <const> = self.map.loaded_count
  if self.count + count > math.max(KEPT_MIN, 2 * loaded)
      or self.bytes + bytes > KEPT_BYTES_MIN + KEPT_BYTES_EACH * loaded then
    if self.used * 8 < self.fetched then
      self.batch = 1
    end
    read_ahead.drop(self)
  end
  return bytes <= KEPT_BYTES_MIN
end

local function keep(self, records)
  local bytes = 0
  for i = 1, #records do
    bytes = bytes + #records[i].payload
  end
  adapt(self, bytes)
  if #records == 1 or not make_room(self, #records, bytes) then
    return
  end
  for i = 2, #records do
    self.kept[records[i].id] = records[i]
  end
  self.fetched = self.fetched + #records - 1
  self.count = self.count + #records - 1
  self.bytes = self.bytes + bytes - #records[1].payload
end

-- -> the record of an object | nil, err
function read_ahead.record(self, id)
  local record = take(self, id)
  if record then
    self.used = self.used + 1
    return record
  end
  local ids = neighbourhood(self, id)
  local records, err = self.store.read(ids)
  self.careful = math.max(0, self.careful - 1)
  if not records and #ids > 1 then
    self.batch, self.careful = BATCH_FIRST, CAREFUL_READS
    records, err = self.store.read({ id })
  end
  if not records then
    return nil, err
  end
  keep(self, records)
  return records[1]
end

return read_ahead
