-- Cases of DMA engines: an engine moves the bytes that it was told, and none once its memory may belong to somebody else.
-- host.dma_moves is the device (dma_model.c); moving into memory that was given back ends the program.

local core <const>, host <const>, folder <const>, name <const> = ...
local harness <const> = dofile(folder .. "/harness.lua")
local cases <const> = {}

local FIRST_PORT <const>, PORTS_AN_ENGINE <const> = 0x40, 8

local function new_engine(number)
  local first <const> = FIRST_PORT + (number or 0) * PORTS_AN_ENGINE
  return core.dma{command = first, table = first + 4, start = 0x01, into_memory = 0x08, from_memory = 0}
end

local function running(direction, bytes)
  local engine <const> = new_engine()
  local block <const> = engine:memory(bytes or 8192)
  engine:prepare(direction or "in", block, 0, #block)
  engine:start()
  return engine, block
end

function cases.it_moves_exactly_the_range()
  local engine <const> = new_engine()
  local size <const>, first <const>, count <const> = 300000, 1002, 200000
  local block <const> = engine:memory(size)
  block:fill(0x11)
  engine:prepare("in", block, first, count)
  assert(not host.dma_moves(0x55))
  engine:start()
  local regions <const> = host.dma_moves(0x55)
  engine:stop()
  assert(not host.dma_moves(0x66))
  assert(block:read(0, first) == ("\x11"):rep(first))
  assert(block:read(first, count) == ("\x55"):rep(count))
  assert(block:read(first + count, size - first - count) == ("\x11"):rep(size - first - count))
  local sum, pieces = 0, 0
  for bytes in regions:gmatch(":(%d+)") do sum, pieces = sum + tonumber(bytes), pieces + 1 end
  assert(sum == count and pieces >= 4 and pieces <= 5, regions)
end

function cases.out_changes_nothing()
  local engine <const>, block <const> = running("out")
  assert(host.dma_moves(0x55))
  engine:stop()
  assert(block:read(0, #block) == ("\0"):rep(#block))
end

function cases.a_whole_number_of_regions()
  local engine <const> = new_engine()
  local block <const> = engine:memory(4 << 16)
  for _, count in ipairs{2, 4096, 1 << 16, 2 << 16, 4 << 16} do
    block:fill(0)
    engine:prepare("in", block, 0, count)
    engine:start()
    host.dma_moves(0x77)
    engine:stop()
    assert(block:read(0, count) == ("\x77"):rep(count))
    assert(count == #block or block:u8(count) == 0)
  end
end

function cases.a_transfer_has_its_order()
  local engine <const> = new_engine()
  local block <const> = engine:memory(4096)
  harness.raises("no transfer is prepared", engine.start, engine)
  engine:stop()
  engine:prepare("in", block, 0, 512)
  harness.raises("a transfer is under way", engine.prepare, engine, "in", block, 0, 512)
  engine:start()
  harness.raises("no transfer is prepared", engine.start, engine)
  harness.raises("a transfer is under way", engine.prepare, engine, "out", block, 0, 512)
  engine:stop()
  engine:stop()
  engine:prepare("out", block, 512, 512)
  engine:stop()
  harness.raises("no transfer is prepared", engine.start, engine)
end

function cases.a_launch_is_prepare_writes_and_start()
  local engine <const> = new_engine()
  local block <const> = engine:memory(4096)
  local one <const>, other <const> = core.ports(0x10, 4), core.ports(0x20, 8)
  host.port_writes()
  engine:launch("in", block, 512, 1024, one, 0, 0x66, other, 6, 0x1E0, 2, 3, 2, 4, 7, 0xC8)
  assert(host.port_writes() == "40=8 10=66 26=e0 22=3 22=4 27=c8 40=9 ")
  host.dma_moves(0x55)
  engine:stop()
  assert(block:read(0, 4096) == ("\0"):rep(512) .. ("\x55"):rep(1024) .. ("\0"):rep(2560))
  host.port_writes()
end

function cases.a_wrong_launch_does_nothing()
  local engine <const> = new_engine()
  local block <const> = engine:memory(4096)
  local ports <const> = core.ports(0x20, 8)
  host.port_writes()
  local many <const> = {}
  for place = 1, 34 do many[place] = 0 end
  local function refuses(pattern, ...)
    harness.raises(pattern, engine.launch, engine, "in", block, 0, 512, ...)
    assert(host.port_writes() == "" and not host.dma_moves(0x55))
  end
  refuses("port range expected")
  refuses("port range expected", 0, 1)
  refuses("outside a range of 8", ports, 7, 1, 8, 1)
  refuses("number expected", ports, 7)
  refuses("number expected", ports, 7, {})
  refuses("port range expected", ports, 7, 1, engine, 0, 1)
  refuses("too many writes", ports, table.unpack(many))
  harness.raises("outside the block", engine.launch, engine, "in", block, 0, 8192, ports, 7, 1)
  assert(host.port_writes() == "")
  engine:launch("in", block, 0, 512, ports, 7, 1)
  host.port_writes()
  harness.raises("a transfer is under way", engine.launch, engine, "in", block, 0, 512, ports, 7, 1)
  assert(host.port_writes() == "")
end

function cases.several_ports_are_written_in_one_call_or_none_is()
  local ports <const> = core.ports(0x10, 8)
  host.port_writes()
  ports:out8_each()
  ports:out8_each(0, 1, 7, 0x102, 0, 3, core.ports(0x30, 1), 0, 4)
  assert(host.port_writes() == "10=1 17=2 10=3 30=4 ")
  harness.raises("outside a range of 8", ports.out8_each, ports, 0, 1, 8, 1)
  harness.raises("outside a range of 8", ports.out8_each, ports, 0, 1, -1, 1)
  harness.raises("number expected", ports.out8_each, ports, 0, 1, 2)
  assert(host.port_writes() == "")
end

function cases.what_it_takes_is_checked()
  local engine <const> = new_engine()
  local block <const>, huge <const> = engine:memory(4096), engine:memory(40 << 20)
  local function refuses(pattern, ...) harness.raises(pattern, engine.prepare, engine, ...) end
  refuses("invalid option", "both", block, 0, 512)
  refuses("outside the block", "in", block, 0, 4098)
  refuses("outside the block", "in", block, -2, 512)
  refuses("outside the block", "in", block, 4096, 2)
  refuses("outside the block", "in", block, math.maxinteger - 1, 4)
  refuses("outside the block", "in", block, 2, math.maxinteger - 1)
  refuses("outside the block", "in", block, 0, -2)
  refuses("must be even", "in", block, 1, 512)
  refuses("must be even", "in", block, 0, 511)
  refuses("more than none", "in", block, 0, 0)
  refuses("too many bytes", "in", huge, 0, #huge)
  refuses("does not reach", "in", core.memory(4096), 0, 512)
  refuses("block expected", "in", engine, 0, 512)
  refuses("must be even", "in", block:slice(1, 100), 0, 50)
  block:free()
  refuses("freed", "in", block, 0, 512)
  engine:prepare("in", huge, 0, 32 << 20)
  engine:stop()
  for _, bytes in ipairs{0, -1, (1 << 32) + 1, math.maxinteger, math.mininteger} do
    harness.raises("size out of range", engine.memory, engine, bytes)
  end
end

function cases.what_an_engine_is_made_of_is_checked()
  local function refuses(pattern, changes)
    local description <const> = {command = 0x40, table = 0x44, start = 1, into_memory = 8, from_memory = 0}
    for key, value in pairs(changes) do description[key] = value end
    harness.raises(pattern, core.dma, description)
  end
  refuses("command: %-1", {command = -1})
  refuses("command: 65536", {command = 65536})
  refuses("table: 65533", {table = 65533})
  refuses("start: 256", {start = 256})
  refuses("number expected", {into_memory = "right"})
  harness.raises("number expected", core.dma, {})
  harness.raises("table expected", core.dma, 0x40)
end

function cases.freeing_the_block_stops_it_first()
  local _ <const>, block <const> = running()
  assert(host.dma_moves(1))
  block:free()
  assert(not host.dma_moves(1))
end

function cases.freeing_it_through_another_window_does_too()
  local engine <const> = new_engine()
  local block <const> = engine:memory(8192)
  local slice <const>, other <const> = block:slice(4096, 4096), block:slice(0, 8)
  engine:prepare("in", slice, 0, 4096)
  engine:start()
  other:free()
  assert(not host.dma_moves(1))
  harness.raises("freed", slice.read, slice, 0, 1)
  local next_block <const> = engine:memory(4096)
  engine:prepare("in", next_block, 0, 4096)
  engine:stop()
end

function cases.a_collected_block_stops_it()
  local engine <const> = new_engine()
  do
    local block <const> = engine:memory(8192)
    engine:prepare("in", block, 0, 8192)
    engine:start()
  end
  collectgarbage()
  assert(not host.dma_moves(1))
end

function cases.a_slice_keeps_the_memory_of_a_collected_block()
  local engine <const> = new_engine()
  local slice
  do
    local block <const> = engine:memory(8192)
    slice = block:slice(0, 16)
    engine:prepare("in", block, 0, 8192)
    engine:start()
  end
  collectgarbage()
  assert(host.dma_moves(0x33))
  assert(slice:u8(3) == 0x33)
  engine:stop()
end

function cases.a_collected_engine_stops()
  local block
  do
    local engine <const> = new_engine()
    block = engine:memory(8192)
    engine:prepare("in", block, 0, 8192)
    engine:start()
  end
  collectgarbage()
  assert(not host.dma_moves(1))
  block:write(0, "free again")
  assert(core.unpack(core.pack(block)))
end

function cases.nothing_of_it_is_sent_meanwhile()
  local engine, block = running()
  harness.raises("a transfer is under way", core.pack, engine)
  harness.raises("a transfer moves its bytes", core.pack, block)
  assert(host.dma_moves(1))
  engine:stop()
  engine, block = core.unpack(core.pack(engine, block))
  engine:prepare("in", block, 0, 512)
  harness.raises("a transfer is under way", core.pack, engine)
  engine:stop()
end

function cases.memory_serves_one_engine_at_a_time()
  local one <const>, other <const> = new_engine(0), new_engine(1)
  local block <const> = one:memory(8192)
  one:prepare("in", block, 0, 512)
  harness.raises("a transfer moves its bytes", other.prepare, other, "in", block, 4096, 512)
  one:stop()
  other:prepare("in", block, 4096, 512)
  harness.raises("a transfer moves its bytes", one.prepare, one, "in", block, 0, 512)
  other:stop()
end

local TRANSFER <const> = [[
  local kernel, engine = ...
  local block = engine:memory(1 << 20)
  engine:prepare("in", block, 0, #block)
  engine:start()
  kernel.call("started", 0)
  while true do end
]]

-- However a process ends: killed, by an error, by returning, by running out of memory.
function cases.the_end_of_its_process_stops_it()
  host.tick_every(1000)
  local endings <const> = {"while true do end", "error('out')", "return 1", "local t = {} while true do t[#t + 1] = {} end"}
  for _, ending in ipairs(endings) do
    local pages <const> = host.pages()
    local process <const> = harness.process(core, (TRANSFER:gsub("while true do end", ending)), new_engine())
    local why, what = process:run(5)
    while why ~= "call" do why, what = process:run(5) end
    assert(what == "started")
    assert(host.dma_moves(0x44))
    process:answer()
    for _ = 1, 1000 do
      if process:ended() then break end
      process:run(1)
    end
    process:kill()
    assert(not host.dma_moves(0x55), ending)
    -- What the kernel heap and the supervisor have grown by stays with them.
    assert(host.pages() - pages <= 32, host.pages() - pages)
  end
end

function cases.without_memory_nothing_is_left_behind()
  local engine <const> = new_engine()
  collectgarbage()
  local pages <const> = host.pages()
  host.page_budget(8)
  harness.raises("not enough memory", engine.memory, engine, 9 * 4096)
  harness.raises("not enough memory", engine.memory, engine, 1 << 20)
  host.page_budget(0)
  harness.raises("not enough memory", new_engine, 1)
  host.page_budget()
  collectgarbage()
  assert(math.abs(host.pages() - pages) <= 8)
end

-- Two engines and a few blocks, at random: the device may move whenever it runs, and meets live memory.
function cases.random_transfers()
  math.randomseed(tonumber(os.getenv("SEED") or "20"))
  local engines, blocks = {new_engine(0), new_engine(1)}, {}
  local function any_block() return blocks[math.random(6)] end
  local steps <const> = {
    function() blocks[math.random(6)] = engines[1]:memory(math.random(1, 200000)) end,
    function() blocks[math.random(6)] = nil end,
    function()
      local block <const> = any_block()
      if block then block:free() end
    end,
    function()
      local block <const> = any_block()
      if block and #block > 16 then blocks[math.random(6)] = block:slice(math.random(0, 8), #block - 8) end
    end,
    function() collectgarbage() end,
    function() host.dma_moves(math.random(255)) end,
    function(engine) engine:prepare(math.random(2) == 1 and "in" or "out", any_block(), 2 * math.random(0, 999), 2 * math.random(1, 99999)) end,
    function(engine) engine:start() end,
    function(engine) engine:stop() end,
    function()
      local number <const> = math.random(2)
      engines[number] = nil
      collectgarbage()
      engines[number] = new_engine(number - 1)
    end,
    function() core.unpack(core.pack(any_block())) end,
  }
  local succeeded = {}
  for _ = 1, 20000 do
    local number <const> = math.random(#steps)
    local done <const>, problem <const> = pcall(steps[number], engines[math.random(2)])
    if done then
      succeeded[number] = (succeeded[number] or 0) + 1
    else
      assert(not tostring(problem):find("^%a+:%d+:.*attempt to [^i]"), problem)
    end
  end
  for number = 1, #steps do assert((succeeded[number] or 0) > 20, number) end
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
