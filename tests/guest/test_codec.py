"""The codec in C in the booted system: it is what sessions use there, it stays within a process's quota, and the tick may come
at any place in it.
"""

from __future__ import annotations

import pytest

import khoros
from tests.support import guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

AGREE = """
local system, reference = require "system", require "fs.codec"
local links = {objects = {}, permanents = {}, make = function() return {} end}
math.randomseed(5)
for round = 1, 300 do
  local t, names = {}, {}
  for i = 1, math.random(0, 40) do t[i] = math.random(2) == 1 and math.random(-1000, 1000) or ("v"):rep(i) end
  for i = 1, math.random(0, 40) do t["k" .. math.random(100)] = math.random() end
  local child = {}
  t[child], t.child, names[child] = true, child, round
  local payload = system.codec.encode(t, names)
  assert(payload == reference.encode(t, names))
  links.objects[round] = child
  local a, b = {}, {}
  assert(system.codec.decode(payload, a, links) and reference.decode(payload, b, links))
  for k, v in pairs(a) do assert(rawequal(b[k], v)) end
  for k, v in pairs(b) do assert(rawequal(a[k], v)) end
  local cut = payload:sub(1, math.random(0, #payload - 1))
  local _, refused = system.codec.decode(cut, {}, links)
  local _, expected = reference.decode(cut, {}, links)
  assert(refused.message == expected.message)
end
print "they agree"
"""

INTERRUPTED = """
local system = require "system"
local t = {}
for i = 1, 30000 do t["key " .. i] = i end
local payload = system.codec.encode(t, {})
local other = assert(system.spawn{source = "for i = 1, 2e5 do local t = {i} end return 'well'"})
for round = 1, 4 do
  assert(system.codec.encode(t, {}) == payload)
  local copy = {}
  assert(system.codec.decode(payload, copy, {objects = {}, permanents = {}}))
  assert(copy["key 77"] == 77 and copy["key 30000"] == 30000)
end
print(system.wait(other))
"""

QUOTA = """
local system = require "system"
local small = assert(system.spawn{memory = 2 << 20, source = [[
  local system = require "system"
  local t = {}
  for i = 1, 10000 do t[i] = "element " .. i end
  local held = {}
  local ok, message = pcall(function() for i = 1, 1000 do held[i] = system.codec.encode(t, {}) end end)
  held = nil
  collectgarbage()
  return ok, message, #system.codec.encode({1, 2, 3}, {})
]]})
print(system.wait(small))
"""

SESSION = """
root.list = {}
for i = 1, 500 do root.list[i] = {number = i, name = "object " .. i} end
print(commit())
root.list[250].name = "changed"
print(commit())
root.list[251].number = 251.0
print(commit())
root.list[250].name = "again"
root.list[250].name = "changed"
print(commit())
"""


def run(code: str, *options: object) -> str:
    done = guest.run(*map(str, options or ["--no-disk"]), "-e", code)
    assert (done.returncode, done.stderr.count(b"traceback")) == (0, 0), done.stderr
    return done.stdout.decode()


def test_it_agrees_with_the_reference():
    assert run(AGREE) == "they agree\n"


def test_it_is_interrupted_and_goes_on():
    assert run(INTERRUPTED) == "finished\twell\n"


def test_it_stays_within_the_quota():
    assert run(QUOTA) == "finished\tfalse\tnot enough memory\t5\n"


def test_a_session_writes_what_changed_and_nothing_else(tmp_path):
    image = tmp_path / "a.img"
    lines = run(SESSION, "--disk", image).splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "t1: 502 objects", "t2: 1 object", "t3: 1 object", "t3: nothing changed"]  # fmt: skip
    with khoros.open(str(image)) as opened:
        row = opened.root["list"][250]
        assert (row["number"], row["name"]) == (250, "changed")
