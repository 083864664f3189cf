-- Every function of the given files: what kernel/sandbox/prototypes.c finds in a compiled text is what lua/fs/prototypes.lua
-- finds. Arguments: this folder, then paths. Prints how many functions were compared.

local core <const>, host <const>, folder <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")

local COMPARE <const> = [[
  local kernel, reference, text = ...
  local ours = kernel.raw.prototypes
  local plain = load(reference, "=prototypes")().reference(string.dump, load)
  local main = assert(load(text, "=text", "t"))
  local lines, other = ours.lines(main), plain.lines(main)
  assert(#lines == #other and #lines > 0)
  for i = 1, #lines do assert(lines[i] == other[i]) end
  local count = #lines // 2
  for n = 0, count - 1 do
    local a, b = ours.instantiate(main, n), plain.instantiate(main, n)
    assert(string.dump(a) == string.dump(b), n)
    assert(ours.dump(a) == string.dump(b, true) and ours.dump(a) == plain.dump(a), n)
    local info = debug.getinfo(a, "uS")
    assert(info.linedefined == lines[2 * n + 1] and info.lastlinedefined == lines[2 * n + 2])
    for i = 1, info.nups do assert(select(2, debug.getupvalue(a, i)) == nil) end
  end
  assert(ours.instantiate(main, count) == nil and ours.instantiate(main, -1) == nil)
  assert(ours.instantiate(main, math.mininteger) == nil and plain.instantiate(main, count) == nil)
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
