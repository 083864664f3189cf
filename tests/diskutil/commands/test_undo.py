"""khoros-disk undo."""

from __future__ import annotations

import khoros
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke


def test_a_transaction_is_taken_back(ship):
    good("undo", ship, "t2")
    with khoros.open(ship) as image:
        assert image["ship"]["fuel"] == 7
        assert [t.message for t in image.history()][-1] == "undo t2"
    assert good("check", ship).code == 0


def test_what_cannot_be_taken_back(ship):
    good("put", ship, "root.ship.fuel", "3")
    before = images.digest(ship)
    result = invoke("undo", ship, "2")
    assert result.code == 8 and "root.ship.fuel" in result.complaint
    assert invoke("undo", ship, "t77").code == 3
    assert invoke("undo", ship, "yesterday").code == 2
    assert images.digest(ship) == before
