"""Recipes: any bytes are one, they change what they say, and their checksums are right."""

from __future__ import annotations

import pytest

from khoros.diskutil import check, reader
from khoros.diskutil.device import MemoryDevice
from khoros.diskutil.fuzzing import bases, engines, recipes
from khoros.diskutil.fuzzing.recipes import Change
from khoros.formats import SUPERBLOCK, derive

RICH = bases.NAMES.index("rich")


@pytest.mark.parametrize("number", range(len(bases.NAMES)))
def test_a_base_is_a_good_image_and_the_same_each_time(number):
    base = bases.base(number)
    bases.base.cache_clear()
    assert bases.base(number) == base
    assert recipes.image(bytes([number])) == base.image
    store = reader.Store(MemoryDevice(base.image))
    errors = [finding.text for finding in check.check(store).findings if finding.error]
    assert [text for text in errors if "no root" not in text] == []


def test_every_kind_of_structure_is_found():
    names = {structure.name for structure in bases.base(RICH).structures}
    assert names == set(bases.SCHEMAS) | {"bytes"}


def test_any_bytes_are_a_recipe(rng):
    for _ in range(60):
        data = rng.randbytes(rng.randrange(80))
        image = recipes.image(data)
        assert len(image) == len(bases.base(recipes.parse(data)[0]).image)
        assert recipes.describe(data)


def test_a_field_becomes_what_the_recipe_says_and_the_checksum_is_right():
    base = bases.base(RICH)
    number = next(at for at, structure in enumerate(base.structures) if structure.name == "superblock")
    names = [field.name for field in derive.fields(SUPERBLOCK)]
    change = Change(number, names.index("label"), 3, 0x414243)
    at = base.structures[number].offset
    image = recipes.image(recipes.recipe(RICH, change))
    before, after = (derive.unpack(SUPERBLOCK, data, at) for data in (base.image, bytes(image)))
    assert after["label"].startswith(b"CBA\0") and after["crc"] != before["crc"]
    wrong = derive.unpack(SUPERBLOCK, bytes(recipes.image(recipes.recipe(RICH, change, mend=False))), at)
    assert wrong["label"] == after["label"] and wrong["crc"] == before["crc"]


@pytest.mark.parametrize("operation", range(len(recipes.OPERATIONS)))
def test_every_operation_changes_something(operation, rng):
    base = bases.base(RICH)
    changed = 0
    for _ in range(40):
        change = Change(rng.randrange(1 << 16), rng.randrange(256), operation, rng.randrange(1 << 64))
        changed += recipes.image(recipes.recipe(RICH, change, mend=False)) != base.image
    assert changed >= 10


def test_new_recipes_are_short_and_different(rng):
    made = {data for data, _ in zip(engines.fresh([b"\0"], rng), range(300), strict=False)}
    assert len(made) > 250 and max(map(len, made)) <= 1 + recipes.CHANGES_MOST * recipes.CHANGE.size
