"""`./khoros bench`: what it says and refuses, and that both sides of its rows do their work. Nothing here asserts a speed."""

from __future__ import annotations

import importlib
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
SVG = "{http://www.w3.org/2000/svg}"
OBJECTS = 2000


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of bench/ find each other by name, as when it is run."""
    monkeypatch.syspath_prepend(str(BENCH))


def module(name: str) -> Any:
    return importlib.import_module(name)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, BENCH, *arguments], capture_output=True, text=True, timeout=280)


def test_a_ratio_above_one_is_in_our_favour_whatever_the_unit():
    row = module("measuring").row
    assert row("a", 30.0, 10.0, "them", "objects/s").ratio == 3
    assert row("a", 10.0, 30.0, "them", "s").ratio == 3
    assert row("a", 10.0, 30.0, "them", "bytes/object").ratio == 3


def test_works_take_turns_and_medians_have_a_spread():
    measuring = module("measuring")
    turns: list[str] = []
    values = iter([5.0, 1.0, 3.0])

    def ours() -> float:
        turns.append("ours")
        return next(values)

    def peer() -> float:
        turns.append("peer")
        return 2.0

    figures = measuring.in_turns(ours, peer, rounds=3)
    assert turns == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert figures == [measuring.Figure(3.0, 1.0, 5.0), measuring.Figure(2.0, 2.0, 2.0)]


def test_json_has_what_is_promised_and_nothing_else_on_stdout():
    done = bench("--json", "crc32c_vs_c_slicing8")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["format_version"] == 1
    (result,) = document["results"]
    assert set(result) >= {"name", "ours", "peer", "peer_name", "unit", "ratio"}
    assert result["name"] == "crc32c_vs_c_slicing8"
    assert result["ratio"] == pytest.approx(result["ours"] / result["peer"], rel=0.01)
    assert "processor" in document["machine"]
    assert "measured on" in done.stderr


def test_a_name_that_is_none_is_refused():
    done = bench("no_such_row")
    assert done.returncode == 1
    assert "there is no row no_such_row" in done.stderr


def test_a_debug_build_is_refused(tmp_path, monkeypatch):
    building = module("building")
    flags = tmp_path / "compiling"
    flags.write_text("gcc | -std=gnu11 -O2 -g | -O2 |")
    assert building.debug_reason(flags) is None
    flags.write_text("gcc | -std=gnu11 -O2 -g -fsanitize=address | -O2 |")
    assert "built for debugging" in building.debug_reason(flags)
    flags.write_text("gcc | -std=gnu11 -O0 -g | -O0 |")
    assert "built for debugging" in building.debug_reason(flags)
    done = subprocess.run([sys.executable, "-X", "dev", BENCH, "crc32c"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "no benchmarks on a debug build" in done.stderr


def test_a_peer_that_is_not_there_is_left_out_by_name(tmp_path):
    """lmdb is replaced by nothing: Python finds no module of a name that None stands for."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u; f = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'lmdb' else f(name, *rest)\n"
    )
    done = subprocess.run(
        [sys.executable, BENCH, "--json", "commit_1_vs_lmdb"], capture_output=True, text=True,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "left out: LMDB, which is not installed" in done.stderr
    assert json.loads(done.stdout)["results"] == []


@pytest.mark.parametrize("peer", ["zodb", "sqlite", "lmdb", "shelve"])
def test_a_peer_does_the_work(tmp_path, peer):
    peers = module("peers")
    if peers.missing(peer):
        pytest.skip(f"{peer} is not installed; ./khoros bench installs it")
    works = ["commit_1", "commit_1000", "load_all", "open", "size"] + ["open_without_index"] * (peer == "zodb")
    for work in works:
        command = [sys.executable, BENCH / "peers.py", peer, work, tmp_path, str(20 if work == "commit_1" else OBJECTS)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, f"{work}: {done.stderr}"
        assert float(done.stdout.split()[0]) > 0


@pytest.mark.parametrize("host", ["native", "lupa"])
def test_the_store_does_the_work(tmp_path, host):
    hosts = module("hosts")
    hosts.build()
    image = tmp_path / "a.img"
    hosts.make_image(image, "64M", filled=True)
    assert hosts.store(host, "commit_1000", image, OBJECTS) > 0
    for work in ("load_all", "open"):
        assert hosts.store(host, work, image, OBJECTS) > 0
    hosts.make_image(image, "64M")
    for work, count in (("commit_1", 20), ("nothing", OBJECTS), ("nothing_encoded", OBJECTS)):
        assert hosts.store(host, work, image, count) > 0
    check = [sys.executable, "-I", "-m", "khoros.diskutil.cli", "check", image]
    assert subprocess.run(check, capture_output=True).returncode == 0


def test_both_readers_find_the_same():
    reading = module("reading")
    payloads = [reading.payload(0), reading.payload(1)]
    assert reading.index(payloads) == reading.index_by_schema(payloads, reading.ENTRY_HEADER.compile()) == 3000
    assert reading.decode(payloads) == reading.decode_by_schema(payloads, reading.grammar()) == 9000


def test_the_disk_is_measured_in_the_guest(tmp_path):
    """Ours and the peer's figures of every row, each with its least and greatest."""
    disk = module("disk")
    rows = {name: (ours, peer) for name, ours, peer, _, _ in disk.measure(set(disk.NAMES), tmp_path)}
    assert set(rows) == set(disk.NAMES)
    for ours, peer in rows.values():
        assert 0 < ours.least <= ours.median <= ours.greatest and 0 < peer.least <= peer.median <= peer.greatest


def test_pictures_show_every_row_on_its_side():
    plots = module("plots")
    rows = [{"name": "better", "ratio": 4.0}, {"name": "worse", "ratio": 0.5}, {"name": "as <good>", "ratio": 1.0}]
    drawn = ElementTree.fromstring(plots.throughput(rows, "title"))
    bars = [rect for rect in drawn.iter(SVG + "rect") if rect.get("height") == "15"]
    middle = float(next(drawn.iter(SVG + "line")).get("x1") or 0)
    assert [float(bar.get("x") or 0) >= middle for bar in bars] == [True, False, True]
    assert [bar.get("fill") for bar in bars] == [plots.GOOD, plots.BAD, plots.GOOD]
    assert {"better", "worse", "as <good>", "4.00", "0.50"} <= {text.text for text in drawn.iter(SVG + "text")}


def test_a_curve_goes_right_with_the_objects_and_up_with_the_cost():
    plots = module("plots")
    curves = [{"what": "open", "objects": 10**power, "value": 10.0 ** (power - 6)} for power in (3, 4, 6)]
    drawn = ElementTree.fromstring(plots.growth(curves, "title"))
    (line,) = drawn.iter(SVG + "polyline")
    points = [tuple(map(float, point.split(","))) for point in (line.get("points") or "").split()]
    assert points == sorted(points) and [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert len(points) == 3


def test_costs_by_size_are_measured_for_each(tmp_path):
    curves = module("curves")
    found = list(curves.measure(tmp_path, {1000: "16M"}))
    assert {what for what, _, _, _ in found} == {*curves.FLAT, *curves.LINEAR}
    assert all(count == 1000 and value > 0 and unit == "s" for _, count, value, unit in found)


def test_pictures_come_from_the_json_of_runs(tmp_path):
    main = runpy.run_path(str(BENCH / "__main__.py"))
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_text(json.dumps({"results": [{"name": "a", "ratio": 2.0}], "figures": [{"what": "x", "value": 1, "unit": "s"}]}))
    figures = [{"what": "open", "objects": count, "value": 0.1, "unit": "s"} for count in (10, 100)]
    other.write_text(json.dumps({"results": [], "figures": figures}))
    main["draw_pictures"]((one, other), tmp_path)
    assert ">a<" in (tmp_path / "throughput.svg").read_text()
    assert ">open<" in (tmp_path / "growth.svg").read_text()


def test_guest_takes_no_names():
    done = bench("--guest", "commit_1")
    assert done.returncode == 1
    assert "take no NAME" in done.stderr


def test_works_are_timed_between_their_begin_and_end():
    in_guest = module("in_guest")
    taken = in_guest.works("sh", "-c", "echo begin one; sleep 0.2; echo end one 7; echo begin two; echo end two 1")
    assert {name: work.objects for name, work in taken.items()} == {"one": 7, "two": 1}
    assert taken["one"].seconds >= 0.2
    with pytest.raises(click.ClickException, match="ended with 3"):
        in_guest.works("sh", "-c", "exit 3")


@pytest.mark.guest
@pytest.mark.usefixtures("kernel")
def test_the_guest_does_its_works(tmp_path):
    in_guest, hosts = module("in_guest"), module("hosts")
    image = tmp_path / "a.img"
    hosts.make_image(image, "16M")
    run = [*in_guest.RUN, "--disk", image]
    made = in_guest.works(*run, in_guest.program("objects.lua", tmp_path, COUNT=1000, UPDATES=1000, COMMITS=3))
    assert {name: work.objects for name, work in made.items()} == {"commit_1": 3, "insert_1000": 1000, "update_1000": 1000}
    found = in_guest.works(*run, in_guest.program("reading.lua", tmp_path, COUNT=1000))
    assert set(made) | set(found) == set(in_guest.LINUX)
