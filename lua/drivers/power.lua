-- Switching the machine off, and rebooting it.
--
-- Off: ACPI soft-off (\_S5 through PM1 control) where the tables say how, then the ports of
-- emulators. Reboot: the FADT's reset register, then the keyboard controller's reset pulse, then
-- the chip set's reset control. Each way is tried and given a moment; when none works the caller
-- gets `nil, err` and the machine runs on. Nothing is flushed here: callers flush first.
--
-- Sources: ACPI 6.4, 4.8.3.2.1 (PM1 control), 4.8.3.6 (reset register), 7.4.2 (\_S5); IBM PS/2
-- Technical Reference, 8042 command 0xFE; Intel 82371SB (PIIX3) data sheet, "RC - reset control
-- register"; QEMU hw/acpi, Bochs and VirtualBox documentation.

local acpi <const> = require "drivers.power.acpi"
local failure <const> = require "drivers.failure"
local registers <const> = require "drivers.registers"
local waiting <const> = require "drivers.waiting"

local power <const> = {}

local PM1 <const> = registers.masks{
  {"SCI_EN", 0x0001, "rw", "ACPI mode is on",                         "ACPI 6.4 4.8.3.2.1"},
  {"SLP_EN", 0x2000, "w",  "enter the state in SLP_TYP now",          "ACPI 6.4 4.8.3.2.1"},
  {"SLP_TYP", 0x1C00, "rw", "the sleep type, from bit 10 on",         "ACPI 6.4 4.8.3.2.1"},
}
local SLEEP_TYPE_SHIFT <const> = 10

--- Ports that switch an emulator off: {port, value, whose}.
local EMULATOR_OFF <const> = {
  {0x604,  0x2000, "QEMU (i440FX and Q35 after their firmware)"},
  {0xB004, 0x2000, "Bochs and QEMU before 2.0"},
  {0x4004, 0x3400, "VirtualBox"},
}

local RESET <const> = registers.values{
  {"KEYBOARD_COMMAND", 0x64, "port of 8042 commands"},
  {"KEYBOARD_PULSE",   0xFE, "8042: pulse the reset line"},
  {"CHIPSET_CONTROL",  0xCF9, "PIIX3 and later: reset control"},
  {"CHIPSET_HARD",     0x06, "hard reset now"},
}

local SPACE_MEMORY <const>, SPACE_IO <const> = 0, 1      -- ACPI 6.4 5.2.3.2
local MOMENT_SECONDS <const> = 0.5
local ACPI_MODE_SECONDS <const> = 3                       -- ACPI 6.4 4.8.2.5 gives no limit; firmware takes milliseconds

--- power.new{physical=, ports=, clock=, sleep=, rsdp=bytes|nil} → switch. Tables are read when
--- first needed.
function power.new(parts)
  local physical <const> = assert(parts.physical, "power needs physical memory")
  local ports <const> = assert(parts.ports, "power needs a way to get ports")
  local clock <const>, sleep <const> = assert(parts.clock, "power needs a clock"), parts.sleep
  local facts

  local function known()
    if facts == nil then facts = acpi.facts(physical, parts.rsdp) or false end
    return facts
  end

  local function moment() waiting.pause(clock, sleep, MOMENT_SECONDS) end

  -- A port that cannot be had counts as one that did nothing.
  local function try(action) pcall(action) end

  -- Firmware may still own the power management: ask it to let go.
  local function enter_acpi_mode(control)
    if control:in16(0) & PM1.SCI_EN ~= 0 or facts.smi_command == 0 or facts.acpi_enable == 0 then return end
    ports(facts.smi_command, 1):out8(0, facts.acpi_enable)
    waiting.poll(clock, sleep, ACPI_MODE_SECONDS, function() return control:in16(0) & PM1.SCI_EN ~= 0 end)
  end

  local function write_sleep(control, sleep_type)
    local kept = control:in16(0) & ~(PM1.SLP_TYP | PM1.SLP_EN)
    control:out16(0, kept | sleep_type << SLEEP_TYPE_SHIFT)
    control:out16(0, kept | sleep_type << SLEEP_TYPE_SHIFT | PM1.SLP_EN)
  end

  local function soft_off()
    local a = ports(facts.pm1a, 2)
    enter_acpi_mode(a)
    write_sleep(a, facts.sleep_a)
    if facts.pm1b and facts.pm1b ~= 0 then write_sleep(ports(facts.pm1b, 2), facts.sleep_b) end
  end

  local function acpi_can_switch_off()
    return known() and facts.pm1a and facts.pm1a ~= 0 and facts.sleep_a ~= nil
  end

  local function reset_register()
    local register = facts.reset
    if register.space == SPACE_IO then
      ports(register.address & 0xFFFF, 1):out8(0, register.value)
    elseif register.space == SPACE_MEMORY then
      physical(register.address, 1):set_u8(0, register.value)
    end
  end

  local switch = {}

  --- Switches the machine off: does not return if that works, else nil, failure.
  function switch.off()
    if acpi_can_switch_off() then
      try(soft_off)
      moment()
    end
    for _, row in ipairs(EMULATOR_OFF) do
      try(function() ports(row[1], 2):out16(0, row[2]) end)
    end
    moment()
    return nil, failure.new("unsupported", "this machine does not switch itself off")
  end

  --- Reboots the machine: does not return if that works, else nil, failure.
  function switch.reboot()
    if known() and facts.reset then
      try(reset_register)
      moment()
    end
    try(function() ports(RESET.KEYBOARD_COMMAND, 1):out8(0, RESET.KEYBOARD_PULSE) end)
    moment()
    try(function() ports(RESET.CHIPSET_CONTROL, 1):out8(0, RESET.CHIPSET_HARD) end)
    moment()
    return nil, failure.new("unsupported", "this machine does not reboot itself")
  end

  --- One line for a person: "off by ACPI (PM1a 0x604, type 0), reboot by 0xcf9".
  function switch.describe()
    local off = acpi_can_switch_off() and ("ACPI (PM1a 0x%x, type %d)"):format(facts.pm1a, facts.sleep_a) or "emulator ports"
    local reset = known() and facts.reset and ("the ACPI reset register (0x%x)"):format(facts.reset.address)
      or "the keyboard controller"
    return ("off by %s, reboot by %s"):format(off, reset)
  end

  --- The CMOS register that holds the century, as ACPI names it, or nil: rtc.new's `century`.
  function switch.century_register()
    return known() and facts.century and facts.century ~= 0 and facts.century or nil
  end

  return switch
end

return power
