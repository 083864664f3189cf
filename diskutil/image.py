"""A disk image as Python objects: `khoros.open(path)`.

    with khoros.open("k.img", "r+") as image:
        image.root["ship"] = {"name": "Argo", "crew": ["Jason", "Orpheus"]}
        image.root["crew"] = image.root["ship"]["crew"]        # shared, not copied
        image.commit("first ship")

`image.root` is a LuaTable (values.py): a mapping with Lua's keys, whose tables load when they are first touched.
Identity is kept: the same object of the store is the same Python object, so sharing and cycles are what they are in
Lua. Nothing is written before `commit`, which writes only what changed; leaving the context drops uncommitted changes.

Promise: what is read passed checksums and identity checks or raises a KhorosError that names object and offset; a
commit that returned is durable. Memory is what was touched: clean tables that nobody holds are dropped.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple

from khoros.formats import constants as C

from . import codec, history, paths, reader, superblock
from .errors import CannotStore, KhorosError, NotFound, ObjectError, ReadOnly, UsageError
from .values import Contents, LuaObject, LuaTable, Permanent, Reference
from .writer import Committed, Item, Writer

_MODES = ("r", "r+")


class Transaction(NamedTuple):
    """A line of the log. `time` in microseconds since 1970, `bytes` of the payloads."""

    id: str
    transaction: int
    time: int
    message: str
    objects: int
    bytes: int


class Session:
    """The objects of one image that Python holds: who is who, and what changed. Tables call it; users use Image."""

    def __init__(self, store: reader.Store, writable: bool) -> None:
        self.store = store
        self._writable = writable
        self._known: weakref.WeakValueDictionary[int, LuaTable | LuaObject] = (
            weakref.WeakValueDictionary())
        self._changed: dict[int, LuaTable] = {}

    def contents(self, identity: int) -> Contents:
        """What the table with that id holds, from disk."""
        stored = self.store.read(identity)
        if stored.kind != C.KIND_TABLE:
            raise ObjectError(file=self.store.device.name, id=identity, what="not a table",
                              expected=f"kind {C.KIND_TABLE}", found=f"kind {stored.kind}")
        try:
            return codec.decode_table(stored.payload)
        except KhorosError as error:
            raise ObjectError(
                file=self.store.device.name, id=identity,
                offset=self.store.device.base + stored.pointer.offset,
                what=str(error)) from error

    def resolve(self, reference: Reference) -> LuaTable | LuaObject:
        """The one Python object that stands for an object of the store."""
        known = self._known.get(reference.id)
        if known is not None:
            return known
        found: LuaTable | LuaObject
        pointer = self.store.pointer(reference.id)
        if pointer is None and reference.id != C.ROOT_ID:
            raise ObjectError(file=self.store.device.name, id=reference.id,
                              what="it is referred to and does not exist")
        if pointer is None or pointer.kind == C.KIND_TABLE:
            found = LuaTable.stored(self, reference.id)
        else:
            stored = self.store.read(reference.id)
            found = LuaObject(stored.id, stored.kind, stored.payload, self)
        self._known[reference.id] = found
        return found

    def changed(self, table: LuaTable) -> None:
        """A table is about to change. ReadOnly where that is not allowed."""
        if not self._writable:
            raise ReadOnly(file=self.store.device.name, what="the image was opened for reading",
                           advice='open it with mode "r+"')
        assert table.id is not None
        self._changed[table.id] = table

    @property
    def dirty(self) -> bool:
        """Whether anything changed since the last commit."""
        return bool(self._changed)

    def drop_changes(self) -> None:
        """Changed tables turn back into what is on disk; they are read again when touched."""
        for table in self._changed.values():
            table._unload()
        self._changed.clear()

    # -- committing -------------------------------------------------------------------------------------------

    def commit(self, writer: Writer, message: str) -> Committed | None:
        """Write what changed as one transaction; None if nothing did. On an error nothing has changed."""
        fresh = self._fresh()
        first = writer.next_id
        ids = {id(table): first + number for number, table in enumerate(fresh)}
        where = {id(table): path for table, path in fresh.items()}
        items = [item for table in self._changed.values()
                 if (item := self._item(table, ids, where)) is not None]
        items += [item for table in fresh if (item := self._item(table, ids, where)) is not None]
        if not items:
            self._changed.clear()
            return None
        writer.allocate(len(fresh))
        try:
            done = writer.commit(items, message)
        except KhorosError:
            if writer.next_id == first + len(fresh):
                writer.next_id = first
            raise
        for table in fresh:
            table.id, table._session = ids[id(table)], self
            self._known[table.id] = table
        self._changed.clear()
        return done

    def _fresh(self) -> dict[LuaTable, str]:
        """Tables that the changed ones reach and the store does not have yet, depth first, with their paths."""
        found: dict[LuaTable, str] = {}
        for changed in self._changed.values():
            pending = list(_children(changed, self._path(changed)))[::-1]
            while pending:
                table, path = pending.pop()
                if table._session is self or table in found:
                    continue
                if table._session is not None:
                    raise CannotStore(path=path, what="a table of another image",
                                      advice="assign a copy")
                found[table] = path
                pending += list(_children(table, path))[::-1]
        return found

    def _path(self, table: LuaTable) -> str:
        return paths.ROOT if table.id == C.ROOT_ID else f"object {table.id}"

    def _item(self, table: LuaTable, ids: dict[int, int], where: dict[int, str]) -> Item | None:
        """The table's entry; None if its bytes are the ones on disk."""
        array, pairs, metatable = table.raw()
        path = where.get(id(table)) or self._path(table)
        try:
            payload = codec.encode_table(
                [_stored_form(value, ids) for value in array],
                [(_stored_form(key, ids), _stored_form(value, ids)) for key, value in pairs],
                _stored_form(metatable, ids) if metatable is not None else None)
        except CannotStore as error:
            raise CannotStore(path=path, what=error.details.get("what", "")) from error
        identity = table.id if table.id is not None else ids[id(table)]
        if table.id is not None:
            before = self.store.read(identity)
            if before.payload == payload and before.pointer.kind:
                return None
        return Item(identity, C.KIND_TABLE, payload)


def _children(table: LuaTable, path: str) -> Iterator[tuple[LuaTable, str]]:
    array, pairs, metatable = table.raw()
    for number, value in enumerate(array, 1):
        if isinstance(value, LuaTable):
            yield value, paths.text(path, number)
    for key, value in pairs:
        if isinstance(key, LuaTable):
            yield key, f"a key of {path}"
        if isinstance(value, LuaTable):
            yield value, paths.text(path, key)
    if isinstance(metatable, LuaTable):
        yield metatable, f"metatable of {path}"


def _stored_form(value: Any, ids: dict[int, int]) -> Any:
    """A value as a payload holds it: tables and objects as references."""
    if isinstance(value, LuaTable | LuaObject):
        return Reference(value.id if value.id is not None else ids[id(value)])
    return value


class Image:
    """An open disk image. Built by `open`; a context manager that closes it."""

    def __init__(self, store: reader.Store, mode: str) -> None:
        self._store = store
        self._writer = Writer(store) if mode == "r+" else None
        self._session = Session(store, self._writer is not None)
        self._root = self._session.resolve(Reference(C.ROOT_ID))
        self._closed = False

    # -- reading ----------------------------------------------------------------------------------------------

    @property
    def root(self) -> LuaTable:
        """The root table: everything reachable from it is in the store."""
        if not isinstance(self._root, LuaTable):
            raise ObjectError(file=self.path, id=C.ROOT_ID, what="the root is not a table")
        return self._root

    def __getitem__(self, name: Any) -> Any:
        """`image["ship"]` is `image.root["ship"]`."""
        return self.root[name]

    def __setitem__(self, name: Any, value: Any) -> None:
        self.root[name] = value

    def __delitem__(self, name: Any) -> None:
        del self.root[name]

    def __contains__(self, name: object) -> bool:
        return name in self.root

    def __iter__(self) -> Iterator[Any]:
        return iter(self.root)

    def at_path(self, words: str) -> Any:
        """The value at `root.ship.crew[2]`. NotFound says how far the path goes."""
        value: Any = self.root
        where = paths.ROOT
        for key in paths.parse(words):
            following = paths.text(where, key)
            if not isinstance(value, LuaTable):
                raise NotFound(file=self.path, name=following, advice=f"{where} is no table")
            if key not in value:
                raise NotFound(file=self.path, name=following, advice=_near(value, key, where))
            value, where = value[key], following
        return value

    @property
    def path(self) -> str:
        """The file that was opened."""
        return self._store.device.name

    @property
    def store(self) -> reader.Store:
        """The mounted store below the objects."""
        return self._store

    @property
    def transaction(self) -> int:
        """Number of the last transaction; 0 before the first."""
        return self._store.transaction

    @property
    def label(self) -> str:
        """The label that mkfs gave."""
        return superblock.label(self._store.superblock)

    def history(self) -> Iterator[Transaction]:
        """The transactions, oldest first."""
        for item in self._store.history():
            record = item.record
            yield Transaction(f"t{record.transaction}", record.transaction, record.time,
                              item.message, record.entry_count, record.content_bytes)

    def at(self, transaction: int | str | Committed | Transaction) -> Image:
        """The image as it was after a transaction (4, "t4", what `commit` or `history` gave) or a snapshot, by name.

        Read-only; its tables are other objects than those of now. It reads from this image, so it ends with it. Raises
        NoSuchTransaction, or NoLongerKept when the log of that time was given up for space.
        """
        return Image(history.at(self._store, transaction), "r")

    # -- writing ----------------------------------------------------------------------------------------------

    def commit(self, message: str = "") -> Committed | None:
        """Write what changed as one durable transaction; None if nothing changed.

        CannotStore by path, NoSpace, UsageError: nothing was written. DeviceError: open the image again.
        """
        if self._writer is None:
            raise ReadOnly(file=self.path, what="the image was opened for reading",
                           advice='open it with mode "r+"')
        return self._session.commit(self._writer, message)

    def abort(self) -> None:
        """Drop uncommitted changes: changed tables are again what is on disk."""
        self._session.drop_changes()

    @property
    def changed(self) -> bool:
        """Whether there are uncommitted changes."""
        return self._session.dirty

    def close(self) -> None:
        """Unmount cleanly and release the file; uncommitted changes are lost. Twice is once."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._store.close()

    def __enter__(self) -> Image:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Image {self.path} at t{self.transaction}>"


def _near(table: LuaTable, key: Any, where: str) -> str:
    """What may have been meant: a digit is often an index, a name often misspelt."""
    import difflib

    if isinstance(key, str) and key.isdigit() and int(key) in table:
        return f"did you mean {where}[{key}]?"
    names = [name for name in table if isinstance(name, str)] if len(table) < 10_000 else []
    close = difflib.get_close_matches(str(key), names, 1)
    return f"did you mean {paths.text(where, close[0])}?" if close else f"it has {len(table)} keys"


def open(path: str | os.PathLike[str], mode: str = "r") -> Image:
    """Open an image: `r` to read, `r+` to read and write (locked against QEMU and other writers).

    A file, a block device, or a disk with a partition of our type. Raises the KhorosError that says why not.
    """
    if mode not in _MODES:
        raise UsageError(what=f"mode {mode!r}", expected="r or r+", found=repr(mode))
    store = reader.mount(path, writable=mode == "r+")
    try:
        return Image(store, mode)
    except BaseException:
        store.close()
        raise


__all__ = ["Committed", "Image", "LuaObject", "LuaTable", "Permanent", "Transaction", "open"]
