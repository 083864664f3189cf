"""Raw mode: no echo, frames with lengths, results that read back."""

from __future__ import annotations

import re

from tests.shell.terminal import Shell
from tests.shell.test_session import WITH_OBJECTS


def frames(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    while data:
        match = re.match(rb"([a-z]) (\d+)\n", data)
        assert match, data[:40]
        length = int(match[2])
        start = match.end()
        assert data[start + length : start + length + 1] == b"\n"
        found.append((match[1].decode(), data[start : start + length]))
        data = data[start + length + 1 :]
    return found


class Raw:
    def __init__(self, shell: Shell, start: bytes) -> None:
        self.shell = shell
        assert self.exchange(start, after=b"x 3\nraw\n") == [("x", b"raw")]

    def exchange(self, data: bytes, after: bytes | None = None) -> list[tuple[str, bytes]]:
        before = len(self.shell.written)
        self.shell.type_bytes(data)
        written = bytes(self.shell.written[before:])
        if after is not None:
            written = written[written.index(after) :]
        return frames(written)

    def ask(self, source: str) -> list[tuple[str, bytes]]:
        return self.exchange(source.encode() + b"\x04")


def test_entered_by_a_command_or_by_a_control_string() -> None:
    for start in (b"shell.raw()\r", b"\x1b_khoros:raw\x1b\\"):
        raw = Raw(Shell(), start)
        assert raw.ask("1 + 1") == [("r", b"2"), ("x", b"0")]


def test_output_results_and_errors_are_apart_and_exact() -> None:
    raw = Raw(Shell(setup=WITH_OBJECTS), b"shell.raw()\r")
    assert raw.ask('print("a", 1) io.write("x\\n\\0")') == [
        ("o", b"a\t1\n"),
        ("o", b"x\n\0"),
        ("x", b"0"),
    ]
    assert raw.ask('1.0, math.mininteger, "q\\n", nil, 1/0') == [
        ("r", b"1.0"),
        ("r", b"0x8000000000000000"),
        ("r", b'"q\\n"'),
        ("r", b"nil"),
        ("r", b"math.huge"),
        ("x", b"0"),
    ]
    assert raw.ask("t = {}; for i = 1, 100 do t[i] = i end; #t") == [("r", b"100"), ("x", b"0")]
    (kind, table), end = raw.ask("t")
    assert (kind, end) == ("r", ("x", b"0"))
    assert table == b"{" + b", ".join(str(i).encode() for i in range(1, 101)) + b"}"
    (kind, text), end = raw.ask("error('no')")
    assert (kind, end) == ("e", ("x", b"1"))
    assert text.startswith(b"stdin:")
    assert raw.ask("x = = 1")[-1] == ("x", b"1")
    assert raw.ask("for i = 1, 2 do")[-1] == ("x", b"1")
    assert raw.ask("") == [("x", b"0")]
    assert raw.ask("root.a = 1; commit('c').id") == [("r", b'"t1"'), ("x", b"0")]


def test_output_cannot_forge_frames() -> None:
    raw = Raw(Shell(), b"shell.raw()\r")
    assert raw.ask('print("x 1\\n0\\nr 1\\n5")') == [("o", b"x 1\n0\nr 1\n5\n"), ("x", b"0")]


def test_requests_may_be_split_forgotten_and_many() -> None:
    raw = Raw(Shell(), b"shell.raw()\r")
    assert raw.exchange(b"1 +") == []
    assert raw.exchange(b" 1\x04") == [("r", b"2"), ("x", b"0")]
    assert raw.exchange(b"garbage(\x03") == []
    assert raw.exchange(b"1\x042\x04") == [("r", b"1"), ("x", b"0"), ("r", b"2"), ("x", b"0")]
    big = b"s = [[" + b"x" * 100_000 + b"]]; #s\x04"
    for start in range(0, len(big) - 50_000, 50_000):
        raw.exchange(big[start : start + 50_000])
    assert raw.exchange(big[100_000:]) == [("r", b"100000"), ("x", b"0")]


def test_leaving_brings_the_prompt_back_with_what_was_typed_ahead() -> None:
    shell = Shell()
    Raw(shell, b"shell.raw()\r")
    shell.type_bytes(b"\x02x = 7\rx\r")
    assert shell.screen[-2:] == ["7", ">"]
    shell.type_bytes(b"shell.raw()\r")
    shell.type_bytes(b"shell.raw(false)\x04")
    shell.type_bytes(b"'back'\r")
    assert shell.screen[-2:] == ["back", ">"]
