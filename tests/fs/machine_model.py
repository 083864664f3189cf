"""The model of the state machine (test_machine.py): tables that carry numbers, and what a store holds of them.

`Tables` is number → fields; table 1 is the root. A value that is a table is a `Link`, a large string a `Large`.
`merge` is the three-way merge of one table, `World` what is durable at one time: the present, every transaction that is
kept, the snapshots. Worlds are never changed, only replaced, so that a test can hold several that may come true.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

Fields = dict[Any, Any]
Tables = dict[int, Fields]
ROOT = 1


class Link(int):
    """A value that is a table, by number."""


class Large(NamedTuple):
    """A string too large to be written out: `tag`, eight characters, over and over."""

    tag: str
    size: int

    @property
    def value(self) -> bytes:
        return self.tag.encode() * (self.size // 8)


def copied(tables: Tables) -> Tables:
    return {number: dict(fields) for number, fields in tables.items()}


def reachable(tables: Tables) -> list[int]:
    """Numbers of all tables that the root leads to, the root first."""
    found, pending = {ROOT: None}, [ROOT]
    while pending:
        for value in tables[pending.pop()].values():
            if type(value) is Link and int(value) not in found:
                found[int(value)] = None
                pending.append(int(value))
    return list(found)


FLOATS = {2.5: "0x1.4p+1", 1.5: "0x1.8p+0", 0.0: "-0x0p+0"}


def text(value: Any) -> str:
    """A value as machine.lua writes it. The only zero among the floats is the negative one."""
    if type(value) is Link:
        return f"@{int(value)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return FLOATS[value]
    if isinstance(value, Large):
        return f"{value.size} x {value.tag}"
    return str(value) if isinstance(value, int) else f'"{value}"'


def listing(tables: Tables) -> str:
    """Everything that the root leads to, as machine.lua lists it."""
    lines = []
    for number in reachable(tables):
        fields = [f"{text(key)}={text(value)}" for key, value in tables[number].items()]
        if number != ROOT:
            fields.append(f'"id"={number}')
        lines.append(f"{number}|" + "|".join(sorted(fields)))
    return "\n".join(sorted(lines))


# -- merging ------------------------------------------------------------------------------------------------------


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


def array_length(fields: Fields) -> int:
    length = 0
    while length + 1 in fields:
        length += 1
    return length


def merge(base: Fields, mine: Fields, theirs: Fields) -> tuple[Fields, bool]:
    """The merged fields, mine where there is a conflict, and whether there is one. All fields from 1 to the longest
    array part of the three are one thing; any other field stands for itself."""
    longest = max(map(array_length, (base, mine, theirs)))
    array = range(1, longest + 1)
    parts: list[list[Any]] = [[key] for key in base | mine | theirs if type(key) is not int or key not in array]
    result: Fields = {}
    conflict = False
    for part in [list(array), *parts]:
        mine_is_base = all(same(base.get(key), mine.get(key)) for key in part)
        theirs_is_base = all(same(base.get(key), theirs.get(key)) for key in part)
        equal = all(same(mine.get(key), theirs.get(key)) for key in part)
        conflict = conflict or not (mine_is_base or theirs_is_base or equal)
        winner = theirs if mine_is_base else mine
        result.update((key, winner[key]) for key in part if key in winner)
    return result, conflict


def merged(base: Tables, mine: Tables, theirs: Tables, gone: frozenset[int]) -> tuple[Tables, bool]:
    """What a commit of `mine`, which began from `base`, makes of `theirs`; and whether that is a conflict. Tables that
    are `gone` from the store are stored anew as they are here."""
    result, conflict = dict(theirs), False
    for number, fields in mine.items():
        before, there = base.get(number), theirs.get(number)
        if before is None or there is None or number in gone:
            result[number] = dict(fields)
        elif fields != before or repr(fields) != repr(before):
            result[number], clash = merge(before, fields, there)
            conflict = conflict or clash
    return result, conflict


# -- what is durable ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class World:
    """What a store holds. `tables` also has those that nothing leads to any more: they may be collected garbage.

    states: transaction → listing. snapshots: name → (transaction, listing). keep: how many transactions are asked for,
    0 for all; floor: what is older does not answer, whatever `keep` says.
    """

    tables: Tables
    states: tuple[str, ...] = ("1|",)
    snapshots: tuple[tuple[str, int, str], ...] = ()
    keep: int = 0
    floor: int = 1

    @property
    def transaction(self) -> int:
        return len(self.states) - 1

    @property
    def listing(self) -> str:
        return self.states[-1]

    @property
    def oldest(self) -> int:
        """The oldest transaction that answers, 0 for none, if there is space for all."""
        if self.transaction == 0:
            return 0
        return max(self.floor, self.transaction - self.keep + 1) if self.keep else self.floor

    @property
    def facts(self) -> tuple[Any, ...]:
        """What a mount shows of it."""
        return (self.transaction, self.listing, tuple((name, number) for name, number, _ in self.snapshots), self.keep)

    def committed(self, tables: Tables) -> list[World]:
        """The worlds after a commit that makes these tables of it: a transaction more, or as many as before if it may be
        that nothing changed."""
        after = listing(tables)
        more = dataclasses.replace(self, tables=tables, states=(*self.states, after))
        if after != self.listing:
            return [more]
        return [dataclasses.replace(self, tables=tables), more]

    def taken(self, name: str) -> World:
        return dataclasses.replace(self, snapshots=(*self.snapshots, (name, self.transaction, self.listing)))

    def dropped(self, name: str) -> World:
        return dataclasses.replace(self, snapshots=tuple(one for one in self.snapshots if one[0] != name))

    def keeping(self, count: int) -> World:
        return dataclasses.replace(self, keep=count, floor=max(self.floor, self.oldest))

    def has_snapshot(self, name: str) -> bool:
        return any(one[0] == name for one in self.snapshots)

    def swept(self) -> World:
        """Without what nothing leads to."""
        return dataclasses.replace(self, tables={number: self.tables[number] for number in reachable(self.tables)})
