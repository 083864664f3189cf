-- CRC-32C (Castagnoli, reflected 0x82F63B78, initial value and final XOR ffffffff) in plain Lua: for keys of large tables where the
-- system hands over no faster one. The store itself is always handed one.
-- Relies on: nothing.

local string_byte <const> = string.byte

local POLYNOMIAL <const> = 0x82F63B78

local TABLE <const> = {}
for byte = 0, 255 do
  local value = byte
  for _ = 1, 8 do value = value & 1 ~= 0 and value >> 1 ~ POLYNOMIAL or value >> 1 end
  TABLE[byte] = value
end

--- crc32c(string) → integer.
return function(bytes)
  local crc = 0xFFFFFFFF
  for position = 1, #bytes do
    crc = crc >> 8 ~ TABLE[(crc ~ string_byte(bytes, position)) & 0xFF]
  end
  return crc ~ 0xFFFFFFFF
end
