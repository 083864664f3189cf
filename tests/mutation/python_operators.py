"""Every mutant of a Python file: generic operators over its syntax tree, inside functions.

    negate a condition, swap a comparison, swap `and` and `or`, off by one, another constant, plus for minus, drop a statement,
    drop a check, two statements in the other order

Promise: docstrings, annotations and texts of errors are left alone. Not all of them compile: `compiles` tells.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from .mutant import Mutant, distinct, mutant

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.In: "not in", ast.NotIn: "in",
    ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
SIGNS: dict[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+"}
DROPPED = (ast.Assign, ast.AugAssign, ast.Raise, ast.Expr)


class Places:
    """Where the nodes of a text's tree stand in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = [0]
        for line in text.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def _at(self, line: int, column: int) -> int:
        """Columns of the tree are bytes of UTF-8."""
        start = self.lines[line - 1]
        return start + len(self.text[start:self.lines[line]].encode()[:column].decode())

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._at(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._at(node.end_lineno, node.end_col_offset)


def mutants(path: str, text: str) -> list[Mutant]:
    """All of a file, by place."""
    places = Places(text)
    every = [mutant(path, text, *change) for function in ast.walk(ast.parse(text))
             if isinstance(function, ast.FunctionDef) for node in _body_nodes(function) for change in _changes(places, node)]
    return sorted(distinct(every), key=lambda one: (one.start, one.end, one.replacement))


def compiles(text: str) -> bool:
    """Whether it is Python at all."""
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _body_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What a function does, without its signature, its docstring and what its errors say."""
    waiting: list[ast.AST] = [function, *function.body]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.FunctionDef | ast.ClassDef):
            continue
        children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.arguments)]
        waiting += [child for child in children if not (isinstance(node, ast.AnnAssign) and child is node.annotation)]


def _changes(places: Places, node: ast.AST) -> Iterator[tuple[str, int, int, str]]:
    """(operator, start, end, replacement) of every change to one node itself."""
    if isinstance(node, ast.Compare):
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            yield "swap a comparison", places.end(left), places.start(right), f" {COMPARISONS[type(operator)]} "
            left = right
    elif isinstance(node, ast.BoolOp):
        word = " or " if isinstance(node.op, ast.And) else " and "
        for one, other in pairwise(node.values):
            yield "swap and, or", places.end(one), places.start(other), word
    elif isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
        yield "plus for minus", places.end(node.left), places.start(node.right), f" {SIGNS[type(node.op)]} "
    elif isinstance(node, ast.Constant):
        yield from _other_constants(places, node)
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        start, end = places.start(node.test), places.end(node.test)
        yield "negate a condition", start, end, f"not ({places.text[start:end]})"
    yield from _of_statements(places, node)


def _other_constants(places: Places, node: ast.Constant) -> Iterator[tuple[str, int, int, str]]:
    start, end = places.start(node), places.end(node)
    if isinstance(node.value, bool):
        yield "other truth", start, end, str(not node.value)
    elif isinstance(node.value, int):
        yield "off by one", start, end, str(node.value + 1)
        if node.value > 0:
            yield "off by one", start, end, str(node.value - 1)
        if node.value > 1:
            yield "another constant", start, end, "0"


def _of_statements(places: Places, node: ast.AST) -> Iterator[tuple[str, int, int, str]]:
    for name in ("body", "orelse", "finalbody"):
        statements = getattr(node, name, None)
        if not isinstance(statements, list):
            continue
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            statements = statements[1:]
        for one in statements:
            start, end = places.start(one), places.end(one)
            if isinstance(one, DROPPED):
                yield "drop a statement", start, end, "pass"
            elif isinstance(one, ast.If) and not one.orelse and isinstance(one.body[-1], ast.Raise | ast.Return):
                yield "drop a check", start, end, "pass"
        for one, other in pairwise(statements):
            if isinstance(one, DROPPED) and isinstance(other, DROPPED):
                first, second = ((places.start(each), places.end(each)) for each in (one, other))
                between = places.text[first[1]:second[0]]
                yield ("swap two statements", first[0], second[1],
                       places.text[slice(*second)] + between + places.text[slice(*first)])
