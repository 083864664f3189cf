"""Sessions with the guest in documents: typed on the serial line of a real machine, answers compared.

    > 6 * 7                 typed; what is printed up to the next prompt is compared
    >> …                    the next row of an entry that is not finished
    ^C                      as the first line of an answer: Ctrl-C is pressed while the entry runs
    > reboot()              the machine starts again; what it shows up to the prompt is the answer
    > poweroff()            it switches itself off
    > ^]x                   the power is cut: QEMU is killed at once
    $ ./khoros run …        switches a machine on, with --disk FILE or khoros.img; what it shows up to the prompt is the answer
    $ …                     any other command runs in a shell
A document that switches a machine on has that one; the others share one that is on.
"""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

from khoros.diskutil.launch import images
from tests.documents.blocks import Block, Step, compare, run_command, steps
from tests.support.guest import Guest, plain

CONTINUATION = re.compile(rb">> (?:\x1b\[[0-9;?]*[A-Za-z])*\Z")
STARTED = re.compile(rb"\x1b\[\?2004l")
# How the shell shows an error: in a chunk that was typed, or one of the store's.
FAILURE = re.compile(r"^(stdin:\d+:|cannot |nothing can be saved)", re.MULTILINE)
WIDEST_ROW = 78


def switches_on(found: list[Block]) -> bool:
    """Whether a document starts a machine of its own."""
    return any(step.command.startswith("./khoros run") and "-e" not in step.command
               for block in found if block.language == "khoros" for step in steps(block.text, ["$ ", "> "]))


class Sessions:
    """The sessions of one document, one after the other, on one machine."""

    def __init__(self, folder: Path, guest: Guest | None = None) -> None:
        self.folder, self.guest = folder, guest
        self.own: list[Guest] = []

    def run(self, text: str) -> None:
        """Run one block."""
        for step in steps(text, ["$ ", "> "]):
            if step.prompt == "> ":
                assert max(map(len, step.command.split("\n"))) < WIDEST_ROW, f"wider than the screen: {step.command}"
                compare(step, self._enter(step))
            elif step.command.startswith("./khoros run") and " -e " not in step.command:
                compare(step, self._switch_on(step.command))
            else:
                run_command(step, self.folder)

    def type_rows(self, text: str) -> None:
        """Type the rows of one block; AssertionError where one fails."""
        for row in text.splitlines():
            answer = self._enter(Step("> ", row, []))
            assert not FAILURE.search("\n".join(answer)), f"> {row}\n{answer}"

    def close(self) -> None:
        """Switch off what was switched on."""
        for guest in self.own:
            guest.close()

    def _switch_on(self, command: str) -> list[str]:
        words = shlex.split(command)
        named = [word for before, word in itertools.pairwise(words) if before == "--disk"]
        disks = [self.folder / name for name in named or ["khoros.img"]]
        for disk in disks:
            images.prepare(disk, lambda text: None)
        self.guest = Guest(disks=disks, log=self.folder / f"guest-{len(self.own)}.log",
                           strings={"options": "safe=1\n"} if "--safe" in words else None)
        self.own.append(self.guest)
        self.guest.start()
        return self._banner()

    def _banner(self) -> list[str]:
        assert self.guest is not None
        before = len(self.guest.output)
        self.guest.expect_prompt()
        return plain(bytes(self.guest.output[before:])).splitlines()[:-1]

    def _enter(self, step: Step) -> list[str]:
        guest = self.guest
        assert guest is not None, "no machine is on: the document begins with `$ ./khoros run`, or starts none"
        if step.command == "^]x":
            guest.kill()
            return []
        if step.command in ("poweroff()", 'poweroff "now"'):
            guest.send(step.command + "\r")
            guest.wait_for_power_off()
            return []
        if step.command in ("reboot()", 'reboot "now"'):
            guest.send(step.command + "\r")
            guest.expect("Khoros ")
            guest._read_to -= len("Khoros ")
            return self._shown_up_to_prompt(guest)
        if step.answer[:1] == ["^C"]:
            return self._interrupt(guest, step.command)
        *rows, last = step.command.split("\n")
        for row in rows:
            guest.send(row + "\r")
            guest.expect(CONTINUATION)
        return guest.enter(last).expandtabs().splitlines()

    def _shown_up_to_prompt(self, guest: Guest) -> list[str]:
        start = guest._read_to
        guest.expect_prompt()
        return plain(bytes(guest.output[start:guest._read_to])).expandtabs().splitlines()[:-1]

    def _interrupt(self, guest: Guest, entry: str) -> list[str]:
        guest.send(entry + "\r")
        guest.expect(STARTED)
        # The entry has begun when its echo is over; what Ctrl-C stops must have had a moment to run.
        guest.wait(0.3)
        guest.send(b"\x03")
        return ["^C", *[row for row in self._shown_up_to_prompt(guest) if row]]
