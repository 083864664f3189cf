-- Cases of bounded blocks that random calls (fuzz.lua) do not reach: finalizers that free a block, or send it away, while a
-- method of it is at work. Each runs in a fresh host program.

local core <const>, host <const>, folder <const>, name <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local cases <const> = {}

-- Runs `call` over and over on blocks that a finalizer ends by `act`, until it has been refused often enough. What is
-- converted on the way (a number to a string) may collect garbage.
local function refused_when_gone(act, call, pattern)
  local count <const>, last <const> = harness.run(core, ([[
    local kernel = ...
    collectgarbage("generational")
    local refusals, last = 0, nil
    for round = 1, 3000 do
      local block, other = kernel.memory(64), kernel.memory(64)
      local function act() %s end
      setmetatable({}, {__gc = act})
      for number = 100000000000, 100000000400 do
        local ok, message = pcall(function() %s end)
        if not ok then
          refusals, last = refusals + 1, message
          break
        end
      end
    end
    return refusals, last
  ]]):format(act, call), {take = function() return true end})
  assert(count > 100, count)
  assert(tostring(last):find(pattern), last)
end

function cases.find_in_a_block_that_its_number_frees()
  refused_when_gone("pcall(block.free, block)", "block:find(number)", "freed")
end

function cases.find_in_a_block_that_its_number_sends_away()
  refused_when_gone("pcall(kernel.call, 'take', 0, block)", "block:find(number)", "sent away")
end

function cases.write_to_a_block_that_its_number_frees()
  refused_when_gone("pcall(block.free, block)", "block:write(0, number)", "freed")
end

function cases.slice_of_a_block_that_is_freed_meanwhile()
  refused_when_gone("pcall(block.free, block)", "block:slice(0, 8):u8(0)", "freed")
end

function cases.copy_between_blocks_that_are_freed_meanwhile()
  refused_when_gone("pcall(other.free, other)", "block:copy(0, other, 0, #(number .. ''))", "freed")
end

function cases.crc_of_a_block_that_is_freed_meanwhile()
  refused_when_gone("pcall(block.free, block)", "kernel.crc32c(block, #(number .. ''))", "freed")
end

local case <const> = cases[name]
if not case then
  local names <const> = {}
  for each in pairs(cases) do names[#names + 1] = each end
  table.sort(names)
  print(table.concat(names, "\n"))
else
  case()
end
