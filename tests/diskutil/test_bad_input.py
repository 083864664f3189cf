"""Every command on everything that is not a good image: one clear line, the right exit code, nothing changed."""

from __future__ import annotations

import importlib
import os
import pickle
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from khoros.diskutil import cli, superblock
from khoros.diskutil.device import FileDevice
from khoros.diskutil.frames import MAGIC
from khoros.formats import constants as C
from tests.diskutil import images
from tests.diskutil.commandline import PROGRAM, Result, environment, invoke, spawn

# Each command with arguments that would do something on a good image; IMAGE stands for the file.
COMMANDS: dict[str, list[str]] = {
    "mkfs": ["mkfs", "IMAGE", "-s", "4M"],
    "ls": ["ls", "IMAGE"],
    "cat": ["cat", "IMAGE", "root.ship"],
    "put": ["put", "IMAGE", "x", "1"],
    "rm": ["rm", "IMAGE", "ship"],
    "import": ["import", "IMAGE", "INPUT", "--as", "x"],
    "export": ["export", "IMAGE", "root.ship.name"],
    "log": ["log", "IMAGE"],
    "info": ["info", "IMAGE"],
    "check": ["check", "IMAGE"],
    "dump": ["dump", "IMAGE"],
    "map": ["map", "IMAGE"],
    "du": ["du", "IMAGE"],
    "diff": ["diff", "IMAGE", "--at", "t1", "t2"],
    "backup": ["backup", "IMAGE", "TARGET"],
    "repair": ["repair", "IMAGE", "TARGET"],
    "fixsum": ["fixsum", "IMAGE"],
    "bisect": ["bisect", "IMAGE", "--", "sh", "-c", "test $KHOROS_TRANSACTION -lt 2"],
    "undo": ["undo", "IMAGE", "t2"],
    "gc": ["gc", "IMAGE"],
    "compact": ["compact", "IMAGE"],
}
READING = sorted(set(COMMANDS) - {"mkfs"})
# These are for images that cannot be mounted; their own tests say what they do with which.
FOR_DAMAGE = {"repair", "fixsum"}
WRITING = ["put", "rm", "import", "undo", "gc", "compact"]
# What these say is talk, on stderr; stdout is for data.
TALKING = WRITING
NOBODY = 65534


def code_of(command: str, usual: int, check: int = 8) -> int:
    """The exit code of a failure: most commands say what it was, check speaks as fsck and diff as diff."""
    return {"check": check, "diff": 2}.get(command, usual)


def test_every_command_is_tried():
    assert set(COMMANDS) == set(cli.COMMANDS) - {"torture", "fuzz"}  # these take no image


def arguments_of(command: str, image: Path, tmp_path: Path) -> list[str]:
    source = tmp_path / "input.json"
    source.write_text('{"a": 1}')
    words = {"IMAGE": str(image), "INPUT": str(source), "TARGET": str(tmp_path / "target")}
    return [words.get(word, word) for word in COMMANDS[command]]


def run(command: str, image: Path, tmp_path: Path, real: bool = False) -> Result:
    arguments = arguments_of(command, image, tmp_path)
    return spawn(*arguments) if real else invoke(*arguments)


def assert_one_line(result: Result, image: Path) -> None:
    assert result.complaint.startswith("khoros-disk: "), result.complaint
    assert image.name in result.complaint
    assert b"Traceback" not in result.err + result.out


# -- files that are no store ------------------------------------------------------------------------------------


def random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(100_000))


def text_file(path: Path) -> None:
    path.write_text("once upon a time\n" * 500)


def foreign_partitions(path: Path) -> None:
    data = bytearray(1 << 20)
    data[446:462] = bytes.fromhex("00000000830000000008000000080000")
    data[510:512] = b"\x55\xaa"
    path.write_bytes(data)


NO_STORE: dict[str, Callable[[Path], object]] = {
    "empty file": lambda path: path.write_bytes(b""),
    "one byte": lambda path: path.write_bytes(b"K"),
    "random bytes": random_bytes,
    "text file": text_file,
    "zeros": lambda path: path.write_bytes(bytes(1 << 20)),
    "foreign partition table": foreign_partitions,
}


@pytest.mark.parametrize("kind", NO_STORE)
@pytest.mark.parametrize("command", READING)
def test_what_is_no_store(tmp_path, command, kind):
    path = tmp_path / "no-store"
    NO_STORE[kind](path)
    before = images.digest(path)
    result = run(command, path, tmp_path)
    assert result.code == code_of(command, 1)
    assert_one_line(result, path)
    assert images.digest(path) == before


@pytest.mark.parametrize("kind", sorted(set(NO_STORE) - {"empty file", "zeros"}))
def test_mkfs_refuses_what_is_not_empty_and_says_what_it_is(tmp_path, kind):
    path = tmp_path / "precious"
    NO_STORE[kind](path)
    before = images.digest(path)
    result = run("mkfs", path, tmp_path)
    assert result.code == 5
    assert_one_line(result, path)
    assert "holds" in result.complaint
    assert images.digest(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["precious", "input.json"] or len(
        list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_directory(tmp_path, command):
    (tmp_path / "folder").mkdir()
    result = run(command, tmp_path / "folder", tmp_path)
    assert result.code == code_of(command, 7)
    assert_one_line(result, tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("command", READING)
def test_a_missing_file(tmp_path, command):
    result = run(command, tmp_path / "nowhere", tmp_path)
    assert result.code == code_of(command, 7)
    assert_one_line(result, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_mkfs_in_a_missing_folder(tmp_path):
    result = invoke("mkfs", tmp_path / "no" / "a.img", "-s", "4M")
    assert result.code == 7
    assert_one_line(result, tmp_path / "no" / "a.img")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_device_that_is_no_disk(tmp_path, command):
    result = run(command, Path("/dev/null"), tmp_path)
    assert result.code == code_of(command, 7)
    assert_one_line(result, Path("/dev/null"))


def as_nobody(*arguments: str) -> Result:
    """Run in a child without root's rights, to which no mode is an obstacle."""
    for name in cli.COMMANDS.values():
        importlib.import_module(f"khoros.diskutil.commands.{name[0]}")
    "".encode("utf-8-sig")  # which may lie where nobody can read it
    if os.geteuid() != 0:
        return invoke(*arguments)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(write_end, pickle.dumps(tuple(invoke(*arguments))))
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return Result(*pickle.loads(answer))


@pytest.fixture
def public(ship, tmp_path) -> Path:
    """An image in a folder that everybody may look into and only its owner may write to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(ship, folder / "ship.img")
        yield folder / "ship.img"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_permission_to_read(public, command):
    arguments = arguments_of(command, public, public.parent)
    before = images.digest(public)
    public.chmod(0)
    result = as_nobody(*arguments)
    assert result.code == (5 if command in (*WRITING, "fixsum", "mkfs") else code_of(command, 7))
    assert_one_line(result, public)
    assert "ermission" in result.complaint
    assert images.digest(public) == before


@pytest.mark.parametrize("command", [*WRITING, "fixsum", "backup", "repair"])
def test_no_permission_to_write(public, command):
    if os.geteuid() != 0:
        pytest.skip("needs a folder of somebody else's")
    arguments = arguments_of(command, public, public.parent)
    before, there = images.digest(public), sorted(public.parent.iterdir())
    public.chmod(0o444)
    result = as_nobody(*arguments)
    assert result.code == (7 if command in ("backup", "repair") else 5)
    assert_one_line(result, public.parent / "target" if command in ("backup", "repair") else public)
    assert "ermission" in result.complaint
    assert (images.digest(public), sorted(public.parent.iterdir())) == (before, there)


@pytest.mark.parametrize("command", [*WRITING, "fixsum"])
def test_a_read_only_file_is_not_written(ship, tmp_path, command, monkeypatch):
    """Root may write to read-only files, so the kernel's refusal is simulated."""
    real_open = os.open

    def refuse(name, flags, *rest, **options):
        if str(name) == str(ship) and flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied", str(name))
        return real_open(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    before = images.digest(ship)
    result = run(command, ship, tmp_path)
    assert result.code == 5
    assert_one_line(result, ship)
    assert images.digest(ship) == before


# -- stores that are damaged ------------------------------------------------------------------------------------


def last_frame_of_log(path: Path) -> int:
    """Offset of the newest frame."""
    data = path.read_bytes()
    return max(at for at in range(0, len(data), 512) if data[at : at + 8] == MAGIC)


def every_superblock(change: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        size = path.stat().st_size // 512
        for lba, _, _ in superblock.slot_lbas(size):
            images.patch(path, lba * 512 + 100, change)

    return damage


def wrong_magic(path: Path) -> None:
    for lba, _, _ in superblock.slot_lbas(path.stat().st_size // 512):
        images.patch(path, lba * 512, b"ANOTHER!")


def newer_format(path: Path) -> None:
    images.forge_superblocks(path, lambda record: {"format_major": 2})


def unknown_feature(path: Path) -> None:
    images.forge_superblocks(path, lambda record: {"features_incompat": 4})


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def disagreeing(path: Path) -> None:
    device = FileDevice(path)
    slot = superblock.read_slots(device)[0]
    device.close()
    assert slot.superblock is not None
    images.patch(path, slot.lba * 512, superblock.encode(
        slot.superblock.replace(uuid=bytes(16)), slot.lba))


def bad_checkpoint(path: Path) -> None:
    device = FileDevice(path)
    record = superblock.choose(superblock.read_slots(device), device)
    device.close()
    pointer = record.pointer("checkpoint")
    assert pointer is not None
    images.flip(path, pointer.offset + 40)


def bad_geometry(path: Path) -> None:
    images.forge_superblocks(path, lambda record: {"segment_count": 1 << 20})


def integer_too_large(path: Path) -> None:
    images.forge_superblocks(path, lambda record: {"total_sectors": 1 << 63})


# name -> (what is done, word that the complaint must contain)
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "wrong magic": (wrong_magic, "magic"),
    "superblock checksum": (every_superblock(b"\xaa"), "checksum"),
    "newer format": (newer_format, "newer format"),
    "unknown feature": (unknown_feature, "features"),
    "truncated image": (truncated, "truncated"),
    "superblocks disagree": (disagreeing, "disagree"),
    "checkpoint": (bad_checkpoint, "checkpoint"),
    "geometry": (bad_geometry, "segment_count"),
    "integer above 2^63-1": (integer_too_large, "total_sectors"),
}


@pytest.mark.parametrize("fault", REFUSED)
@pytest.mark.parametrize("command", sorted(set(READING) - FOR_DAMAGE))
def test_a_store_that_cannot_be_mounted(ship, tmp_path, command, fault):
    damage, word = REFUSED[fault]
    damage(ship)
    before = images.digest(ship)
    result = run(command, ship, tmp_path)
    undecidable = fault in ("wrong magic", "superblock checksum", "newer format", "unknown feature",
                            "integer above 2^63-1")
    assert result.code == code_of(command, 1, 8 if undecidable else 4)
    assert_one_line(result, ship)
    assert word in result.complaint
    assert images.digest(ship) == before


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_be_mounted_can_be_repaired_unless_it_is_too_new(ship, tmp_path, fault):
    REFUSED[fault][0](ship)
    before = images.digest(ship)
    result = run("repair", ship, tmp_path)
    assert images.digest(ship) == before
    if fault in ("newer format", "unknown feature"):
        assert result.code == 1
        assert REFUSED[fault][1] in result.complaint
        assert not (tmp_path / "target").exists()
    else:
        assert result.code == 0, result.err
        assert invoke("cat", tmp_path / "target", "ship.fuel").text == "5\n"


@pytest.mark.parametrize("fault", ["newer format", "truncated image", "superblock checksum"])
def test_complaints_say_where_what_was_expected_and_what_was_found(ship, tmp_path, fault):
    REFUSED[fault][0](ship)
    line = run("ls", ship, tmp_path).complaint
    assert "expected" in line
    assert "found" in line


@pytest.mark.parametrize("command", sorted(set(READING) - {"fixsum"}))
def test_a_bad_object(ship, tmp_path, command):
    """The table of the ship is damaged: what needs it fails and says which object; the others still work."""
    data = ship.read_bytes()
    at = data.rindex(b"\xa4name\xa4Argo")
    images.flip(ship, at + 1)
    before = images.digest(ship)
    result = run(command, ship, tmp_path)
    if command in ("cat", "export", "undo", "gc", "compact"):
        assert result.code == 1
        assert_one_line(result, ship)
        assert "object 2" in result.complaint
        assert images.digest(ship) == before
    elif command in ("check", "dump"):
        assert result.code == {"check": 4, "dump": 1}[command]
        assert b"BAD" in result.out or b"error" in result.out
    elif command == "repair":
        assert result.code == 1
        assert b"object 2" in result.out
    elif command == "bisect":
        assert result.code == 1
        assert "object 2" in result.err.decode()
    elif command == "backup":
        assert result.code == 1
        assert "damaged" in result.complaint
        assert not (tmp_path / "target").exists()
    elif command in ("diff", "du"):
        assert result.code == code_of(command, 1)
        assert "object 2" in result.complaint
    else:
        assert result.code == 0
    if command in READING and command not in WRITING:
        assert images.digest(ship) == before


def damaged_log(path: Path) -> None:
    """Two commits and no unmount; then a hole in the first one's frame."""
    from khoros.diskutil import codec
    from khoros.diskutil.writer import Item, open_writer

    writer = open_writer(path)
    table = codec.encode_table([], [("n", 1)])
    for number in range(3):
        writer.commit([Item(writer.allocate(), C.KIND_TABLE, table)], f"m{number}")
    hole = writer.store.replayed.transactions[0].frame_lba * 512
    writer.store.close()
    images.flip(path, hole + 120)


@pytest.mark.parametrize("command", sorted(set(READING) - {"fixsum"}))
def test_a_hole_in_the_log(ship, tmp_path, command):
    """A lost acknowledged transaction: readable with a warning, never written to."""
    damaged_log(ship)
    before = images.digest(ship)
    result = run(command, ship, tmp_path)
    if command in WRITING:
        assert result.code == 5
        assert_one_line(result, ship)
    elif command == "check":
        assert result.code == 4
        assert b"damaged" in result.out
    elif command == "dump":
        assert result.code == 1
        assert b"BAD" in result.out
    elif command == "backup":
        assert result.code == 1
        assert "log is damaged" in result.complaint
    elif command == "repair":
        assert result.code == 0  # it is a commit record that is damaged; all objects are there
        assert b"6 objects as of t5" in result.out
    else:
        assert result.code == (1 if command == "diff" else 0)
        assert b"damaged" in result.err.splitlines()[0]
    assert images.digest(ship) == before


def test_a_stale_superblock_is_refused_and_never_written(ship, tmp_path):
    """All four copies fall back to what they were before the last mount for writing: the log is ahead of them."""
    old = ship.read_bytes()
    with_more = tmp_path / "more.img"
    with_more.write_bytes(old)
    assert invoke("put", with_more, "x", "1").code == 0
    data = bytearray(with_more.read_bytes())
    for lba, _, _ in superblock.slot_lbas(len(old) // 512):
        data[lba * 512 : lba * 512 + 512] = old[lba * 512 : lba * 512 + 512]
    ship.write_bytes(data)
    before = images.digest(ship)
    for command in sorted(set(READING) - FOR_DAMAGE):
        result = run(command, ship, tmp_path)
        assert result.code == code_of(command, 1, 4), command
        assert "older than the log" in result.complaint
    assert images.digest(ship) == before


# -- streams ----------------------------------------------------------------------------------------------------


def for_output(command: str, ship: Path, tmp_path: Path) -> list[str]:
    """Arguments with which a command succeeds."""
    target = tmp_path / "new.img" if command == "mkfs" else ship
    return arguments_of(command, target, tmp_path)


def with_output_to(descriptor: int, arguments: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PROGRAM, *arguments], stdout=descriptor, stderr=subprocess.PIPE,
                          env=environment(), timeout=60, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_pipe_ends_quietly(ship, tmp_path, command):
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = with_output_to(write_end, for_output(command, ship, tmp_path))
    os.close(write_end)
    if command in TALKING:
        assert done.returncode == 0
        assert done.stderr
    else:
        assert done.stderr == b"" or command == "bisect"
        assert b"khoros-disk:" not in done.stderr
        assert done.returncode == cli.EXIT_CLOSED_PIPE


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_output_disk(ship, tmp_path, command):
    with Path("/dev/full").open("wb") as full:
        done = with_output_to(full.fileno(), for_output(command, ship, tmp_path))
    if command in TALKING:
        assert done.returncode == 0
        return
    assert done.returncode == code_of(command, 7)
    assert len(done.stderr.splitlines()) == 1 or command == "bisect"
    assert b"no space left" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["mkfs", *sorted(set(WRITING) - {"gc"}), "fixsum", "backup", "repair"])
def test_the_disk_of_the_image_takes_nothing(ship, tmp_path, command):
    """No byte of any file can be written, as with a full disk or a quota."""
    target = tmp_path / "new.img" if command == "mkfs" else ship
    if command == "fixsum":
        images.flip(ship, superblock.slot_lbas(ship.stat().st_size // C.SECTOR_BYTES)[0][0] * C.SECTOR_BYTES + 100)
    arguments = arguments_of(command, target, tmp_path)
    before, there = images.digest(ship), sorted(tmp_path.iterdir())
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, env=environment(), timeout=60, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    result = Result(done.returncode, done.stdout, done.stderr)
    assert result.code == 7, result
    assert_one_line(result, tmp_path / "target" if command in ("backup", "repair") else target)
    assert (images.digest(ship), sorted(tmp_path.iterdir())) == (before, there)


@pytest.mark.parametrize("command", READING)
def test_real_programs_say_one_line_too(tmp_path, command):
    path = tmp_path / "text"
    text_file(path)
    result = run(command, path, tmp_path, real=True)
    assert result.code == code_of(command, 1)
    assert_one_line(result, path)


def test_debug_shows_the_traceback(tmp_path):
    result = invoke("ls", tmp_path / "nowhere", "--debug")
    assert b"Traceback" in result.err
    assert result.code == 7


def test_an_unexpected_error_is_one_line_and_no_success(ship, monkeypatch):
    import khoros.diskutil.image

    def broken(*arguments):
        raise RuntimeError("impossible")

    monkeypatch.setattr(khoros.diskutil.image, "open", broken)
    result = invoke("ls", ship)
    assert result.code == cli.EXIT_INTERNAL
    assert "impossible" in result.complaint


def test_python_is_new_enough():
    assert sys.version_info >= (3, 11)
