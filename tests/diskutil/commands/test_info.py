"""khoros-disk info."""

from __future__ import annotations

import khoros
from tests.diskutil import images
from tests.diskutil.commandline import good


def test_facts(tmp_path):
    path = images.ship(tmp_path / "a.img", label="Iolcos", uuid=images.UUID)
    facts = good("info", path, "--json").json
    assert facts["format_version"] == 1
    assert facts["uuid"] == images.UUID
    assert facts["label"] == "Iolcos"
    assert facts["objects"] == 3
    assert facts["transactions"] == 2
    assert facts["state"] == "clean"
    assert facts["in_use"] is False
    assert sum(v for k, v in facts["segments"].items() if k != "total") == facts["segments"]["total"]
    text = good("info", path).text
    for word in ("Iolcos", images.UUID, "clean", "4M"):
        assert word in text


def test_a_store_that_was_not_unmounted(ship):
    opened = khoros.open(ship, "r+")
    opened["x"] = {"y": 1}
    opened.commit()
    opened.store.close()
    facts = good("info", ship, "--json").json
    assert (facts["state"], facts["in_use"], facts["objects"]) == ("torn", True, 4)
    assert "recovers" in good("info", ship).text


def test_a_new_store(empty):
    facts = good("info", empty, "--json").json
    assert (facts["objects"], facts["transactions"], facts["live_bytes"]) == (0, 0, 0)
    assert facts["segments"]["open"] == 1
