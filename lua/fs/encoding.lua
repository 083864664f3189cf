-- Encoding tables of a session: a codec together with what the session knows of ids, metatables and long strings.
--
--   encoder.encode(t, plan) → payload | nil, key, value, role      as the codec's encode
--       plan nil: nothing gets an id, so what leads to something new cannot be encoded
--   encoder.begin(t, plan)    the same without encoding anything: encoder.miss then answers for t, which may also be a cell or a chunk
--   encoder.finish()          lets go of the plan
--   encoder.has_plan()        is a commit being encoded? Nothing else may be, meanwhile
--   encoder.held()            the long strings that were met since: text → entry, or nil
--   encoder.miss              what the codec asks for names
--
-- Relies on: fs.long_strings, fs.stubs, a codec.

local long_strings <const> = require "fs.long_strings"
local stubs <const> = require "fs.stubs"

local rawget <const> = rawget
local string_find <const> = string.find
local type <const> = type

local encoding = {}

-- A weak table is not saved: what only it refers to would vanish at some moment, here as well as after it was loaded.
local function is_weak(metatable)
  local mode <const> = rawget(metatable, "__mode")
  return type(mode) == "string" and string_find(mode, "[kv]") ~= nil
end

-- session: { map, codec, metatables, loading }
function encoding.new(session)
  local map <const>, codec <const>, strings <const> = session.map, session.codec, session.loading.strings
  local names <const>, metatable_of <const> = map.names, session.metatables.metatable_of
  local plan, own, held
  local encoder = {}

  function encoder.miss(v, key)
    if type(v) ~= "string" then
      return plan and plan:child(v)
    end
    local entry = long_strings.known(strings, v, own) or plan and plan:string(v, key)
    if not entry then
      return nil
    end
    held = held or {}
    held[v] = entry
    return entry.id
  end
  local miss <const> = encoder.miss

  function encoder.begin(t, for_plan)
    plan, own, held = for_plan, map.held[t], nil
  end

  -- A plan has all that a commit writes: it must not stay in memory until the next one.
  function encoder.finish()
    plan, own, held = nil, nil, nil
  end

  function encoder.has_plan()
    return plan ~= nil
  end

  function encoder.held()
    return held
  end

  function encoder.encode(t, for_plan)
    local metatable = metatable_of(t)
    if metatable == false then
      return nil, nil, false, "metatable"
    elseif metatable ~= nil then
      stubs.note_metatable(metatable)
      if is_weak(metatable) then
        return nil, nil, metatable, "weak"
      end
    end
    plan, own, held = for_plan, map.held[t], nil
    return codec.encode(t, names, metatable, miss)
  end

  return encoder
end

return encoding
