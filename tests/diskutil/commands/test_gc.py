"""khoros-disk gc."""

from __future__ import annotations

from tests.diskutil import images
from tests.diskutil.commandline import good


def test_garbage_goes(ship):
    good("rm", ship, "root.ship")
    before = images.digest(ship)
    assert b"1 objects could be deleted" in good("gc", ship, "--dry-run").err
    assert images.digest(ship) == before
    assert b"1 objects deleted" in good("gc", ship).err
    assert b"0 objects deleted" in good("gc", ship).err
    assert good("ls", ship).lines == ["crew"]
    assert good("check", ship).code == 0
