"""khoros-disk ls."""

from __future__ import annotations

import khoros
from khoros.diskutil import entries, reader
from khoros.diskutil.commands.log import time_text
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.origins import Origins
from khoros.diskutil.writer import Writer
from tests.diskutil.commandline import good, invoke
from tests.diskutil.test_history import new_disk, one_commit


def strange_names(path):
    with khoros.open(path, "r+") as image:
        image.root["a\nb"] = 1
        image.root[b"\xff"] = 2
        image.root[7] = 3
        image.root[True] = 4
        image.root["z"] = {}
        image.commit()


def test_names_in_stable_order(ship):
    assert good("ls", ship).lines == ["crew", "ship"]
    assert good("ls", ship, "root.ship").lines == ["crew", "fuel", "me", "name"]
    assert good("ls", ship, "ship.crew").lines == ["[1]", "[2]"]


def test_an_empty_store(empty):
    assert good("ls", empty).out == b""


def test_long(ship):
    lines = good("ls", ship, "ship", "-l").lines
    assert [line.split()[0] for line in lines] == ["table", "integer", "table", "string"]
    assert '"Argo"' in lines[3]
    assert [line.split()[3] for line in lines] == ["t1", "-", "t2", "-"]
    with khoros.open(ship) as image:
        size = entries.size(len(image.store.read(image["ship"].id).payload))
        first, second = image.history()
    assert lines[2].split()[1:3] == ["2", str(size)]
    assert time_text(second.time) in lines[2]
    assert time_text(first.time) in lines[0]


def test_names_that_need_care(empty):
    strange_names(empty)
    assert good("ls", empty).lines == ["[true]", "[7]", '["a\\nb"]', "z", '["\\xff"]']
    assert good("ls", empty, "-0").out == b"[true]\0[7]\0a\nb\0z\0\xff\0"


def test_json(empty):
    strange_names(empty)
    listing = good("ls", empty, "--json").json
    assert listing["format_version"] == 1
    assert [row["name"] for row in listing["names"]] == [True, 7, "a\nb", "z", {"$base64": "/w=="}]
    assert listing["names"][3]["type"] == "table"


def test_what_has_no_names(ship):
    result = invoke("ls", ship, "ship.fuel")
    assert result.code == 3
    assert "cat" in result.complaint
    assert invoke("ls", ship, "shop").code == 3


def test_colours(ship):
    assert b"\x1b[" not in good("ls", ship).out
    assert b"\x1b[" in good("ls", ship, "--color", "always").out


def test_no_color(ship, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert b"\x1b[" not in good("ls", ship, "--color", "auto").out
    assert b"\x1b[" in good("ls", ship, "--color", "always").out


def test_as_it_was(ship):
    good("put", ship, "new", "1")
    assert good("ls", ship, "--at", "t2").lines == ["crew", "ship"]
    assert good("ls", ship, "--at", "0").lines == []
    assert good("ls", ship, "--at", "3", "--json").json["transaction"] == 3
    result = invoke("ls", ship, "--at", "t4")
    assert (result.code, "newest is t3" in result.complaint) == (3, True)
    assert invoke("ls", ship, "--at", "yesterday").code == 2


def test_which_transaction_wrote_an_object(rng):
    """Against the states themselves, over checkpoints and mounts; what the cleaner moved is not known."""
    device, states = MemoryDevice(new_disk()), [{}]
    last: dict[int, int] = {}
    writer = Writer(reader.Store(device))
    told = 0
    for number in range(1, 60):
        one_commit(writer, states, rng)
        last |= {identity: number for identity, payload in states[-1].items()
                 if states[-2].get(identity) != payload}
        if rng.random() < 0.2:
            writer.checkpoint()
        if number % 10 == 0:
            writer.close()
            writer = Writer(reader.Store(device))
            store = reader.Store(MemoryDevice(bytearray(device.data)))
            origins = Origins(store)
            for identity, pointer in store.ids():
                found = origins.of(pointer)
                # A transaction may have written what was there already.
                assert found is None or (found.record.transaction >= last[identity]
                                         and states[found.record.transaction][identity] == states[-1][identity])
                told += found is not None
    assert told > 50
