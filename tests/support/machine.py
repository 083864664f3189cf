"""A machine without hardware: the capabilities of the kernel (ports, interrupts, blocks, clock) over device models.

Time is the machine's own: it moves by a port access, by reading the clock, by sleeping, and by waiting for an interrupt,
which jumps to the next event. So a timeout of 31 s takes no time to test, and nothing depends on the speed of the host.

    machine = Machine()
    channel = AtaChannel(machine, …)             # a device: read(offset, width), write(offset, width, value)
    machine.ports(channel.command, 8)            # the capability as Lua sees it
    machine.require("drivers.ata")               # the project's own Lua
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any, Protocol

from tests.support import lua as lua_support

NANOSECONDS = 1_000_000_000
ACCESS_NS = 100
CLOCK_NS = 50


class Device(Protocol):
    """What a model gives to be reached through ports."""

    def read(self, offset: int, width: int) -> int: ...

    def write(self, offset: int, width: int, value: int) -> None: ...


class Interrupt:
    """A latched interrupt line, as the kernel keeps it. `lose(n)` swallows the next n."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.count = 0
        self.pending = False
        self.losing = 0
        self.waits = 0

    def lose(self, how_many: int) -> None:
        self.losing = how_many

    def fire(self) -> None:
        if self.losing > 0:
            self.losing -= 1
            return
        self.count += 1
        self.pending = True

    def wait(self, seconds: float) -> Any:
        self.waits += 1
        deadline = self.machine.now + int(seconds * NANOSECONDS)
        while not self.pending and self.machine.now < deadline:
            self.machine.advance_to(min(deadline, self.machine.next_event()))
        if self.pending:
            self.pending = False
            return True
        return None, b"timeout"


class Machine:
    """Lua state, time and capabilities of one test."""

    def __init__(self, planted: dict[str, tuple[str, str]] | None = None) -> None:
        """`planted`: module → (text, other text), a bug to put into the real source before it is loaded."""
        self.now = 1_000_000
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.sequence = itertools.count()
        self.slept = 0
        self.lua = lua_support.runtime()
        self.glue = self.lua.execute(GLUE)
        for module, (text, other) in (planted or {}).items():
            self._plant(module, text, other)

    def _plant(self, module: str, text: str, other: str) -> None:
        path = lua_support.LUA / (module.replace(".", "/") + ".lua")
        source = path.read_text()
        assert source.count(text) == 1, f"{module} has {source.count(text)} times: {text}"
        self.provide(module, source.replace(text, other))

    def provide(self, module: str, source: str) -> None:
        """The source of a module, before it is loaded; instead of the project's own, where there is one."""
        self.glue[b"preload"](module.encode(), source.encode())

    # --- time ---

    def at(self, delay_ns: int, action: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + delay_ns, next(self.sequence), action))

    def next_event(self) -> int:
        return self.events[0][0] if self.events else 1 << 62

    def advance_to(self, time: int) -> None:
        while self.events and self.events[0][0] <= time:
            due, _, action = heapq.heappop(self.events)
            self.now = max(self.now, due)
            action()
        self.now = max(self.now, time)

    def advance(self, nanoseconds: int) -> None:
        self.advance_to(self.now + nanoseconds)

    def clock(self) -> int:
        self.advance(CLOCK_NS)
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += 1
        self.advance(int(seconds * NANOSECONDS))

    @property
    def seconds(self) -> float:
        return self.now / NANOSECONDS

    # --- capabilities ---

    def require(self, name: str) -> Any:
        return lua_support.require(self.lua, name)

    def ports(self, device: Device, count: int) -> Any:
        """A port range over `device`."""

        def read(offset: int, width: int) -> int:
            self.advance(ACCESS_NS)
            return device.read(offset, width)

        def write(offset: int, width: int, value: int) -> None:
            self.advance(ACCESS_NS)
            device.write(offset, width, value & ((1 << 8 * width) - 1))

        def read_burst(offset: int, width: int, accesses: int) -> bytes:
            # Time first: what the last access sets off begins after the burst.
            self.advance(ACCESS_NS * accesses)
            burst = getattr(device, "read_burst", None)
            data = burst(offset, width, accesses) if burst else None
            if data is not None:
                return data
            return b"".join(device.read(offset, width).to_bytes(width, "little") for _ in range(accesses))

        def write_burst(offset: int, width: int, data: bytes) -> None:
            self.advance(ACCESS_NS * (len(data) // width))
            burst = getattr(device, "write_burst", None)
            if burst and burst(offset, width, data):
                return
            for position in range(0, len(data), width):
                device.write(offset, width, int.from_bytes(data[position:position + width], "little"))

        return self.glue[b"ports"](count, read, write, read_burst, write_burst)

    def block(self, data: bytearray | int) -> Any:
        """A block over a bytearray (shared with the test), or a new one of so many bytes."""
        memory = bytearray(data) if isinstance(data, int) else data

        def read(offset: int, count: int) -> bytes:
            return bytes(memory[offset:offset + count])

        def write(offset: int, text: bytes) -> None:
            memory[offset:offset + len(text)] = text

        return self.glue[b"block"](len(memory), read, write)

    def engine(self, model: Any) -> Any:
        """The DMA engine of a bus-master model."""

        def memory(count: int) -> Any:
            address, data = model.new_memory(count)
            return self.block(data), address

        def step(action: Callable[..., None]) -> Callable[..., None]:
            def timed(*arguments: Any) -> None:
                self.advance(ACCESS_NS)
                action(*arguments)
            return timed

        return self.glue[b"engine"](memory, step(model.prepare), step(model.start), step(model.stop))

    def interrupt(self) -> tuple[Interrupt, Any]:
        """A line: the model's end and the capability."""
        line = Interrupt(self)
        return line, self.glue[b"interrupt"](lambda: line.count, line.wait)

    def parts(self, **fields: Any) -> Any:
        """The constructor's table: clock, sleep and memory besides `fields`; None leaves one out."""
        table = {"clock": self.clock, "sleep": self.sleep, "memory": self.block} | fields
        return self.lua.table_from({name.encode(): value for name, value in table.items() if value is not None})

    def table(self, value: Any) -> Any:
        return lua_support.to_lua(self.lua, value)


GLUE = b"""
local glue = {}

function glue.preload(name, source)
  package.preload[name] = assert(load(source, "=planted " .. name, "t"))
end

local function check(count, offset, width)
  assert(math.type(offset) == "integer", "offset")
  if offset < 0 or offset > count - width then
    error(("port offset %d (%d bytes) is outside a range of %d"):format(offset, width, count), 3)
  end
end

-- Offsets and values, and whose they are from there on.
local function write_each(range, ...)
  local writes <const> = table.pack(...)
  local place = 1
  while place <= writes.n do
    if type(writes[place]) == "table" then
      range, place = writes[place], place + 1
    else
      range:out8(writes[place], writes[place + 1])
      place = place + 2
    end
  end
end

function glue.ports(count, read, write, read_burst, write_burst)
  local range = {}
  for bits, width in pairs{[8] = 1, [16] = 2, [32] = 4} do
    range["in" .. bits] = function(_, offset)
      check(count, offset, width)
      return read(offset, width)
    end
    range["out" .. bits] = function(_, offset, value)
      check(count, offset, width)
      assert(math.type(value) == "integer", "value")
      write(offset, width, value)
    end
    range["in" .. bits .. "s"] = function(_, offset, block, position, accesses)
      check(count, offset, width)
      block:write(position, read_burst(offset, width, accesses))
    end
    range["out" .. bits .. "s"] = function(_, offset, block, position, accesses)
      check(count, offset, width)
      write_burst(offset, width, block:read(position, accesses * width))
    end
  end
  function range:out8_each(...) write_each(self, ...) end
  function range:size() return count end
  return range
end

function glue.block(size, read, write)
  local block = {}
  local function bounds(offset, count)
    if offset < 0 or count < 0 or offset > size - count then error("outside the block", 3) end
  end
  function block:read(offset, count) bounds(offset, count); return read(offset, count) end
  function block:write(offset, text) bounds(offset, #text); write(offset, text) end
  function block:size() return size end
  function block:u8(offset) bounds(offset, 1); return read(offset, 1):byte() end
  function block:set_u8(offset, value) bounds(offset, 1); write(offset, string.char(value)) end
  return setmetatable(block, {__len = function() return size end})
end

function glue.engine(memory, prepare, start, stop)
  local engine, addresses = {}, {}
  function engine:memory(count)
    local made = memory(count)
    local block, address = memory(count)
    addresses[block] = address
    return block
  end
  function engine:prepare(direction, block, position, count)
    assert(direction == "in" or direction == "out", "direction")
    assert(position >= 0 and count > 0 and position + count <= #block, "outside the block")
    prepare(direction, assert(addresses[block], "not the engine's memory") + position, count)
  end
  function engine:start() start() end
  function engine:launch(direction, block, position, count, ...)
    self:prepare(direction, block, position, count)
    write_each(...)
    start()
  end
  function engine:stop() stop() end
  return engine
end

function glue.interrupt(count, wait)
  local line = {}
  function line:count() return count() end
  function line:wait(seconds) return wait(seconds) end
  return line
end

return glue
"""
