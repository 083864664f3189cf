-- CRC-32 as the GPT uses it (IEEE 802.3, reflected 0xEDB88320, initial value and final XOR ffffffff; UEFI 2.10, 5.3.2).
-- Plain Lua: it runs over a few KiB at mount. The store's own checksum is another one, CRC-32C, and a primitive.

local POLYNOMIAL <const> = 0xEDB88320

local TABLE <const> = {}
for byte = 0, 255 do
  local value = byte
  for _ = 1, 8 do value = value & 1 ~= 0 and value >> 1 ~ POLYNOMIAL or value >> 1 end
  TABLE[byte] = value
end

--- crc32(string) → integer.
return function(bytes)
  local crc = 0xFFFFFFFF
  for position = 1, #bytes do
    crc = crc >> 8 ~ TABLE[(crc ~ bytes:byte(position)) & 0xFF]
  end
  return crc ~ 0xFFFFFFFF
end
