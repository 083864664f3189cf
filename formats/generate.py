"""Writes what is generated from the schemas: `lua/fs/layout.lua`, `kernel/codec_format.h` and the
tables of `SPEC.md`.

`python -m khoros.formats.generate` rewrites them in the clone; `--check` writes nothing and exits 1
if any differs. The generated files are committed, so that readers and the guest need no Python.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from construct import Construct

from . import STRUCTURES, constants
from .derive import Field, bare, fields, lua_format, offset_of

_MARK = re.compile(r"<!-- table (?P<kind>\w+): (?P<name>[^>]*?) -->\n.*?<!-- end -->", re.DOTALL)


def layout() -> str:
    """The text of `lua/fs/layout.lua`."""
    parts = [_LAYOUT_HEAD]
    for title, rows in constants.GROUPS.items():
        parts.append(f"-- {title}")
        parts += [f"layout.{row.name} = {_number(row)}" for row in rows]
        parts.append("")
    parts += ["-- Partition type of a store in a GPT, in the usual notation",
              f'layout.GPT_TYPE_GUID = "{constants.GPT_TYPE_GUID}"', ""]
    for name, schema in STRUCTURES.items():
        if name != "page":
            parts += [_lua_structure(name, schema), ""]
    parts.append("return layout\n")
    return "\n".join(parts)


_LAYOUT_HEAD = """\
-- The bytes on disk, for Lua: sizes, offsets, string.pack formats and constants of the store's format.
-- Generated from formats/ by `python -m khoros.formats.generate`: change the schemas, not this file.
--
-- Each structure is a table { size, format, offsets = {field = bytes from its start}, pack(t), unpack(s, at) }.
-- pack: every field from a table by name (constants may be absent) -> string of `size` bytes.
-- unpack: string, 1-based position (default 1) -> table by name; raises when the string is too short.
-- Neither checks constants, checksums or ranges: that is the reader's duty.

local string_pack <const> = string.pack
local string_unpack <const> = string.unpack

local layout = {}
"""


def _number(row: constants.Constant) -> str:
    return hex(row.value) if row.value > 0xFFFFFFFF else str(row.value)


def _literal(value: int | bytes) -> str:
    if isinstance(value, int):
        return str(value)
    if not any(value):
        return f'("\\0"):rep({len(value)})'
    return '"' + value.decode("ascii") + '"'


def _lua_structure(name: str, schema: Construct) -> str:
    rows = fields(schema)
    constant_rows = [row for row in rows if row.constant is not None]
    lines = [f"layout.{name} = {{", f"  size = {schema.sizeof()},", f'  format = "{lua_format(schema)}",']
    if constant_rows:
        values = ", ".join(f"{row.name} = {_literal(row.constant)}" for row in constant_rows
                           if row.constant is not None)
        lines.append(f"  constants = {{{values}}},")
    lines.append("  offsets = {")
    lines += [f"    {row.name} = {row.offset}," for row in rows]
    lines += ["  },", "}", "", _lua_pack(name, rows), "", _lua_unpack(name, rows)]
    return "\n".join(lines)


def _lua_pack(name: str, rows: tuple[Field, ...]) -> str:
    arguments = [f"    t.{row.name}" if row.constant is None
                 else f"    t.{row.name} or {_literal(row.constant)}" for row in rows]
    return (f"function layout.{name}.pack(t)\n  return string_pack(layout.{name}.format,\n"
            + ",\n".join(arguments) + ")\nend")


def _lua_unpack(name: str, rows: tuple[Field, ...]) -> str:
    locals_ = ",\n    ".join(row.name for row in rows)
    result = ",\n".join(f"    {row.name} = {row.name}" for row in rows)
    return (f"function layout.{name}.unpack(s, at)\n  local {locals_}\n"
            f"    = string_unpack(layout.{name}.format, s, at)\n  return {{\n{result},\n  }}\nend")


def structure_table(name: str) -> str:
    """The offset table of one structure, in Markdown."""
    schema = STRUCTURES[name]
    if name == "page":
        array = bare(schema.subcons[0])
        return (f"| offset | size | field | meaning |\n|--:|--:|---|---|\n"
                f"| 0 | {schema.sizeof()} | `slots` | {array.count} slots of "
                f"{array.subcon.sizeof()} bytes |\n")
    lines = ["| offset | size | field | meaning |", "|--:|--:|---|---|"]
    for member in schema.subcons:
        offset = offset_of(schema, member.name) if member.name in _flat(schema) else offset_of(
            schema, member.name + "_tag")
        lines.append(f"| {offset} | {member.subcon.sizeof()} | `{member.name}` | {member.docs} |")
    lines.append(f"| {schema.sizeof()} | | | size |")
    return "\n".join(lines) + "\n"


def _flat(schema: Construct) -> set[str]:
    return {row.name for row in fields(schema)}


def constant_table(title: str) -> str:
    """The table of one group of constants, in Markdown."""
    lines = ["| name | value | meaning |", "|---|--:|---|"]
    lines += [f"| `{row.name}` | {_number(row)} | {row.meaning} |" for row in constants.GROUPS[title]]
    return "\n".join(lines) + "\n"


def specification(text: str) -> str:
    """SPEC.md with every generated table made anew. KeyError for a table that is not known."""

    def table(match: re.Match[str]) -> str:
        make = {"structure": structure_table, "constants": constant_table}[match["kind"]]
        return f"<!-- table {match['kind']}: {match['name']} -->\n{make(match['name'])}<!-- end -->"

    return _MARK.sub(table, text)


_HEADER_HEAD = """\
/* What the value codec in C knows of the format: section 7 of formats/SPEC.md, beside MessagePack, and the header of entries.
 * Generated from formats/ by `python -m khoros.formats.generate`: change the schemas, not this file.
 */
#ifndef KHOROS_CODEC_FORMAT_H
#define KHOROS_CODEC_FORMAT_H
"""
# Limits that the codec checks; all other constants of the format are none of C's business.
_HEADER_LIMITS = ("ID_BITS", "ID_MASK", "CHUNK_BYTES", "PLACE_UNIT_BYTES")


def header() -> str:
    """The text of `kernel/codec_format.h`."""
    groups = constants.GROUPS
    rows = [*groups["Extension types of the value codec"], *groups["Packed arrays"]]
    known = {row.name: row for group in groups.values() for row in group}
    rows += [known[name] for name in _HEADER_LIMITS]
    lines = [f"#define {row.name} {_number(row)}" for row in rows]
    entry = STRUCTURES["entry_header"]
    lines += [f"#define ENTRY_{row.name.upper()}_OFFSET {offset_of(entry, row.name)}" for row in fields(entry)]
    lines += [f"#define ENTRY_HEADER_BYTES {entry.sizeof()}", f"#define POINTER_BYTES {STRUCTURES['pointer'].sizeof()}"]
    return "\n".join([_HEADER_HEAD, *lines, "\n#endif\n"])


def outputs(root: Path) -> dict[Path, str]:
    """Generated file -> its text, for the clone at `root`."""
    spec = root / "formats" / "SPEC.md"
    return {root / "lua" / "fs" / "layout.lua": layout(),
            root / "kernel" / "codec_format.h": header(),
            spec: specification(spec.read_text(encoding="utf-8"))}


def main(arguments: list[str]) -> int:
    """Rewrite the generated files, or compare them with `--check`; 0, or 1 if any differs."""
    root = Path(__file__).resolve().parent.parent
    status = 0
    for path, text in outputs(root).items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in arguments:
            print(f"{path.relative_to(root)} is not what the schemas generate; "
                  "run python -m khoros.formats.generate", file=sys.stderr)
            status = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(root)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
