-- Unicode → glyphs of the font that the kernel carries (kernel/font.py).
--
--     local font = font_module.new{glyphs = bytes, codes = bytes}
--     font.glyph(code point) → number of its glyph        font.glyphs, font.lines: what draws them
-- Glyphs 0 to 127 are those of ASCII. Those from 128 on belong to the code points that `codes` lists: for each run of
-- consecutive ones the first and how many, sorted.
-- Promise: every code point gives a glyph; a likeness or "?" stands for what the font does not have.

local font <const> = {}

local LINES <const> = 16
local ASCII_GLYPHS <const> = 128
local RUN <const> = "<I4I2"
local UNKNOWN <const> = string.byte("?")

-- What people write often and the font has only in the double width.
local LIKENESS <const> = {}
for text, likeness in pairs{["✓"] = "√", ["✔"] = "√", ["✗"] = "×", ["✘"] = "×", ["❯"] = "›", ["❮"] = "‹", ["➜"] = "→"} do
  LIKENESS[utf8.codepoint(text)] = utf8.codepoint(likeness)
end

local function read_runs(codes)
  local runs <const>, size <const> = {}, string.packsize(RUN)
  local glyph = ASCII_GLYPHS
  for position = 1, #codes, size do
    local first <const>, count <const> = string.unpack(RUN, codes, position)
    runs[#runs + 1] = {first = first, last = first + count - 1, glyph = glyph}
    glyph = glyph + count
  end
  return runs, glyph
end

-- The run that holds the code point, by halving; nil if none does.
local function find_run(runs, code)
  local low, high = 1, #runs
  while low <= high do
    local middle <const> = (low + high) // 2
    local run <const> = runs[middle]
    if code < run.first then high = middle - 1
    elseif code > run.last then low = middle + 1
    else return run end
  end
end

function font.new(parts)
  local runs <const>, count <const> = read_runs(parts.codes)
  assert(#parts.glyphs == count * LINES, "the font's glyphs are not those that it lists")
  local self <const> = {glyphs = parts.glyphs, lines = LINES}

  function self.glyph(code)
    if code < ASCII_GLYPHS then return code end
    local run = find_run(runs, code)
    if not run and LIKENESS[code] then
      code = LIKENESS[code]
      run = find_run(runs, code)
    end
    return run and run.glyph + code - run.first or UNKNOWN
  end

  return self
end

return font
