"""Lua's values as Python keeps them without losing anything.

Lua has nil, booleans, 64-bit integers, floats, byte strings and tables; in Python `1 == 1.0 == True`, so a `dict`
would merge keys that Lua keeps apart. `LuaTable` is a mapping with Lua's rules: integer and boolean keys are
different keys, a float key with an integer's value is that integer, tables are equal only to themselves, values are
never None. Strings that are valid UTF-8 are `str`, all others `bytes`; Lua does not tell them apart.

A table bound to an image (image.py) loads its contents when they are first used and reports its changes. An unbound
one is a value like any other. `Reference` and `Permanent` stand for objects of a store and for values known by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import CannotStore

if TYPE_CHECKING:
    from .image import Session

INTEGER_MIN, INTEGER_MAX = -(1 << 63), (1 << 63) - 1


class Reference(NamedTuple):
    """An object of the store, by id."""

    id: int


class FunctionReference(Reference):
    """A function of the store, by id: payloads tell functions from other objects."""

    __slots__ = ()


class Permanent(NamedTuple):
    """A value that every Khoros knows by name: a library table, a registered function, a named class."""

    name: str


class LongString(NamedTuple):
    """A string that is an object of its own (a KIND_TREE), by id."""

    id: int


class _BooleanKey:
    """Stands for a boolean among a dict's keys, where True would equal 1."""

    def __init__(self, value: bool) -> None:
        self.value = value


_BOOLEAN_KEYS = {False: _BooleanKey(False), True: _BooleanKey(True)}


class Contents(NamedTuple):
    """What an object of kind table holds, as decoded: nothing nests, other objects are References."""

    array: list[Any]
    pairs: list[tuple[Any, Any]]
    metatable: Reference | Permanent | None


def normal_string(value: bytes | bytearray | memoryview) -> str | bytes:
    """A byte string as this package gives it back: `str` if it is valid UTF-8."""
    data = bytes(value)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def normal_key(key: Any) -> Any:
    """A key as Lua keeps it (still a Python value). CannotStore for None, NaN and what Lua has not."""
    if isinstance(key, str | bool | Identified | Reference | Permanent):
        return key
    if isinstance(key, int):
        if INTEGER_MIN <= key <= INTEGER_MAX:
            return key
        raise CannotStore(path=f"key {key}", what="larger than 64 bits")
    if isinstance(key, float):
        return _float_key(key)
    if isinstance(key, bytes | bytearray | memoryview):
        return normal_string(key)
    raise CannotStore(path=f"key {key!r}", what=f"a {type(key).__name__} cannot be a key")


def _float_key(key: float) -> int | float:
    if key != key:
        raise CannotStore(path="key nan", what="NaN cannot be a key")
    if key.is_integer() and -(2.0**63) <= key < 2.0**63:
        return int(key)
    return key


def _inner_key(key: Any) -> Any:
    key = normal_key(key)
    return _BOOLEAN_KEYS[key] if isinstance(key, bool) else key


def _outer_key(key: Any) -> Any:
    return key.value if isinstance(key, _BooleanKey) else key


def key_order(key: Any) -> tuple[int, Any]:
    """Sorts keys as the store does: false, true, integers, floats, strings by bytes, objects by id, permanents."""
    if isinstance(key, bool):
        return 0, key
    if isinstance(key, int):
        return 1, key
    if isinstance(key, float):
        return 2, key
    if isinstance(key, str):
        return 3, key.encode("utf-8", "surrogateescape")
    if isinstance(key, bytes):
        return 3, key
    if isinstance(key, Permanent):
        return 6, key.name.encode()
    identity = key.id
    return (5, id(key)) if identity is None else (4, identity)


class Identified:
    """Something that is an object of a store, or becomes one: `id` is None until it was committed."""

    __slots__ = ()
    id: int | None


class LuaObject(Identified):
    """An object of the store that is no table (a function, its source, an upvalue …): kept, not interpreted."""

    def __init__(self, identity: int, kind: int, payload: bytes, session: Session | None) -> None:
        self.id = identity
        self.kind = kind
        self.payload = payload
        self._session = session

    def __repr__(self) -> str:
        return f"<LuaObject {self.id} kind {self.kind}, {len(self.payload)} bytes>"


class LuaTable(Identified, MutableMapping[Any, Any]):
    """A Lua table: a mapping with Lua's keys (so an array starts at 1), loaded when first used.

    `table.array` is its array part as a Python sequence (from 0). Assigned dicts, lists and tuples become tables of
    their own, sharing and cycles kept; afterwards they are copies, so change what the table gives back. Removing is
    `del table[key]`: there is no None in a table. `table == other` is identity for tables, contents for a dict or list.
    """

    __slots__ = ("__weakref__", "_array", "_hash", "_metatable", "_session", "id")

    def __init__(self, values: Mapping[Any, Any] | Sequence[Any] | None = None) -> None:
        self._session: Session | None = None
        self.id: int | None = None
        self._array: list[Any] | None = []
        self._hash: dict[Any, Any] = {}
        self._metatable: Any = None
        if values is not None:
            from .convert import fill

            fill(self, values)

    # -- loading and changing ---------------------------------------------------------------------------------

    @classmethod
    def stored(cls, session: Session, identity: int) -> LuaTable:
        """The table with that id of an image; its contents are read at first use."""
        table = cls.__new__(cls)
        table._session, table.id = session, identity
        table._array, table._hash, table._metatable = None, {}, None
        return table

    def _load(self) -> list[Any]:
        if self._array is None:
            assert self._session is not None and self.id is not None
            self._set_contents(self._session.contents(self.id))
        array = self._array
        assert array is not None
        return array

    def _set_contents(self, contents: Contents) -> None:
        self._array = contents.array
        self._hash = {
            _BOOLEAN_KEYS[k] if isinstance(k, bool) else k: v for k, v in contents.pairs
        }
        self._metatable = contents.metatable

    def _stored_as(self, session: Session, identity: int) -> None:
        """It is the object with that id now."""
        self._session, self.id = session, identity

    def _unload(self) -> None:
        self._array, self._hash, self._metatable = None, {}, None

    @property
    def loaded(self) -> bool:
        """Whether the contents are in memory."""
        return self._array is not None

    def _changing(self) -> list[Any]:
        array = self._load()
        if self._session is not None:
            self._session.changed(self)
        return array

    def _out(self, value: Any) -> Any:
        return value if self._session is None else self._session.outer(value)

    def _in(self, value: Any) -> Any:
        from .convert import to_lua

        return to_lua(value, self._session)

    def _find(self, key: Any) -> Any:
        """The key under which the dict part holds `key`: an object's key may still be a Reference."""
        inner = _inner_key(key)
        if isinstance(inner, Identified) and inner.id is not None and (
            inner not in self._hash
        ):
            return Reference(inner.id)
        return inner

    # -- the mapping ------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        array = self._load()
        inner = self._find(key)
        if type(inner) is int and 1 <= inner <= len(array):
            return self._out(array[inner - 1])
        try:
            return self._out(self._hash[inner])
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key: Any, value: Any) -> None:
        value = self._in(value)
        inner = self._find(self._in(key) if isinstance(key, LuaTable) else key)
        array = self._changing()
        if type(inner) is int and 1 <= inner <= len(array):
            array[inner - 1] = value
        elif type(inner) is int and inner == len(array) + 1:
            self._hash.pop(inner, None)
            array.append(value)
            while len(array) + 1 in self._hash:
                array.append(self._hash.pop(len(array) + 1))
        else:
            self._hash[inner] = value

    def __delitem__(self, key: Any) -> None:
        if key not in self:
            raise KeyError(key)
        inner = self._find(key)
        array = self._changing()
        if type(inner) is int and 1 <= inner <= len(array):
            for position in range(inner, len(array)):
                self._hash[position + 1] = array[position]
            del array[inner - 1 :]
        else:
            del self._hash[inner]

    def __contains__(self, key: object) -> bool:
        array = self._load()
        try:
            inner = self._find(key)
        except CannotStore:
            return False
        return (type(inner) is int and 1 <= inner <= len(array)) or inner in self._hash

    def __iter__(self) -> Iterator[Any]:
        """Keys: the array part in order, then the others in the store's order."""
        yield from range(1, len(self._load()) + 1)
        for key in self._ordered_keys():
            yield self._out(key)

    def _ordered_keys(self) -> list[Any]:
        return sorted(map(_outer_key, self._hash), key=key_order)

    def __len__(self) -> int:
        """How many keys there are, array part included."""
        return len(self._load()) + len(self._hash)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, dict | list):
            from .convert import equals_plain

            return equals_plain(self, other)
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        if not self.loaded:
            return f"<LuaTable {self.id}, not loaded>"
        from .convert import brief

        return f"LuaTable({brief(self)})"

    @property
    def identity(self) -> int:
        """A number that no other table of its image has, as long as the table is reachable or in the store.

        Python's `id` is not that: a table that nobody holds is dropped and read again as another Python object.
        """
        return self.id if self.id is not None else -id(self)

    # -- what only Lua tables have ----------------------------------------------------------------------------

    @property
    def array(self) -> ArrayPart:
        """The values at 1, 2, 3 … up to the first gap, as a Python sequence (from 0) that can be changed."""
        return ArrayPart(self)

    @property
    def metatable(self) -> Any:
        """The metatable: a LuaTable, a Permanent, or None."""
        self._load()
        return self._out(self._metatable)

    @metatable.setter
    def metatable(self, value: LuaTable | Permanent | None) -> None:
        if value is not None and not isinstance(value, LuaTable | Permanent):
            raise CannotStore(path="metatable", what="neither a table nor a permanent")
        self._changing()
        self._metatable = None if value is None else self._in(value)

    def to_python(self) -> Any:
        """Plain dicts and lists of everything reachable. CannotExport by path for what they cannot hold."""
        from .convert import to_python

        return to_python(self)

    def raw(self) -> tuple[list[Any], list[tuple[Any, Any]], Any]:
        """Array, other pairs and metatable as held: References stay References. For encoders."""
        array = self._load()
        pairs = [(_outer_key(key), value) for key, value in self._hash.items()]
        return array, pairs, self._metatable


class ArrayPart(MutableSequence[Any]):
    """The array part of a table as a Python list would be: from 0, with slices to read."""

    def __init__(self, table: LuaTable) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table._load())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._table._out(value) for value in self._table._load()[index]]
        return self._table._out(self._table._load()[index])

    def __setitem__(self, index: Any, value: Any) -> None:
        table = self._table
        if not isinstance(index, slice):
            table._changing()[index] = table._in(value)
            return
        values = [table._in(item) for item in value]
        table._changing()[index] = values
        self._take_in()

    def __delitem__(self, index: Any) -> None:
        """As Lua's table.remove: later values move down."""
        del self._table._changing()[index]

    def _take_in(self) -> None:
        """What stood behind the end as other fields belongs to the array part if it is next to it now."""
        array, pairs = self._table._changing(), self._table._hash
        for number in range(1, len(array) + 1) if pairs else ():
            pairs.pop(number, None)
        while len(array) + 1 in pairs:
            array.append(pairs.pop(len(array) + 1))

    def insert(self, index: int, value: Any) -> None:
        """As Lua's table.insert: later values move up by one."""
        table = self._table
        inserted = table._in(value)
        array = table._changing()
        array.insert(index, inserted)
        while len(array) + 1 in table._hash:
            array.append(table._hash.pop(len(array) + 1))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str | bytes) and (
            len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True)))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))
