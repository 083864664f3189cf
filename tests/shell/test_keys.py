"""Keys from bytes: known sequences, any splitting of the bytes, nothing lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shell.terminal import new_lua

LUA = new_lua()
DECODE = LUA.execute(
    b"""
    local keys = require "shell.keys"
    return function(chunks, flush_between)
      local decoder, found = keys.new(), {}
      local function drain()
        while true do
          local name, text, more = decoder:next()
          if not name then return end
          found[#found + 1] = {name, text, more}
        end
      end
      for i = 1, #chunks do
        decoder:feed(chunks[i]); drain()
        if flush_between and decoder:waiting() then decoder:flush(); drain() end
      end
      if decoder:waiting() then decoder:flush(); drain() end
      return found, decoder:waiting() == nil
    end
    """
)


def decode(*chunks: bytes, flush_between: bool = False) -> list[tuple]:
    """Keys, with neighbouring runs of text joined (how text is cut into runs means nothing)."""
    found, idle = DECODE(LUA.table_from(list(chunks)), flush_between)
    assert idle
    keys: list[tuple] = []
    for row in found.values():
        key = tuple(value for value in (row[1], row[2], row[3]) if value is not None)
        if keys and key[0] == b"text" == keys[-1][0]:
            keys[-1] = (b"text", keys[-1][1] + key[1])
        else:
            keys.append(key)
    return keys


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x1b[A", b"up"),
        (b"\x1bOA", b"up"),
        (b"\x1b[1;5C", b"ctrl-right"),
        (b"\x1b[1;3D", b"alt-left"),
        (b"\x1b[H", b"home"),
        (b"\x1b[1~", b"home"),
        (b"\x1b[7~", b"home"),
        (b"\x1bOF", b"end"),
        (b"\x1b[4~", b"end"),
        (b"\x1b[3~", b"delete"),
        (b"\x1bb", b"alt-b"),
        (b"\x1b\x7f", b"alt-backspace"),
        (b"\x1b\r", b"alt-enter"),
        (b"\x01", b"ctrl-a"),
        (b"\x7f", b"backspace"),
        (b"\x08", b"backspace"),
        (b"\t", b"tab"),
        (b"\r", b"enter"),
        (b"\n", b"enter"),
        (b"\r\n", b"enter"),
        (b"\x1b", b"escape"),
        (b"\x1b[[A", b"unknown"),
        (b"\x1b[?25h", b"unknown"),
        (b"\x1b]0;title\x07", b"unknown"),
        (b"\x00", b"unknown"),
        (b"\x1c", b"unknown"),
    ],
)
def test_one_key(data: bytes, name: bytes) -> None:
    assert decode(data) == [(name,)]
    assert decode(data + b"x") in ([(name,), (b"text", b"x")], [(b"alt-x",)])
    assert decode(*[data[i : i + 1] for i in range(len(data))]) == [(name,)]


def test_position_and_strings() -> None:
    assert decode(b"\x1b[24;80R") == [(b"position", 24, 80)]
    assert decode(b"\x1b_khoros:raw\x1b\\") == [(b"sequence", b"khoros:raw")]


def test_a_lone_escape_waits_briefly_and_is_a_key() -> None:
    assert decode(b"\x1b", b"[A", flush_between=True) == [(b"escape",), (b"text", b"[A")]
    assert decode(b"\x1b", b"[A") == [(b"up",)]


def test_paste_is_whole_whatever_is_in_it() -> None:
    body = "local x = 1\r\nprint('\x1b[A\x03é')\rlast".encode()
    data = b"a\x1b[200~" + body + b"\x1b[201~b"
    expected = [
        (b"text", b"a"),
        (b"paste", body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")),
        (b"text", b"b"),
    ]
    assert decode(data) == expected
    assert decode(*[data[i : i + 1] for i in range(len(data))]) == expected


def test_a_paste_without_end_is_taken_after_a_while() -> None:
    assert decode(b"\x1b[200~abc", b"def") == [(b"paste", b"abcdef")]


pieces = st.lists(
    st.one_of(
        st.sampled_from(
            [b"\x1b[A", b"\x1b[3~", b"\x1bb", b"\r", b"\n", b"\x01", b"\x7f", b"\x1b[1;5D"]
        ),
        st.text(min_size=1, max_size=4).map(lambda text: text.encode("utf-8", "replace")),
        st.text(max_size=6).map(
            lambda text: (
                b"\x1b[200~" + text.encode("utf-8", "replace").replace(b"\x1b", b"") + b"\x1b[201~"
            )
        ),
    ),
    max_size=12,
).map(b"".join)


@given(pieces, st.lists(st.integers(0, 200), max_size=10))
def test_splitting_changes_nothing(data: bytes, places: list[int]) -> None:
    cuts = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    chunks = [data[a:b] for a, b in itertools.pairwise(cuts)]
    assert decode(*chunks) == decode(data)


@given(st.binary(max_size=60), st.integers(1, 60))
def test_junk_never_raises_and_text_is_not_invented(data: bytes, size: int) -> None:
    keys = decode(*[data[i : i + size] for i in range(0, len(data), size)])
    for name, *rest in keys:
        if name == b"text":
            assert rest[0] in data


@given(
    st.binary(max_size=80).map(
        lambda data: bytes(byte for byte in data if byte >= 32 and byte != 127)
    )
)
def test_printable_bytes_all_arrive(data: bytes) -> None:
    chunks = [data[i : i + 3] for i in range(0, len(data), 3)]
    assert decode(*chunks) == ([(b"text", data)] if data else [])
