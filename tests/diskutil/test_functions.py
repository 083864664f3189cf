"""Functions of the store, from the host: looked into, kept, exported, checked."""

from __future__ import annotations

from pathlib import Path

import pytest

import khoros
from khoros.diskutil import check, codec, reader, render
from khoros.diskutil.errors import ObjectError
from khoros.diskutil.values import FunctionReference, Reference
from khoros.diskutil.writer import Item
from khoros.formats import constants as C
from tests.diskutil import images

TEXT = "local n = 0\nreturn function() n = n + 1 return n end"


def array(*values: object) -> bytes:
    return codec.head(len(values), "array") + b"".join(map(codec.encode_scalar, values))


def function(chunk: int = 3, *cells: int) -> Item:
    references = [Reference(cell) for cell in cells]
    return Item(2, C.KIND_FUNCTION, array(Reference(chunk), 1, 99, 7, "Lua 5.5", *references))


@pytest.fixture
def path(tmp_path) -> Path:
    path = images.empty(tmp_path / "a.img")
    images.forged(path, function(3, 4, 5), Item(3, C.KIND_CHUNK, array("=counter", TEXT)),
                  Item(4, C.KIND_CELL, codec.encode_scalar(41)), Item(5, C.KIND_CELL, b"\xc0"), extension=C.EXT_FUNCTION)
    return path


def test_a_function_shows_what_it_is_made_of(path):
    with khoros.open(path) as image:
        counter = image["x"]
        assert isinstance(counter, khoros.LuaFunction)
        assert (counter.chunk_name, counter.text, counter.prototype) == ("=counter", TEXT, 1)
        assert (counter.upvalues, counter.release) == ([41, None], "Lua 5.5")
        assert render.to_json(counter, "root.x")["$function"]["text"] == TEXT
        assert render.type_name(counter) == "function"
        assert "=counter" in render.to_text(counter, "root.x")
    store = reader.mount(path)
    assert check.check(store).errors == 0
    store.close()


def test_a_function_can_be_put_elsewhere(path):
    with khoros.open(path, "r+") as image:
        image["again"] = [image["x"]]
        image.commit()
    with khoros.open(path) as image:
        assert image["again"][1] is image["x"]
        assert image.root["again"].raw()[0] == [FunctionReference(2)]
        assert type(image.root["again"].raw()[0][0]) is FunctionReference


@pytest.mark.parametrize("item, extension", [
    (function(3), C.EXT_REFERENCE), (Item(2, C.KIND_TABLE, b"\x90\x80"), C.EXT_FUNCTION),
])
def test_a_reference_says_whether_it_is_a_function(tmp_path, item, extension):
    path = images.empty(tmp_path / "c.img")
    images.forged(path, item, Item(3, C.KIND_CHUNK, array("=x", "return 1")), extension=extension)
    with khoros.open(path) as image, pytest.raises(ObjectError, match="kind"):
        image["x"]


@pytest.mark.parametrize("item", [function(4), function(9), function(3, 3)])
def test_a_function_made_of_other_things(tmp_path, item):
    path = images.empty(tmp_path / "b.img")
    images.forged(path, item, Item(3, C.KIND_CHUNK, array("=x", "return 1")),
                  Item(4, C.KIND_CELL, b"\xc0"), extension=C.EXT_FUNCTION)
    with khoros.open(path) as image, pytest.raises(ObjectError):
        assert image["x"].text and image["x"].upvalues
    store = reader.mount(path)
    assert check.check(store).errors
    store.close()
