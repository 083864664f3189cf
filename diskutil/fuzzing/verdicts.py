"""What each reader makes of an image, and what is wrong with that.

`python` mounts, reads every object, decodes every value: it may raise a KhorosError and nothing else, in bounded time (row 8).
`difference` asks the Lua store the same (row 9): the same verdict, the same error class, the same objects, byte for byte.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from khoros.formats import constants as C

from .. import check, codec, reader
from ..device import MemoryDevice
from ..errors import KhorosError
from ..torture import mounted, runtime
from ..torture.runtime import LuaError

HERE = Path(__file__).parent
OBJECTS_MOST = 3000
# CPU time of one image; thousands of times what one usually takes.
SECONDS_MOST = 20.0
LUA_BYTES_MOST = 64 << 20
# A check takes longer than all the rest together: every so many-th image.
CHECK_EVERY = 8


class Verdict(NamedTuple):
    """What a reader says. `code`: why the image was refused; then the rest is empty. Of an object its payload, or a code."""

    code: str
    verdict: str = ""
    transaction: int = 0
    objects: Mapping[int, bytes | str] = MappingProxyType({})


class Finding(NamedTuple):
    """A promise that an image breaks. `kind` is the same for the same fault: several images of it are one finding."""

    kind: str
    text: str


def python(image: bytearray, thorough: bool = False) -> Verdict:
    """The Python reader's. Whatever else than a KhorosError it raises comes out."""
    try:
        store = reader.Store(MemoryDevice(image))
    except KhorosError as error:
        return Verdict(error.code)
    objects: dict[int, bytes | str] = {}
    try:
        for identity, _ in store.ids():
            if len(objects) >= OBJECTS_MOST:
                break
            objects[identity] = _read(store, identity)
    except KhorosError:
        pass  # the index itself is damaged: the ids so far are what can be found
    if thorough:
        check.check(store)
    return Verdict("", store.verdict, store.transaction, objects)


def _read(store: reader.Store, identity: int) -> bytes | str:
    try:
        found = store.read(identity)
    except KhorosError as error:
        return error.code
    if found.kind == C.KIND_TABLE:
        try:
            codec.decode_table(found.payload)
        except KhorosError:
            pass  # a payload that is not canonical is refused by who asks for its value, not by who reads the object
    return found.payload


def of_python(image: bytearray, thorough: bool) -> tuple[Verdict | None, Finding | None]:
    """Row 8: the verdict, or what the reader did that it must not."""
    before = time.process_time()
    try:
        verdict = python(image, thorough)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.name}"
        return None, Finding(f"python {type(error).__name__} {where}", f"Python reader: {type(error).__name__}: {error} in {where}")
    took = time.process_time() - before
    if took > SECONDS_MOST:
        return None, Finding("python slow", f"Python reader: {took:.0f} s of CPU time")
    return verdict, None


class Lua:
    """The Lua store, in one state for many images: its memory is limited for each."""

    def __init__(self, sources: Path = runtime.LUA) -> None:
        self.lua = runtime.runtime(max_memory=1 << 30, sources=sources)
        self.primitives = runtime.primitives(self.lua)
        self._judge = self.lua.execute((HERE / "verdict.lua").read_bytes(), name="@verdict.lua")

    def verdict(self, image: bytearray, ids: list[int]) -> Verdict:
        """The store's. LuaError if it raises, memory included."""
        self.lua.set_max_memory(0)
        device = mounted.lua_device(self.lua, mounted.Disk(image))
        rows = self.lua.table_from(ids)
        self.lua.set_max_memory(self.lua.get_memory_used() + LUA_BYTES_MOST)
        try:
            found: Any = self._judge(device, self.primitives, rows, OBJECTS_MOST)
        finally:
            self.lua.set_max_memory(0)
        if found[b"code"] is not None:
            return Verdict(found[b"code"].decode())
        objects: dict[int, bytes | str] = {
            identity: payload if isinstance(payload, bytes) else found[b"codes"][identity].decode()
            for identity, payload in found[b"objects"].items()}
        return Verdict("", (found[b"verdict"] or b"").decode(), found[b"transaction"], objects)


def difference(image: bytearray, ours: Verdict, lua: Lua) -> Finding | None:
    """Row 9."""
    try:
        theirs = lua.verdict(image, list(ours.objects))
    except LuaError as error:
        first = str(error).splitlines()[0]
        return Finding(f"lua {first}", f"the Lua store raises: {error}")
    if ours.code or theirs.code:
        if ours.code != theirs.code:
            return Finding(f"codes {ours.code or 'mounts'} {theirs.code or 'mounts'}",
                           f"Python says {ours.code or 'it mounts'}, Lua says {theirs.code or 'it mounts'}")
        return None
    for what in ("verdict", "transaction"):
        python_value, lua_value = getattr(ours, what), getattr(theirs, what)
        if python_value != lua_value and lua_value != "":
            return Finding(f"{what} {python_value if what == 'verdict' else ''} {lua_value if what == 'verdict' else ''}",
                           f"{what}: Python says {python_value}, Lua says {lua_value}")
    return _objects_differ(ours, theirs)


def _objects_differ(ours: Verdict, theirs: Verdict) -> Finding | None:
    for identity, value in ours.objects.items():
        other = theirs.objects.get(identity)
        if value != other:
            words = [found if isinstance(found, str) else "a payload" for found in (value, other)]
            return Finding(f"object {words[0]} {words[1]}", f"object {identity}: Python has {words[0]}, Lua has {words[1]}")
    return None
