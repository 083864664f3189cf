"""Lua's own test suite as programs for Khoros: which files, which parts of them not and why, and what runs them.

The suite is the `testes` folder of the pinned Lua source (build/lua55), read when the tests run; none of it is ours.
`program` makes one Lua text of some files and of `lua_suite.lua`, which runs them as the suite's own all.lua does:
most of them through string.dump and load. It runs in the booted guest (tests/kernel/test_lua_suite.py) and in the
process core on the host (tests/core/test_lua_suite.py).

What is left out is said here, all of it:
- WHOLE: files of which nothing runs.
- CUTS: parts of files. A part is found by its first and last words, and a release of Lua in which they are not
  there exactly once fails the tests.
- SAID: parts that the suite itself leaves out, by what it says then. Anything more or less fails the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SUITE = REPOSITORY / "build" / "lua55" / "testes"
DRIVER = Path(__file__).with_suffix(".lua")

NO_FILES = "real files: Khoros keeps objects, not files"
NO_INTERNALS = "the internal-test library T: it is for a Lua that is compiled for it (ltests.c)"
NO_STANDALONE = "the lua executable and a Unix shell"
NO_LIBRARIES = "dynamic libraries: processes are Lua only"
NO_LOCALES = "locales: there is only C"
NO_ENVIRONMENT = "environment variables: nothing sets any"


@dataclass(frozen=True)
class Cut:
    """From `first` up to `last`, which stays (None: only `first`), is replaced by `instead`; lines keep their numbers."""

    first: str
    last: str | None
    reason: str
    instead: str = ""


#: Files of which nothing runs.
WHOLE: dict[str, str] = {
    "main.lua": NO_STANDALONE,
    "api.lua": NO_INTERNALS,
    "code.lua": NO_INTERNALS,
    "memerr.lua": NO_INTERNALS,
}

#: Parts of files.
CUTS: dict[str, list[Cut]] = {
    "all.lua": [
        Cut("dofile('main.lua')", None, NO_STANDALONE),
        Cut("dofile('api.lua')", None, NO_INTERNALS),
        Cut("dofile('code.lua', true)", None, NO_INTERNALS),
        Cut("dofile('memerr.lua')", None, NO_INTERNALS),
        Cut(
            "assert(open(fname, \"w\")):write(clocktime):close()", None,
            "the record of how long the last run took: a file",
        ),
    ],
    "attrib.lua": [
        Cut('createfiles(files, "", extras)', "local oldpath = package.path\n\npackage.path =", NO_FILES),
        Cut('local a = require"names"', "removefiles(files)\nNAME, REQUIRED, AA, B = nil", NO_FILES),
        Cut('createfiles(files, "_ENV = {}', "removefiles(files)\nAA = nil\n", NO_FILES),
        Cut('do  print("testing external strings")', "print('+')\n\nend  --]", NO_LIBRARIES),
    ],
    "files.lua": [
        Cut('assert(type(os.getenv"PATH") == "string")', None, NO_ENVIRONMENT),
        Cut("local file = os.tmpname()\nlocal f, msg", "print'+'\n\nprint(\"testing date/time\")", NO_FILES),
    ],
    # The program that it writes into a file and runs is built in memory.
    "verybig.lua": [
        Cut(
            "local file = os.tmpname()\nio.output(file)", "\nfor s in string.gmatch(prog", NO_FILES,
            "local parts, write = {}, io.write\n"
            "io.write = function (...) for _, s in ipairs{...} do parts[#parts + 1] = s end end",
        ),
        Cut(
            "io.close()\nlocal result = dofile(file)\nassert(os.remove(file))", "\nprint'OK'", NO_FILES,
            "io.write = write\nlocal result = assert(load(table.concat(parts)))()\n",
        ),
    ],
}  # fmt: skip

#: What the suite says when it leaves out parts itself.
SAID: dict[str, list[tuple[str, str]]] = {
    "attrib.lua": [("cannot load dynamic library", NO_LIBRARIES)],
    "coroutine.lua": [("testC not active: skipping coroutine API tests", NO_INTERNALS)] * 2,
    "errors.lua": [("testC not active: skipping tests for messages in C", NO_INTERNALS)],
    "events.lua": [("testC not active: skipping tests for userdata", NO_INTERNALS)],
    "gc.lua": [("testC not active: skipping userdata GC tests", NO_INTERNALS)],
    "gengc.lua": [("testC not active: skipping some generational tests", NO_INTERNALS)],
    "literals.lua": [("pt_BR locale not available: skipping decimal point tests", NO_LOCALES)],
    "nextvar.lua": [
        ("testC not active: skipping tests for table sizes", NO_INTERNALS),
        ("testC not active: skipping tests for table library on non-tables", NO_INTERNALS),
    ],
    "strings.lua": [
        ("testC not active: skipping 'pushfstring' tests", NO_INTERNALS),
        ("testC not active: skipping external strings tests", NO_INTERNALS),
    ],
}

#: What `heavy.lua` can do; it does only one of them by itself.
HEAVY: dict[str, str | None] = {
    "teststring": None,
    "controlstruct": None,
    "manylines": "two thousand million lines: an hour and more under emulation",
    "hugeid": None,
    "toomanyinst": None,
    "toomanyconst": None,
    "toomanystr": None,
    "toomanyidx": None,
}

#: Files that are not tests: the runner, and what other files require.
NOT_TESTS = {"all.lua", "heavy.lua", "tracegc.lua", "bwcoercion.lua"}


def files() -> list[str]:
    """The files that run, each by itself, in the suite's alphabetical order."""
    return [
        path.name
        for path in sorted(SUITE.glob("*.lua"))
        if path.name not in WHOLE and path.name not in NOT_TESTS
    ]


def source(name: str, extra: Sequence[Cut] = ()) -> str:
    """A file without what is left out of it; every byte a character."""
    text = (SUITE / name).read_bytes().decode("latin-1")
    for cut in (*CUTS.get(name, ()), *extra):
        text = without(text, cut, name)
    return text


def without(text: str, cut: Cut, name: str) -> str:
    """The text with the part replaced. Fails when the part's ends are not there exactly once."""
    for words in (cut.first, cut.last):
        if words is not None and text.count(words) != 1:
            raise AssertionError(f"{name}: {words!r} is there {text.count(words)} times, not once")
    begin = text.index(cut.first)
    end = begin + len(cut.first) if cut.last is None else text.index(cut.last)
    if end < begin + len(cut.first):
        raise AssertionError(f"{name}: {cut.last!r} stands before {cut.first!r}")
    lines = text.count("\n", begin, end) - cut.instead.count("\n")
    if lines < 0:
        raise AssertionError(f"{name}: what stands for {cut.first!r} has more lines than it")
    return text[:begin] + cut.instead + "\n" * lines + text[end:]


def quoted(text: str) -> str:
    """A Lua literal of the text: long brackets, which keep everything but carriage returns."""
    assert "\r" not in text
    level = "="
    while f"]{level}]" in text or text.endswith(f"]{level}"):
        level += "="
    return f"[{level}[\n{text}]{level}]"


def program(
    names: Iterable[str], *, soft: bool = False, busy: bool = False, extra: dict[str, Sequence[Cut]] | None = None
) -> bytes:
    """One Lua text that runs the files in this order, then says `passed: NAME` for each.

    soft: the suite's own short form, without what takes long. busy: next to a process that computes all the time.
    """
    names = list(names)
    needed = [*files(), "all.lua"] if "all.lua" in names else names
    texts = [
        f"files[ {quoted(name)} ] = {quoted(source(name, (extra or {}).get(name, ())))}\n"
        for name in sorted({*needed, "tracegc.lua", "bwcoercion.lua"})
    ]
    settings = f"local soft, busy, names = {str(soft).lower()}, {str(busy).lower()}, {{"
    settings += ", ".join(map(quoted, names)) + "}\n"
    text = "local files = {}\n" + "".join(texts) + settings + DRIVER.read_bytes().decode("latin-1")
    return text.encode("latin-1")


def check(name: str, output: str) -> None:
    """The output of a program that ran this file alone: it passed, and left out what is listed."""
    assert re.search(rf"^passed: {re.escape(name)}$", output, re.MULTILINE), output[-4000:]
    said = sorted(re.findall(r"^left out: (.*)$", output, re.MULTILINE))
    assert said == sorted(words for words, _ in SAID.get(name, ())), "other parts than listed"
