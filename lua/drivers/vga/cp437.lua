-- Code page 437: Unicode → the characters of the VGA text font.
--
-- Promise: every code point gives one byte; what the font does not have becomes a likeness where
-- there is an honest one, otherwise "?" (a filled box would look like data).
-- Source: the Unicode Consortium's mapping "cp437_DOSLatinUS", and "IBM graphics" for 0x01…0x1F and
-- 0x7F.

local cp437 <const> = {}

local UPPER <const> = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»"
  .. "░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ "
local LOWER <const> = "☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"

-- Likenesses: what to show instead, one byte each.
local LIKENESS <const> = {
  ["‘"] = "'", ["’"] = "'", ["‚"] = ",", ["“"] = '"', ["”"] = '"', ["„"] = '"', ["–"] = "-", ["—"] = "-", ["‐"] = "-", ["‑"] = "-",
  ["−"] = "-", ["…"] = ".", ["€"] = "E", ["×"] = "x", ["©"] = "c", ["®"] = "r", ["´"] = "'", ["¨"] = '"', ["¸"] = ",", ["¦"] = "|",
  ["À"] = "A", ["Á"] = "A", ["Â"] = "A", ["Ã"] = "A", ["È"] = "E", ["Ê"] = "E", ["Ë"] = "E", ["Ì"] = "I", ["Í"] = "I", ["Î"] = "I",
  ["Ï"] = "I", ["Ò"] = "O", ["Ó"] = "O", ["Ô"] = "O", ["Õ"] = "O", ["Ø"] = "O", ["Ù"] = "U", ["Ú"] = "U", ["Û"] = "U", ["Ý"] = "Y",
  ["ã"] = "a", ["õ"] = "o", ["ø"] = "o", ["ý"] = "y", ["β"] = "\xE1", ["μ"] = "\xE6", ["Ω"] = "\xEA", ["∑"] = "\xE4", ["✓"] = "\xFB",
}

local byte_of <const> = {}
for code = 0x20, 0x7E do byte_of[code] = code end
byte_of[0x7F] = 0x20
local next_byte = 0x80
for _, code in utf8.codes(UPPER) do
  byte_of[code] = next_byte
  next_byte = next_byte + 1
end
next_byte = 0x01
for _, code in utf8.codes(LOWER) do
  byte_of[code] = next_byte
  next_byte = next_byte + 1
end
byte_of[0x2302] = 0x7F                -- house
byte_of[0xA0] = 0xFF
for text, byte in pairs(LIKENESS) do
  local code = utf8.codepoint(text)
  byte_of[code] = byte_of[code] or byte:byte()
end

local UNKNOWN <const> = string.byte("?")

--- Code point → byte of the font.
function cp437.byte(code) return byte_of[code] or UNKNOWN end

-- What terminals show two cells wide (East Asian scripts, pictures), coarsely; pairs first, last.
local WIDE <const> = {
  0x1100, 0x115F, 0x2E80, 0x303E, 0x3041, 0xA4C6, 0xA960, 0xA97C, 0xAC00, 0xD7A3, 0xF900, 0xFAFF, 0xFE30, 0xFE52, 0xFF01, 0xFF60,
  0xFFE0, 0xFFE6, 0x1F300, 0x1F320, 0x1F400, 0x1F4FC, 0x1F5FB, 0x1F64F, 0x1F680, 0x1F6C5, 0x1F910, 0x1F9FF, 0x20000, 0x3FFFD,
}

--- Cells of a character: as many as a terminal gives it, so that who counts columns counts alike here and there.
function cp437.cells(code)
  for place = 1, #WIDE, 2 do
    if code >= WIDE[place] and code <= WIDE[place + 1] then return 2 end
  end
  return 1
end

return cp437
