"""Every mutant of a Lua file: generic operators over tokens, and over the statements that fill a line of their own.

    negate a condition, swap a comparison, swap `and` and `or`, off by one, another constant, plus for minus, drop a statement,
    drop a check, a call that is not made but taken for done, two statements in the other order

Promise: no comment and no string is touched. Not all of them compile: `compiles` tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from lupa import lua55

from .mutant import Mutant, distinct, mutant

TOKEN = re.compile(
    r"""--\[(=*)\[.*?\]\1\] | --[^\n]* | \[(=*)\[.*?\]\2\] | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
        | 0[xX][0-9a-fA-F]+ | \d+(?:\.\d+)? | [A-Za-z_]\w* | \.\.\.? | == | ~= | <= | >= | << | >> | // | :: | \S""",
    re.DOTALL | re.VERBOSE)
COMPARISONS = {"==": "~=", "~=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">"}
CONNECTIVES = {"and": "or", "or": "and"}
TRUTHS = {"true": "false", "false": "true"}
SIGNS = {"+": "-", "-": "+"}
OPENING, CLOSING = "([{", ")]}"
# A line that begins so is part of something larger.
BEGINS_MORE = {"local", "function", "for", "while", "repeat", "until", "else", "elseif", "end", "return", "if", "do", "then", "goto",
               "and", "or", "not"}
CHECK = re.compile(r"if .* then (return|error|goto).* end")
CALL_THAT_MAY_FAIL = re.compile(r"(?:local )?(\w+)(?: <const>)?(?:, \w+(?: <const>)?)* = (?=[\w.:]+\()")


class Token(NamedTuple):
    """A word of the language, and where it stands."""

    text: str
    start: int
    end: int


def mutants(path: str, text: str) -> list[Mutant]:
    """All of a file, by place."""
    tokens = [Token(found.group(), found.start(), found.end()) for found in TOKEN.finditer(text)]
    code = [token for token in tokens if not token.text.startswith("--")]
    every = [*_of_tokens(path, text, code), *_of_conditions(path, text, code), *_of_lines(path, text)]
    return sorted(distinct(every), key=lambda one: (one.start, one.end, one.replacement))


def compiles(text: str) -> bool:
    """Whether it is Lua at all."""
    lua = lua55.LuaRuntime(register_eval=False, register_builtins=False)
    return bool(lua.eval("function(text) return load(text, '=mutant', 't') ~= nil end")(text))


def _of_tokens(path: str, text: str, code: list[Token]) -> Iterator[Mutant]:
    for before, token, after in zip(code, code[1:], code[2:], strict=False):
        if "const" in (before.text, after.text) and token.text in "<>":
            continue
        for operator, word in _other_words(before, token):
            yield mutant(path, text, operator, token.start, token.end, word)


def _other_words(before: Token, token: Token) -> Iterator[tuple[str, str]]:
    """(operator, word) for each word that may stand instead of a token."""
    for operator, words in (("swap a comparison", COMPARISONS), ("swap and, or", CONNECTIVES), ("other truth", TRUTHS)):
        if token.text in words:
            yield operator, words[token.text]
    if token.text in SIGNS and (before.text[-1].isalnum() or before.text in (")", "]")) and before.text not in ("return", "and", "or"):
        yield "plus for minus", SIGNS[token.text]
    if token.text.isdigit():
        yield "off by one", str(int(token.text) + 1)
        if int(token.text) > 0:
            yield "off by one", str(int(token.text) - 1)
        if int(token.text) > 1:
            yield "another constant", "0"


def _of_conditions(path: str, text: str, code: list[Token]) -> Iterator[Mutant]:
    for number, token in enumerate(code):
        if token.text in ("if", "elseif", "while"):
            end = "do" if token.text == "while" else "then"
            closing = next((other for other in code[number:] if other.text == end), None)
            if closing:
                condition = text[token.end:closing.start].strip()
                yield mutant(path, text, "negate a condition", token.end, closing.start, f" not ({condition}) ")


class Line(NamedTuple):
    """A line and where it stands, without what is around its words."""

    start: int
    end: int
    indent: int
    words: str


def _lines(text: str) -> Iterator[Line]:
    start = 0
    for line in text.split("\n"):
        words = line.strip()
        indent = len(line) - len(line.lstrip())
        yield Line(start + indent, start + indent + len(words), indent, words)
        start += len(line) + 1


def _balanced(words: str) -> bool:
    depth = 0
    for found in TOKEN.finditer(words):
        depth += (found.group() in OPENING) - (found.group() in CLOSING)
        if depth < 0:
            return False
    return depth == 0


def _is_statement(line: Line) -> bool:
    """Whether a line looks like a whole assignment or call. What only looks so does not compile without it, mostly."""
    first = re.match(r"[A-Za-z_]\w*", line.words)
    return (first is not None and first.group() not in BEGINS_MORE and _balanced(line.words)
            and line.words[-1] not in ",=" and ("=" in line.words or line.words.endswith(")")))


def _of_lines(path: str, text: str) -> Iterator[Mutant]:
    lines = list(_lines(text))
    for line, following in zip(lines, [*lines[1:], Line(0, 0, 0, "")], strict=True):
        if CHECK.fullmatch(line.words):
            yield mutant(path, text, "drop a check", line.start, line.end, "")
        if _is_statement(line):
            yield mutant(path, text, "drop a statement", line.start, line.end, "")
            if _is_statement(following) and line.indent == following.indent:
                swapped = f"{following.words}\n{' ' * line.indent}{line.words}"
                yield mutant(path, text, "swap two statements", line.start, following.end, swapped)
        call = CALL_THAT_MAY_FAIL.match(line.words)
        if call and _balanced(line.words) and f"if not {call[1]} then" in following.words:
            yield mutant(path, text, "drop a call", line.start + call.end(), line.end, "true")
