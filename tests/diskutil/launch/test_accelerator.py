"""KVM is tried, not assumed; the answer is remembered for this host."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from khoros.diskutil.launch import accelerator
from khoros.diskutil.launch.errors import LaunchError

BOOT = Path("khoros.elf")


@pytest.fixture
def trials(tmp_path, monkeypatch):
    """A host with /dev/kvm; `trials` lists what was tried, and in `trials.working` is what works."""

    class Trials(list):
        working: ClassVar[set[str]] = {"kvm", "tcg"}

    found = Trials()

    def works(boot: Path, name: str) -> bool:
        found.append(name)
        return name in found.working

    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(accelerator, "KVM", device)
    monkeypatch.setattr(accelerator, "works", works)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def choose(requested: str) -> str:
    return accelerator.choose(requested, BOOT, lambda text: None)


def test_a_trial_that_succeeds_is_made_once(trials):
    assert [choose("auto"), choose("auto")] == ["kvm", "kvm"]
    assert trials == ["kvm"]


def test_a_trial_that_fails_is_made_once_if_the_guest_boots_without_kvm(trials):
    trials.working = {"tcg"}
    assert [choose("auto"), choose("auto")] == ["tcg", "tcg"]
    assert trials == ["kvm", "tcg"]


def test_a_guest_that_boots_nowhere_says_nothing_about_kvm(trials):
    trials.working = set()
    assert choose("auto") == "tcg"
    trials.working = {"kvm"}
    assert choose("auto") == "kvm"


def test_a_no_is_asked_again_after_a_week_a_yes_is_not(trials, monkeypatch):
    trials.working = {"tcg"}
    choose("auto")
    now = accelerator.time.time()
    monkeypatch.setattr(accelerator.time, "time", lambda: now + 8 * 24 * 3600)
    trials.working = {"kvm"}
    assert choose("auto") == "kvm"
    monkeypatch.setattr(accelerator.time, "time", lambda: now + 800 * 24 * 3600)
    assert choose("auto") == "kvm"
    assert trials == ["kvm", "tcg", "kvm"]


def test_another_host_or_a_damaged_memory_asks_again(trials, monkeypatch, tmp_path):
    choose("auto")
    monkeypatch.setattr(accelerator, "_key", lambda: "another host")
    choose("auto")
    (tmp_path / "cache/khoros/accelerator").write_bytes(b"\0\0")
    choose("auto")
    assert trials == ["kvm"] * 3


def test_a_cache_that_cannot_be_written_is_no_failure(trials, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert choose("auto") == "kvm"


def test_no_device_means_tcg_and_a_wish_for_kvm_fails(trials, monkeypatch, tmp_path):
    monkeypatch.setattr(accelerator, "KVM", tmp_path / "none")
    assert choose("auto") == "tcg"
    with pytest.raises(LaunchError, match="no KVM"):
        choose("kvm")
    assert choose("tcg") == "tcg"
    assert trials == []


def test_without_a_trial_only_what_was_found_before_is_known(trials, monkeypatch, tmp_path):
    assert accelerator.known() == "tcg"
    choose("auto")
    assert accelerator.known() == "kvm"
    monkeypatch.setattr(accelerator, "KVM", tmp_path / "none")
    assert accelerator.known() == "tcg"
    assert trials == ["kvm"]
