"""Ordered maps of the store (Lua's `map()`) as Python mappings: lazy, and as large as the disk (SPEC 7, KIND_MAP).

A bound map reads the nodes on the way to a key when it is asked for; changes are held aside until the commit, which
rewrites the leaves that they fall into and the nodes above. Keys are booleans, integers, floats and strings, in the
order of a table's map part; a float with an integer's value is that integer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from khoros.formats import constants as C

from . import codec, kinds
from .errors import CannotStore, ObjectError, ValueFormatError
from .kinds import MapNode, MapRoot
from .reader import Store
from .values import Identified, key_order, normal_key

if TYPE_CHECKING:
    from .image import Session

_GONE = object()
_ABSENT = object()
_EMPTY = MapRoot(0, 0, None)
# Of a node, without its head.
_NODE_BYTES = C.MAP_NODE_BYTES - 5
Pairs = list[tuple[Any, Any]]
_Order = tuple[int, Any] | None
T = TypeVar("T")


def map_key(key: Any) -> Any:
    """A key as an ordered map keeps it. CannotStore for what cannot be one."""
    key = normal_key(key)
    if isinstance(key, bool | int | float | str | bytes):
        return key
    raise CannotStore(path="key", what=f"a {type(key).__name__} cannot be a key of an ordered map")


class LuaMap(Identified, MutableMapping[Any, Any]):
    """An ordered map: a mapping whose keys come in order. Unbound until it is assigned into an image and committed."""

    def __init__(self, values: Mapping[Any, Any] | None = None) -> None:
        self.id: int | None = None
        self._session: Session | None = None
        self._root = _EMPTY
        # Order of the key → (key, value or _GONE): what differs from the store.
        self._held: dict[tuple[int, Any], tuple[Any, Any]] = {}
        self._count: int | None = 0
        for key, value in (values or {}).items():
            self[key] = value

    @classmethod
    def stored(cls, session: Session, identity: int) -> LuaMap:
        """The ordered map with that id of an image; nodes are read when they are needed."""
        found = cls()
        found._session, found.id = session, identity
        found._reload()
        return found

    def _reload(self) -> None:
        assert self._session is not None and self.id is not None
        stored = self._session.store.read(self.id)
        self._root = self._session.decoded(stored, kinds.decode_map_root)
        self._held.clear()
        self._count = self._root.pairs

    @property
    def identity(self) -> int:
        """A number that no other object of its image has, as `LuaTable.identity`."""
        return self.id if self.id is not None else -id(self)

    # -- reading ----------------------------------------------------------------------------------------------

    def _leaf_pairs(self, identity: int) -> Pairs:
        assert self._session is not None
        return read_leaf(self._session.store, identity)

    def _inner(self, identity: int) -> MapNode:
        assert self._session is not None
        return read_node(self._session.store, identity)

    def _stored(self, key: Any) -> Any:
        """What the store holds under a key; _ABSENT if nothing."""
        if self._root.root is None:
            return _ABSENT
        order, identity = key_order(key), self._root.root
        for _ in range(self._root.levels - 1):
            node = self._inner(identity)
            identity = node.children[bisect_right([key_order(k) for k in node.keys], order)]
        pairs = self._leaf_pairs(identity)
        at = bisect_left([key_order(k) for k, _ in pairs], order)
        return pairs[at][1] if at < len(pairs) and key_order(pairs[at][0]) == order else _ABSENT

    def _find(self, key: Any) -> Any:
        held = self._held.get(key_order(key))
        return self._stored(key) if held is None else held[1]

    def __getitem__(self, key: Any) -> Any:
        value = self._find(map_key(key))
        if value is _GONE or value is _ABSENT:
            raise KeyError(key)
        return value if self._session is None else self._session.outer(value)

    def __contains__(self, key: object) -> bool:
        try:
            value = self._find(map_key(key))
        except CannotStore:
            return False
        return value is not _GONE and value is not _ABSENT

    def _stored_pairs(self, start: tuple[int, Any] | None) -> Iterator[tuple[Any, Any]]:
        """Pairs of the store in order, from a key's order on."""
        if self._session is None:
            return
        for pairs in walk(self._session.store, self._root, [], start):
            for key, value in pairs:
                if start is None or not key_order(key) < start:
                    yield key, value

    def _pairs(self, start: tuple[int, Any] | None = None) -> Iterator[tuple[Any, Any]]:
        """Pairs as they are now, in order, values as held."""
        changes = sorted((order, pair) for order, pair in self._held.items()
                         if start is None or not order < start)
        at = 0
        for key, value in self._stored_pairs(start):
            order = key_order(key)
            while at < len(changes) and changes[at][0] < order:
                if changes[at][1][1] is not _GONE:
                    yield changes[at][1]
                at += 1
            if at < len(changes) and changes[at][0] == order:
                if changes[at][1][1] is not _GONE:
                    yield changes[at][1]
                at += 1
            else:
                yield key, value
        for _, pair in changes[at:]:
            if pair[1] is not _GONE:
                yield pair

    def __iter__(self) -> Iterator[Any]:
        for key, _ in self._pairs():
            yield key

    def range(self, start: Any = None, stop: Any = None) -> Iterator[tuple[Any, Any]]:
        """(key, value) from `start` on, before or at `stop`, in order; None is an open end."""
        last = None if stop is None else key_order(map_key(stop))
        for key, value in self._pairs(None if start is None else key_order(map_key(start))):
            if last is not None and last < key_order(key):
                return
            yield key, value if self._session is None else self._session.outer(value)

    def items(self) -> ItemsView[Any, Any]:
        """The pairs in order, each leaf read once."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """The values in the order of their keys, each leaf read once."""
        return _Values(self)

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(1 for _ in self._pairs())
        return self._count

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<LuaMap {'unbound' if self.id is None else self.id}, {len(self)} pairs>"

    # -- changing ---------------------------------------------------------------------------------------------

    def _change(self, key: Any, value: Any) -> None:
        if self._session is not None:
            self._session.changed(self)
        self._held[key_order(key)] = key, value

    def __setitem__(self, key: Any, value: Any) -> None:
        from .convert import to_lua

        key = map_key(key)
        value = to_lua(value, self._session)
        new = key not in self
        self._change(key, value)
        if new and self._count is not None:
            self._count += 1

    def __delitem__(self, key: Any) -> None:
        if key not in self:
            raise KeyError(key)
        self._change(map_key(key), _GONE)
        if self._count is not None:
            self._count -= 1

    def _unload(self) -> None:
        self._reload()

    def held_values(self) -> Iterator[tuple[Any, Any]]:
        """(key, value) of what was set and is not committed."""
        return (pair for pair in self._held.values() if pair[1] is not _GONE)

    def _stored_as(self, session: Session, identity: int) -> None:
        """It is the object with that id now; `_unload` follows."""
        self._session, self.id = session, identity

    # -- committing -------------------------------------------------------------------------------------------

    def plan(self, stored_form: Callable[[Any], Any], take: Callable[[], int]) -> MapCut:
        """What a commit writes for this map."""
        changes = [(order, key, _GONE if value is _GONE else stored_form(value))
                   for order, (key, value) in sorted(self._held.items())]
        return _Rewriting(self, take).run(changes)

    @property
    def root(self) -> MapRoot:
        """The root as it stands in the store."""
        return self._root


class _Items(ItemsView[Any, Any]):
    """As the standard view, but without looking up every key."""

    _mapping: LuaMap

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping.range()


class _Values(ValuesView[Any]):
    """As the standard view, but without looking up every key."""

    _mapping: LuaMap

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.range())


def read_leaf(store: Store, identity: int) -> Pairs:
    """The pairs of a leaf. ObjectError that names it if it is none."""
    return _read(store, identity, lambda data: kinds.check_map_keys(kinds.decode_map_piece(data, 0)))


def read_node(store: Store, identity: int) -> MapNode:
    """A node above the leaves. ObjectError that names it if it is none."""
    return _read(store, identity, kinds.decode_map_node)


def _read(store: Store, identity: int, decode: Callable[[bytes], T]) -> T:
    stored = store.node(identity, C.KIND_MAP_NODE)
    try:
        return decode(stored.payload)
    except ValueFormatError as error:
        raise ObjectError(file=store.device.name, id=identity, what=str(error),
                          offset=store.device.base + stored.pointer.offset) from error


def walk(store: Store, root: MapRoot, nodes: list[int],
         start: tuple[int, Any] | None = None) -> Iterator[Pairs]:
    """The pairs of each leaf in order, from the leaf on that may hold the order `start`; the nodes met go to `nodes`.

    Each node is visited once and lies between the keys around it, so that a hostile map ends, in an error.
    """
    pending: list[tuple[int, int, _Order, _Order]] = []
    if root.root is not None:
        pending.append((root.root, root.levels, None, None))
    seen: set[int] = set()
    while pending:
        identity, level, low, high = pending.pop()
        if identity in seen:
            raise ObjectError(file=store.device.name, id=identity, what="it stands twice in a map")
        seen.add(identity)
        nodes.append(identity)
        if level > 1:
            node = read_node(store, identity)
            orders = [key_order(key) for key in node.keys]
            _check_between(store, identity, orders, low, high)
            first = 0 if start is None else bisect_right(orders, start)
            lows, highs = [low, *orders], [*orders, high]
            pending += reversed([(node.children[n], level - 1, lows[n], highs[n])
                                 for n in range(first, len(node.children))])
        else:
            pairs = read_leaf(store, identity)
            _check_between(store, identity, [key_order(key) for key, _ in pairs], low, high)
            yield pairs


def _check_between(store: Store, identity: int, orders: list[tuple[int, Any]], low: _Order,
                   high: _Order) -> None:
    ascending = all(a < b for a, b in pairwise(orders))
    if not ascending or (low is not None and orders and orders[0] < low) or (
        high is not None and orders and not orders[-1] < high
    ):
        raise ObjectError(file=store.device.name, id=identity,
                          what="keys outside of what the node above says")


class MapCut(NamedTuple):
    """Payload of the KIND_MAP, (id, payload) of nodes to write, ids of nodes to delete."""

    payload: bytes
    written: list[tuple[int, bytes]]
    deleted: list[int]


def cut_map(pairs: Pairs, take: Callable[[], int]) -> MapCut:
    """A new map of these pairs, values as payloads hold them; of two with the same key the last."""
    fresh = LuaMap()
    fresh._held = {key_order(key): (key, value) for key, value in pairs}
    return fresh.plan(lambda value: value, take)


class _Child(NamedTuple):
    """A subtree: its node, and the first key that may be in it (None for the leftmost)."""

    id: int
    low: Any


class _Rewriting:
    """One set of changes put into a map's tree. Nodes that nothing falls into are neither read nor written."""

    def __init__(self, owner: LuaMap, take: Callable[[], int]) -> None:
        self._map = owner
        self._take = take
        self._written: list[tuple[int, bytes]] = []
        self._deleted: list[int] = []
        self._growth = 0

    def run(self, changes: list[tuple[Any, Any, Any]]) -> MapCut:
        root = self._map.root
        if root.root is None:
            row, levels = self._leaf(None, [], changes, None), 1
        else:
            row, levels = self._node(_Child(root.root, None), root.levels, changes), root.levels
        while len(row) > 1:
            row, levels = self._write_inner(None, row), levels + 1
        found = _EMPTY
        if row:
            found = MapRoot(root.pairs + self._growth, levels, row[0].id)
        return MapCut(kinds.encode_map_root(found), self._written, sorted(self._deleted))

    def _node(self, child: _Child, level: int, changes: list[tuple[Any, Any, Any]]) -> list[_Child]:
        if not changes:
            return [child]
        if level == 1:
            return self._leaf(child.id, self._map._leaf_pairs(child.id), changes, child.low)
        node = self._map._inner(child.id)
        lows = [child.low, *node.keys]
        orders = [key_order(key) for key in node.keys]
        row: list[_Child] = []
        at = 0
        for number, identity in enumerate(node.children):
            end = at
            while end < len(changes) and (
                number == len(orders) or changes[end][0] < orders[number]
            ):
                end += 1
            row += self._node(_Child(identity, lows[number]), level - 1, changes[at:end])
            at = end
        if not row:
            self._deleted.append(child.id)
            return []
        return self._write_inner(child, row)

    def _leaf(self, identity: int | None, pairs: Pairs, changes: list[tuple[Any, Any, Any]],
              low: Any) -> list[_Child]:
        merged = {key_order(key): (key, value) for key, value in pairs}
        before = len(merged)
        for order, key, value in changes:
            if value is _GONE:
                merged.pop(order, None)
            else:
                merged[order] = key, value
        self._growth += len(merged) - before
        if not merged:
            if identity is not None:
                self._deleted.append(identity)
            return []
        parts = _split([merged[order] for order in sorted(merged)],
                       lambda pair: len(codec.encode_scalar(pair[0])) + len(codec.encode_scalar(pair[1])))
        row = []
        for number, part in enumerate(parts):
            own = identity if identity is not None and number == 0 else self._take()
            self._written.append((own, codec.encode_map(part)))
            row.append(_Child(own, low if number == 0 else part[0][0]))
        return row

    def _write_inner(self, child: _Child | None, row: list[_Child]) -> list[_Child]:
        """A node above these children, or several when they are many."""
        # Two children at least, however long the keys: else no level would be smaller than the one below.
        parts = _split(row, lambda item: 12 + (0 if item.low is None else len(
            codec.encode_scalar(item.low))), 2)
        found = []
        for number, part in enumerate(parts):
            own = child.id if child is not None and number == 0 else self._take()
            node = MapNode([item.id for item in part], [item.low for item in part[1:]])
            self._written.append((own, kinds.encode_map_node(node)))
            found.append(_Child(own, part[0].low))
        return found


def _split(items: list[T], size: Callable[[T], int], least: int = 1) -> list[list[T]]:
    """The items in groups of about equal size, of `least` items at least, that nodes of MAP_NODE_BYTES hold.

    Only a group that cannot be made smaller is larger: of one item, or, as none may be left alone, of 2 * `least` - 1.
    """
    sizes = [size(item) for item in items]
    left = sum(sizes)
    groups: list[list[T]] = []
    first = held = 0
    share = _share(left)
    for number, own in enumerate(sizes):
        rest = len(items) - number
        # Behind this item none can be cut off any more.
        last = rest == least and left > _NODE_BYTES
        enough = last or held + own > _NODE_BYTES or held + own / 2 > share
        if enough and number - first >= least <= rest:
            groups.append(items[first:number])
            left -= held
            first, held, share = number, 0, _share(left)
        held += own
    return [*groups, items[first:]]


def _share(left: int) -> float:
    """Bytes of each of the nodes that `left` bytes need."""
    return left / max(1, -(-left // _NODE_BYTES))
