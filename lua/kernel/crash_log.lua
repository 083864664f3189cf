-- The crash log: panics and deaths of services, kept over a reboot.
--
--     local log = require("kernel.crash_log").new(core, epoch)      epoch: microseconds from 1970 to this boot
--     log.add{kind=, name=, how=, text=}          kind "service" | "shell"; text: message and traceback
--     log.list() → entries, oldest first: {time=, boot=, kind=, name=, how=, text=}; boot 0 is this one, -1 the one before
--     log.last_words() → one row about the boot before, for the banner | nil
--     log.forget()
-- What is kept stands in RAM that a warm reset leaves alone (kernel/crash_record.c): it survives reboot(), the reset button
-- and a panic followed by either; not a power-off. A panic is taken over at the next boot, from what C wrote down.
-- Promises: at most MOST_ENTRIES, each cut to TEXT_BYTES (its beginning and its end); the oldest go first; bytes that are
-- not ours are an empty log, never an error.

local crash_log <const> = {}

local PANIC_PLACE <const>, LOG_PLACE <const> = 1, 2
local MOST_ENTRIES <const> = 16
local TEXT_BYTES <const>, TAIL_BYTES <const> = 2000, 600
local HEADER <const> = "<I4i8"            -- which boot this is, its epoch
local ENTRY <const> = "<i8I4s1s1s1s2"     -- time, boot, kind, name, how, text

local function cut(text)
  if #text <= TEXT_BYTES then return text end
  return text:sub(1, TEXT_BYTES - TAIL_BYTES) .. "\n…\n" .. text:sub(-TAIL_BYTES)
end

local function encode(state)
  local parts <const> = {HEADER:pack(state.boot, state.epoch)}
  for _, entry in ipairs(state.entries) do
    parts[#parts + 1] = ENTRY:pack(entry.time, entry.boot, entry.kind, entry.name, entry.how, entry.text)
  end
  return table.concat(parts)
end

local function decode(text)
  local boot <const>, epoch <const>, position = HEADER:unpack(text)
  local state <const> = {boot = boot, epoch = epoch, entries = {}}
  while position <= #text do
    local entry <const> = {}
    entry.time, entry.boot, entry.kind, entry.name, entry.how, entry.text, position = ENTRY:unpack(text, position)
    state.entries[#state.entries + 1] = entry
  end
  return state
end

local function kept_state(core)
  local text <const> = core.kept(LOG_PLACE)
  if text then
    local readable <const>, state <const> = pcall(decode, text)
    if readable then return state end
  end
  return {boot = 0, epoch = 0, entries = {}}
end

local function store(core, state)
  local entries <const> = state.entries
  while #entries > MOST_ENTRIES do table.remove(entries, 1) end
  while not core.keep(LOG_PLACE, encode(state)) and #entries > 0 do table.remove(entries, 1) end
end

-- What C has written down of a panic, as an entry of the boot that `state` still describes.
local function take_panic(core, state)
  local text <const> = core.kept(PANIC_PLACE)
  if not text then return end
  local module <const> = text:match("KHOROS PANIC in ([^:\n]*):") or "?"
  local milliseconds <const> = math.tointeger(text:match("(%d+) ms after boot"))
  state.entries[#state.entries + 1] = {
    time = milliseconds and state.epoch > 0 and state.epoch + milliseconds * 1000 or 0, boot = state.boot,
    kind = "panic", name = module:sub(1, 255), how = "panic", text = cut((text:gsub("^%s+", ""):gsub("%s+$", ""))),
  }
  core.keep(PANIC_PLACE, nil)
end

local function first_row(text)
  return (text:match("^[^\n]*"))
end

function crash_log.new(core, epoch)
  local self <const> = {}
  local state <const> = kept_state(core)
  take_panic(core, state)
  state.boot, state.epoch = (state.boot + 1) & 0x7FFFFFFF, epoch
  store(core, state)

  function self.add(entry)
    state.entries[#state.entries + 1] = {
      time = epoch + core.clock() // 1000, boot = state.boot, kind = entry.kind, name = entry.name:sub(1, 255),
      how = entry.how, text = cut(entry.text),
    }
    store(core, state)
  end

  function self.list()
    local rows <const> = {}
    for place, entry in ipairs(state.entries) do
      rows[place] = {
        time = entry.time, boot = entry.boot - state.boot, kind = entry.kind, name = entry.name, how = entry.how,
        text = entry.text,
      }
    end
    return rows
  end

  function self.forget()
    state.entries = {}
    store(core, state)
  end

  -- A panic says more than what went before it.
  function self.last_words()
    local last, count = nil, 0
    for _, entry in ipairs(state.entries) do
      if entry.boot == state.boot - 1 then
        last, count = entry, count + 1
      end
    end
    if not last then return nil end
    local more <const> = count > 1 and (", and %d more"):format(count - 1) or ""
    local what <const> = last.kind == "panic" and first_row(last.text)
      or ("%s %s ended: %s"):format(last.kind, last.name, first_row(last.text))
    return ("last time: %s%s; crashes() shows it"):format(what, more)
  end

  return self
end

return crash_log
