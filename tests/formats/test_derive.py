"""What is derived from a schema is the schema: struct, numpy, string.pack and construct agree on any bytes."""

from __future__ import annotations

import re

import construct
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from khoros.formats import PAGE, STRUCTURES, constants, derive
from tests.support import lua as lua_support

FLAT = [name for name in STRUCTURES if name != "page"]


def flat(container, prefix=""):
    """A parsed construct container as derived fields: nested ones as outer_inner."""
    found = {}
    for name, value in container.items():
        if name.startswith("_"):
            continue
        if isinstance(value, construct.Container):
            found |= flat(value, f"{prefix}{name}_")
        else:
            found[prefix + name] = value
    return found


def bytes_of(name, data):
    """Random bytes in which the constants are right, as construct insists on them."""
    schema = STRUCTURES[name]
    body = bytearray(data.draw(st.binary(min_size=schema.sizeof(), max_size=schema.sizeof())))
    for field in derive.fields(schema):
        if field.constant is not None:
            value = field.constant
            body[field.offset : field.offset + field.size] = value if isinstance(value, bytes) else (
                value.to_bytes(field.size, "little"))
    return bytes(body)


@pytest.mark.parametrize("name", FLAT)
@given(data=st.data())
def test_derived_is_construct(name, data):
    schema, body = STRUCTURES[name], bytes_of(name, data)
    expected = flat(schema.parse(body))
    assert derive.unpack(schema, body) == expected
    assert derive.unpack(schema, b"xyz" + body, 3) == expected
    assert derive.pack(schema, expected) == body
    assert schema.build(schema.parse(body)) == body
    free = {f.name: expected[f.name] for f in derive.fields(schema) if f.constant is None}
    assert derive.pack(schema, free) == body


@pytest.mark.parametrize("name", FLAT)
@given(data=st.data())
def test_numpy_is_construct(name, data):
    schema, body = STRUCTURES[name], bytes_of(name, data)
    row = numpy.frombuffer(body * 3, derive.dtype(schema))[2]
    for field in derive.fields(schema):
        value = row[field.name]
        assert (value.tobytes() if field.code.endswith("s") else int(value)) == flat(
            schema.parse(body))[field.name]


@pytest.fixture(scope="module")
def layout():
    lua = lua_support.runtime()
    return lua, lua_support.require(lua, "fs.layout")


@pytest.mark.parametrize("name", FLAT)
@given(data=st.data())
def test_the_generated_lua_is_construct(layout, name, data):
    """Lua's integers are signed: fields with bit 63 appear as negative numbers there."""
    _, module = layout
    schema, body = STRUCTURES[name], bytes_of(name, data)
    structure = module[name.encode()]
    expected = flat(schema.parse(body))
    found = structure[b"unpack"](body)
    for field in derive.fields(schema):
        value = found[field.name.encode()]
        if isinstance(value, int) and field.size == 8:
            value %= 1 << 64
        assert value == expected[field.name]
        assert structure[b"offsets"][field.name.encode()] == field.offset
    assert structure[b"pack"](found) == body
    assert structure[b"size"] == schema.sizeof()


@pytest.mark.parametrize("name", FLAT)
def test_fields_leave_no_gap(name):
    at = 0
    for field in derive.fields(STRUCTURES[name]):
        assert field.offset == at
        at += field.size
    assert at == STRUCTURES[name].sizeof() == derive.packer(STRUCTURES[name]).size


def test_headers_can_be_scanned_in_place():
    """Structures that lie one after the other keep 8-byte fields on multiples of 8."""
    for name in FLAT:
        schema = STRUCTURES[name]
        assert schema.sizeof() % 8 == 0, name
        for field in derive.fields(schema):
            if field.size == 8 and not field.code.endswith("s"):
                assert field.offset % 8 == 0, f"{name}.{field.name}"


def test_pages():
    assert PAGE.sizeof() == constants.PAGE_FANOUT * STRUCTURES["pointer"].sizeof() == 4096


def test_constants_are_the_same_in_lua(layout):
    _, module = layout
    for name, value in constants.ALL.items():
        assert module[name.encode()] == value
        assert getattr(constants, name) == value


@pytest.mark.parametrize("schema", [
    construct.Struct("a" / construct.Int32ub),
    construct.Struct("a" / construct.VarInt),
    construct.Struct(construct.Int32ul),
    construct.Struct("a" / construct.Array(2, construct.Int32ul)),
])
def test_what_is_not_understood_is_refused(schema):
    with pytest.raises(TypeError):
        derive.fields(schema)


def test_a_missing_field_is_an_error():
    with pytest.raises(KeyError):
        derive.pack(STRUCTURES["pointer"], {"tag": 1, "crc": 2})


def test_names_are_words():
    for schema in STRUCTURES.values():
        if schema is not PAGE:
            for field in derive.fields(schema):
                assert re.fullmatch(r"[a-z][a-z0-9_]*", field.name)
                assert field.meaning, field.name
