-- Every function of the given files: what kernel/sandbox/functions.c finds in a compiled text is what lua/fs/prototypes.lua finds. Arguments: this folder, then paths. Prints how many functions were compared.

local core <const>, host <const>, folder <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")

local COMPARE <const> = [[
  local kernel, reference, text = ...
  local ours = kernel.raw
  local plain = load(reference, "=prototypes")().reference(string.dump, load, debug.getinfo)
  local main = assert(load(text, "=text", "t"))
  local count = 0
  while true do
    local a, b = ours.function_at(main, count), plain.function_at(main, count)
    if not a then
      assert(b == nil and count > 0)
      break
    end
    assert(string.dump(a) == string.dump(b), count)
    assert(ours.dump(a) == string.dump(b, true) and ours.dump(a) == plain.dump(a), count)
    local number = ours.number_of(main, a)
    assert(number == plain.number_of(main, a) and number <= count, count)
    assert(ours.dump(ours.function_at(main, number)) == ours.dump(a))
    for i = 1, debug.getinfo(a, "u").nups do assert(select(2, debug.getupvalue(a, i)) == nil) end
    count = count + 1
  end
  return count
]]

-- With all of Lua's libraries, which the plain Lua needs. -> how many functions
local function compare(text)
  local process <const> = assert(core.process{name = "prototypes", memory = 512 << 20, unsafe = true})
  assert(process:load(COMPARE, "=compare", core.source("fs.prototypes"), text))
  local why <const>, count <const>, trace <const> = harness.finish(process)
  process:kill()
  if why ~= "finished" then error(tostring(count) .. "\n" .. tostring(trace), 0) end
  return count
end

local functions = 0
for _, path in ipairs{select(4, ...)} do
  functions = functions + compare((host.read(path):gsub("^#[^\n]*", "")))
end
print(functions)
