"""Khoros: a computer that remembers, seen from Python.

This folder only gives the two Python parts of the repository one name: `diskutil/` is `khoros.diskutil` and
`formats/` is `khoros.formats` (links beside this file; in a wheel, real folders). It promises that `import khoros`
costs nothing: the names below are loaded when they are first used.

    import khoros
    with khoros.open("k.img") as image:
        print(image.root["ship"]["fuel"])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from khoros.diskutil.errors import KhorosError as KhorosError
    from khoros.diskutil.image import Image as Image
    from khoros.diskutil.image import LuaFunction as LuaFunction
    from khoros.diskutil.image import LuaMap as LuaMap
    from khoros.diskutil.image import LuaTable as LuaTable
    from khoros.diskutil.image import open as open

__version__ = "0.1.0"

_HOME_OF = {
    "open": "khoros.diskutil.image",
    "Image": "khoros.diskutil.image",
    "LuaFunction": "khoros.diskutil.functions",
    "LuaMap": "khoros.diskutil.ordered",
    "LuaTable": "khoros.diskutil.values",
    "KhorosError": "khoros.diskutil.errors",
}

__all__ = ["Image", "KhorosError", "LuaFunction", "LuaMap", "LuaTable", "__version__", "open"]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'khoros' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
