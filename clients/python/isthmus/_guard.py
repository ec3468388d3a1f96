"""The lock of a cell, while it is held; and following what others store in it."""

from __future__ import annotations

import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, AsyncIterator, Iterator, Optional, Tuple, Union

from ._cell_bells import WANTS_CHANGE
from ._system import deadline_of, timed_out
from .errors import Closed

if TYPE_CHECKING:
    from .cell import Cell


class Guard:
    """The lock of a cell, as long as this thread has it."""

    def __init__(self, cell: "Cell", owner_died: bool) -> None:
        self._cell: "Optional[Cell]" = cell
        #: Whether the one who had it before died, or did not finish its write. The value is the last whole one.
        self.owner_died = owner_died
        self._value: Any = None
        self._known = False
        self._set = False
        self._before = b""

    def _held_cell(self) -> "Cell":
        if self._cell is None or self._cell.closed:
            raise Closed("Cannot use a guard: its lock was given back")
        return self._cell

    @property
    def value(self) -> Any:
        """The value. What is changed in it, or set, is stored when the lock is given back."""
        cell = self._held_cell()
        if not self._known:
            self._value = cell._decode(cell.read_bytes())
            self._before = cell._encode(self._value)
            self._known = True
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        self._held_cell()._encode(value)  # what cannot be stored is an error here
        self._value, self._known, self._set = value, True, True

    def release(self) -> None:
        """Stores what was changed, and gives the lock back."""
        cell = self._held_cell()
        try:
            if self._known:
                data = cell._encode(self._value)
                if data != (cell.read_bytes() if self._set else self._before):
                    cell._write(data)
        finally:
            self._cell = None
            cell._unlock()

    def abandon(self) -> None:
        """Gives the lock back without the changes."""
        cell = self._held_cell()
        self._cell = None
        cell._unlock()

    def __enter__(self) -> "Guard":
        return self

    def __del__(self) -> None:
        cell = getattr(self, "_cell", None)
        if cell is not None and cell._holder == threading.get_native_id() and not cell.closed:
            self.abandon()
            warnings.warn(
                f"A guard of {cell!r} was forgotten: its lock was given back",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def __exit__(self, kind: object, *_: object) -> None:
        if self._cell is not None and not self._cell.closed:
            # What a block changed before it failed is not stored.
            self.release() if kind is None else self.abandon()


class Watch:
    """The changes of a cell; see :meth:`Cell.watch`."""

    def __init__(self, cell: "Cell", timeout: Optional[float]) -> None:
        self._cell, self._timeout = cell, timeout
        self._counter, self._last = cell._look()

    def _change(self) -> Union[Tuple[Any], Tuple[()]]:
        counter, data = self._cell._look()
        if counter >> 1 == self._counter >> 1:
            return ()
        self._counter = counter
        if data == self._last:
            return ()
        self._last = data
        return (self._cell._decode(data),)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        cell, deadline = self._cell, deadline_of(self._timeout)
        while not cell.closed:
            try:
                cell._arm(WANTS_CHANGE)  # the bell first, then the value: a change after the look rings
                found = self._change()
            except Closed:
                break  # by another thread
            if found:
                cell._bells.disarm(WANTS_CHANGE)
                return found[0]
            now = time.monotonic()
            if now >= deadline:
                raise timed_out(f'Cannot watch the cell "{cell.name}"', self._timeout)
            until = min(deadline, now + cell._pause())
            cell._rung_sync(until)
        raise StopIteration

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        cell = self._cell
        while not cell.closed:
            cell._arm(WANTS_CHANGE)
            found = self._change()
            if found:
                return found[0]
            await cell._rung(time.monotonic() + cell._pause())
        raise StopAsyncIteration
