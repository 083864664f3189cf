"""Many tables at once: what `codec.decode_table` finds in each, in a third of its time where they hold only plain values.

    payloads → batches → one msgpack value of all that is in a batch → the same bytes again? → types and order of what was read

Most tables of a store hold numbers, booleans and strings and have no metatable. A batch of those is read, and judged, by calls of C
alone; a batch in which anything else turns up is sorted, and what is not plain goes through codec.py one by one. So codec.py alone
says what is canonical and what is wrong; here a batch is only ever found to be what it would have taken.

Promise: no more than BATCH_BYTES of payloads are read together, so that what a hostile one can become is bounded.
"""

from __future__ import annotations

import gc
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate, chain, compress, repeat
from operator import is_
from typing import Any, TypeVar

import msgpack

from khoros.formats import constants as C

from . import codec
from .errors import ValueFormatError
from .values import INTEGER_MAX, Contents

T = TypeVar("T")
BATCH_BYTES = 1 << 17
# Longer tables are read one by one: fewer bytes than CHUNK_BYTES, so that no string in one is too long.
TOGETHER_BYTES = 1 << 14

# Stands behind each table. As it is written it begins with a byte that it has only once: it cannot overlap itself.
_FENCE = b"\x9eKhoros\x01"
_pack = msgpack.Packer().pack
_FENCED = _pack(_FENCE)
# What a table with a reference, or another extension of the store, has somewhere.
_is_unplain = re.compile(b"[\xc7-\xc9\xd4-\xd8]").search


@contextmanager
def collector_off() -> Iterator[None]:
    """Many objects are made and none of them is garbage in a cycle: the collector would look at all of them again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def decode_tables(payloads: list[bytes]) -> list[Contents]:
    """What each payload holds, as `codec.decode_table`; its ValueFormatError for the first that is not canonical."""
    return _each(payloads, _contents, codec.decode_table)


def table_references(payloads: list[bytes]) -> list[list[int] | None]:
    """The ids that each table mentions, as `codec.table_references`; None for one that is not canonical."""
    return _each(payloads, _no_references, _references_or_none)


def _references_or_none(payload: bytes) -> list[int] | None:
    try:
        return codec.table_references(payload)
    except ValueFormatError:
        return None


def _contents(payloads: list[bytes]) -> list[Contents] | None:
    found = plain_tables(payloads)
    if found is None:
        return None
    arrays, maps = found
    return list(map(codec.contents_of, zip(arrays, map(list, map(dict.items, maps)), repeat(None))))


def _no_references(payloads: list[bytes]) -> list[list[int] | None] | None:
    return None if plain_tables(payloads) is None else [[]] * len(payloads)


def _each(payloads: list[bytes], together: Callable[[list[bytes]], list[T] | None], single: Callable[[bytes], T]) -> list[T]:
    results: list[T] = []
    for batch in _batches(payloads):
        results += together(batch) or _sorted_out(batch, together, single)
    return results


def _sorted_out(batch: list[bytes], together: Callable[[list[bytes]], list[T] | None],
                single: Callable[[bytes], T]) -> list[T]:
    alone = [len(payload) > TOGETHER_BYTES or _is_unplain(payload) is not None for payload in batch]
    plain = [payload for payload, unplain in zip(batch, alone, strict=True) if not unplain]
    found = iter(together(plain) or map(single, plain))
    return [single(payload) if unplain else next(found) for payload, unplain in zip(batch, alone, strict=True)]


def _batches(payloads: list[bytes]) -> Iterator[list[bytes]]:
    """Pieces of at most BATCH_BYTES, or of one payload."""
    ends = list(accumulate(map(len, payloads)))
    first = done = 0
    while first < len(payloads):
        after = max(bisect_right(ends, done + BATCH_BYTES, first), first + 1)
        yield payloads[first:after]
        first, done = after, ends[after - 1]


def plain_tables(payloads: list[bytes]) -> tuple[list[list[Any]], list[dict[str, Any]]] | None:
    """The array and map parts of all of these, if all are tables of plain values, canonical and without a metatable.

    None says nothing. The bytes have as many fences as were put there, and what was read has as many, each behind an array and
    a map. What was read gives the same bytes when it is written: so those fences are these, and no byte of a payload passes
    for a part of another one.
    """
    count = len(payloads)
    if max(map(len, payloads), default=0) > TOGETHER_BYTES:
        return None
    data = codec.head(3 * count, "array") + _FENCED.join([*payloads, b""])
    try:
        pieces = msgpack.unpackb(data, strict_map_key=False, ext_hook=codec.refuse_extension)
    except (ValueError, TypeError):
        return None
    arrays, maps = pieces[::3], pieces[1::3]
    if pieces[2::3] != [_FENCE] * count or data.count(_FENCED) != count:
        return None
    if not {list}.issuperset(map(type, arrays)) or not {dict}.issuperset(map(type, maps)):
        return None
    if max(map(len, arrays), default=0) >= C.PACKED_MIN or not _are_plain(arrays, maps, data):
        return None
    if not all(map(codec.are_ascending_names, set(map(tuple, maps)))) or _pack(pieces) != data:
        return None
    return arrays, maps


def _are_plain(arrays: list[list[Any]], maps: list[dict[Any, Any]], data: bytes) -> bool:
    """Whether all values are of plain types, and none is a NaN or an integer above INTEGER_MAX: those have several forms, or none."""
    values = [*chain.from_iterable(arrays), *chain.from_iterable(map(dict.values, maps))]
    kinds = set(map(type, values))
    if not kinds <= codec.PLAIN_TYPES:
        return False
    if float in kinds:
        total = sum(_of_type(float, values))
        if total != total:
            return False  # a NaN among them, or infinities of both signs
    return int not in kinds or not _may_be_large(data) or max(_of_type(int, values)) <= INTEGER_MAX


def _of_type(kind: type, values: list[Any]) -> Iterator[Any]:
    return compress(values, map(is_, map(type, values), repeat(kind)))


def _may_be_large(data: bytes) -> bool:
    """Whether the bytes of an integer above INTEGER_MAX stand there, or others that look like them."""
    at = data.find(b"\xcf")
    while at >= 0:
        if data[at + 1 : at + 2] >= b"\x80":
            return True
        at = data.find(b"\xcf", at + 1)
    return False
