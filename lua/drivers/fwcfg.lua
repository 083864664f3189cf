-- QEMU's firmware configuration device: named files that the person who starts the emulator hands
-- to the guest.
--
-- A 16-bit selector at the first port chooses an item and rewinds it; each read of the 8-bit data
-- port (the second port) gives its next byte. Item 0 is the text "QEMU", item 0x19 the directory of
-- files.
--
-- Promise: on real hardware `new` returns nil after one look. File sizes are believed only up to a
-- limit.
-- Source: QEMU, docs/specs/fw_cfg.rst.

local failure <const> = require "drivers.failure"
local registers <const> = require "drivers.registers"

local fwcfg <const> = {}

local PORT <const> = registers.offsets{
  {"selector", 0, "w", "16 bits: choose an item and rewind it", "fw_cfg \"Selector (Control) Register\""},
  {"data",     1, "r", "8 bits: the item's next byte, 0 past its end", "fw_cfg \"Data Register\""},
}

local ITEM <const> = registers.values{
  {"SIGNATURE", 0x0000, "r", "the text QEMU"},
  {"DIRECTORY", 0x0019, "r", "count, then 64 bytes a file; big-endian"},
}

local SIGNATURE <const> = "QEMU"
local ENTRY <const> = ">I4 I2 I2 c56"           -- size, selector, reserved, name padded by zeros
local ENTRY_BYTES <const> = 64
local FILES_MAXIMUM <const> = 4096
local FILE_BYTES_MAXIMUM <const> = 64 << 20
local BUFFER_BYTES <const> = 16384

--- fwcfg.new{ports=ports(0x510, 2), memory=} → fw | nil, failure.
function fwcfg.new(parts)
  local ports <const> = assert(parts.ports, "fwcfg needs its ports")
  local buffer <const> = assert(parts.memory, "fwcfg needs memory")(BUFFER_BYTES)

  local function next_bytes(count)
    local pieces = {}
    while count > 0 do
      local some = math.min(count, BUFFER_BYTES)
      ports:in8s(PORT.data, buffer, 0, some)
      pieces[#pieces + 1] = buffer:read(0, some)
      count = count - some
    end
    return table.concat(pieces)
  end

  local function select_item(item) ports:out16(PORT.selector, item) end

  select_item(ITEM.SIGNATURE)
  if next_bytes(#SIGNATURE) ~= SIGNATURE then return nil, failure.new("absent", "no fw_cfg: not QEMU") end

  local fw, directory = {}, nil

  --- Files in the order of the device: list of {name=, size=, selector=} | nil, failure.
  function fw.files()
    if directory then return directory end
    select_item(ITEM.DIRECTORY)
    local count = string.unpack(">I4", next_bytes(4))
    if count > FILES_MAXIMUM then
      return nil, failure.new("protocol", ("fw_cfg: a directory of %d files"):format(count))
    end
    local bytes, list = next_bytes(count * ENTRY_BYTES), {}
    for index = 1, count do
      local size, selector, _, name = string.unpack(ENTRY, bytes, (index - 1) * ENTRY_BYTES + 1)
      list[index] = {name = name:match("^[^\0]*"), size = size, selector = selector}
    end
    directory = list
    return list
  end

  --- The content of a named file: string | nil, failure (`absent` when there is no such file).
  function fw.read(name)
    local files, err = fw.files()
    if not files then return nil, err end
    for _, file in ipairs(files) do
      if file.name == name then
        if file.size > FILE_BYTES_MAXIMUM then
          return nil, failure.new("range", ("fw_cfg: %s has %d bytes"):format(name, file.size))
        end
        select_item(file.selector)
        return next_bytes(file.size)
      end
    end
    return nil, failure.new("absent", "fw_cfg: no file " .. name)
  end

  return fw
end

return fwcfg
