-- What the store makes of an image: mounts it read-only and reads every object by itself.
--
-- → {code=} when it refuses the image, or {verdict=, transaction=, objects = {[id] = payload | false}, codes = {[id] = code}}.
-- The ids are those that the other reader has found.

local store <const> = require "fs.store"

return function(device, primitives, ids, most)
  local handle <const>, err = store.open {device = device, primitives = primitives, read_only = true, collect = false}
  if not handle then return {code = err.code, message = err.message} end
  -- Information fails where a table of segments or transactions is damaged; the objects may all be there.
  local info <const> = handle.info()
  local result <const> = {verdict = info and info.verdict, transaction = handle.transaction(), objects = {}, codes = {}}
  for at = 1, math.min(#ids, most) do
    local records <const>, wrong = handle.read {ids[at]}
    result.objects[ids[at]] = records and records[1].payload or false
    if not records then result.codes[ids[at]] = wrong.code end
  end
  return result
end
