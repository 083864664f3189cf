"""Places in a store as people write them: `root.ship.crew[3]`, `root["a b"]`, `ship.crew`.

`text` writes what `parse` reads. A path without `root` in front means the same as with it. Components after a dot are
strings of any characters but `.`, `[`, `]` and quotes; in brackets stand an integer, a float, true, false, or a quoted
string with JSON's escapes, in which `\\xNN` is a byte.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .errors import UsageError
from .values import Permanent

ROOT = "root"

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_BARE = re.compile(r"[^.\[\]\"']+")
_BRACKET = re.compile(
    r"""\[\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>[^\[\]"']+?))\s*\]"""
)
_BYTE = re.compile(r"\\x([0-9a-fA-F]{2})")


def text(path: str, key: Any) -> str:
    """The path of what stands under `key` in the table at `path`."""
    if isinstance(key, str) and _IDENTIFIER.fullmatch(key):
        return f"{path}.{key}"
    if isinstance(key, str):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    if isinstance(key, bytes):
        return f'{path}["{escape(key)}"]'
    if isinstance(key, bool):
        return f"{path}[{'true' if key else 'false'}]"
    if isinstance(key, int | float):
        return f"{path}[{key!r}]"
    if isinstance(key, Permanent):
        return f"{path}[{key.name}]"
    return f"{path}[<{getattr(key, 'id', None) or 'table'}>]"


def escape(data: bytes) -> str:
    """Bytes as they stand between quotes: ASCII as itself, the rest as \\xNN."""
    return "".join(
        chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in data
    )


def parse(words: str) -> list[Any]:
    """The keys from the root to what the path names; empty for the root. UsageError for bad syntax."""
    at, keys = 0, []
    bare = _BARE.match(words)
    if bare:
        at = bare.end()
        keys.append(bare[0])
    while at < len(words):
        at = _component(words, at, keys)
    if keys and keys[0] == ROOT and (bare is not None):
        del keys[0]
    return keys


def _component(words: str, at: int, keys: list[Any]) -> int:
    bracket = _BRACKET.match(words, at)
    if bracket:
        keys.append(_word(bracket["word"], words) if bracket["word"] else _quoted(bracket["string"]))
        return bracket.end()
    bare = _BARE.match(words, at + 1) if words[at] == "." else None
    if bare is None:
        raise UsageError(what=f"not a path: {words}", found=f"{words[at:at + 8]!r}",
                         advice="write root.ship.crew[3] or root[\"a name\"]")
    keys.append(bare[0])
    return bare.end()


def _word(word: str, words: str) -> Any:
    if word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    raise UsageError(what=f"not a path: {words}", found=f"[{word}]",
                     advice="strings in brackets need quotes")


def _quoted(literal: str) -> Any:
    inner = literal[1:-1]
    if _BYTE.search(inner):
        data = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda m: bytes([int(m[1], 16)]), inner.encode())
        from .values import normal_string

        return normal_string(data)
    try:
        return json.loads(f'"{inner}"' if literal[0] == '"' else json.dumps(inner))
    except ValueError as error:
        raise UsageError(what=f"not a path: bad string {literal}") from error
