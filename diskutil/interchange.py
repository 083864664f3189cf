"""JSON and MessagePack of other programs, in and out of Lua values.

In: any JSON and any MessagePack; what a table cannot hold (null, integers above 64 bits, a key twice) is refused by
path, or, with `lossy`, left out or made a float. Depth is limited to DEPTH_MAX, no length is believed before it is
compared with the bytes that are there, and what is built is linear in the input. A MessagePack extension becomes the
table {ext = type, data = bytes}. Out: what import gave comes out equal; what the form has not (cycles, mixed keys in
JSON, functions, metatables) is refused by path, and so is output above NODES_MAX values (shared tables are repeated).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from typing import Any

from . import codec, paths
from .convert import scalar
from .errors import BadInput, CannotExport, CannotStore, KhorosError, one_line
from .values import INTEGER_MAX, LuaTable, normal_string

DEPTH_MAX = 512
NODES_MAX = 20_000_000

_ABSENT = object()


def guess(name: str, data: bytes) -> str:
    """`json` or `msgpack`: by the end of the name, else by the first byte."""
    if name.lower().endswith(".json"):
        return "json"
    if name.lower().endswith((".msgpack", ".mpack", ".mp")):
        return "msgpack"
    return "json" if data.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in _JSON_STARTS else "msgpack"


_JSON_STARTS = {bytes([c]) for c in b'{["-0123456789tfnN'}


def read(data: bytes, name: str, form: str, *, lossy: bool = False) -> Any:
    """The value in a file. BadInput or CannotStore with the file's name."""
    try:
        reading = from_json if form == "json" else from_msgpack
        return reading(data, "value", lossy=lossy)
    except KhorosError as error:
        raise error.in_file(name) from error.__cause__


# -- JSON -------------------------------------------------------------------------------------------------------


class _Pairs(list[tuple[str, Any]]):
    """An object as the parser met it, so that a key twice is noticed."""


def from_json(data: bytes, path: str, *, lossy: bool = False) -> Any:
    """A JSON document's value."""
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_Pairs)
    except UnicodeDecodeError as error:
        raise BadInput(what=f"not UTF-8 ({error.reason})", offset=error.start) from error
    except json.JSONDecodeError as error:
        raise BadInput(what=f"not JSON, line {error.lineno} column {error.colno}: "
                            f"{one_line(error.msg)}") from error
    except RecursionError as error:
        raise BadInput(what="nested too deep", expected=f"at most {DEPTH_MAX} levels",
                       found="more") from error
    except ValueError as error:
        raise BadInput(what=f"not JSON: {one_line(str(error))}") from error
    return _Building(lossy).build(value, path)


class _Building:
    """Parsed JSON to tables, with a list of work instead of recursion."""

    def __init__(self, lossy: bool) -> None:
        self._lossy = lossy
        self._work: list[tuple[LuaTable, Any, str, int]] = []

    def build(self, value: Any, path: str) -> Any:
        result = self._value(value, path, 0)
        if result is _ABSENT:
            raise _no_nil(path)
        while self._work:
            table, source, where, depth = self._work.pop()
            if depth >= DEPTH_MAX:
                raise BadInput(what=f"{one_line(where, 80)} is nested too deep",
                               expected=f"at most {DEPTH_MAX} levels", found="more")
            rows = source if isinstance(source, _Pairs) else enumerate(source, 1)
            for key, item in rows:
                self._put(table, key, item, where, depth)
        return result

    def _put(self, table: LuaTable, key: Any, item: Any, where: str, depth: int) -> None:
        inner = paths.text(where, key)
        key = scalar(key, inner)
        if key in table:
            raise BadInput(what=f"{inner} is there twice")
        value = self._value(item, inner, depth + 1)
        if value is not _ABSENT:
            table[key] = value

    def _value(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, list):
            table = LuaTable()
            self._work.append((table, value, path, depth))
            return table
        return plain(value, path, self._lossy)


def plain(value: Any, path: str, lossy: bool) -> Any:
    """A scalar that was read; _ABSENT for a null that is left out."""
    if value is None:
        if lossy:
            return _ABSENT
        raise _no_nil(path)
    if type(value) is int and not -INTEGER_MAX - 1 <= value <= INTEGER_MAX:
        if lossy and abs(value) < 1 << 1000:
            return float(value)
        raise CannotStore(path=path, what=f"the integer {one_line(str(value), 30)} is larger than "
                                          "64 bits", advice="--lossy makes it a float")
    return scalar(value, path)


def _no_nil(path: str) -> CannotStore:
    return CannotStore(path=path, what="null: a table holds no nil",
                       advice="--lossy leaves such keys out")


# -- MessagePack in ---------------------------------------------------------------------------------------------

# code -> struct format of a number
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
            0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
# code -> bytes of the length, for strings and binaries, arrays, maps, extensions
_STRINGS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAYS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}


class _Open:
    """A table that is being read: what is still to come, and the key that waits for its value."""

    __slots__ = ("count", "is_map", "key", "left", "path", "table")

    def __init__(self, table: LuaTable, left: int, is_map: bool, path: str) -> None:
        self.table = table
        self.left = left
        self.is_map = is_map
        self.path = path
        self.count = 0
        self.key: Any = _ABSENT


class _Unpacking:
    """One MessagePack document being read, with a stack instead of recursion."""

    def __init__(self, data: bytes, lossy: bool) -> None:
        self._data = data
        self._at = 0
        self._lossy = lossy
        self._stack: list[_Open] = []

    def run(self, path: str) -> Any:
        result = self._item(path)
        while self._stack:
            self._step()
        if self._at != len(self._data):
            raise BadInput(what="more bytes after the MessagePack value", offset=self._at,
                           expected="the end", found=f"{len(self._data) - self._at} bytes")
        if result is _ABSENT:
            raise _no_nil(path)
        return result

    def _step(self) -> None:
        top = self._stack[-1]
        if top.left == 0:
            self._stack.pop()
            return
        top.left -= 1
        if not top.is_map:
            top.count += 1
            self._store(top, top.count, self._item(paths.text(top.path, top.count)))
        elif top.key is _ABSENT:
            top.key = self._key(top)
        else:
            key, top.key = top.key, _ABSENT
            self._store(top, key, self._item(paths.text(top.path, key)))

    def _key(self, top: _Open) -> Any:
        start = self._at
        key = self._item(f"a key of {top.path}")
        if key is _ABSENT or (isinstance(key, float) and math.isnan(key)):
            raise CannotStore(path=f"a key of {top.path}", what="nil and NaN cannot be keys",
                              offset=start)
        if not isinstance(key, LuaTable) and key in top.table:
            raise BadInput(what=f"{paths.text(top.path, key)} is there twice", offset=start)
        return key

    def _store(self, top: _Open, key: Any, value: Any) -> None:
        if value is not _ABSENT:
            top.table[key] = value

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise BadInput(what="the MessagePack value ends early", offset=self._at,
                           expected=f"{size} bytes", found=len(self._data) - self._at)
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _item(self, path: str) -> Any:
        start = self._at
        code = self._take(1)[0]
        if code <= 0x7F or code >= 0xE0:
            return code if code <= 0x7F else code - 256
        if code <= 0x8F:
            return self._table(code & 15, True, path)
        if code <= 0x9F:
            return self._table(code & 15, False, path)
        if code <= 0xBF:
            return normal_string(self._take(code & 31))
        if code in (0xC2, 0xC3):
            return code == 0xC3
        if code == 0xC0:
            return plain(None, path, self._lossy)
        return self._long(code, path, start)

    def _long(self, code: int, path: str, start: int) -> Any:
        if code in _NUMBERS:
            form = _NUMBERS[code]
            return plain(struct.unpack(form, self._take(struct.calcsize(form)))[0], path, self._lossy)
        if code in _STRINGS:
            return normal_string(self._take(self._length(_STRINGS[code])))
        if code in _ARRAYS:
            return self._table(self._length(_ARRAYS[code]), False, path)
        if code in _MAPS:
            return self._table(self._length(_MAPS[code]), True, path)
        if code in _EXTENSIONS:
            return self._extension(self._length(_EXTENSIONS[code]))
        if 0xD4 <= code <= 0xD8:
            return self._extension(1 << (code - 0xD4))
        raise BadInput(what="not MessagePack", offset=start, expected="a type code",
                       found=f"{code:#04x}")

    def _length(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _extension(self, size: int) -> LuaTable:
        kind = self._take(1)[0]
        data = self._take(size)
        return LuaTable({"ext": kind - 256 if kind > 127 else kind, "data": data})

    def _table(self, count: int, is_map: bool, path: str) -> LuaTable:
        left = 2 * count if is_map else count
        if left > len(self._data) - self._at:
            raise BadInput(what="a table is longer than the file", offset=self._at,
                           expected=f"{left} values", found=f"{len(self._data) - self._at} bytes")
        if len(self._stack) >= DEPTH_MAX:
            raise BadInput(what="nested too deep", offset=self._at,
                           expected=f"at most {DEPTH_MAX} levels", found="more")
        table = LuaTable()
        self._stack.append(_Open(table, left, is_map, path))
        return table


def from_msgpack(data: bytes, path: str, *, lossy: bool = False) -> Any:
    """A MessagePack document's value, canonical or not."""
    return _Unpacking(data, lossy).run(path)


# -- out --------------------------------------------------------------------------------------------------------


def write(value: Any, form: str, path: str, *, indent: int | None = 2) -> bytes:
    """The value in that form, with a line end after JSON. CannotExport by path."""
    return to_json(value, path, indent) if form == "json" else to_msgpack(value, path)


def to_json(value: Any, path: str, indent: int | None = 2) -> bytes:
    """JSON of a value, UTF-8, keys in the store's order."""
    from .convert import to_python

    count_nodes(value, path)
    plain_value = to_python(value, path, _json_leaf)
    try:
        text = json.dumps(plain_value, ensure_ascii=False, indent=indent, allow_nan=False)
    except RecursionError as error:
        raise CannotExport(path=path, what="nested too deep for JSON") from error
    return text.encode("utf-8") + b"\n"


def _json_leaf(value: Any, path: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise CannotExport(path=path, what=f"JSON has no {value}")
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        raise CannotExport(path=path, what="a string that is not UTF-8",
                           advice="MessagePack can hold it")
    raise CannotExport(path=path, what=f"{value!r} has no form in JSON")


def count_nodes(value: Any, path: str) -> int:
    """How many values written-out data has, shared tables counted each time. CannotExport above NODES_MAX or for a cycle."""
    counts: dict[int, int] = {}
    if not isinstance(value, LuaTable):
        return 1
    stack: list[tuple[LuaTable, Iterator[Any], list[int], str]] = []
    open_tables: set[int] = set()

    def push(table: LuaTable, where: str) -> None:
        open_tables.add(table.identity)
        stack.append((table, iter(table.items()), [1], where))

    push(value, path)
    while stack:
        table, rows, total, where = stack[-1]
        step = next(rows, None)
        if step is None:
            stack.pop()
            open_tables.discard(table.identity)
            counts[table.identity] = total[0]
            if stack:
                stack[-1][2][0] += total[0]
            continue
        key, item = step
        if not isinstance(item, LuaTable):
            total[0] += 1
        elif item.identity in counts:
            total[0] += counts[item.identity]
        elif item.identity in open_tables:
            raise CannotExport(path=paths.text(where, key), what="a cycle: it contains itself",
                               advice="JSON and MessagePack have no references")
        else:
            push(item, paths.text(where, key))
        if total[0] > NODES_MAX:
            raise CannotExport(path=where, what=f"more than {NODES_MAX} values when written out")
    return counts[value.identity]


def to_msgpack(value: Any, path: str) -> bytes:
    """MessagePack of a value: lists as arrays, other tables as maps with any scalar keys."""
    count_nodes(value, path)
    parts: list[bytes] = []
    # What is still to be written, last first; what is encoded already has no path.
    pending: list[tuple[Any, str | None]] = [(value, path)]
    while pending:
        item, where = pending.pop()
        if where is None:
            parts.append(item)
        elif isinstance(item, LuaTable):
            pending += reversed(_table_parts(item, where, parts))
        else:
            parts.append(_msgpack_scalar(item, where))
    return b"".join(parts)


def _table_parts(table: LuaTable, path: str, parts: list[bytes]) -> list[tuple[Any, str | None]]:
    """Write a table's head; what follows it, already encoded keys having no path."""
    if table.metatable is not None:
        raise CannotExport(path=path, what="a table with a metatable")
    array, pairs, _ = table.raw()
    if array and not pairs:
        parts.append(codec.head(len(array), "array"))
        return [(value, paths.text(path, number)) for number, value in enumerate(table.array, 1)]
    parts.append(codec.head(len(table), "map"))
    rows: list[tuple[Any, str | None]] = []
    for key, value in table.items():
        inner = paths.text(path, key)
        if isinstance(key, LuaTable):
            raise CannotExport(path=inner, what="a key that is a table")
        rows += [(_msgpack_scalar(key, inner), None), (value, inner)]
    return rows


def _msgpack_scalar(value: Any, path: str) -> bytes:
    if isinstance(value, bool | int | float | str | bytes):
        return codec.encode_scalar(value)
    raise CannotExport(path=path, what=f"{value!r} has no form in MessagePack")
