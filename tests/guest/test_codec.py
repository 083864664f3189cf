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

ENTRIES = """
local system, entry = require "system", require "fs.entry"
local build <const> = entry.builder {crc32c = system.crc32c}
math.randomseed(6)
for round = 1, 60 do
  local ids, kinds, payloads, mine, theirs = {}, {}, {}, {}, {}
  for i = 1, math.random(40) do
    ids[i], kinds[i] = math.random(1, (1 << 48) - 1), math.random(1, 16)
    payloads[i] = ("\\x93p"):rep(math.random(0, i == 7 and 5000 or 40))
  end
  local first, place, crc = math.random(#ids), math.random(1 << 40), math.random(0, 0xffffffff)
  local bytes, after = system.codec.entries(ids, kinds, payloads, first, #ids, place, mine, crc)
  local expected, expected_after = build(ids, kinds, payloads, first, #ids, place, theirs, crc)
  assert(bytes == expected and after == expected_after)
  for i = 1, #ids do assert(mine[i] == theirs[i] and (mine[i] == nil) == (i < first)) end
end
for _, bad in ipairs {{{}, {1}, {""}}, {{1}, {"1"}, {""}}, {{1}, {1}, {}}, {{1}, {1}, {12}}} do
  assert(not pcall(system.codec.entries, bad[1], bad[2], bad[3], 1, 1, 0, {}, 0))
end
print "the same entries"
"""

REACH = """
local system, reaching = require "system", require "fs.reaching"
math.randomseed(7)
local function graph(size)
  local nodes, names, odd = {}, setmetatable({}, {__mode = "k"}), 0
  for i = 1, size do
    nodes[i] = {number = i, text = ("x"):rep(i % 50 == 0 and 65537 or i % 7)}
    if i % 11 == 0 then setmetatable(nodes[i], {}) end
    if i % 13 == 0 then names[nodes[i]] = i end
    if i % 17 == 0 then names[nodes[i]] = "permanent" end
  end
  for i = 2, size do table.insert(nodes[math.random(i - 1)], nodes[i]) end
  for i = 1, size do nodes[math.random(size)][nodes[math.random(size)]] = i % 5 == 0 and print or nodes[i] end
  return nodes, names
end
local function walk(reach, nodes, names, fresh)
  local found, stack, met = {[nodes[1]] = true}, {nodes[1]}, {}
  local count = reach(stack, found, names, fresh, function(v, t)
    assert(rawget(t, "number"))
    met[v] = true
    if type(v) == "table" then found[v] = true end
  end)
  assert(#stack == 0)
  return count, found, met
end
local function same(a, b)
  for k in pairs(a) do assert(b[k]) end
  for k in pairs(b) do assert(a[k]) end
end
for round = 1, 20 do
  local nodes, names = graph(60 * round)
  for _, fresh in ipairs {true, false} do
    local count, found, met = walk(system.codec.reach, nodes, names, fresh)
    local expected, found_too, met_too = walk(reaching.reach, nodes, names, fresh)
    assert(count == expected and count > 0)
    same(found, found_too)
    same(met, met_too)
  end
end
assert(not pcall(system.codec.reach, {1}, {}, {}, true, print))
assert(not pcall(system.codec.reach, {{{}}}, {}, {}, true))
print "the same tables"
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
    shown = run("\n".join(f"do {code} end" for code in (AGREE, ENTRIES, REACH)))
    assert shown.splitlines() == ["they agree", "the same entries", "the same tables"]


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
