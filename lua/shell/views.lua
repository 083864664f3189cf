-- How the results of commands look at the prompt: tables with a __tostring of their own, otherwise plain.
--
--     views.transaction{id=, objects=, bytes=}        t4: 3 objects, 196 bytes
--     views.changes{ {kind=, path=, old=, new=}, … }  ~ root.ship.fuel 7 -> 5
--     views.transactions(list)  views.processes(list)  views.snapshots(list)   one row each, in columns
--     views.snapshot{name=, transaction=, time=, objects=, bytes=}              the same for one
--     views.programs(list)  views.jobs(list)  views.services(list)               one row each
--     views.collection{phase=, marked=, swept=, swept_bytes=}                   12 objects removed, 480 bytes
-- Promises: the tables stay the tables they were (fields, #, ipairs); only how they print is added.

local printer <const> = require "shell.printer"

local views <const> = {}

local SHORT <const> = { depth = 1, length = 4, string_length = 60, quoted = true, width = math.maxinteger }

local function dressed(value, metatable)
  if getmetatable(value) then return value end
  return setmetatable(value, metatable)
end

local function counted(count, what)
  return ("%s %s%s"):format(count, what, count == 1 and "" or "s")
end

local TRANSACTION <const> = { __name = "transaction" }

function TRANSACTION.__tostring(t)
  return ("%s: %s, %s"):format(t.id, counted(t.objects, "object"), counted(t.bytes, "byte"))
end

function views.transaction(transaction) return dressed(transaction, TRANSACTION) end

local CHANGES <const> = { __name = "changes" }

local function change_row(change)
  local old, new = printer.format(change.old, SHORT), printer.format(change.new, SHORT)
  if change.kind == "~" then return ("~ %s %s -> %s"):format(change.path, old, new) end
  if change.kind == "+" then return ("+ %s %s"):format(change.path, new) end
  return ("- %s"):format(change.path)
end

function CHANGES.__tostring(changes)
  if #changes == 0 then return "no changes since the last commit" end
  local rows = {}
  for index, change in ipairs(changes) do rows[index] = change_row(change) end
  return table.concat(rows, "\n")
end

function views.changes(changes) return dressed(changes, CHANGES) end

-- Rows of texts → columns; columns listed in `right` are aligned to the right.
local function in_columns(rows, right)
  local widths = {}
  for _, row in ipairs(rows) do
    for index, text in ipairs(row) do widths[index] = math.max(widths[index] or 0, #text) end
  end
  local out = {}
  for number, row in ipairs(rows) do
    local texts = {}
    for index, text in ipairs(row) do
      local padding = (" "):rep(widths[index] - #text)
      texts[index] = right[index] and padding .. text or index < #row and text .. padding or text
    end
    out[number] = table.concat(texts, "  "):gsub("%s+$", "")
  end
  return table.concat(out, "\n")
end

-- Microseconds since 1970 (or seconds) → "2026-11-22 15:00:01", without os.date.
function views.date(time)
  if not time then return "" end
  local seconds = math.type(time) == "integer" and time > 1 << 36 and time // 1000000 or math.floor(time)
  local days, rest = seconds // 86400, seconds % 86400
  -- Civil date from a day number: years that start in March, so that the leap day comes last.
  local shifted = days + 719468
  local era, day_of_era = shifted // 146097, shifted % 146097
  local year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
  local day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
  local month_index = (5 * day_of_year + 2) // 153
  local day = day_of_year - (153 * month_index + 2) // 5 + 1
  local month = month_index < 10 and month_index + 3 or month_index - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  return ("%04d-%02d-%02d %02d:%02d:%02d"):format(year, month, day, rest // 3600, rest // 60 % 60, rest % 60)
end

local TRANSACTIONS <const> = { __name = "log" }

function TRANSACTIONS.__tostring(list)
  if #list == 0 then return "nothing has been committed yet" end
  local rows = {}
  for index, transaction in ipairs(list) do
    rows[index] = {
      tostring(transaction.id), views.date(transaction.time), counted(transaction.objects or 0, "object"),
      counted(transaction.bytes or 0, "byte"), transaction.message or "",
    }
  end
  return in_columns(rows, { [3] = true, [4] = true })
end

function views.transactions(list)
  for _, transaction in ipairs(list) do views.transaction(transaction) end
  return dressed(list, TRANSACTIONS)
end

local SNAPSHOT <const>, SNAPSHOTS <const> = { __name = "snapshot" }, { __name = "snapshots" }

local function snapshot_row(one)
  return {
    one.name, "t" .. one.transaction, views.date(one.time), counted(one.objects, "object"), counted(one.bytes, "byte"),
  }
end

function SNAPSHOT.__tostring(one) return table.concat(snapshot_row(one), "  ") end

function SNAPSHOTS.__tostring(list)
  if #list == 0 then return "there are no snapshots" end
  local rows = {}
  for index, one in ipairs(list) do rows[index] = snapshot_row(one) end
  return in_columns(rows, { [4] = true, [5] = true })
end

function views.snapshot(one) return dressed(one, SNAPSHOT) end

function views.snapshots(list)
  for _, one in ipairs(list) do views.snapshot(one) end
  return dressed(list, SNAPSHOTS)
end

local COLLECTION <const> = { __name = "collection" }

function COLLECTION.__tostring(status)
  if status.phase ~= "idle" then return ("%s, %s found so far"):format(status.phase, counted(status.marked, "object")) end
  return ("%s removed, %s"):format(counted(status.swept, "object"), counted(status.swept_bytes, "byte"))
end

function views.collection(status) return dressed(status, COLLECTION) end

local PROCESSES <const> = { __name = "processes" }

local function size(bytes)
  if not bytes then return "" end
  if bytes < 10240 then return tostring(bytes) end
  if bytes < 10 << 20 then return ("%dK"):format(bytes >> 10) end
  return ("%dM"):format(bytes >> 20)
end

function PROCESSES.__tostring(list)
  local rows = { { "id", "state", "memory", "of", "cpu s", "mail", "name" } }
  for _, process in ipairs(list) do
    rows[#rows + 1] = {
      tostring(process.id), tostring(process.state or ""), size(process.memory), size(process.memory_limit),
      process.cpu_ns and ("%.3f"):format(process.cpu_ns / 1e9) or "", tostring(process.mailbox or ""),
      tostring(process.name or ""),
    }
  end
  return in_columns(rows, { [1] = true, [3] = true, [4] = true, [5] = true, [6] = true })
end

function views.processes(list) return dressed(list, PROCESSES) end

local CRASHES <const> = { __name = "crashes" }

local function boot_of(entry)
  if entry.boot == 0 then return "this boot" end
  if entry.boot == -1 then return "the boot before" end
  return ("%d boots ago"):format(-entry.boot)
end

function CRASHES.__tostring(list)
  if #list == 0 then return "no panic and no service that ended, since power was switched on" end
  local rows = {}
  for _, entry in ipairs(list) do
    local what = entry.kind == "panic" and "panic" or ("%s %s, %s"):format(entry.kind, entry.name, entry.how)
    rows[#rows + 1] = ("%s  %s  (%s)"):format(entry.time > 0 and views.date(entry.time) or "time unknown", what,
      boot_of(entry))
    rows[#rows + 1] = "  " .. entry.text:gsub("\r?\n", "\n  ")
  end
  return table.concat(rows, "\n")
end

function views.crashes(list) return dressed(list, CRASHES) end

local PROGRAMS <const>, JOBS <const>, SERVICES <const> = { __name = "programs" }, { __name = "jobs" }, { __name = "services" }

function PROGRAMS.__tostring(list)
  if #list == 0 then return "there are no programs: edit \"name\" writes one" end
  local rows = {}
  for index, one in ipairs(list) do rows[index] = { one.name, one.where, one.summary } end
  return in_columns(rows, {})
end

function views.programs(list) return dressed(list, PROGRAMS) end

local INSTALLED <const> = { __name = "installed" }

function INSTALLED.__tostring(names)
  if #names == 0 then return "all of them are in root.programs already" end
  return ("%s: in root.programs now; commit() keeps %s"):format(table.concat(names, ", "), #names == 1 and "it" or "them")
end

function views.installed(names) return dressed(names, INSTALLED) end

function JOBS.__tostring(list)
  if #list == 0 then return "there are no jobs: start \"clock\" makes one" end
  local rows = {}
  for index, job in ipairs(list) do
    rows[index] = { tostring(job.id), job.name, job.state, require("shell.cells").visible(job.note:gsub("\27%[[%d;?]*%a", "")):sub(1, 40) }
  end
  return in_columns(rows, { [1] = true })
end

function views.jobs(list) return dressed(list, JOBS) end

function SERVICES.__tostring(list)
  local rows = { { "id", "service", "state", "starts", "module", "replaced" } }
  for _, service in ipairs(list) do
    local replaced = table.concat(service.replaced, " ")
    if service.trial then replaced = replaced .. " (on trial)" end
    rows[#rows + 1] = {
      tostring(service.id or ""), service.name, service.state, tostring(service.lives), service.module,
      replaced,
    }
  end
  local text = in_columns(rows, { [1] = true, [4] = true })
  for _, service in ipairs(list) do
    if service.failure then
      text = text .. "\n" .. require("shell.cells").visible(("%s: the new code was taken back: %s"):format(service.name, service.failure))
    end
  end
  return text
end

function views.services(list) return dressed(list, SERVICES) end

return views
