"""khoros-disk log."""

from __future__ import annotations

import khoros
from khoros.diskutil.commands.log import time_text
from tests.diskutil.commandline import good


def test_oldest_first(ship):
    lines = good("log", ship).lines
    assert [line.split()[0] for line in lines] == ["t1", "t2"]
    assert lines[0].endswith("first ship")
    assert "3 objects" in lines[0]
    assert [line.split()[0] for line in good("log", ship, "-r").lines] == ["t2", "t1"]
    assert [line.split()[0] for line in good("log", ship, "-n", "1").lines] == ["t2"]
    assert good("log", ship, "-n", "0").out == b""


def test_json(ship):
    rows = good("log", ship, "--json").json["transactions"]
    assert [(r["id"], r["message"]) for r in rows] == [("t1", "first ship"), ("t2", "burn")]
    assert rows[0]["time"].startswith("20")


def test_an_empty_store(empty):
    assert good("log", empty).out == b""


def test_messages_stay_in_their_line(ship):
    with khoros.open(ship, "r+") as image:
        image["x"] = 1
        image.commit("two\nlines \x1b[31m")
    lines = good("log", ship).lines
    assert len(lines) == 3
    assert "\x1b" not in lines[2]


def test_transactions_that_no_checkpoint_has_seen(ship):
    opened = khoros.open(ship, "r+")
    opened["x"] = 1
    opened.commit("in the log only")
    opened.store.close()
    assert good("log", ship).lines[-1].endswith("in the log only")


def test_times():
    assert time_text(0) == "1970-01-01 00:00:00"
    assert time_text((1 << 63) - 1).endswith("us")
