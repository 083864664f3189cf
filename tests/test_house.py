"""The house's own rules, checked over every source file: direction, openings, names, generated files, checks.

A change that needs a new arrow between parts adds it to EDGES and says why in its commit.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import lupa.lua55
import pytest

import khoros

REPOSITORY = Path(__file__).resolve().parents[1]

# Which part may use which: Lua by `require`, Python by `import`. A part may always use itself.
# Lower layers are handed over as arguments (docs/design.md, "Direction"), so most parts use none.
EDGES: dict[str, set[str]] = {
    # init.lua is the composition root of the supervisor, the services are those of their processes.
    "lua/init": {"lua/kernel", "lua/drivers", "lua/services"},
    "lua/services": {"lua/kernel", "lua/drivers", "lua/fs", "lua/shell"},
    "lua/kernel": set(),
    "lua/drivers": set(),
    "lua/fs": set(),
    "lua/shell": set(),
    # Programs that people read and change: they stand on what every program has.
    "lua/programs": set(),
    "khoros": {"khoros.diskutil"},
    "khoros.formats": set(),
    "khoros.diskutil": {"khoros", "khoros.formats"},
    # Errors and mkfs: the launcher makes an image that does not exist.
    "khoros.diskutil.launch": {"khoros", "khoros.diskutil"},
}
# What the installed package may need; each is in requirements.in.
LIBRARIES = {"click", "construct", "google_crc32c", "msgpack", "numpy", "rich"}
# What only one part of it uses, when it is run; an extra of the package.
EXTRAS = {"lupa": "khoros.diskutil.torture", "atheris": "khoros.diskutil.fuzzing"}

# Globals that a Lua module may read: the standard library. Everything else is a local or an argument.
LUA_GLOBALS = """
    _G _VERSION assert collectgarbage coroutine debug dofile error getmetatable io ipairs load loadfile math next os
    package pairs pcall print rawequal rawget rawlen rawset require select setmetatable string table tonumber tostring
    type utf8 warn xpcall
""".split()
# `system` is what the runtime gives every process besides.
PROCESS_GLOBALS = ["system"]
# And the shell's commands, and the terminal, every program that a person runs (lua/services/program.lua).
PROGRAM_GLOBALS = ["commit", "kill", "root", "spawn", "terminal"]
# Modules that are no files: what the runtime makes.
MADE_MODULES = {"system"}

OPENINGS = {
    ".py": ('"""', "#"),
    ".lua": ("--",),
    ".c": ("/*", "//"),
    ".h": ("/*", "//"),
    ".S": ("/*", "//", "#"),
    ".ld": ("/*",),
    ".sh": ("#",),
    ".toml": ("#",),
    ".in": ("#",),
    ".md": ("#",),
    "": ("#",),
}
LARGEST_FILE_BYTES = 1 << 20


def listed() -> list[Path]:
    """Every file of the repository, those not yet committed included."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout.split(
        b"\0"
    )
    paths = [REPOSITORY / name.decode() for name in names if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


FILES = listed()
LUA_MODULES = [
    path
    for path in FILES
    if path.suffix == ".lua" and path.relative_to(REPOSITORY).parts[0] == "lua"
]


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


# --- Direction -------------------------------------------------------------------------------------------------------


def lua_part(module: str) -> str:
    """`fs.store` → `lua/fs`."""
    return "lua/" + module.split(".")[0]


def lua_requires(path: Path) -> list[str]:
    required = re.findall(r"""\brequire\s*\(?\s*["']([\w.]+)["']""", text(path))
    is_program = path.parent == REPOSITORY / "lua/programs"
    return [module for module in required if not (is_program and module in MADE_MODULES)]


def python_part(module: str) -> str | None:
    """The longest part that `module` lies in; None for libraries."""
    parts = [part for part in EDGES if module == part or module.startswith(part + ".")]
    return max(parts, key=len, default=None)


def python_modules() -> list[tuple[Path, str]]:
    """(file, module name) of every Python file of the package."""
    found = []
    for path in FILES:
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        if path.suffix != ".py" or parts[0] not in ("python", "diskutil", "formats"):
            continue
        inside = parts[1:] if parts[0] == "python" else ("khoros", *parts)
        found.append((path, ".".join(inside).removesuffix(".__init__")))
    return found


def python_imports(path: Path, module: str) -> set[str]:
    """Absolute names of everything a file imports; of `from a import b` both a and a.b, as b may be a module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(text(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = (
                package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            )
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def test_lua_modules_require_only_what_their_part_may():
    wrong = []
    for path in LUA_MODULES:
        part = lua_part(".".join(path.relative_to(REPOSITORY / "lua").with_suffix("").parts))
        for module in lua_requires(path):
            if lua_part(module) not in EDGES.get(part, set()) | {part}:
                wrong.append(f"{name(path)} requires {module}")
    assert wrong == []


def test_lua_modules_that_are_required_exist():
    missing = []
    for path in LUA_MODULES:
        for module in lua_requires(path):
            place = REPOSITORY / "lua" / module.replace(".", "/")
            if not (place.with_suffix(".lua").is_file() or (place / "init.lua").is_file()):
                missing.append(f"{name(path)} requires {module}")
    assert missing == []


def test_python_modules_import_only_what_their_part_may():
    wrong = []
    for path, module in python_modules():
        part = python_part(module)
        assert part is not None, f"{name(path)} belongs to no part in EDGES"
        for imported in python_imports(path, module):
            used = python_part(imported)
            if used is not None and used != part and used not in EDGES[part]:
                wrong.append(f"{name(path)} imports {imported}")
    assert wrong == []


def test_the_package_imports_only_the_standard_library_and_what_it_declares():
    known = LIBRARIES | set(sys.stdlib_module_names) | {"khoros", "_typeshed"}
    wrong = [
        f"{name(path)} imports {imported}"
        for path, module in python_modules()
        for imported in python_imports(path, module)
        if (library := imported.split(".")[0]) not in known
        and not module.startswith(EXTRAS.get(library, "no such part"))
    ]
    assert wrong == []


# --- Lua without globals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LUA_MODULES, ids=name)
def test_a_lua_module_sets_no_globals_and_reads_only_the_known_ones(path):
    """Lua 5.5 checks it itself: with these declarations any other global name is an error of the compiler."""
    more = PROGRAM_GLOBALS if path.parent == REPOSITORY / "lua/programs" else []
    declared = ", ".join([*LUA_GLOBALS, *PROCESS_GLOBALS, *more])
    lua = lupa.lua55.LuaRuntime(encoding=None)
    compiled = lua.eval("function(source, name) return load(source, name, 't') end")(
        f"global<const> {declared}; ".encode() + path.read_bytes(), f"={name(path)}".encode()
    )
    problem = compiled[1] if isinstance(compiled, tuple) else None
    assert problem is None, problem.decode()


def test_the_check_for_globals_finds_them():
    load = lupa.lua55.LuaRuntime().eval("function(s) return select(2, load(s)) end")
    assert "x" in load("global<const> print; x = 1")
    assert "prnit" in load("global<const> print; prnit(1)")
    assert "print" in load("global<const> print; function print() end")
    assert load("global<const> print; local x <const> = 1; print(x)") is None


# --- Files -----------------------------------------------------------------------------------------------------------


def test_every_source_file_opens_with_what_it_is_for():
    wrong = []
    for path in FILES:
        starts = OPENINGS.get(path.suffix)
        if starts is None or path.name in (".gitignore", "LICENSE"):
            continue
        lines = [
            line for line in text(path).splitlines() if line.strip() and not line.startswith("#!")
        ]
        if lines and not lines[0].lstrip().startswith(starts):
            wrong.append(name(path))
    assert wrong == []


def test_nothing_is_left_for_later():
    words = re.compile(
        r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b"
    )
    assert [name(path) for path in FILES if words.search(text(path))] == []


def test_no_file_names_a_place_of_one_machine_or_a_registry():
    places = ["/" + "work/", "/" + "home/", "/" + "Users/", "/" + "opt/py"]
    registries = ["pypi" + ".org", "python" + "hosted", "deb.debian" + ".org", "npm" + "js.org"]
    wrong = [
        f"{name(path)}: {found}"
        for path in FILES
        for found in places + registries
        if found in text(path)
    ]
    assert wrong == []


def test_no_file_is_large():
    assert [name(path) for path in FILES if path.stat().st_size > LARGEST_FILE_BYTES] == []


def test_text_files_have_unix_line_ends_and_end_with_one():
    wrong = []
    for path in FILES:
        data = path.read_bytes()
        if path.suffix in OPENINGS and data and (b"\r\n" in data or not data.endswith(b"\n")):
            wrong.append(name(path))
    assert wrong == []


def test_the_system_and_the_package_have_one_version():
    (guest,) = re.findall(
        r'^local VERSION <const> = "(.*)"$', text(REPOSITORY / "lua/init.lua"), re.MULTILINE
    )
    assert guest == khoros.__version__


# --- Hardware is Lua's ------------------------------------------------------------------------------------------------

# Boot, interrupt controller, timer and panic console: the C that knows devices. All others are drivers in Lua.
KNOW_PORTS = {"boot.S", "trap.c", "timer.c", "console.c", "panic.c"}
# The instructions themselves, and the bindings by which Lua gives the number.
BINDINGS = {"lua_port.c", "lua_dma.c"}
CARRY_PORTS = {"io.h"} | BINDINGS
PORT_ACCESS = re.compile(
    r"\bio_(?:in|out)(?:8|16|32)s?\s*\(|\b(?:rep\s+)?(?:ins|outs|in|out)[bwl]\b"
)
# Text screen, local APIC, I/O APIC, HPET. The screen of a panic must be mapped before it is needed.
DEVICE_MEMORY = re.compile(r"0x(?:b8000|fee00000|fec00000|fed00000)(?![0-9a-f])", re.IGNORECASE)
KNOW_DEVICE_MEMORY = KNOW_PORTS | {"paging.c"}
# Where the PC's devices answer, first and last port. A number below 0x100 may mean anything: there, only an access shows.
PORTS = [
    (0x20, 0x21), (0x40, 0x43), (0x60, 0x64), (0x70, 0x77), (0x80, 0x8F), (0x92, 0x92), (0xA0, 0xA1), (0xB2, 0xB3),
    (0x170, 0x177), (0x1F0, 0x1F7), (0x2F8, 0x2FF), (0x370, 0x377), (0x3B0, 0x3DF), (0x3F0, 0x3FF), (0x4D0, 0x4D1),
    (0x500, 0x517), (0xCF8, 0xCFF),
]  # fmt: skip
HEXADECIMAL = re.compile(r"\b0x([0-9a-f]+)[ul]*\b", re.IGNORECASE)


def is_port(number: int) -> bool:
    return any(first <= number <= last for first, last in PORTS)


def test_the_ports_that_are_granted_are_among_those_looked_for():
    granted = re.findall(r"\{(0x[0-9A-F]+), \d+\}", text(REPOSITORY / "lua/kernel/capabilities.lua"))
    assert len(granted) > 5
    memory = {0xB8000}
    assert [number for number in granted if not is_port(int(number, 16)) and int(number, 16) not in memory] == []


def device_knowledge(file_name: str, code: str) -> list[str]:
    """What a C file knows of devices and should not."""
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", code, flags=re.DOTALL)
    wrong = []
    if file_name not in KNOW_PORTS | CARRY_PORTS:
        wrong += PORT_ACCESS.findall(code)
    if file_name not in KNOW_PORTS:
        least = 0 if file_name in CARRY_PORTS else 0x100
        numbers = [(found[0], int(found[1], 16)) for found in HEXADECIMAL.finditer(code)]
        wrong += [shown for shown, number in numbers if number >= least and is_port(number)]
    if file_name not in KNOW_DEVICE_MEMORY:
        wrong += DEVICE_MEMORY.findall(code)
    if file_name in BINDINGS:
        wrong += re.findall(
            r"\bio_(?:in|out)\w+\s*\(\s*\w*\d\w*",
            code.replace("##bits##", "").replace("##bits", ""),
        )
    return wrong


def test_c_knows_no_device_but_those_of_boot_interrupts_time_and_panic():
    wrong = {
        name(path): found
        for path in FILES
        if path.relative_to(REPOSITORY).parts[0] == "kernel" and path.suffix in (".c", ".h", ".S")
        if (found := device_knowledge(path.name, text(path)))
    }
    assert wrong == {}


def test_the_check_for_device_knowledge_finds_it():
    assert device_knowledge("pages.c", "io_out8(0x1f7, 0xec);")
    assert device_knowledge("disk.c", '__asm__ volatile("inb %1, %0" : : );')
    assert device_knowledge("block.c", "uint16_t *screen = (void *)0xB8000;")
    assert device_knowledge("lua_port.c", "return io_in8(0x60);")
    assert device_knowledge("lua_dma.c", "io_out8(0xc040, engine->direction);")
    assert not device_knowledge(
        "lua_port.c", "io_out##bits(port, (type)value); io_in##bits##s(port, bytes, count);"
    )
    assert device_knowledge("pages.c", "#define ATA_COMMAND 0x1F7u")
    assert device_knowledge("lua_port.c", "static const uint16_t keyboard = 0x60;")
    assert not device_knowledge("pages.c", "/* inb, io_out8(0x1f7) */ x = 0x1f8; y = -0x80; z = 0xff;")
    assert not device_knowledge("trap.c", "io_out8(PIC_MASTER, PIC_OCW2_EOI);")


# --- Tools -----------------------------------------------------------------------------------------------------------


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=REPOSITORY, capture_output=True, text=True
    )


def test_generated_files_are_what_the_schemas_give():
    result = run("-m", "khoros.formats.generate", "--check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_ruff_finds_nothing():
    result = run("-m", "ruff", "check", "--output-format", "concise")
    assert result.returncode == 0, result.stdout + result.stderr


def test_mypy_finds_nothing():
    result = run("-m", "mypy")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_shell_scripts_parse():
    assert subprocess.run(["dash", "-n", REPOSITORY / "khoros"]).returncode == 0
    assert subprocess.run(["bash", "-n", REPOSITORY / ".ci/run"]).returncode == 0
