"""The codec in C against the reference in Lua and the one in Python: same bytes, same verdicts, same refusals.

tests/core/codec_fuzz.lua compares C and Lua, down to the words of a refusal, in the process core under sanitizers, and prints
every payload with the verdict; here the Python codec judges them too. Its cases that are not random: codec_cases.lua, which
test_cases.py runs.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from khoros.diskutil import codec as python_codec
from khoros.diskutil.errors import ValueFormatError
from tests.core import host as core_host

PAYLOADS = 24_000
RUNS = 4


def verdict_of_python(payload: bytes) -> str:
    """Accepted means that it is also what Python would write."""
    try:
        contents = python_codec.decode_table(payload)
    except ValueFormatError:
        return "refused"
    assert python_codec.encode_table(contents.array, contents.pairs, contents.metatable) == payload
    return "accepted"


def compare(host: Path, seed: int, payloads: int) -> Counter[str]:
    arguments = ("tests/core/codec_fuzz.lua", "tests/core", str(seed), str(payloads))
    print("build/core/sanitized/host", *arguments)
    verdicts: Counter[str] = Counter()
    for line in core_host.run(host, *arguments, seconds=1200).splitlines():
        verdict, _, text = line.partition(" ")
        payload = bytes.fromhex(text)
        # Python knows no registry: what stops at a name that nobody has registered it may accept or refuse further on.
        assert verdict in (verdict_of_python(payload), "unknown"), text
        verdicts[verdict] += 1
    return verdicts


@pytest.mark.parametrize("part", range(RUNS))
def test_c_lua_and_python_agree(host: Path, rng: random.Random, part: int) -> None:
    verdicts = compare(host, rng.randrange(2**31) + part, PAYLOADS // RUNS)
    assert sum(verdicts.values()) >= PAYLOADS // RUNS
    assert min(verdicts["accepted"], verdicts["refused"]) > PAYLOADS // RUNS // 10


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_they_agree_for_long(host: Path, rng: random.Random, part: int) -> None:
    """Half a million payloads: --full."""
    compare(host, rng.randrange(2**31) + part, 25_000)
