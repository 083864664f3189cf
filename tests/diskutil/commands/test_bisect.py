"""khoros-disk bisect: states of the past put before a test."""

from __future__ import annotations

import sys

import pytest

import khoros
from tests.diskutil import images
from tests.diskutil.commandline import REPOSITORY, good, invoke

# A test as people write them: it opens the copy and exits with 1 when something is wrong.
CHECK = [sys.executable, "-c", f"""
import sys
sys.path.insert(0, {str(REPOSITORY / "python")!r})
import khoros
with khoros.open(sys.argv[1]) as image:
    print("looking at", image["n"])
    sys.exit(image["sum"] != sum(range(image["n"] + 1)))
""", "{}"]


@pytest.fixture
def broken(tmp_path):
    """root.sum is the sum of 0 … n, until t13 forgets to add."""
    path = images.empty(tmp_path / "a.img")
    with khoros.open(path, "r+") as image:
        image["sum"] = 0
        for number in range(20):
            image["n"] = number
            image["sum"] += number if number != 12 else 0
            image.commit(f"step {number}")
    return path


def test_the_transaction_is_found(broken):
    before = images.digest(broken)
    result = good("bisect", broken, "--", *CHECK)
    assert result.lines[0] == "t13 is the first bad transaction, t12 the last good one"
    assert result.lines[1].endswith("step 12")
    assert result.lines[2:] == ["~ root.n  11 -> 12"]
    assert b"t13: bad" in result.err
    assert result.err.count(b": good") + result.err.count(b": bad") <= 7
    assert images.digest(broken) == before


def test_json_and_ends(broken):
    result = good("bisect", broken, "--good", "t10", "--bad", "15", "--json", "--", *CHECK)
    facts = result.json
    assert (facts["last_good"], facts["first_bad"], facts["message"]) == (12, 13, "step 12")
    assert result.err.count(b"t") < 60


def test_states_that_cannot_be_judged(broken):
    script = "case $KHOROS_TRANSACTION in 1[1-3]) exit 125;; esac; test $KHOROS_TRANSACTION -lt 13"
    result = good("bisect", broken, "--", "sh", "-c", script)
    assert result.lines[0] == "t14 is the first bad transaction, t10 the last good one"
    assert result.lines[1] == "not judged, and perhaps the one: t11, t12, t13"


@pytest.mark.parametrize(("script", "word"), [
    ("exit 0", "t20 should be bad"), ("exit 1", "t1 should be good"), ("exit 127", "broken"),
    ("kill -9 $$", "broken")])
def test_a_test_that_does_not_tell(broken, script, word):
    result = invoke("bisect", broken, "--", "sh", "-c", script)
    assert result.code == 10
    assert word in result.err.decode().splitlines()[-1]
    assert result.out == b""


def test_a_test_that_is_not_there(broken):
    result = invoke("bisect", broken, "--", "./no-such-program")
    assert (result.code, "no such file" in result.complaint) == (10, True)


@pytest.mark.parametrize("words", [[], ["--good", "t9", "--bad", "t3", "--", "true"],
                                   ["--good", "x", "--", "true"]])
def test_wrong_use(broken, words):
    assert invoke("bisect", broken, *words).code == 2


def test_the_copy_is_a_whole_image(broken):
    """It may be written to, and checked, by the test."""
    disk = f"{sys.executable} -m khoros.diskutil.cli"
    script = (f"export PYTHONPATH={REPOSITORY}/python; {disk} check -q $KHOROS_IMAGE && "
              f"{disk} put $KHOROS_IMAGE x 1 && test $KHOROS_TRANSACTION -lt 9")
    result = good("bisect", broken, "--good", "7", "--bad", "9", "--", "sh", "-c", script)
    assert result.lines[0].startswith("t9 is the first bad")
