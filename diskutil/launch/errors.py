"""What can go wrong around a machine: one line for the user, and the exit status.

Expected failures (no QEMU, an image in use, a guest that dies) are raised as `LaunchError` and become one line on
stderr at the command's boundary; anything else is a mistake of ours and keeps its traceback.
"""

from __future__ import annotations

from khoros.diskutil.errors import KhorosError


class LaunchError(KhorosError):
    """{reason}"""

    code = "launch"

    def __init__(self, reason: str) -> None:
        """The machine could not be started, or ended before it said how; `reason` is the one line."""
        super().__init__(reason=reason)


class GuestTimeout(LaunchError):
    """{reason}"""

    exit_code = 124
    code = "timeout"
