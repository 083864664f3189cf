-- Plain Lua of several kinds, for the guest and for Lua on the host. Prints "begin NAME" and "end NAME COUNT" around each: who
-- runs it looks at the clock then.

local ROUNDS <const> = 5

local function fib(n)
  if n < 2 then return n end
  return fib(n - 1) + fib(n - 2)
end

-- Orbits as of the benchmarks game: bodies are tables of floats.
local function nbody(steps)
  local bodies <const> = {}
  for i = 1, 5 do
    bodies[i] = {x = i * 1.3, y = i * -0.7, z = i * 0.11, vx = 0.01 / i, vy = 0.02 * i, vz = -0.003, mass = 0.04 / i}
  end
  for _ = 1, steps do
    for i = 1, 5 do
      local one <const> = bodies[i]
      for j = i + 1, 5 do
        local other <const> = bodies[j]
        local dx <const>, dy <const>, dz <const> = one.x - other.x, one.y - other.y, one.z - other.z
        local square <const> = dx * dx + dy * dy + dz * dz
        local pull <const> = 0.01 / (square * math.sqrt(square))
        local mine <const>, its <const> = one.mass * pull, other.mass * pull
        one.vx, one.vy, one.vz = one.vx - dx * its, one.vy - dy * its, one.vz - dz * its
        other.vx, other.vy, other.vz = other.vx + dx * mine, other.vy + dy * mine, other.vz + dz * mine
      end
    end
    for i = 1, 5 do
      local body <const> = bodies[i]
      body.x, body.y, body.z = body.x + 0.01 * body.vx, body.y + 0.01 * body.vy, body.z + 0.01 * body.vz
    end
  end
end

local function tree(depth)
  if depth == 0 then return {} end
  return {tree(depth - 1), tree(depth - 1)}
end

local function trees()
  for _ = 1, 5 do tree(12) end
end

local function format()
  for i = 1, 100000 do local _ <const> = string.format("%d %s %5.2f", i, "text", i * 0.5) end
end

local function insert_and_sort()
  local list, seed = {}, 42
  for _ = 1, 100000 do
    seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
    table.insert(list, seed)
  end
  table.sort(list)
end

for _, work in ipairs{
  {"fib", function() fib(27) end}, {"nbody", function() nbody(50000) end}, {"trees", trees}, {"format", format},
  {"insert_and_sort", insert_and_sort},
} do
  collectgarbage()
  print("begin " .. work[1])
  for _ = 1, ROUNDS do work[2]() end
  print("end " .. work[1] .. " " .. ROUNDS)
end
