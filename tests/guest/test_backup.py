"""A running machine is backed up at random moments: each copy is the state after one of its commits, with history."""

from __future__ import annotations

import re

import pytest

import khoros
from khoros.diskutil import check, reader
from khoros.diskutil.backup import backup
from khoros.diskutil.writer import mkfs

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("kernel")]

MOMENTS = 20
LOOP = """
for number = 1, math.maxinteger do
  root.last = number
  root[number % 20 + 1] = {number = number, text = ("x"):rep(number * 37 % 3000)}
  commit("number " .. number)
  print(number)
end
"""


def test_a_machine_that_writes_is_backed_up(boot, tmp_path, rng):
    image, target = tmp_path / "a.img", tmp_path / "backup.img"
    mkfs(image, 4 << 20)
    machine = boot(disks=[image], strings={"run": LOOP, "name": "=loop"})
    machine.expect(rb"(\d+)\n")
    for _ in range(MOMENTS):
        for _ in range(rng.randint(1, 5)):
            machine.expect(rb"(\d+)\n")
        machine.wait(rng.uniform(0, 0.05))
        before = max(int(number) for number in re.findall(rb"(\d+)\n", machine.output))
        done = backup(str(image), str(target))
        assert done.transaction >= before
        with khoros.open(target) as copy:
            last = copy["last"]
            assert last == copy.transaction == done.transaction
            for number in range(max(1, last - 19), last + 1):
                assert copy.root[number % 20 + 1]["number"] == number
                assert copy.root[number % 20 + 1]["text"] == "x" * (number * 37 % 3000)
            oldest = copy.store.oldest_transaction
            if oldest:
                past = rng.randint(oldest, last)
                assert copy.at(past)["last"] == past
    machine.kill()
    machine.close()
    store = reader.mount(target)
    assert check.check(store).errors == 0
    store.close()
