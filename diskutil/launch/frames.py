"""Frames of the second serial port (COM2): what the guest says beside a program's output.

    'K' 'F'  type  length (u32 LE)  payload  crc32c (u32 LE, over type, length and payload)

type 'e': text for stderr; 'b': a warning of the boot, for stderr; 'x': the exit status, one byte, the last frame.

Only the guest's runner writes to COM2, never the program that it runs: so neither text nor status can be forged by
what a program prints. A frame that does not check is therefore a broken guest, and everything after it is unknown:
the decoder raises `BadFrame` and takes nothing more.
"""

from __future__ import annotations

import struct

import google_crc32c

MAGIC = b"KF"
HEADER = struct.Struct("<2scI")
CHECKSUM = struct.Struct("<I")
TYPES = frozenset((b"e", b"b", b"x"))
PAYLOAD_LIMIT_BYTES = 16 << 20


class BadFrame(ValueError):
    """A frame does not check; the message says where, what was expected and what was found."""


def encode(kind: bytes, payload: bytes) -> bytes:
    """One frame, as the guest writes it (the tests' side of the protocol)."""
    header = HEADER.pack(MAGIC, kind, len(payload))
    checksum = google_crc32c.value(header[len(MAGIC) :] + payload)
    return header + payload + CHECKSUM.pack(checksum)


class Decoder:
    """Takes the bytes of COM2 in pieces of any size and gives whole frames."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._offset = 0

    @property
    def pending_bytes(self) -> int:
        """How many bytes of an unfinished frame have come."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """(type, payload) of every frame that `data` completes. Raises BadFrame."""
        self._pending += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> tuple[bytes, bytes] | None:
        """Take one whole frame off the pending bytes; None while it has not all come."""
        pending = self._pending
        # A wrong start is said at once: waiting for the rest of a header that is none could take for ever.
        if not MAGIC.startswith(bytes(pending[:2])):
            raise self._bad("magic", MAGIC.hex(), bytes(pending[:2]).hex())
        if len(pending) < HEADER.size:
            return None
        _, kind, length = HEADER.unpack_from(pending)
        if kind not in TYPES:
            raise self._bad("type", "e, b or x", repr(kind)[1:])
        if length > PAYLOAD_LIMIT_BYTES:
            raise self._bad("length", f"at most {PAYLOAD_LIMIT_BYTES}", str(length))
        end = HEADER.size + length
        if len(pending) < end + CHECKSUM.size:
            return None
        (found,) = CHECKSUM.unpack_from(pending, end)
        expected = google_crc32c.value(bytes(pending[len(MAGIC) : end]))
        if found != expected:
            raise self._bad("CRC32C", f"{expected:#010x}", f"{found:#010x}")
        if kind == b"x" and length != 1:
            raise self._bad("length of a status", "1", str(length))
        payload = bytes(pending[HEADER.size : end])
        del pending[: end + CHECKSUM.size]
        self._offset += end + CHECKSUM.size
        return kind, payload

    def _bad(self, what: str, expected: str, found: str) -> BadFrame:
        return BadFrame(
            f"bad frame on COM2 at byte {self._offset}: {what}: expected {expected}, found {found}"
        )
