"""Images of every released format version must open for ever, with the same values, on both sides.

`clean-1.0.img.gz` was unmounted by the booted guest; `cut-1.0.img.gz` is the same store after four more commits and a
SIGKILL of its QEMU: its last transactions are found by replay only; `kinds-1.0.img.gz` has every kind of object, a snapshot, and
a transaction that was taken back. All were made by the commands in README.md beside this file.
A change of the schemas that moves a byte fails here even after everything was regenerated.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import khoros
from khoros.diskutil import check, reader
from khoros.formats import constants as C
from tests.diskutil.commandline import invoke
from tests.fs.sessions import World

HERE = Path(__file__).parent
# name -> transactions, fuel, crew, unmounted cleanly
IMAGES = {
    "clean-1.0": (2, 5, ["Jason", "Orpheus"], True),
    "cut-1.0": (6, 2, ["Jason", "Orpheus", "Medea"], False),
}


def image_bytes(name: str) -> bytes:
    return gzip.decompress((HERE / f"{name}.img.gz").read_bytes())


@pytest.mark.parametrize("name", IMAGES)
def test_the_host_opens_it(name, tmp_path):
    transactions, fuel, crew, _clean = IMAGES[name]
    path = tmp_path / "golden.img"
    path.write_bytes(image_bytes(name))
    with khoros.open(path) as image:
        root = image.root
        ship, mixed, numbers = root["ship"], root["mixed"], root["numbers"]
        assert (ship["name"], ship["fuel"], list(ship["crew"].array)) == ("Argo", fuel, crew)
        assert ship["me"] == ship and root["crew"] == ship["crew"] and mixed[ship] == ship["crew"]
        assert list(mixed.array) == [10, 20]
        assert mixed[True] == 1 and isinstance(mixed[True], int)
        assert mixed[False] == 1.0 and isinstance(mixed[False], float)
        assert str(mixed[1.5]) == "-0.0" and mixed[-5] == "minus five"
        assert mixed[b"\xff\0"] == b"\0\xfe" and mixed["é"] == "naïve"
        assert numbers["inf"] == float("inf") and numbers["nan"] != numbers["nan"]
        assert (numbers["least"], numbers["most"]) == (-(2**63), 2**63 - 1)
        assert list(root["packed"]["integers"].array) == [i * 1000 - 5000 for i in range(1, 21)]
        assert list(root["packed"]["floats"].array) == [i / 8 for i in range(1, 21)]
        assert "gone" not in root
        messages = [entry.message for entry in image.history()]
    assert len(messages) == transactions and messages[:2] == ["first ship", "burn"]
    store = reader.mount(path)
    report = check.check(store)
    store.close()
    assert [finding.text for finding in report.findings if finding.error] == []
    assert path.read_bytes() == image_bytes(name)


# With 300 KB of values in it, bytes beside every meaning would be 4 MB of text.
@pytest.mark.parametrize(("name", "options"), [*((name, ["--hex"]) for name in IMAGES), ("kinds-1.0", [])])
def test_its_annotated_dump_is_what_dump_says(name, options, tmp_path):
    """NAME.dump.txt is `khoros-disk dump --hex` of the image: every byte of it beside its meaning."""
    path = tmp_path / "golden.img"
    path.write_bytes(image_bytes(name))
    result = invoke("dump", path, *options)
    assert result.out.decode() == (HERE / f"{name}.dump.txt").read_text()


@pytest.mark.parametrize("name", IMAGES)
def test_the_guests_store_opens_it_and_goes_on(name):
    transactions, fuel, crew, clean = IMAGES[name]
    data = bytearray(image_bytes(name))
    world = World("disk", data, len(data) // C.SECTOR_BYTES)
    code = """
        local fuel, crew, transactions, clean = ...
        assert(store.status() == (clean and "clean" or "recovered"), store.status())
        local session = open()
        local root = session.root
        local ship, mixed, numbers = root.ship, root.mixed, root.numbers
        assert(ship.name == "Argo" and ship.fuel == fuel and table.concat(ship.crew, " ") == crew)
        assert(ship.me == ship and root.crew == ship.crew and mixed[ship] == ship.crew)
        assert(mixed[1] == 10 and mixed[2] == 20 and math.type(mixed[true]) == "integer" and mixed[true] == 1)
        assert(math.type(mixed[false]) == "float" and mixed[false] == 1 and 1 / mixed[1.5] == -math.huge)
        assert(mixed[-5] == "minus five" and mixed["\\xff\\0"] == "\\0\\xfe" and mixed["\\u{e9}"] == "na\\u{ef}ve")
        assert(numbers.inf == math.huge and numbers.nan ~= numbers.nan)
        assert(numbers.least == math.mininteger and numbers.most == math.maxinteger)
        for i = 1, 20 do assert(root.packed.integers[i] == i * 1000 - 5000 and root.packed.floats[i] == i / 8) end
        assert(root.gone == nil)
        local log = session.log()
        assert(#log == transactions and log[1].message == "first ship" and log[2].message == "burn")
        root.again = true
        assert(session.commit("and on").transaction == transactions + 1)
        assert(store.close())
    """
    world.run(code, fuel, " ".join(crew).encode(), transactions, clean)
    again = world.reboot()
    again.run('assert(store.status() == "clean" and open().root.again == true)')


def test_the_host_opens_every_kind(tmp_path):
    path = tmp_path / "golden.img"
    path.write_bytes(image_bytes("kinds-1.0"))
    with khoros.open(path) as image:
        root = image.root
        up, down, ship, ordered = root["up"], root["down"], root["argo"], root["map"]
        assert "return n end" in up.text and (up.prototype, down.prototype) == (1, 2)
        assert up.upvalues == down.upvalues and up.chunk_name == "=counter"
        assert ship["fuel"] == 5 and ship.metatable == root["Ship"]
        assert root["versioned"].metatable.name == "Versioned:2"
        assert len(ordered) == 2002 and ordered[2.5] == ship and list(ordered["key"].array) == ["in a map"]
        assert 77 not in ordered and "late" not in ordered and next(iter(ordered.items())) == (False, "no")
        assert len(root["list"].array) == 20000 and root["list"][10000] == "changed"
        assert len(root["names"]) == 5999 and root["long"] == "0123456789abcdef" * 8000
        assert [entry.message for entry in image.history()] == ["all kinds", "changes", "late", "undo t3"]
        for then in ("first", 1):
            past = image.at(then).root
            assert (past["argo"]["fuel"], past["map"][77], len(past["names"])) == (7, "value 77", 6000)
        assert image.at(3).root["map"]["late"] == 1
    store = reader.mount(path)
    report = check.check(store)
    store.close()
    assert [finding.text for finding in report.findings if finding.error] == []
    assert path.read_bytes() == image_bytes("kinds-1.0")


def test_the_guests_store_opens_every_kind_and_goes_on():
    data = bytearray(image_bytes("kinds-1.0"))
    world = World("disk", data, len(data) // C.SECTOR_BYTES)
    world.run("""
        assert(store.status() == "clean")
        local session = open()
        local class = {__version = 2}
        session.register("Versioned", class)
        local root, map = session.root, session.root.map
        assert(root.up() == 3 and root.down() == 2 and root.up() == 3)
        assert(root.Ship.count() == 1 and root.argo:burn(1).fuel == 4 and root.Ship.new("Swan").fuel == 7 and root.Ship.count() == 2)
        assert(getmetatable(root.argo) == root.Ship and getmetatable(root.versioned) == class)
        assert(#map == 2002 and map:get(2.5) == root.argo and map:get("key")[1] == "in a map" and map:get(77) == nil)
        assert(#root.list == 20000 and root.list[10000] == "changed" and root.list[7] == "seven" and root.names["name 6000"] == 6000)
        assert(root.long == ("0123456789abcdef"):rep(8000) and root.names["name 3000"] == nil)
        for _, when in ipairs {"first", "t1"} do
          local past = session.at(when)
          assert(past.up() == 1 and past.argo.fuel == 7 and past.map:get(77) == "value 77" and past.names["name 3000"] == 3000)
        end
        session.abort()
        assert(session.undo(2).transaction == 5)
        assert(root.argo.fuel == 7 and map:get(77) == "value 77" and root.list[10000] == 10000 and root.names["name 3000"] == 3000)
        assert(store.close())
    """)
    again = world.reboot()
    again.run("""
        local session = open()
        session.register("Versioned", {__version = 2})
        assert(store.status() == "clean" and session.root.map:get(77) == "value 77" and session.root.up() == 1)
    """)
