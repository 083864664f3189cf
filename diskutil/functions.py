"""Functions of the store as Python sees them: source text and upvalues, never run (SPEC 7, KIND_FUNCTION).

A function is kept as it is: it can be looked into, assigned to another place of the same image, and committed there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khoros.formats import constants as C

from . import kinds
from .errors import ObjectError
from .values import LongString, LuaObject

if TYPE_CHECKING:
    from .image import Session
    from .reader import StoredObject


class LuaFunction(LuaObject):
    """A Lua function. What it is made of is read when it is asked for."""

    def __init__(self, stored: StoredObject, session: Session) -> None:
        super().__init__(stored.id, stored.kind, stored.payload, session)
        self._bound = session
        self._function = session.decoded(stored, kinds.decode_function)

    def _chunk(self) -> kinds.Chunk:
        stored = self._bound.store.node(self._function.chunk, C.KIND_CHUNK)
        return self._bound.decoded(stored, kinds.decode_chunk)

    @property
    def chunk_name(self) -> str | bytes:
        """The name of the chunk that it was compiled from, as Lua's `load` takes it."""
        return self._chunk().name

    @property
    def text(self) -> str | bytes:
        """The whole source text of that chunk."""
        text = self._chunk().text
        return self._bound.string(text.id) if isinstance(text, LongString) else text

    @property
    def prototype(self) -> int:
        """Which of the chunk's functions it is, in the order in which they begin; 0 is the chunk itself."""
        return self._function.prototype

    @property
    def release(self) -> str | bytes:
        """The `_VERSION` of the Lua that compiled it."""
        return self._function.release

    @property
    def upvalues(self) -> list[Any]:
        """The values of its upvalues, in Lua's order; None for nil."""
        values = []
        for identity in self._function.cells:
            stored = self._bound.store.node(identity, C.KIND_CELL)
            values.append(self._bound.outer(self._bound.decoded(stored, kinds.decode_cell)))
        return values

    def __repr__(self) -> str:
        try:
            return f"<LuaFunction {self.id}: function {self.prototype} of {self.chunk_name!r}>"
        except ObjectError:
            return f"<LuaFunction {self.id}>"
