"""lua/drivers/keyboard over a modelled i8042: keys in, what a terminal sends out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drivers.results import DriverError, result
from tests.support.i8042_model import I8042
from tests.support.machine import Machine


class Keyboard:
    """Machine, controller and driver. `press` and `release` take codes of set 1, 0xE0xx for extended keys."""

    def __init__(self, *, irq: bool = True, layout: Any = None, **model: Any) -> None:
        self.machine = Machine()
        self.interrupt, capability = self.machine.interrupt()
        self.model = I8042(self.machine, self.interrupt, **model)
        self.acted: list[Any] = []
        actions = self.machine.lua.table_from(
            {b"scroll": lambda pages: self.acted.append(pages), b"reboot": lambda: self.acted.append("reboot")})
        self.driver = result(self.machine.require("drivers.keyboard")[b"new"](self.machine.parts(
            ports=self.machine.ports(self.model, 5), irq=capability if irq else None, layout=layout, actions=actions)))

    def press(self, code: int) -> None:
        self.model.key(*([0xE0, code & 0xFF] if code > 0xFF else [code]))

    def release(self, code: int) -> None:
        self.press(code | 0x80)

    def read(self) -> bytes:
        return self.driver[b"read"]()

    def type(self, *codes: int) -> bytes:
        """The last one pressed and released while the others are held."""
        for code in codes:
            self.press(code)
        for code in reversed(codes):
            self.release(code)
        return self.read()


SHIFT, RIGHT_SHIFT, CONTROL, ALT, ALT_GR, CAPS, NUM = 0x2A, 0x36, 0x1D, 0x38, 0xE038, 0x3A, 0x45
A, C, Q, TWO, SPACE, ENTER, TAB, ESCAPE, BACKSPACE = 0x1E, 0x2E, 0x10, 0x03, 0x39, 0x1C, 0x0F, 0x01, 0x0E
UP, LEFT, HOME, END, PAGE_UP, PAGE_DOWN, INSERT, DELETE = 0xE048, 0xE04B, 0xE047, 0xE04F, 0xE049, 0xE051, 0xE052, 0xE053
F1, F5, F12, KP_7, KP_DOT, KP_ENTER, KP_SLASH = 0x3B, 0x3F, 0x58, 0x47, 0x53, 0xE01C, 0xE035


@pytest.mark.parametrize("codes, expected", [
    ((A,), b"a"), ((SHIFT, A), b"A"), ((RIGHT_SHIFT, TWO), b"@"), ((CONTROL, C), b"\x03"), ((CONTROL, SHIFT, C), b"\x03"),
    ((0xE01D, C), b"\x03"), ((CONTROL, SPACE), b"\0"), ((CONTROL, 0x1A), b"\x1b"), ((CONTROL, 0x2B), b"\x1c"),
    ((CONTROL, 0x35), b"\x1f"), ((ALT, A), b"\x1ba"), ((ALT_GR, A), b"\x1ba"), ((ALT, CONTROL, C), b"\x1b\x03"),
    ((ENTER,), b"\r"), ((KP_ENTER,), b"\r"), ((TAB,), b"\t"), ((SHIFT, TAB), b"\x1b[Z"), ((ESCAPE,), b"\x1b"),
    ((BACKSPACE,), b"\x7f"), ((CONTROL, BACKSPACE), b"\x08"), ((ALT, BACKSPACE), b"\x1b\x7f"),
    ((UP,), b"\x1b[A"), ((CONTROL, LEFT), b"\x1b[1;5D"), ((SHIFT, UP), b"\x1b[1;2A"), ((HOME,), b"\x1b[H"), ((END,), b"\x1b[F"),
    ((PAGE_UP,), b"\x1b[5~"), ((PAGE_DOWN,), b"\x1b[6~"), ((INSERT,), b"\x1b[2~"), ((DELETE,), b"\x1b[3~"),
    ((CONTROL, DELETE), b"\x1b[3;5~"), ((F1,), b"\x1bOP"), ((SHIFT, F1), b"\x1b[1;2P"), ((F5,), b"\x1b[15~"), ((F12,), b"\x1b[24~"),
    ((KP_7,), b"7"), ((SHIFT, KP_7), b"\x1b[1;2H"), ((KP_DOT,), b"."), ((KP_SLASH,), b"/"), ((0x4E,), b"+"),
])
def test_keys(codes, expected):
    assert Keyboard().type(*codes) == expected


def test_letting_go_of_a_modifier_ends_it():
    keys = Keyboard()
    assert keys.type(SHIFT, A) + keys.type(A) == b"Aa"
    # Both shifts held, one let go: still shifted.
    keys.press(SHIFT)
    keys.press(RIGHT_SHIFT)
    keys.release(SHIFT)
    assert keys.type(A) == b"A"
    keys.release(RIGHT_SHIFT)
    assert keys.type(A) == b"a"


def test_caps_lock_shifts_letters_only_and_lights_its_led():
    keys = Keyboard()
    assert keys.model.leds == 0b010
    for _ in range(3):
        keys.press(CAPS)           # held: it repeats
    keys.release(CAPS)
    assert keys.type(A) + keys.type(TWO) + keys.type(SHIFT, A) == b"A2a" and keys.model.leds == 0b110
    keys.type(CAPS)
    assert keys.type(A) == b"a" and keys.model.leds == 0b010 and keys.model.violations == []


def test_num_lock():
    keys = Keyboard()
    keys.type(NUM)
    assert keys.type(KP_7) == b"\x1b[H" and keys.type(KP_DOT) == b"\x1b[3~" and keys.model.leds == 0
    keys.type(NUM)
    assert keys.type(KP_7) == b"7"


def test_a_key_during_a_command_to_the_keyboard_is_not_lost():
    keys = Keyboard()
    keys.machine.at(600_000, lambda: keys.model.key(A, A | 0x80))
    assert keys.type(CAPS) + keys.read() == b"A"


def test_german_layout():
    keys = Keyboard(layout=b"de")
    assert keys.type(0x15).decode() == "z" and keys.type(0x1A).decode() == "ü" and keys.type(SHIFT, 0x27).decode() == "Ö"
    assert keys.type(ALT_GR, Q).decode() == "@" and keys.type(ALT_GR, 0x12).decode() == "€" and keys.type(ALT_GR, A) == b""
    assert keys.type(CONTROL, 0x15) == b"\x1a"


def test_an_unknown_layout_is_wrong_use():
    with pytest.raises(Exception, match="no such keyboard layout"):
        Keyboard(layout=b"klingon")


def test_actions_instead_of_bytes():
    keys = Keyboard()
    assert keys.type(SHIFT, PAGE_UP) == b"" and keys.type(SHIFT, PAGE_DOWN) == b""
    assert keys.type(CONTROL, ALT, DELETE) == b""
    assert keys.acted == [1, -1, "reboot"]


def test_pause_break_and_unknown_codes_are_harmless():
    keys = Keyboard()
    keys.model.key(0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5)       # Pause
    keys.model.key(0xE0, 0x2A, 0xE0, 0x37, 0xE0, 0xB7, 0xE0, 0xAA)      # Print Screen with its false shifts
    keys.model.key(0x7F, 0xE0, 0x01, 0x00, 0xFF)
    assert keys.read() == b""
    assert keys.type(CONTROL, 0xE046) == b"\x03"
    assert keys.type(A) == b"a"


def test_the_mouse_is_not_typed():
    keys = Keyboard()
    keys.model.mouse(A, A, A)
    assert keys.read() == b"" and keys.type(A) == b"a"


@pytest.mark.parametrize("fault", [{"absent": True}, {"mute": True}, {"no_keyboard": True}, {"resend": 99}])
def test_absence(fault):
    machine = Machine()
    model = I8042(machine, **fault)
    with pytest.raises(DriverError) as failure:
        result(machine.require("drivers.keyboard")[b"new"](machine.parts(ports=machine.ports(model, 5))))
    assert failure.value.code == "absent" and machine.seconds < 0.15


def test_stale_bytes_and_resend():
    keys = Keyboard(stale=[A] * 16, resend=1)
    assert keys.read() == b"" and keys.type(A) == b"a"


@pytest.mark.parametrize("irq", [True, False])
def test_waiting(irq):
    keys = Keyboard(irq=irq)
    with pytest.raises(DriverError) as failure:
        result(keys.driver[b"wait"](0.5))
    assert failure.value.code == "timeout"
    keys.machine.at(300_000_000, lambda: keys.model.key(A))
    before = keys.machine.seconds
    assert result(keys.driver[b"wait"](5)) is True and keys.read() == b"a"
    assert keys.machine.seconds - before < 0.35


@given(st.lists(st.integers(0, 255), max_size=200))
def test_any_codes_give_valid_text(codes):
    keys = SHARED
    keys.model.key(*codes)
    text = b""
    while some := keys.read():
        text += some
    text.decode("utf-8")


SHARED = Keyboard()


def test_every_key_of_a_pc_keyboard_types_something():
    keys = Keyboard()
    silent = [code for code in range(1, 0x59)
              if code not in (SHIFT, RIGHT_SHIFT, CONTROL, ALT, CAPS, NUM, 0x46, 0x54, 0x55) and keys.type(code) == b""]
    assert silent == []
