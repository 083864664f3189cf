"""The single authority for bytes on disk: declarative schemas, and what is generated from them.

Promise: every structure of a Khoros store is described here once. `lua/fs/layout.lua`, the tables
of SPEC.md and the fast readers of the host are derived (derive.py, generate.py); a test regenerates
the committed files and compares. Nothing here reads or writes an image.
"""

from . import constants
from .checkpoint import CHECKPOINT, SNAPSHOT
from .commit import COMMIT
from .entry import ENTRY_HEADER, POINTER
from .frame import FRAME_HEADER
from .pages import PAGE, SEGMENT_RECORD
from .superblock import SUPERBLOCK

# Name in Lua, Python and SPEC -> schema, in the order in which SPEC explains them.
STRUCTURES = {
    "superblock": SUPERBLOCK,
    "frame_header": FRAME_HEADER,
    "entry_header": ENTRY_HEADER,
    "pointer": POINTER,
    "commit": COMMIT,
    "checkpoint": CHECKPOINT,
    "snapshot": SNAPSHOT,
    "page": PAGE,
    "segment_record": SEGMENT_RECORD,
}

__all__ = [
    "CHECKPOINT",
    "COMMIT",
    "ENTRY_HEADER",
    "FRAME_HEADER",
    "PAGE",
    "POINTER",
    "SEGMENT_RECORD",
    "SNAPSHOT",
    "STRUCTURES",
    "SUPERBLOCK",
    "constants",
]
