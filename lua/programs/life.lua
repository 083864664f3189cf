-- life: Conway's game of life
--
-- Space steps, r runs or stops, n begins anew, q ends. run "life" shows it, run("life", 50) ends after fifty generations. The cells are a plain table: y * COLUMNS + x → true.

local COLUMNS <const>, ROWS <const> = 38, 21
local GENERATIONS <const> = ... or math.huge

local cells = {}

local function begin()
  cells = {}
  for place = 0, COLUMNS * ROWS - 1 do cells[place] = math.random() < 0.3 or nil end
end

-- The eight around a place; the edges meet.
local function neighbours(place)
  local x <const>, y <const>, found = place % COLUMNS, place // COLUMNS, {}
  for dy = -1, 1 do
    for dx = -1, 1 do
      if dx ~= 0 or dy ~= 0 then found[#found + 1] = (y + dy) % ROWS * COLUMNS + (x + dx) % COLUMNS end
    end
  end
  return found
end

local around <const> = {}
for place = 0, COLUMNS * ROWS - 1 do around[place] = neighbours(place) end

local function next_generation()
  local counts <const>, born <const> = {}, {}
  for place in pairs(cells) do
    for _, near in ipairs(around[place]) do counts[near] = (counts[near] or 0) + 1 end
  end
  for place, count in pairs(counts) do
    if count == 3 or count == 2 and cells[place] then born[place] = true end
  end
  cells = born
end

local function draw(generation)
  local rows <const> = {}
  for y = 0, ROWS - 1 do
    local row <const> = {}
    for x = 0, COLUMNS - 1 do row[#row + 1] = cells[y * COLUMNS + x] and "██" or "  " end
    rows[#rows + 1] = table.concat(row)
  end
  terminal.move(1, 1)
  terminal.write(table.concat(rows, "\n"), "\n", ("generation %d  (space steps, r runs, n anew, q ends)  "):format(generation))
end

terminal.scroll_away()
terminal.cursor(false)
begin()
local generation, running = 0, true
draw(generation)
while generation < GENERATIONS do
  local key <const> = terminal.key(running and 0.1 or nil)
  if key == "q" then break end
  if key == "r" then running = not running end
  if key == "n" then
    begin()
    generation = -1
  end
  if running or key == " " or key == "n" then
    if generation >= 0 then next_generation() end
    generation = generation + 1
    draw(generation)
  end
end
terminal.clear()
terminal.cursor(true)
