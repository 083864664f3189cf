-- snake: a game for arrow keys; the best score stays
--
-- run "snake" plays: arrows or h j k l, p waits, q ends; run("snake", 20) ends by itself after twenty steps. Make it yours: edit "snake", change SPEED or the walls, Ctrl-R.

local system <const> = require "system"

local COLUMNS <const>, ROWS <const> = 38, 20
local SPEED <const> = 0.15                -- seconds a step at the start
local LIMIT <const> = ... or math.huge

local TURNS <const> = {
  up = {0, -1}, down = {0, 1}, left = {-1, 0}, right = {1, 0}, k = {0, -1}, j = {0, 1}, h = {-1, 0}, l = {1, 0},
}

-- A cell is two columns wide, so that it is about square.
local function put(x, y, text)
  terminal.move(y + 2, 2 * x + 1)
  terminal.write(text)
end

local snake <const> = {}                  -- cells {x, y}, the head first
local taken <const> = {}                  -- "x,y" → true
local function name(x, y) return x .. "," .. y end

local function grow(x, y)
  table.insert(snake, 1, {x, y})
  taken[name(x, y)] = true
  put(x, y, "██")
end

local function shrink()
  local tail <const> = table.remove(snake)
  taken[name(tail[1], tail[2])] = nil
  put(tail[1], tail[2], "  ")
end

local food
local function put_food()
  repeat food = {math.random(COLUMNS), math.random(ROWS)} until not taken[name(food[1], food[2])]
  put(food[1], food[2], "♥ ")
end

local score, best = 0, root.snake_best or 0
local function tell()
  terminal.move(1, 3)
  terminal.write((" snake %d, best %d  (arrows, p waits, q ends) "):format(score, best))
end

local function draw_walls()
  terminal.move(2, 2)
  terminal.write("┌" .. ("─"):rep(2 * COLUMNS) .. "┐")
  for row = 1, ROWS do
    terminal.move(row + 2, 2)
    terminal.write("│" .. ("  "):rep(COLUMNS) .. "│")
  end
  terminal.move(ROWS + 3, 2)
  terminal.write("└" .. ("─"):rep(2 * COLUMNS) .. "┘")
end

local direction = TURNS.right
-- → false when the player has had enough
local function obey(key)
  local turn <const> = TURNS[key]
  -- Not into its own neck.
  if turn and turn[1] + direction[1] ~= 0 and turn[2] + direction[2] ~= 0 then direction = turn end
  if key == "p" then terminal.key() end
  return key ~= "q"
end

-- → false when it has run into something
local function step()
  local x <const>, y <const> = snake[1][1] + direction[1], snake[1][2] + direction[2]
  if x < 1 or x > COLUMNS or y < 1 or y > ROWS or taken[name(x, y)] then return false end
  grow(x, y)
  if x ~= food[1] or y ~= food[2] then
    shrink()
    return true
  end
  score = score + 1
  tell()
  put_food()
  return true
end

terminal.scroll_away()
terminal.cursor(false)
draw_walls()
for x = 3, 6 do grow(x, 10) end
put_food()
tell()

-- The keys until the next step is due; → false when the player has had enough
local function play_until(time)
  repeat
    local key <const> = terminal.key(math.max(0, time - system.now()))
    if not obey(key) then return false end
  until not key
  return true
end

local steps, alive = 0, true
while alive and steps < LIMIT do
  steps = steps + 1
  alive = play_until(system.now() + SPEED / (1 + score / 20)) and step()
end
terminal.clear()
terminal.cursor(true)
print(("snake: %d eaten in %d steps"):format(score, steps))
if score > best then
  root.snake_best = score
  local kept <const>, problem <const> = pcall(commit, "snake: a new best")
  print(kept and "that is the best so far, and kept" or "that is the best so far; not kept: " .. tostring(problem))
end
