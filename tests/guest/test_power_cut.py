"""QEMU killed (SIGKILL) while the guest writes: every acknowledged commit is there, and the host's check is clean.

The guest prints the number of a commit after `commit` returned, so what arrives on COM1 was acknowledged. A killed
QEMU loses what it had not handed to the host; what the host has stays. So this tests the order of the guest's writes
and the recovery, not the drive's cache: that is the power-cut simulator's part (tests/fs).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

import khoros
from khoros.diskutil.writer import mkfs

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

# With --full more, and as many as KHOROS_BOOTS says.
KILLS, KILLS_FULL = 10, 100
LOOP = """
local first = (root.last or 0) + 1
for number = first, math.maxinteger do
  root.last = number
  root[number % 50 + 1] = {number = number, text = ("x"):rep(number * 37 % 3000)}
  commit("number " .. number)
  print(number)
end
"""


@pytest.mark.timeout(0)
def test_every_acknowledged_commit_survives_a_kill_at_any_moment(boot, tmp_path, rng, request):
    image = tmp_path / "a.img"
    mkfs(image, 16 << 20)
    acknowledged = 0
    kills = int(os.environ.get("KHOROS_BOOTS", KILLS_FULL)) if request.config.getoption("--full") else KILLS
    for _ in range(kills):
        machine = boot(disks=[image], strings={"run": LOOP, "name": "=loop"})
        # At least one commit, then some more, then some time within the next one.
        for _ in range(rng.randint(1, 12)):
            acknowledged = int(machine.expect(rb"(\d+)\n")[1])
        machine.wait(rng.uniform(0, 0.05))
        machine.kill()
        machine.close()
        said = [int(number) for number in re.findall(rb"(\d+)\n", machine.output)]
        acknowledged = max(acknowledged, *said)

        checked = subprocess.run(
            [sys.executable, "-I", "-m", "khoros.diskutil.cli", "check", image],
            capture_output=True,
            text=True,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
        with khoros.open(image) as opened:
            last = opened.root["last"]
            # The commit under way may have reached the disk without its acknowledgement reaching us.
            assert acknowledged <= last <= acknowledged + 1
            for number in range(max(1, last - 49), last + 1):
                entry = opened.root[number % 50 + 1]
                assert entry["number"] == number
                assert entry["text"] == "x" * (number * 37 % 3000)
