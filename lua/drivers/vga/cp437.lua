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

return cp437
