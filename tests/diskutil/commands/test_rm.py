"""khoros-disk rm."""

from __future__ import annotations

import khoros
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke


def test_names_go_and_shared_tables_stay(ship):
    assert good("rm", ship, "root.ship").out == b""
    with khoros.open(ship) as image:
        assert list(image) == ["crew"]
        assert image["crew"] == ["Jason", "Orpheus"]
        assert [t.message for t in image.history()][-1] == "rm root.ship"
    assert good("check", ship).code == 0


def test_all_or_none(ship):
    before = images.digest(ship)
    result = invoke("rm", ship, "crew", "nowhere")
    assert result.code == 3
    assert "root.nowhere" in result.complaint
    assert images.digest(ship) == before
    good("rm", ship, "crew", "nowhere", "-f")
    assert good("ls", ship).lines == ["ship"]


def test_nested(ship):
    good("rm", ship, "ship.crew[2]", "ship.me", "-m", "less")
    with khoros.open(ship) as image:
        assert image["ship"] == {"name": "Argo", "fuel": 5, "crew": ["Jason"]}


def test_the_root_stays(ship):
    assert invoke("rm", ship, "root").code == 2
    assert invoke("rm", ship).code == 2
