"""Values as people and programs read them: Lua notation for terminals, JSON for pipes, short forms for listings.

Promise: cycles and shared tables end (each table is written out once, later places name the first path), depth and
length are limited where asked, and JSON is always valid JSON: bytes that are not UTF-8 become `{"$base64": …}`, tables
that are neither list nor have only text keys `{"$pairs": [[key, value], …]}`, tables shown before `{"$ref": "path"}`,
ordered maps `{"$map": [[key, value], …]}`,
functions `{"$function": …}`, other objects `{"$object": …}`, and numbers that JSON lacks `{"$float": "nan"}`.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from . import paths, sizes
from .convert import shape
from .entries import kind_name
from .errors import one_line
from .functions import LuaFunction
from .ordered import LuaMap
from .values import LuaObject, LuaTable, Permanent

_PREVIEW = 60


# -- JSON -------------------------------------------------------------------------------------------------------


class JsonForm:
    """One conversion to what json.dumps takes. Iterative, so depth does not matter."""

    def __init__(self) -> None:
        self._paths: dict[int, str] = {}
        self._work: list[tuple[LuaTable | LuaMap, Any, str]] = []

    def convert(self, value: Any, path: str) -> Any:
        """The value and everything it reaches, each table once."""
        result = self._value(value, path)
        while self._work:
            table, target, where = self._work.pop()
            self._fill(table, target, where)
        return result

    def _value(self, value: Any, path: str) -> Any:
        if not isinstance(value, LuaTable | LuaMap):
            return scalar_json(value)
        first = self._paths.setdefault(value.identity, path)
        if first != path:
            return {"$ref": first}
        kind = "map" if isinstance(value, LuaMap) else shape(value)
        target: Any = {"array": [], "object": {}, "mixed": {"$pairs": []}, "map": {"$map": []}}[kind]
        self._work.append((value, target, path))
        return target

    def _fill(self, table: LuaTable | LuaMap, target: Any, path: str) -> None:
        if isinstance(table, LuaMap):
            target["$map"] = [[scalar_json(key), self._value(value, paths.text(path, key))]
                              for key, value in table.items()]
            return
        for key, value in table.items():
            inner = paths.text(path, key)
            form = self._value(value, inner)
            if isinstance(target, list):
                target.append(form)
            elif "$pairs" in target and shape(table) == "mixed":
                target["$pairs"].append([self._value(key, f"a key of {path}"), form])
            else:
                target[key] = form
        if table.metatable is not None and isinstance(target, dict):
            target["$metatable"] = self._value(table.metatable, f"metatable of {path}")


def scalar_json(value: Any) -> Any:
    """A value that is no table, for json.dumps."""
    if isinstance(value, bytes):
        return {"$base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": "nan" if value != value else "inf" if value > 0 else "-inf"}
    if isinstance(value, Permanent):
        return {"$permanent": value.name}
    if isinstance(value, LuaFunction):
        return {"$function": {"id": value.id, "chunk": scalar_json(value.chunk_name),
                              "prototype": value.prototype, "text": scalar_json(value.text)}}
    if isinstance(value, LuaObject):
        return {"$object": {"id": value.id, "kind": kind_name(value.kind),
                            "base64": base64.b64encode(value.payload).decode("ascii")}}
    return value


def to_json(value: Any, path: str) -> Any:
    """What json.dumps takes for a value found at `path`."""
    return JsonForm().convert(value, path)


# -- Lua notation -----------------------------------------------------------------------------------------------


def lua_string(value: str | bytes) -> str:
    """A string as a Lua literal; bytes that are not UTF-8 as \\xNN."""
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in text).replace(
            "\\b", "\\8").replace("\\f", "\\12") if not text.isprintable() else text
    return f'"{paths.escape(value)}"'


def scalar_text(value: Any) -> str:
    """A value that is no table, as Lua writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | bytes):
        return lua_string(value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Permanent):
        return f"<{value.name}>"
    if isinstance(value, LuaFunction):
        return f"<function {value.id}: {value.prototype} of {one_line(str(value.chunk_name), 40)}>"
    if isinstance(value, LuaObject):
        return f"<{kind_name(value.kind)} {value.id}>"
    return str(value)


def _float_text(value: float) -> str:
    if value != value:
        return "0/0"
    if math.isinf(value):
        return "math.huge" if value > 0 else "-math.huge"
    return repr(value)


class LuaForm:
    """One conversion to Lua notation, indented, each table once, at most `depth` tables deep."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._paths: dict[int, str] = {}

    def lines(self, value: Any, path: str) -> list[str]:
        """The value's lines; iterative over an explicit stack of open tables."""
        if not isinstance(value, LuaTable | LuaMap):
            return [scalar_text(value)]
        out: list[str] = []
        stack: list[tuple[Any, str]] = []
        self._open(value, path, "", out, stack)
        while stack:
            rows, _ = stack[-1]
            step = next(rows, None)
            if step is None:
                stack.pop()
                out.append("  " * len(stack) + ("}," if stack else "}"))
                continue
            label, item, inner = step
            indent = "  " * len(stack)
            if isinstance(item, LuaTable | LuaMap):
                self._table(item, inner, f"{indent}{label}", out, stack)
            else:
                out.append(f"{indent}{label}{scalar_text(item)},")
        return out

    def _table(self, table: LuaTable | LuaMap, path: str, label: str, out: list[str],
               stack: list[tuple[Any, str]]) -> None:
        seen = self._paths.get(table.identity)
        if seen is not None:
            out.append(f"{label}<{seen}>,")
        elif len(table) == 0 and (isinstance(table, LuaMap) or table.metatable is None):
            self._paths[table.identity] = path
            out.append(f"{label}{_opening(table)}}},")
        elif len(stack) >= self._depth:
            out.append(f"{label}<{type_name(table)} with {len(table)} keys>,")
        else:
            self._open(table, path, label, out, stack)

    def _open(self, table: LuaTable | LuaMap, path: str, label: str, out: list[str],
              stack: list[tuple[Any, str]]) -> None:
        self._paths[table.identity] = path
        out.append(label + _opening(table))
        stack.append((_rows(table, path), path))


def _opening(table: LuaTable | LuaMap) -> str:
    return "map {" if isinstance(table, LuaMap) else "{"


def _rows(table: LuaTable | LuaMap, path: str) -> Any:
    if isinstance(table, LuaMap):
        for key, value in table.items():
            yield f"{_key_text(key)} = ", value, paths.text(path, key)
        return
    length = len(table.array)
    for key, value in table.items():
        inner = paths.text(path, key)
        if type(key) is int and key <= length and key >= 1:
            yield "", value, inner
        else:
            yield f"{_key_text(key)} = ", value, inner
    if table.metatable is not None:
        yield "<metatable> = ", table.metatable, f"metatable of {path}"


def _key_text(key: Any) -> str:
    if isinstance(key, LuaTable):
        return f"[<table {key.id}>]"
    whole = paths.text("", key)
    return whole[1:] if whole.startswith(".") else f"[{scalar_text(key)}]"


def to_text(value: Any, path: str, depth: int = 100) -> str:
    """A value in Lua notation, over several lines if it is a table."""
    return "\n".join(LuaForm(depth).lines(value, path))


# -- short forms ------------------------------------------------------------------------------------------------


def type_name(value: Any) -> str:
    """What Lua's `type` says, with integers and floats apart."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str | bytes):
        return "string"
    if isinstance(value, LuaTable):
        return "table"
    if isinstance(value, LuaMap):
        return "map"
    return "permanent" if isinstance(value, Permanent) else kind_name(value.kind)


def preview(value: Any) -> str:
    """A scalar in a few characters; what a table or map holds."""
    if isinstance(value, LuaTable | LuaMap):
        return sizes.count(len(value), "key")
    text = scalar_text(value)
    return text if len(text) <= _PREVIEW else f"{text[:_PREVIEW - 1]}…"


def brief(value: Any) -> str:
    """A value in one line of bounded length: scalars as `preview`, tables with the beginning of what they hold."""
    if not isinstance(value, LuaTable | LuaMap):
        return preview(value)
    parts: list[str] = []
    length = len(_opening(value))
    for label, item, _ in _rows(value, ""):
        held = isinstance(item, LuaTable | LuaMap)
        parts.append(label + ("{…}" if held and len(item) else "{}" if held else preview(item)))
        length += len(parts[-1]) + 2
        if length > _PREVIEW:
            parts[-1] = "…"
            break
    return f"{_opening(value)}{', '.join(parts)}}}"


def name_text(key: Any) -> str:
    """A key as `ls` prints it: a plain name as it is, anything else as in a path."""
    if isinstance(key, str) and key.isprintable() and key:
        return key
    if isinstance(key, LuaTable):
        return f"[<table {key.id}>]"
    return f"[{scalar_text(key)}]"
