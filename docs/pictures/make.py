"""Makes the pictures of the documents from the running system: `./khoros python docs/pictures/make.py [FOLDER]`.

    screen.png           the VGA screen, as QEMU dumps it
    *.cast               sessions on the serial line as asciicast v2, for `asciinema play`
    *.svg of each cast   the same, animated, for a browser; no script in it
    map.svg              what `khoros-disk map` draws of the image of a session

Nothing here is drawn by hand. What the guest writes is real; the times are those of a reader, not of the machine, so that
the same system gives the same files.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

import pyte

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from tests.support.guest import Guest  # noqa: E402  (the tests' machine is not on the path before)

COLUMNS, ROWS = 80, 25
POWER_CUT = "^]x"
# What a reader needs: seconds for some typed characters, for an answer, at the end.
TYPED_AT_ONCE, TYPING_SECONDS, ANSWER_SECONDS, LAST_SECONDS = 4, 0.18, 1.2, 4.0
CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.4, 17, 12

SCREEN = [
    'root.ship = {name = "Argo", fuel = 7, crew = {"Jason", "Orpheus"}}',
    'commit "first ship"',
    'root.ship.fuel = 5; root.ship.crew[3] = "Medea"',
    "changes()",
    'commit "on the way"',
    'at("t1").ship',
    "p = spawn(function() while true do end end)",
    "ps()",
    "kill(p)",
]
SESSIONS = {
    "survives": [
        'root.ship = {name = "Argo", fuel = 7, crew = {"Jason", "Orpheus"}}',
        'commit "first ship"',
        "root.ship.fuel = 5",
        "changes()",
        'commit "on the way"',
        POWER_CUT,
        "root.ship",
        'at("t1").ship.fuel',
        'undo "t2"',
        "root.ship.fuel",
    ],
    "processes": [
        "function count(n) for i = 1, n do root[i] = i * i end commit() end",
        "p = spawn(count, {args = {1000}, store = true})",
        "q = spawn(function() while true do end end)",
        "ps()",
        "wait(p)",
        "kill(q)",
        "refresh()",
        "root[1000]",
        "root.f = coroutine.create(count)",
        "commit()",
        "abort()",
    ],
}


class Recorder:
    """Events of one cast: what the guest writes, with the times of a reader."""

    def __init__(self, guest: Guest) -> None:
        self.guest, self.now = guest, 0.0
        self.events: list[tuple[float, str]] = []
        self.taken = 0

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def add(self, text: str) -> None:
        if text:
            self.events.append((round(self.now, 2), text))

    def take(self) -> None:
        """What the guest has written since the last time."""
        # How a terminal is asked for its width is nothing to see.
        text = bytes(self.guest.output[self.taken:]).decode().replace("\x1b[999C\x1b[6n\r", "")
        self.taken = len(self.guest.output)
        self.add(text)

    def type(self, entry: str) -> None:
        for place in range(0, len(entry), TYPED_AT_ONCE):
            self.pause(TYPING_SECONDS)
            before = len(self.guest.output)
            self.guest.send(entry[place:place + TYPED_AT_ONCE])
            while len(self.guest.output) == before:
                self.guest.wait(0.05)
            self.guest.wait(0.05)
            self.take()
        self.pause(TYPING_SECONDS)
        self.guest.send("\r")
        self.guest.expect(rb"\x1b\[\?2004l")
        self.guest.expect_prompt()
        self.pause(ANSWER_SECONDS / 4)
        self.take()
        self.pause(ANSWER_SECONDS)


def record(entries: list[str], image: Path) -> list[tuple[float, str]]:
    """The events of a session on a new image."""
    subprocess.run([sys.executable, "-m", "khoros.diskutil.cli", "mkfs", image, "-s", "64M"], check=True,
                   capture_output=True)
    guest = Guest(disks=[image])
    recorder = Recorder(guest)
    guest.start()
    guest.expect_prompt()
    recorder.take()
    recorder.pause(ANSWER_SECONDS)
    for entry in entries:
        if entry != POWER_CUT:
            recorder.type(entry)
            continue
        guest.close()
        recorder.add("\r\n\x1b[7m the power is cut, and comes back \x1b[0m\r\n\r\n")
        recorder.pause(2 * ANSWER_SECONDS)
        guest = recorder.guest = Guest(disks=[image])
        recorder.taken = 0
        guest.start()
        guest.expect_prompt()
        recorder.take()
        recorder.pause(ANSWER_SECONDS)
    guest.close()
    return recorder.events


def cast(title: str, events: list[tuple[float, str]]) -> str:
    """An asciicast v2."""
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": title}
    rows = [header, *([time, "o", text] for time, text in events)]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def shown_rows(events: list[tuple[float, str]]) -> tuple[list[tuple[int, str, float, float]], float]:
    """(row, text, from, to) of everything that the screen shows in the course of a cast, and how long it takes."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    end = events[-1][0] + LAST_SECONDS
    began: dict[int, tuple[str, float]] = {}
    spans = []
    for time, text in events:
        stream.feed(text)
        for number, row in enumerate(screen.display):
            before, since = began.get(number, ("", 0.0))
            if row.rstrip() != before:
                if before:
                    spans.append((number, before, since, time))
                began[number] = (row.rstrip(), time)
    spans += [(number, row, since, end) for number, (row, since) in began.items() if row]
    return spans, end


def animated(title: str, events: list[tuple[float, str]]) -> str:
    """A cast as an SVG that plays by itself, again and again; where motion is not wanted it shows the end."""
    spans, end = shown_rows(events)
    last_row = max(number for number, *_ in spans)
    width, height = COLUMNS * CELL_WIDTH + 2 * MARGIN, (last_row + 1) * CELL_HEIGHT + 2 * MARGIN
    frames, texts = [], []
    for place, (number, row, since, until) in enumerate(spans):
        start, stop = 100 * since / end, 100 * until / end
        hidden = f"0%,{start:.2f}%{{visibility:hidden}}" if start else ""
        gone = f"{stop:.2f}%,100%{{visibility:hidden}}" if until < end else ""
        begins = f"{start + 0.001:.3f}%" if start else "0%"
        frames.append(f"@keyframes k{place}{{{hidden}{begins},{min(stop - 0.001, 100):.3f}%{{visibility:visible}}{gone}}}")
        kind = ' class="end"' if until == end else ""
        texts.append(f'<text{kind} x="{MARGIN}" y="{MARGIN + (number + 0.8) * CELL_HEIGHT:.0f}" xml:space="preserve" '
                     f'style="animation-name:k{place}">{escape(row)}</text>')
    style = ("text{font:14px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#d8dee9;visibility:hidden;"
             f"animation-duration:{end:.1f}s;animation-iteration-count:infinite;animation-timing-function:step-end}}"
             "@media (prefers-reduced-motion:reduce){text{animation:none!important}.end{visibility:visible}}")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" role="img"><title>{escape(title)}</title><style>{style}{"".join(frames)}</style>\n'
            f'<rect width="100%" height="100%" rx="6" fill="#1b1f27"/>\n' + "\n".join(texts) + "\n</svg>\n")


def screen(file: Path, image: Path) -> None:
    """The screen after a session, as QEMU's monitor dumps it."""
    subprocess.run([sys.executable, "-m", "khoros.diskutil.cli", "mkfs", image, "-s", "64M"], check=True,
                   capture_output=True)
    with Guest(disks=[image]) as guest:
        guest.expect_prompt()
        for entry in SCREEN:
            guest.enter(entry)
        # The screen follows the serial line within a moment.
        guest.wait(1.0)
        guest.screenshot(file.resolve())


TITLES = {"survives": "Objects that survive a power cut", "processes": "Processes, and what cannot be saved"}


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        screen(folder / "screen.png", Path(temporary) / "screen.img")
        for name, entries in SESSIONS.items():
            image = Path(temporary) / f"{name}.img"
            events = record(entries, image)
            (folder / f"{name}.cast").write_text(cast(TITLES[name], events))
            (folder / f"{name}.svg").write_text(animated(TITLES[name], events))
        subprocess.run([sys.executable, "-m", "khoros.diskutil.cli", "map", "processes.img", "--svg",
                        folder.resolve() / "map.svg"], check=True, cwd=temporary)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
