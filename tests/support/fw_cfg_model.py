"""QEMU's fw_cfg device: selector, data, directory."""

from __future__ import annotations

import struct


class FwCfg:
    """`files`: name → bytes. `present` False: the ports of a machine that is not QEMU."""

    def __init__(self, files: dict[str, bytes], *, present: bool = True, count: int | None = None) -> None:
        self.present = present
        self.items = {0: b"QEMU"}
        directory = struct.pack(">I", len(files) if count is None else count)
        for selector, (name, data) in enumerate(files.items(), start=0x20):
            self.items[selector] = data
            directory += struct.pack(">IHH56s", len(data), selector, 0, name.encode())
        self.items[0x19] = directory
        self.data, self.position = b"", 0

    def write(self, offset: int, width: int, value: int) -> None:
        assert (offset, width) == (0, 2)
        self.data, self.position = self.items.get(value, b""), 0

    def read(self, offset: int, width: int) -> int:
        assert (offset, width) == (1, 1)
        if not self.present:
            return 0xFF
        self.position += 1
        return self.data[self.position - 1] if self.position <= len(self.data) else 0
