"""Whether the Lua store and the Python reader see the same in an image: verdict, transaction, objects, snapshots; and no error."""

from __future__ import annotations

from typing import Any

from .. import check
from ..errors import KhorosError
from . import crash, mounted

# Short workloads write objects before they write a root.
BESIDE = "no root"


def disagreement(image: bytes | bytearray, lua: Any) -> str | None:
    """None, or what the two see differently or the checker finds."""
    store, handle = crash.python_store(image), mounted.Store(mounted.Disk(bytearray(image)), lua, read_only=True, collect=False)
    findings = [finding.text for finding in check.check(store).findings if finding.error and BESIDE not in finding.text]
    if findings:
        return f"check: {findings[0]}"
    pairs = [
        ("the verdict", store.verdict, handle.info()["verdict"].decode()),
        ("the transaction", store.transaction, handle.call("transaction")),
        ("the number of objects", store.object_count(), handle.info()["objects"]),
        ("the snapshots", [bytes(record.name).rstrip(b"\0") for record in store.snapshots],
         [record["name"] for record in handle.call("snapshots") or []]),
    ]
    for what, python, lua_value in pairs:
        if python != lua_value:
            return f"{what} is {python!r} for Python, {lua_value!r} for Lua"
    return _objects(store, handle)


def _objects(store: Any, handle: mounted.Store) -> str | None:
    for identity, _ in store.ids():
        try:
            payload = store.read(identity).payload
        except KhorosError as error:
            return f"object {identity}: {error}"
        if handle.records(identity)[0]["payload"] != payload:
            return f"object {identity} is another one for Python than for Lua"
    return None
