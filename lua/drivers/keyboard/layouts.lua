-- Keyboard layouts: what a key types.
--
-- A layout is a table key name → {plain, shifted, with AltGr}, each UTF-8 or nil. A layout is made
-- from another one by the rows in which they differ. A layout with an AltGr column gives the right
-- Alt key to it; in others it is Alt.

local layouts <const> = {}

local function letters(layout)
  for byte = string.byte("a"), string.byte("z") do
    local letter = string.char(byte)
    layout[letter] = {letter, letter:upper(), letter = true}
  end
  return layout
end

--- United States.
layouts.us = letters{
  ["1"] = {"1", "!"}, ["2"] = {"2", "@"}, ["3"] = {"3", "#"}, ["4"] = {"4", "$"}, ["5"] = {"5", "%"},
  ["6"] = {"6", "^"}, ["7"] = {"7", "&"}, ["8"] = {"8", "*"}, ["9"] = {"9", "("}, ["0"] = {"0", ")"},
  ["-"] = {"-", "_"}, ["="] = {"=", "+"}, ["["] = {"[", "{"}, ["]"] = {"]", "}"}, ["\\"] = {"\\", "|"},
  [";"] = {";", ":"}, ["'"] = {"'", '"'}, ["`"] = {"`", "~"}, [","] = {",", "<"}, ["."] = {".", ">"}, ["/"] = {"/", "?"},
  iso = {"\\", "|"}, space = {" ", " "},
}

local function derived(base, differences)
  local layout = {}
  for key, row in pairs(base) do layout[key] = row end
  for key, row in pairs(differences) do layout[key] = row end
  layout.has_alt_gr = true
  return layout
end

--- Germany (T1), dead keys typed as they are.
layouts.de = derived(layouts.us, {
  ["2"] = {"2", '"', "²"}, ["3"] = {"3", "§", "³"}, ["6"] = {"6", "&"}, ["7"] = {"7", "/", "{"}, ["8"] = {"8", "(", "["},
  ["9"] = {"9", ")", "]"}, ["0"] = {"0", "=", "}"}, ["-"] = {"ß", "?", "\\"}, ["="] = {"´", "`"},
  q = {"q", "Q", "@", letter = true}, e = {"e", "E", "€", letter = true}, m = {"m", "M", "µ", letter = true},
  y = {"z", "Z", letter = true}, z = {"y", "Y", letter = true},
  ["["] = {"ü", "Ü", letter = true}, ["]"] = {"+", "*", "~"}, [";"] = {"ö", "Ö", letter = true},
  ["'"] = {"ä", "Ä", letter = true}, ["\\"] = {"#", "'"}, ["`"] = {"^", "°"}, [","] = {",", ";"}, ["."] = {".", ":"},
  ["/"] = {"-", "_"}, iso = {"<", ">", "|"},
})

return layouts
