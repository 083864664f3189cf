"""Lines of Python: which of a file can be executed, and which are, told by the interpreter's trace function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any


def executable(text: str) -> set[int]:
    """The lines of a text that hold code; not those of docstrings, and not `def` lines, which importing executes."""
    lines: set[int] = set()
    waiting = [compile(text, "text", "exec", dont_inherit=True)]
    while waiting:
        code = waiting.pop()
        lines |= {line for _, _, line in code.co_lines() if line and line != code.co_firstlineno}
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return lines


def watch(wanted: Callable[[str], bool], report: Callable[[str, int], None]) -> None:
    """From now on `report` gets file name and number of each line that is executed in a file that is `wanted`. A function of which all
    lines were reported is not looked at any more, so that loops do not take long."""
    left: dict[CodeType, set[int]] = {}

    def of_function(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            lines = left[frame.f_code]
            if frame.f_lineno in lines:
                lines.discard(frame.f_lineno)
                report(frame.f_code.co_filename, frame.f_lineno)
        return of_function

    def of_call(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if code not in left:
            lines = {line for _, _, line in code.co_lines() if line}
            left[code] = lines if wanted(code.co_filename) else set()
        return of_function if left[code] else None

    sys.settrace(of_call)
