-- A screen of text over a display: VT100 interpreter and scroll-back, the same for every kind of display.
--
--     screen.lua              this file: brings the display up to date
--     screen/terminal.lua     VT100 interpreter, over
--     screen/grid.lua         cells and scroll-back
--
-- A write changes the grid first; then each row of the view that differs from what the display shows goes out, neighbours
-- together. So a page of output that scrolls forty times costs one pass over the rows.
--
-- A display: {columns=, rows=,
--   charset = {glyph = function(code point) → number below 1 << glyph_bits, glyph_bits = 8 | 16},
--   show = function(first, list): the bytes of rows first, first + 1, … (from 1), as grid.lua packs cells,
--   cursor = function(x, y | nil): where it is shown, from 1; nil: nowhere. Called after every change, as the last thing}

local terminal <const> = require "drivers.screen.terminal"

local screen <const> = {}

--- screen.new(display, reply | nil) → screen, cleared. `reply(bytes)` receives answers to queries.
function screen.new(display, reply)
  local columns <const>, rows <const> = display.columns, display.rows
  local term <const> = terminal.new{columns = columns, rows = rows, charset = display.charset, reply = reply}
  local shown <const> = {}          -- what the display shows, by row
  local back = 0                    -- how many rows the view lies before the end

  -- The cursor is hidden while the view is elsewhere.
  local function show()
    local y = 1
    while y <= rows do
      local run = {}
      local first = y
      while y <= rows do
        local bytes = term.grid:view_bytes(y, back)
        if bytes == shown[y] then break end
        shown[y] = bytes
        run[#run + 1] = bytes
        y = y + 1
      end
      if #run > 0 then display.show(first, run) end
      y = y + 1
    end
    if term.cursor_visible and back == 0 then display.cursor(term.x, term.y)
    else display.cursor(nil) end
  end

  show()

  local self = {}

  --- Interprets bytes and shows the result; a view that was scrolled back returns to the end.
  function self.write(bytes)
    term:feed(bytes)
    back = 0
    show()
  end

  --- → columns, rows.
  function self.size() return columns, rows end

  --- Moves the view by `count` rows, positive: towards older ones → how many rows it now lies
  --- before the end.
  function self.scroll(count)
    back = math.max(0, math.min(term.grid:history_rows(), back + count))
    show()
    return back
  end

  --- The same by pages of one row less than the screen.
  function self.scroll_pages(count) return self.scroll(count * (rows - 1)) end

  return self
end

return screen
