"""Real data and large graphs through both halves: what one writes the other reads, and nothing else changes.

The data are the ISO 3166 country and subdivision lists of Debian's iso-codes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import khoros
from khoros.diskutil.writer import mkfs
from tests.support import guest

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

ISO_CODES = Path("/usr/share/iso-codes/json")


def disk(*arguments: object) -> str:
    command = [sys.executable, "-I", "-m", "khoros.diskutil.cli", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def run(image: Path, code: str, *options: str) -> str:
    result = guest.run(*options, "--disk", image, "-e", code, timeout=1500)
    assert (result.returncode, result.stderr) == (0, b""), result.stderr
    return result.stdout.decode()


@pytest.mark.parametrize(
    ("file", "name", "change", "changed"),
    [
        (
            *("iso_3166-1.json", "3166-1"),
            "local c = list[7]; c.name = 'Colchis'; c.visited = {true, 1.5}; list[#list + 1] = {alpha_2 = 'XX'}",
            lambda rows: [
                *rows[:6],
                {**rows[6], "name": "Colchis", "visited": [True, 1.5]},
                *rows[7:],
                {"alpha_2": "XX"},
            ],
        ),
        (
            *("iso_3166-2.json", "3166-2"),
            "list[5000].name = 'Iolkos'; list[#list] = nil",
            lambda rows: [*rows[:4999], {**rows[4999], "name": "Iolkos"}, *rows[5000:-1]],
        ),
    ],
)
def test_real_lists_go_in_are_counted_and_changed_in_the_guest_and_come_out(
    tmp_path, file, name, change, changed
):
    original = json.loads((ISO_CODES / file).read_text())
    image = tmp_path / "a.img"
    mkfs(image, 64 << 20)
    disk("import", image, ISO_CODES / file, "--as", "iso")
    count = run(
        image, f"local list = root.iso['{name}']; print(#list); {change}; commit('changed')"
    )
    assert int(count) == len(original[name])
    assert json.loads(disk("export", image, "root.iso")) == {name: changed(original[name])}
    disk("check", image)


def test_all_subdivisions_are_made_and_committed_in_the_guest(tmp_path):
    """The other direction: 5,000 new objects in one commit of the guest."""
    original = json.loads((ISO_CODES / "iso_3166-2.json").read_text())["3166-2"]
    image = tmp_path / "a.img"
    mkfs(image, 64 << 20)
    rows = "\n".join(
        f"{{{', '.join(f'[{quote(k)}]={quote(v)}' for k, v in row.items())}}}," for row in original
    )
    file = tmp_path / "make.lua"
    file.write_text(f"root.list = {{\n{rows}\n}}\ncommit('all')\n")
    result = guest.run("--disk", image, file, timeout=200)
    assert (result.returncode, result.stderr) == (0, b""), result.stderr
    assert json.loads(disk("export", image, "root.list")) == original


def quote(text: str) -> str:
    return "'" + "".join(f"\\x{byte:02x}" for byte in text.encode()) + "'"


# Walks the graph from its first node in a fixed order and writes down which node each edge leads to: two graphs are
# isomorphic (as rooted graphs with ordered edges) exactly if these texts are equal.
SHAPE = """
local number, order <const> = {[root.graph] = 1}, {root.graph}
local at = 1
while order[at] do
  local node <const>, words <const> = order[at], {}
  for index, other in ipairs(node) do
    if not number[other] then
      order[#order + 1] = other
      number[other] = #order
    end
    words[index] = number[other]
  end
  print(node.label, table.concat(words, " "))
  at = at + 1
end
"""


def shape_on_the_host(image: Path) -> str:
    with khoros.open(image) as opened:
        first = opened.root["graph"]
        number, order = {id(first): 1}, [first]
        lines = []
        for node in order:
            words = []
            for other in node.array:
                if id(other) not in number:
                    order.append(other)
                    number[id(other)] = len(order)
                words.append(str(number[id(other)]))
            lines.append(f"{node['label']}\t{' '.join(words)}\n")
        return "".join(lines)


@pytest.mark.timeout(0)
def test_a_graph_of_many_tables_keeps_its_shape_through_guest_host_and_guest(tmp_path, rng, request):
    """10,000 tables; 100,000 with --full, whose times the test prints."""
    size = 100_000 if request.config.getoption("--full") else 10_000
    # All of it is one commit, which is one message.
    options = ["--memory", "1G" if size > 10_000 else "256M"]
    image = tmp_path / "a.img"
    mkfs(image, 64 << 20)
    times = run(
        image,
        f"""
        local now <const> = require("system").now
        math.randomseed({rng.randrange(2**31)})
        local nodes = {{}}
        for i = 1, {size} do nodes[i] = {{label = math.random(1 << 40)}} end
        for i = 2, {size} do table.insert(nodes[math.random(i - 1)], nodes[i]) end
        for i = 1, {size} do table.insert(nodes[math.random({size})], nodes[i]) end
        root.graph = nodes[1]
        local begun = now()
        commit("a graph")
        print(("all: %.1f s"):format(now() - begun))
        nodes[{size} // 2].label = nodes[{size} // 2].label + 1
        begun = now()
        print(commit().objects, ("one field: %.2f s"):format(now() - begun))
        """,
        *options,
    )
    print(times)
    assert "\n1\tone field" in times
    of_guest = run(image, SHAPE, *options)
    assert of_guest.count("\n") == size
    assert shape_on_the_host(image) == of_guest
    with khoros.open(image, mode="r+") as opened:
        # The whole graph under a second name, and one more edge: written by the host, shape unchanged from its root.
        opened.root["again"] = opened.root["graph"]
        opened.commit("by the host")
    assert run(image, SHAPE, *options) == of_guest
    assert run(image, "print(root.again == root.graph)") == "true\n"
    disk("check", image)


def test_a_full_disk_refuses_before_anything_changes(tmp_path):
    image = tmp_path / "a.img"
    mkfs(image, 2 << 20)
    assert run(image, "root.kept = 'safe'; commit()") == ""
    before = image.read_bytes()
    result = guest.run(
        *("--disk", image, "-e"),
        "for i = 1, 200 do root[i] = {(string.char(i)):rep(40000)} end; print(pcall(commit))",
        timeout=200,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(b"false\t"), result.stdout
    assert b"no room" in result.stdout
    assert run(image, "print(root.kept, root[1])") == "safe\tnil\n"
    assert len(image.read_bytes()) == len(before)
    disk("check", image)
    assert run(image, "root.small = 1; commit(); print(root.small)") == "1\n"
