"""khoros-disk compact."""

from __future__ import annotations

import khoros
from tests.diskutil import images
from tests.diskutil.commandline import good, invoke


def test_a_file_becomes_as_small_as_what_it_holds(tmp_path):
    path = images.empty(tmp_path / "a.img", 64 << 20)
    with khoros.open(path, "r+") as image:
        for number in range(20):
            image["large"] = [bytes([number]) * 60_000 for _ in range(20)]
            image["kept"] = {"n": number}
            image.commit()
        del image["large"]
        image.commit()
    assert path.stat().st_blocks * 512 > 20 << 20
    good("compact", path)
    assert path.stat().st_blocks * 512 < 4 << 20
    assert path.stat().st_size == 64 << 20
    assert good("check", path).code == 0
    with khoros.open(path, "r+") as image:
        assert image["kept"]["n"] == 19 and image.transaction == 21
        assert len(list(image.history())) <= 1
        image["more"] = 1
        image.commit()
    good("compact", path)
    assert good("check", path).code == 0


def test_garbage_may_stay(ship):
    good("rm", ship, "root.ship")
    good("compact", ship, "--keep-garbage")
    assert b"1 objects could be deleted" in good("gc", ship, "-n").err


def test_what_is_no_store(tmp_path):
    (tmp_path / "x").write_text("hello")
    assert invoke("compact", tmp_path / "x").code != 0
