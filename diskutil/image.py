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
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from khoros.formats import constants as C

from . import codec, entries, garbage, history, paths, reader, superblock, trees
from .errors import (
    KhorosError,
    NoSuchTransaction,
    NotFound,
    ObjectError,
    ReadOnly,
    UsageError,
    ValueFormatError,
)
from .functions import LuaFunction
from .ordered import LuaMap
from .saving import Saving
from .values import (
    Contents,
    FunctionReference,
    LongString,
    LuaObject,
    LuaTable,
    Permanent,
    Reference,
)
from .writer import Committed, Writer

T = TypeVar("T")
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
        self._known: weakref.WeakValueDictionary[int, LuaTable | LuaMap | LuaObject] = (
            weakref.WeakValueDictionary())
        self._changed: dict[int, LuaTable | LuaMap] = {}

    def contents(self, identity: int) -> Contents:
        """What the table with that id holds, from disk."""
        stored = self.store.read(identity)
        if stored.kind == C.KIND_TABLE:
            return self.decoded(stored, codec.decode_table)
        if stored.kind == C.KIND_TREE:
            found = trees.Tree(self.store, stored).contents
            if found is not None:
                return found
        raise ObjectError(file=self.store.device.name, id=identity, what="not a table",
                          expected="a table", found=entries.kind_name(stored.kind))

    def string(self, identity: int) -> str | bytes:
        """The long string that is the object with that id."""
        found = trees.Tree(self.store, self.store.node(identity, C.KIND_TREE)).text
        if found is None:
            raise ObjectError(file=self.store.device.name, id=identity, what="not a string",
                              expected="a string", found="a table")
        return found

    def decoded(self, stored: reader.StoredObject, decode: Callable[[bytes], T]) -> T:
        """What an object's payload holds. ObjectError that names the object when it is not canonical."""
        try:
            return decode(stored.payload)
        except ValueFormatError as error:
            raise ObjectError(
                file=self.store.device.name, id=stored.id,
                offset=self.store.device.base + stored.pointer.offset,
                what=str(error)) from error

    def outer(self, value: Any) -> Any:
        """A value as people hold it: objects instead of references, long strings in full."""
        if isinstance(value, Reference):
            found = self.resolve(value)
            if isinstance(found, LuaFunction) != isinstance(value, FunctionReference):
                raise ObjectError(file=self.store.device.name, id=value.id, what="kind of what is referred to",
                                  expected="a function" if isinstance(value, FunctionReference) else "no function",
                                  found=type(found).__name__)
            return found
        return self.string(value.id) if isinstance(value, LongString) else value

    def resolve(self, reference: Reference) -> LuaTable | LuaMap | LuaObject:
        """The one Python object that stands for an object of the store."""
        found = self._known.get(reference.id)
        if found is None:
            found = self._known[reference.id] = self._object(reference.id)
        return found

    def _object(self, identity: int) -> LuaTable | LuaMap | LuaObject:
        pointer = self.store.pointer(identity)
        if pointer is None and identity != C.ROOT_ID:
            raise ObjectError(file=self.store.device.name, id=identity,
                              what="it is referred to and does not exist")
        if pointer is None or pointer.kind in (C.KIND_TABLE, C.KIND_TREE):
            return LuaTable.stored(self, identity)
        if pointer.kind == C.KIND_MAP:
            return LuaMap.stored(self, identity)
        stored = self.store.read(identity)
        if stored.kind == C.KIND_FUNCTION:
            return LuaFunction(stored, self)
        return LuaObject(stored.id, stored.kind, stored.payload, self)

    def changed(self, table: LuaTable | LuaMap) -> None:
        """A table is about to change. ReadOnly where that is not allowed."""
        if not self._writable:
            raise ReadOnly(file=self.store.device.name, what="the image was opened for reading",
                           advice='open it with mode "r+"')
        assert table.id is not None
        self._changed[table.id] = table

    def held_ids(self) -> list[int]:
        """Ids of the stored objects that Python holds."""
        return [identity for identity in list(self._known) if self.store.pointer(identity) is not None]

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
        first = writer.next_id
        saving = Saving(self, first, self._changed.values())
        if not saving.items:
            self._changed.clear()
            return None
        count = saving.next_id - first
        if count:
            writer.allocate(count)
        try:
            done = writer.commit(saving.items, message)
        except KhorosError:
            if writer.next_id == saving.next_id:
                writer.next_id = first
            raise
        self._changed.clear()
        for value, identity in saving.fresh.values():
            value._stored_as(self, identity)
            self._known[identity] = value
        for value in saving.unload:
            value._unload()
        return done


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
            if not isinstance(value, LuaTable | LuaMap):
                raise NotFound(file=self.path, name=following, advice=f"{where} is no table")
            if key not in value:
                raise NotFound(file=self.path, name=following, advice=_near(value, key, where))
            value, where = value[key], following
        return value

    def object(self, identity: int) -> LuaTable | LuaMap | LuaObject:
        """The object with that id, wherever it is reachable from. ObjectError if there is none."""
        return self._session.resolve(Reference(identity))

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
        return self._session.commit(self._writing(), message)

    def undo(self, transaction: int | str | Committed | Transaction) -> Committed | None:
        """Take one transaction back with a new one; None if nothing of it is left.

        CannotUndo by path where it was changed again since, UsageError with uncommitted changes, NoLongerKept: nothing
        was changed.
        """
        from .undoing import Undoing

        number = history.number_of(transaction)
        self._refuse_changes()
        if not 1 <= number <= self.transaction:
            raise NoSuchTransaction(file=self.path, name=f"t{number}",
                                    advice=f"the newest is t{self.transaction}")
        if not Undoing(self, self.at(number - 1), self.at(number)).run():
            return None
        try:
            return self.commit(f"undo t{number}")
        except KhorosError:
            self.abort()
            raise

    def gc(self) -> tuple[int, int]:
        """Delete what nothing refers to, neither the root nor what Python holds. Returns how many, and their bytes on disk.

        UsageError with uncommitted changes; ObjectError when a reachable object cannot be read: then nothing is deleted.
        """
        writer = self._writing()
        self._refuse_changes()
        return garbage.collect(writer, self._session.held_ids())

    def _refuse_changes(self) -> None:
        if self.changed:
            raise UsageError(what="there are uncommitted changes", advice="commit or abort them first")

    def _writing(self) -> Writer:
        if self._writer is None:
            raise ReadOnly(file=self.path, what="the image was opened for reading",
                           advice='open it with mode "r+"')
        return self._writer

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


def _near(table: LuaTable | LuaMap, key: Any, where: str) -> str:
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


__all__ = ["Committed", "Image", "LuaFunction", "LuaMap", "LuaObject", "LuaTable", "Permanent",
           "Transaction", "open"]
