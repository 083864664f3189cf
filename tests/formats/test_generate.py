"""The committed generated files are what the schemas give, and a changed schema is noticed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from khoros.formats import STRUCTURES, constants, derive, generate

ROOT = Path(__file__).resolve().parents[2]
SPEC = (ROOT / "formats" / "SPEC.md").read_text(encoding="utf-8")


def test_regenerating_changes_nothing():
    for path, text in generate.outputs(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, path.name


def test_spec_has_a_table_of_every_structure_and_every_group_of_constants():
    for name in STRUCTURES:
        assert f"<!-- table structure: {name} -->" in SPEC
    for title in constants.GROUPS:
        assert f"<!-- table constants: {title} -->" in SPEC


def test_spec_tables_state_every_offset():
    for name, schema in STRUCTURES.items():
        if name == "page":
            continue
        table = generate.structure_table(name)
        for member in schema.subcons:
            first = next(f for f in derive.fields(schema)
                         if f.name == member.name or f.name.startswith(member.name + "_"))
            assert f"| {first.offset} | {member.subcon.sizeof()} | `{member.name}` |" in table


def test_the_partition_type_in_spec_is_the_constant():
    assert constants.GPT_TYPE_GUID in SPEC


@pytest.fixture
def clone(tmp_path):
    """The parts of the repository that generation touches, to be changed."""
    for folder in ("formats", "python/khoros", "lua/fs", "kernel"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for path in (ROOT / "formats").glob("*.*"):
        shutil.copy(path, tmp_path / "formats")
    shutil.copy(ROOT / "python" / "khoros" / "__init__.py", tmp_path / "python" / "khoros")
    (tmp_path / "python" / "khoros" / "formats").symlink_to("../../formats")
    shutil.copy(ROOT / "lua" / "fs" / "layout.lua", tmp_path / "lua" / "fs")
    shutil.copy(ROOT / "kernel" / "codec_format.h", tmp_path / "kernel")
    return tmp_path


def run(clone, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "khoros.formats.generate", *arguments], capture_output=True, text=True,
        cwd=clone, env={"PYTHONPATH": str(clone / "python"), "PYTHONDONTWRITEBYTECODE": "1"})


def test_check_is_quiet_when_nothing_changed(clone):
    done = run(clone, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_notices_a_changed_field(clone):
    schema = clone / "formats" / "commit.py"
    schema.write_text(schema.read_text().replace('"content_crc" / Int32ul', '"content_crc" / Int64ul'))
    before = {p: p.read_bytes() for p in clone.rglob("*.lua")}
    done = run(clone, "--check")
    assert done.returncode == 1
    assert "layout.lua" in done.stderr
    assert "SPEC.md" in done.stderr
    assert {p: p.read_bytes() for p in clone.rglob("*.lua")} == before
    assert run(clone).returncode == 0
    assert run(clone, "--check").returncode == 0
    assert "content_crc = 48" in (clone / "lua" / "fs" / "layout.lua").read_text()
    assert "| 48 | 8 | `content_crc` |" in (clone / "formats" / "SPEC.md").read_text()


def test_a_changed_constant_reaches_lua_and_c(clone):
    schema = clone / "formats" / "constants.py"
    schema.write_text(schema.read_text().replace('"PACKED_MIN", 16,', '"PACKED_MIN", 24,'))
    done = run(clone, "--check")
    assert done.returncode == 1
    assert "codec_format.h" in done.stderr
    assert run(clone).returncode == 0
    assert "layout.PACKED_MIN = 24" in (clone / "lua" / "fs" / "layout.lua").read_text()
    assert "#define PACKED_MIN 24" in (clone / "kernel" / "codec_format.h").read_text()


def test_check_notices_a_change_by_hand(clone):
    layout = clone / "lua" / "fs" / "layout.lua"
    layout.write_text(layout.read_text().replace("layout.LOG_LBA = 64", "layout.LOG_LBA = 72"))
    assert run(clone, "--check").returncode == 1


def test_an_unknown_table_in_spec_is_an_error():
    with pytest.raises(KeyError):
        generate.specification("<!-- table structure: nonsense -->\n<!-- end -->")
