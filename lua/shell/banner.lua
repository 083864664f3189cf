-- The first rows of a session: version, disk, objects, clean or recovered, help and how to leave.
--
--     banner.text(facts) → text;  facts = {version=, lua=, disk= description or nil, objects= count, state= "clean" |
--     "recovered" | other word, warnings = list of rows, last_time = what went wrong before}, all optional; or a string,
--     shown as it is
-- Promises: four rows at most besides warnings, each short enough for 80 columns.

local banner <const> = {}

local WIDTH <const> = 79

-- The description without its last details, as far as the row is too long for them.
local function fitting(description, room)
  while #description > room do
    local shorter = description:match("^(.*),")
    if not shorter then return description:sub(1, room) end
    description = shorter
  end
  return description
end

local function disk_row(facts)
  if not facts.disk then return "warning: no disk with a store: this session lives in memory until power-off" end
  local rest = ""
  if facts.objects then rest = (", %d object%s"):format(facts.objects, facts.objects == 1 and "" or "s") end
  if facts.state then rest = rest .. ", " .. facts.state end
  return "disk: " .. fitting(facts.disk, WIDTH - #"disk: " - #rest) .. rest
end

function banner.text(facts)
  if type(facts) == "string" then return facts end
  facts = facts or {}
  local rows = { ("Khoros %s, %s"):format(facts.version or "", facts.lua or _VERSION):gsub(" ,", ",") .. "" }
  rows[#rows + 1] = disk_row(facts)
  for _, warning in ipairs(facts.warnings or {}) do rows[#rows + 1] = "warning: " .. warning end
  if facts.last_time then rows[#rows + 1] = facts.last_time end
  rows[#rows + 1] = "help() shows what there is, Tab completes, poweroff() leaves."
  return table.concat(rows, "\n")
end

return banner
