"""Between Lua's values and plain Python data, both ways, sharing and cycles kept, no recursion.

Python → Lua: scalars are normalised; every dict, list and tuple becomes a table of its own, the same one wherever the
same object appears. Failures name the place: `cannot save value.crew[3]: …`. Lua → Python: tables with only an array
part become lists, tables with only string keys dicts; anything else is refused by path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import paths
from .errors import CannotExport, CannotStore
from .ordered import LuaMap
from .values import (
    INTEGER_MAX,
    INTEGER_MIN,
    LuaObject,
    LuaTable,
    Permanent,
    Reference,
    normal_string,
)

if TYPE_CHECKING:
    from .image import Session

_BRIEF_PAIRS = 8
_SCALARS = (bool, int, float, str, bytes)


def scalar(value: Any, path: str) -> Any:
    """A value that is no container, as Lua keeps it. CannotStore by path for what the store has not."""
    if isinstance(value, bool | float | LuaObject | LuaMap | Permanent | Reference):
        return value
    if isinstance(value, int):
        if INTEGER_MIN <= value <= INTEGER_MAX:
            return int(value)
        raise CannotStore(path=path, what=f"the integer {value} is larger than 64 bits")
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise CannotStore(path=path, what="a string with half a surrogate pair") from None
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return normal_string(value)
    if value is None:
        raise CannotStore(path=path, what="None: a table holds no nil",
                          advice="leave the key out, or delete it")
    raise CannotStore(path=path, what=f"a Python {type(value).__name__}")


class _Filling:
    """One conversion to Lua: every container met becomes one table, filled later from a list of work."""

    def __init__(self, session: Session | None) -> None:
        self._session = session
        self._tables: dict[int, LuaTable] = {}
        self._keep: list[Any] = []
        self._work: list[tuple[LuaTable, Any, str]] = []

    def value(self, value: Any, path: str) -> Any:
        if isinstance(value, LuaMap):
            ours = self._session is None or value._session in (None, self._session)
            return value if ours else LuaMap(value)
        if isinstance(value, LuaTable):
            return self._table(value, path)
        if isinstance(value, Mapping) or (
            isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)
            and not isinstance(value, Permanent | Reference)
        ):
            return self._table(value, path)
        return scalar(value, path)

    def _table(self, source: Any, path: str) -> LuaTable:
        # An unbound table may hold tables of the image that it will be put into.
        if isinstance(source, LuaTable) and (
            self._session is None or source._session in (None, self._session)
        ):
            return source
        found = self._tables.get(id(source))
        if found is None:
            found = self._tables[id(source)] = LuaTable()
            self._keep.append(source)
            self._work.append((found, source, path))
        return found

    def fill(self, table: LuaTable, source: Any, path: str) -> None:
        self._tables[id(source)] = table
        self._work.append((table, source, path))
        self.finish()

    def finish(self) -> None:
        while self._work:
            table, source, path = self._work.pop()
            if isinstance(source, Mapping):
                for key, value in source.items():
                    self._pair(table, key, value, path)
                if isinstance(source, LuaTable) and source.metatable is not None:
                    table._metatable = self.value(source.metatable, f"metatable of {path}")
            else:
                for number, value in enumerate(source, 1):
                    table[number] = self.value(value, paths.text(path, number))

    def _pair(self, table: LuaTable, key: Any, value: Any, path: str) -> None:
        where = paths.text(path, key)
        if isinstance(key, LuaTable):
            key = self.value(key, where)
        if key in table:
            raise CannotStore(path=where, what="two keys that are the same in Lua")
        table[key] = self.value(value, where)


def to_lua(value: Any, session: Session | None, path: str = "value") -> Any:
    """The value as a table of that session's image holds it; containers and foreign tables are copied."""
    if isinstance(value, str | int | float):
        return scalar(value, path)
    filling = _Filling(session)
    result = filling.value(value, path)
    filling.finish()
    return result


def fill(table: LuaTable, values: Mapping[Any, Any] | Sequence[Any], path: str = "value") -> None:
    """Put a mapping's pairs or a sequence's values (from 1) into an empty table."""
    _Filling(table._session).fill(table, values, path)


# -- from Lua ---------------------------------------------------------------------------------------------------


def shape(table: LuaTable) -> str:
    """`array` (only an array part), `object` (only string keys that are text, or nothing), or `mixed`."""
    array, pairs, _ = table.raw()
    if not pairs:
        return "array" if array else "object"
    if not array and all(type(key) is str for key, _ in pairs):
        return "object"
    return "mixed"


def to_python(value: Any, path: str = "root", leaf: Callable[[Any, str], Any] | None = None) -> Any:
    """Plain dicts and lists of everything reachable; shared tables are repeated by identity.

    CannotExport by path for tables that are neither list nor dict, for functions, and for cycles. `leaf` converts
    scalars (value, path).
    """
    done: dict[int, Any] = {}
    if not isinstance(value, LuaTable):
        return _leaf(value, path, leaf)
    result = _shell(value, path)
    # An open frame: table, its Python form, what is left of its pairs, and its path.
    stack = [(value, result, iter(value.items()), path)]
    open_tables = {value.identity}
    while stack:
        table, target, items, where = stack[-1]
        step = next(items, None)
        if step is None:
            stack.pop()
            open_tables.discard(table.identity)
            done[table.identity] = target
            continue
        key, item = step
        inner = paths.text(where, key)
        if not isinstance(item, LuaTable):
            _put(target, key, _leaf(item, inner, leaf))
        elif item.identity in open_tables:
            raise CannotExport(path=inner, what="a cycle: it contains itself",
                               advice="MessagePack and JSON have no references")
        elif item.identity in done:
            _put(target, key, done[item.identity])
        else:
            shell = _shell(item, inner)
            _put(target, key, shell)
            open_tables.add(item.identity)
            stack.append((item, shell, iter(item.items()), inner))
    return result


def _put(target: Any, key: Any, value: Any) -> None:
    if isinstance(target, list):
        target.append(value)
    else:
        target[key] = value


def _shell(table: LuaTable, path: str) -> Any:
    kind = shape(table)
    if kind == "mixed":
        raise CannotExport(path=path, what="a table that is neither a list nor has only text keys")
    if table.metatable is not None:
        raise CannotExport(path=path, what="a table with a metatable")
    return [] if kind == "array" else {}


def _leaf(value: Any, path: str, leaf: Callable[[Any, str], Any] | None) -> Any:
    if leaf is not None:
        return leaf(value, path)
    if isinstance(value, _SCALARS):
        return value
    raise CannotExport(path=path, what=f"{value!r} has no Python form")


def equals_plain(table: LuaTable, plain: dict[Any, Any] | list[Any]) -> bool:
    """Whether a table has the contents of plain data. Each pair of (table, data) is compared once."""
    pending: list[tuple[Any, Any]] = [(table, plain)]
    seen: set[tuple[int, int]] = set()
    while pending:
        mine, theirs = pending.pop()
        if not isinstance(mine, LuaTable) or not isinstance(theirs, dict | list | tuple):
            if isinstance(mine, LuaTable) or type(mine) is not type(theirs) or mine != theirs:
                return False
            continue
        if (mine.identity, id(theirs)) in seen:
            continue
        seen.add((mine.identity, id(theirs)))
        rows = theirs.items() if isinstance(theirs, dict) else enumerate(theirs, 1)
        if len(mine) != len(theirs):
            return False
        for key, value in rows:
            if key not in mine:
                return False
            pending.append((mine[key], value))
    return True


def brief(table: LuaTable) -> str:
    """The beginning of a loaded table's contents, nested ones as their type only."""
    parts: list[str] = []
    for key in table:
        if len(parts) == _BRIEF_PAIRS:
            parts.append("…")
            break
        value = table[key]
        text = f"<table {value.id or ''}>".replace(" >", ">") if isinstance(value, LuaTable) else (
            repr(value))
        parts.append(f"{key!r}: {text}")
    return "{" + ", ".join(parts) + "}"
