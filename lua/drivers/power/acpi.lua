-- ACPI tables, as far as switching off and rebooting need them.
--
--     RSDP → RSDT or XSDT → FADT ("FACP") → DSDT → \_S5
--
-- Promises: a table is believed only with the right signature, a sane length and a right checksum;
-- reading never goes outside what a table says it is; anything odd gives nil and the caller has
-- other ways.
-- Source: ACPI 6.4, section 5.2 (tables), 4.8.3 (PM1 control), 7.4.2 (\_Sx), 20.2 (AML encoding).

local acpi <const> = {}

--- Fields of tables: {name, offset, string.unpack format, meaning, section}.
local function fields(rows)
  local by_name = {}
  for _, row in ipairs(rows) do by_name[row[1]] = row end
  return by_name
end

local RSDP <const> = fields{
  {"revision",     15, "B",   "0: version 1, RSDT only",     "ACPI 6.4 5.2.5.3"},
  {"rsdt",         16, "<I4", "address of the RSDT",         "ACPI 6.4 5.2.5.3"},
  {"xsdt",         24, "<I8", "address of the XSDT",         "ACPI 6.4 5.2.5.3"},
}

local HEADER <const> = fields{
  {"length",        4, "<I4", "of the whole table in bytes", "ACPI 6.4 5.2.6"},
}

local FADT <const> = fields{
  {"dsdt",             40, "<I4", "address of the DSDT",                       "ACPI 6.4 5.2.9"},
  {"smi_command",      48, "<I4", "port that switches to ACPI mode, or 0",     "ACPI 6.4 5.2.9"},
  {"acpi_enable",      52, "B",   "what to write there",                       "ACPI 6.4 5.2.9"},
  {"pm1a_control",     64, "<I4", "port of PM1a control",                      "ACPI 6.4 5.2.9"},
  {"pm1b_control",     68, "<I4", "port of PM1b control, or 0",                "ACPI 6.4 5.2.9"},
  {"century",         108, "B",   "CMOS register with the century, or 0",      "ACPI 6.4 5.2.9"},
  {"flags",           112, "<I4", "bit 10: the reset register is there",       "ACPI 6.4 5.2.9.2"},
  {"reset_space",     116, "B",   "reset register: address space",             "ACPI 6.4 5.2.9"},
  {"reset_address",   120, "<I8", "reset register: address",                   "ACPI 6.4 5.2.9"},
  {"reset_value",     128, "B",   "what to write there",                       "ACPI 6.4 5.2.9"},
  {"dsdt_wide",       140, "<I8", "address of the DSDT, if not 0",             "ACPI 6.4 5.2.9"},
}

local HEADER_BYTES <const>, TABLE_BYTES_MAXIMUM <const> = 36, 4 << 20
local RSDP_SIGNATURE <const>, RSDP_BYTES_1 <const>, RSDP_BYTES_2 <const> = "RSD PTR ", 20, 36
local RESET_SUPPORTED <const> = 1 << 10
local EBDA_POINTER <const>, EBDA_BYTES <const> = 0x40E, 1024                 -- ACPI 6.4 5.2.5.1
local BIOS_START <const>, BIOS_BYTES <const> = 0xE0000, 0x20000
local RSDP_ALIGNMENT <const> = 16

-- AML (ACPI 6.4 20.2): what a \_S5 package is made of.
local AML <const> = {name = 0x08, root = 0x5C, package = 0x12, zero = 0x00, one = 0x01, ones = 0xFF, byte = 0x0A, word = 0x0B, dword = 0x0C}

-- A field, or nil when the table ends before it.
local function field(bytes, row)
  if #bytes < row[2] + string.packsize(row[3]) then return nil end
  return (string.unpack(row[3], bytes, row[2] + 1))
end

local function sums_to_zero(bytes)
  local sum = 0
  for position = 1, #bytes, 4096 do
    for _, byte in ipairs{bytes:byte(position, position + 4095)} do sum = sum + byte end
  end
  return sum & 0xFF == 0
end

-- Bytes of physical memory; nil where the machine lets nobody look.
local function peek(physical, address, count)
  local ok, block = pcall(physical, address, count)
  if not ok or not block then return nil end
  local bytes = block:read(0, count)
  return bytes
end

local function rsdp_in(bytes)
  local position = 1
  while true do
    position = bytes:find(RSDP_SIGNATURE, position, true)
    if not position then return nil end
    if (position - 1) % RSDP_ALIGNMENT == 0 then
      local candidate = bytes:sub(position, position + RSDP_BYTES_2 - 1)
      if #candidate >= RSDP_BYTES_1 and sums_to_zero(candidate:sub(1, RSDP_BYTES_1)) then return candidate end
    end
    position = position + 1
  end
end

--- The root pointer as firmware leaves it on a BIOS machine → bytes | nil.
function acpi.find_root(physical)
  local segment = peek(physical, EBDA_POINTER, 2)
  local ebda = segment and string.unpack("<I2", segment) << 4 or 0
  local bytes = ebda ~= 0 and peek(physical, ebda, EBDA_BYTES)
  local root = bytes and rsdp_in(bytes)
  if root then return root end
  bytes = peek(physical, BIOS_START, BIOS_BYTES)
  return bytes and rsdp_in(bytes)
end

--- The table at an address → bytes | nil. `signature` nil takes any.
function acpi.table_at(physical, address, signature)
  if not address or address == 0 then return nil end
  local header = peek(physical, address, HEADER_BYTES)
  if not header or (signature and header:sub(1, 4) ~= signature) then return nil end
  local length = field(header, HEADER.length)
  if length < HEADER_BYTES or length > TABLE_BYTES_MAXIMUM then return nil end
  local bytes = peek(physical, address, length)
  return bytes and sums_to_zero(bytes) and bytes or nil
end

-- Addresses that an RSDT (4 bytes each) or XSDT (8) lists.
local function entries(bytes, width)
  local addresses = {}
  local format = "<I" .. width
  for position = HEADER_BYTES + 1, #bytes - width + 1, width do
    addresses[#addresses + 1] = string.unpack(format, bytes, position)
  end
  return addresses
end

local function listed(physical, root)
  local xsdt = (field(root, RSDP.revision) or 0) >= 2 and acpi.table_at(physical, field(root, RSDP.xsdt), "XSDT")
  if xsdt then return entries(xsdt, 8) end
  local rsdt = acpi.table_at(physical, field(root, RSDP.rsdt), "RSDT")
  return rsdt and entries(rsdt, 4) or {}
end

-- PkgLength at `position` → position after it (ACPI 6.4 20.2.4).
local function after_package_length(bytes, position)
  local lead = bytes:byte(position)
  return lead and position + 1 + (lead >> 6)
end

-- An integer object → value, position after it | nil.
local function aml_integer(bytes, position)
  local opcode = bytes:byte(position)
  if opcode == AML.zero then return 0, position + 1 end
  if opcode == AML.one then return 1, position + 1 end
  if opcode == AML.ones then return 0xFF, position + 1 end
  if opcode == AML.byte then return bytes:byte(position + 1), position + 2 end
  if opcode == AML.word and #bytes >= position + 2 then return (string.unpack("<I2", bytes, position + 1)), position + 3 end
  if opcode == AML.dword and #bytes >= position + 4 then return (string.unpack("<I4", bytes, position + 1)), position + 5 end
  return nil
end

--- The sleep types of \_S5 in AML bytes → for PM1a, for PM1b | nil. `Name (\_S5, Package () {a, b,
--- …})`.
function acpi.soft_off(aml)
  local position = 1
  while true do
    position = aml:find("_S5_", position, true)
    if not position then return nil end
    local before = aml:byte(position - 1)
    local named = before == AML.name or (before == AML.root and aml:byte(position - 2) == AML.name)
    if named and aml:byte(position + 4) == AML.package then
      local elements = after_package_length(aml, position + 5)
      local a, next_position
      if elements then a, next_position = aml_integer(aml, elements + 1) end
      if a then return a & 7, (aml_integer(aml, next_position) or a) & 7 end
    end
    position = position + 4
  end
end

local function reset_register(fadt)
  local flags = field(fadt, FADT.flags) or 0
  local address = field(fadt, FADT.reset_address)
  if flags & RESET_SUPPORTED == 0 or not address or address == 0 then return nil end
  return {space = field(fadt, FADT.reset_space), address = address, value = field(fadt, FADT.reset_value)}
end

--- acpi.facts(physical, root) → {pm1a=, pm1b=, sleep_a=, sleep_b=, smi_command=, acpi_enable=,
--- reset={space=,address=,value=}, century=} | nil. `root` = the bytes of the RSDP if the loader
--- gave them, else nil: then they are searched for.
function acpi.facts(physical, root)
  root = root or acpi.find_root(physical)
  if not root or #root < RSDP_BYTES_1 then return nil end
  local fadt, secondary = nil, {}
  for _, address in ipairs(listed(physical, root)) do
    fadt = fadt or acpi.table_at(physical, address, "FACP")
    secondary[#secondary + 1] = address
  end
  if not fadt then return nil end
  local wide = field(fadt, FADT.dsdt_wide)
  local dsdt = acpi.table_at(physical, wide and wide ~= 0 and wide or field(fadt, FADT.dsdt), "DSDT")
  local sleep_a, sleep_b
  if dsdt then sleep_a, sleep_b = acpi.soft_off(dsdt) end
  for _, address in ipairs(sleep_a and {} or secondary) do
    local ssdt = acpi.table_at(physical, address, "SSDT")
    if ssdt and not sleep_a then sleep_a, sleep_b = acpi.soft_off(ssdt) end
  end
  return {
    pm1a = field(fadt, FADT.pm1a_control), pm1b = field(fadt, FADT.pm1b_control),
    sleep_a = sleep_a, sleep_b = sleep_b,
    smi_command = field(fadt, FADT.smi_command), acpi_enable = field(fadt, FADT.acpi_enable),
    reset = reset_register(fadt), century = field(fadt, FADT.century),
  }
end

return acpi
