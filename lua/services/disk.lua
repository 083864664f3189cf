-- The disk service: finds the disks of the ATA channels and the store on one of them, and serves the store.
--
-- chunk(grants): grants.ata0, ata1, … = {command=, control= port ranges, irq=, bus_master={engine=, status=} or nil};
-- grants.read_only; grants.life: from the second on, drives may stand in the middle of a command. Requests are those of fs.store
-- (all but commit_all and tidy) and
--     describe() → {usable = boolean, description=, state=, warnings={…}}   once the disks have been looked at
--     disks() → list of {name=, description=, sectors=, finding=}
-- Commits that wait behind each other become one transaction with one FLUSH. While nobody asks for anything, garbage is collected
-- and segments are cleaned in small steps.
-- Promises: a disk that holds something else is left alone and named in a warning; a disk that does not answer costs its
-- driver's timeout and nothing else; everything that fails is nil, err, err being a plain table.

local grants <const> = ...

local ata <const> = require "drivers.ata"
local service <const> = require "kernel.service"

local primitives <const> = {
  crc32c = system.crc32c, now = system.time, random = system.random,
  references = system.codec.references, entries = system.codec.entries,
}

--- Objects that one step of a collection looks at.
local IDLE_BUDGET <const> = 128

local NO_STORE <const> = {code = "no_store", message = "there is no store"}

local disks <const>, warnings <const> = {}, {}
local mounted, mounted_disk

local function plain(err)
  if type(err) ~= "table" then return {code = "invalid", message = tostring(err)} end
  return err
end

local function find_disks()
  local number = 0
  while grants["ata" .. number] do
    local name <const> = "ata" .. number
    local row <const> = grants[name]
    local channel <const> = ata.new{
      command = row.command, control = row.control, irq = row.irq, bus_master = row.bus_master, clock = system.clock,
      sleep = system.sleep, memory = system.memory, name = name, reset = grants.life > 1,
    }
    for _, device in ipairs(channel.devices) do disks[#disks + 1] = device end
    number = number + 1
  end
end

local function warn(device, err)
  warnings[#warnings + 1] = ("disk %s: %s"):format(device.name, plain(err).message)
end

-- Mounts the first disk that holds a store. Without a disk the store's modules are not even loaded.
local function find_store()
  if #disks == 0 then return end
  local partition <const>, store <const> = require "fs.partition", require "fs.store"
  for _, device in ipairs(disks) do
    local volume <const>, reason <const> = partition.find(device)
    if not volume then
      warn(device, reason)
    else
      local opened <const>, err <const> = store.open{device = volume, primitives = primitives, read_only = grants.read_only}
      if opened then
        mounted, mounted_disk = opened, device
        return
      end
      warn(device, err)
    end
  end
end

local handlers <const> = {}

function handlers.describe()
  if not mounted then return {usable = false, warnings = warnings} end
  local state <const>, why <const> = mounted.status()
  local all <const> = why and table.move(warnings, 1, #warnings, 1, {}) or warnings
  if why and not grants.read_only then all[#all + 1] = why end
  return {usable = true, description = mounted_disk.description, state = state, warnings = all}
end

function handlers.disks()
  local rows <const> = {}
  for place, device in ipairs(disks) do
    rows[place] = {name = device.name, description = device.description, sectors = device.sector_count}
  end
  return rows
end

-- A client that stops answering is none of ours: requests are one at a time and all plain values.
for _, operation in ipairs{
  "allocate", "read", "missing", "log", "info", "status", "checkpoint", "transaction", "view", "close_view", "written",
  "snapshot", "snapshots", "delete_snapshot", "keep", "gc",
} do
  handlers[operation] = function(_, ...)
    if not mounted then return nil, NO_STORE end
    return mounted[operation](...)
  end
end

-- Only the supervisor unmounts.
function handlers.close(client)
  if client ~= 0 then return nil, {code = "invalid", message = "only the system closes the store"} end
  if not mounted then return true end
  return mounted.close()
end

local function commit_together(list)
  local requests <const>, refused <const> = {}, {nil, NO_STORE}
  for place, request in ipairs(list) do requests[place] = mounted and (request[1] or {}) or refused end
  return mounted and mounted.commit_all(requests) or requests
end

local function tidy()
  return mounted and mounted.tidy(IDLE_BUDGET) or false
end

find_disks()
find_store()
service.serve(handlers, {together = {commit = commit_together}, idle = tidy})
