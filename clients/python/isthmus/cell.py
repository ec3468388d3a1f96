"""A value that programs share under a name, with a lock that survives the death of its owner."""

from __future__ import annotations

import asyncio
import os
import struct
import threading
import time
from typing import Any, Callable, Dict, Optional, Tuple

from . import _bell
from ._atomics import atomics
from ._cell_atomic import AtomicCell
from ._cell_bells import WANTS_LOCK, Bells
from ._cell_file import KIND_CBOR, MAX_CAPACITY, MUTEX_OFFSET, CellFile, Header, create_cell, open_cell
from ._guard import Guard, Watch
from ._memory import Mapping
from ._mutex import RobustMutex
from ._process import OpenThing, own_identity
from ._system import close_quietly, deadline_of, timed_out
from ._trust import Trust, Trusted
from ._values import decode, encode
from ._waits import Waits
from .errors import AlreadyExists, Closed, Corrupt, Deadlock, Incompatible, IpcError, NotFound, TooLarge
from .layout import Layout, fingerprint, is_scalar, parse

_COUNTER, _LENGTHS, _WRITERS, _NAMESPACE, _REFERENCES, _STATE = 40, 48, 148, 168, 24, 28
_GONE = 2
#: Seconds between two looks of who waits: for what no bell tells, or where there is no bell.
_LOOK, _LOOK_WITHOUT_BELL = 0.075, 0.005

#: Which thread of this process holds which cell, by the file: also where it has several objects for it.
_held: Dict[Tuple[int, int], int] = {}


class Cell(OpenThing):
    """One attachment to a cell.

    Make one by :meth:`create`, :meth:`load` or :meth:`create_or_load`; close it, or use it in ``with``. The last one to
    close it, in all processes, removes it. Threads may share the object; each locks for itself.

    >>> with Cell.create_or_load("config", {"level": "info"}) as config:
    ...     config.update(lambda value: {**value, "level": "debug"})
    ...     config.read()["level"]
    'debug'
    """

    def __init__(self, file: CellFile, mapping: Mapping, header: Header, layout: Optional[Layout]) -> None:
        self.name = file.name
        #: What the values are laid out as; ``None`` for CBOR.
        self.layout = layout
        self._file = file
        #: Stays until this object goes: another thread may be reading, or waiting for the lock, when it is closed.
        self._mapping = mapping
        self._closed = False
        self._memory = mapping.view()
        self._base = mapping.address
        self._offset, self._stride, self._capacity = header.offset, header.stride, header.capacity
        self._mutex = RobustMutex(mapping.address + MUTEX_OFFSET)
        self._bells = Bells(mapping.address, file)
        status = os.fstat(file.fd)
        self._key = (status.st_dev, status.st_ino)
        self._bell_lock = threading.Lock()
        self.waits = Waits()
        #: The thread that holds the lock by this object.
        self._holder: Optional[int] = None
        atomics.store32(self._base + _REFERENCES, file.holders())
        if struct.unpack_from("=I", self._memory, _NAMESPACE)[0] != own_identity().namespace:
            atomics.store32(self._base + _NAMESPACE, 0)
        self._opened()

    # --- Making one ----------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        name: str,
        value: Any,
        *,
        layout: Optional[str] = None,
        capacity: int = 65536,
        mode: int = 0o600,
        trust: Trust = "user",
    ) -> "Cell":
        """Makes a cell.

        :param value: its first value.
        :param layout: the text of a POD layout, see :mod:`isthmus.layout`; CBOR without it.
        :param capacity: of a CBOR cell, most bytes of a value.
        :param mode: permission bits of its file.
        :raises AlreadyExists: if there is one of this name.
        """
        found = cls._make(name, value, layout, capacity, mode, trust)
        if found is None:
            raise AlreadyExists(f'Cannot create the cell "{name}": there is one already; load it, or use another name')
        return found

    @classmethod
    def load(cls, name: str, *, layout: Optional[str] = None, mode: int = 0o600, trust: Trust = "user") -> "Cell":
        """Attaches to a cell. Without a layout, one that has one is read by what its header says.

        :raises NotFound: if there is none.
        :raises Incompatible: if it has another layout.
        """
        found = cls._attach(name, layout, f'Cannot load the cell "{name}"', Trusted(trust, mode))
        if found is None:
            raise NotFound(f'Cannot load the cell "{name}": there is none; create it first')
        return found

    @classmethod
    def create_or_load(
        cls,
        name: str,
        value: Any,
        *,
        layout: Optional[str] = None,
        capacity: int = 65536,
        mode: int = 0o600,
        trust: Trust = "user",
    ) -> "Cell":
        """Does what is needed. A cell that exists keeps its value."""
        while True:
            what = f'Cannot load the cell "{name}"'
            found = cls._attach(name, layout, what, Trusted(trust, mode)) or cls._make(
                name, value, layout, capacity, mode, trust
            )
            if found is not None:
                return found

    @classmethod
    def _make(
        cls, name: str, value: Any, layout: Optional[str], capacity: int, mode: int, trust: Trust
    ) -> Optional["Cell"]:
        shape = None if layout is None else parse(layout)
        data = encode(value) if shape is None else shape.encode(value)
        capacity = capacity if shape is None else shape.size
        if not 0 < capacity <= MAX_CAPACITY:
            raise ValueError(f"Cannot make a cell with the capacity {capacity}: give 1 to {MAX_CAPACITY} bytes")
        if len(data) > capacity:
            raise TooLarge(
                f'Cannot create the cell "{name}": its value has {len(data)} bytes, its capacity is {capacity}'
            )
        made = create_cell(name, shape, capacity, data, mode, Trusted(trust, mode))
        if made is None:
            return None
        file, mapping = made
        return cls(file, mapping, Header(file.fd, file.size, f'Cannot create the cell "{name}"'), shape)

    @classmethod
    def _attach(cls, name: str, layout: Optional[str], what: str, trusted: Trusted) -> Optional["Cell"]:
        file = open_cell(name, what, trusted)
        if file is None:
            return None
        try:
            header = Header(file.fd, file.size, what)
            shape = cls._shape(header, header.text(file.fd), layout, what)
            return cls(file, file.map(), header, shape)
        except BaseException:
            file.leave()
            raise

    @staticmethod
    def _shape(header: Header, text: str, layout: Optional[str], what: str) -> Optional[Layout]:
        wanted = None if layout is None else parse(layout)
        if header.kind == KIND_CBOR:
            if wanted is not None:
                raise Incompatible(f"{what} with the layout {wanted.text}: it has CBOR values; give no layout")
            return None
        if wanted is None:
            try:
                wanted = parse(text)
            except TypeError:
                raise Incompatible(f"{what}: it does not say what its layout is; give it") from None
        fits = wanted.size == header.capacity and (header.stride == 0) == is_scalar(wanted)
        if not fits or fingerprint(wanted.text) != header.print:
            raise Incompatible(f"{what} with the layout {wanted.text}: it has the layout {text or '(unknown)'}")
        return wanted

    # --- The value ---------------------------------------------------------------------------------------------------

    def _require_open(self) -> None:
        if self._closed:
            raise Closed(f'Cannot use the cell "{self.name}": it was closed; load it again')

    def _word(self, at: int) -> int:
        return atomics.load32(self._base + at)

    def read_bytes(self) -> bytes:
        """The value as bytes, as it was at one moment. Takes no lock and waits for nobody."""
        return self._look()[1]

    def _look(self) -> Tuple[int, bytes]:
        self._require_open()
        while True:
            before = self._word(_COUNTER)
            if self._stride == 0:
                return before, self._scalar()
            place = before >> 1 & 1
            length = self._word(_LENGTHS + 4 * place)
            start = self._offset + place * self._stride
            copy = bytes(self._memory[start : start + length]) if length <= self._capacity else None
            atomics.fence()  # the copying comes before the second look
            if (self._word(_COUNTER) - (before & ~1)) & 0xFFFFFFFF > 2:
                continue  # a writer has come round to this place
            if copy is None:
                raise Corrupt(
                    f'Cannot read the cell "{self.name}": its value claims {length} of {self._capacity} bytes'
                )
            return before, copy

    def _scalar(self) -> bytes:
        at = self._base + self._offset
        if self._capacity == 8:
            return atomics.load64(at).to_bytes(8, "little")
        # The bytes around it are the cell's own, so one aligned load does for the smaller ones, too.
        return atomics.load32(at).to_bytes(4, "little")[: self._capacity]

    def _decode(self, data: bytes) -> Any:
        return decode(data) if self.layout is None else self.layout.decode(data)

    def _encode(self, value: Any) -> bytes:
        data = encode(value) if self.layout is None else self.layout.encode(value)
        if len(data) > self._capacity:
            raise TooLarge(
                f'Cannot store {len(data)} bytes in the cell "{self.name}": its capacity is {self._capacity}; create it '
                "with a larger one"
            )
        return data

    def read(self) -> Any:
        """The value, as it was at one moment. Takes no lock and waits for nobody."""
        return self._decode(self.read_bytes())

    def _write(self, data: bytes) -> None:
        """For who holds the lock: puts a value beside the current one, and switches."""
        counter = self._base + _COUNTER
        if self._stride == 0:
            at = self._offset
            if self._capacity == 8:
                atomics.exchange64(self._base + at, int.from_bytes(data, "little"))
            else:
                whole = bytearray(self._memory[at : at + 4])
                whole[: len(data)] = data
                atomics.store32(self._base + at, int.from_bytes(whole, "little"))
            atomics.add32(counter, 2)
        else:
            place = (atomics.add32(counter, 1) >> 1 & 1) ^ 1
            atomics.fence()  # who sees a byte of the new value sees the odd counter, too
            start = self._offset + place * self._stride
            self._memory[start : start + len(data)] = data
            struct.pack_into("=I", self._memory, _LENGTHS + 4 * place, len(data))
            struct.pack_into("=I", self._memory, _WRITERS + 4 * place, 0)  # not the library's own encoder
            atomics.add32(counter, 1)
        self._bells.ring_watchers()

    # --- The lock ----------------------------------------------------------------------------------------------------

    def lock(self, timeout: Optional[float] = None) -> "Guard":
        """Takes the lock; waits for it. Use the guard in ``with``: leaving it stores what was changed, and unlocks.

        :param timeout: seconds; by default as long as it takes.
        :raises Timeout: if the time was over.
        :raises Deadlock: if this thread holds it already.
        """
        deadline = deadline_of(timeout)
        self._require_free("lock")
        result = self._mutex.lock(deadline, lambda: not self._closed)
        if result == "busy":
            self._require_open()
            raise timed_out(f'Cannot lock the cell "{self.name}"', timeout)
        return self._locked(result)

    def try_lock(self) -> Optional["Guard"]:
        """The lock if it is free, else ``None``."""
        self._require_free("lock")
        result = self._mutex.try_lock()
        return None if result == "busy" else self._locked(result)

    async def lock_async(self, timeout: Optional[float] = None) -> "Guard":
        """As :meth:`lock`, without holding up the event loop: woken by a doorbell. Tasks of one thread take turns."""
        deadline = deadline_of(timeout)
        self._require_open()
        ticket: Optional[int] = None
        try:
            while True:
                if _held.get(self._key) != threading.get_native_id():
                    result = self._mutex.try_lock()
                    if result != "busy":
                        return self._locked(result)
                if time.monotonic() >= deadline:
                    raise timed_out(f'Cannot lock the cell "{self.name}"', timeout)
                if ticket is None:
                    ticket = self._bells.ticket()
                if self._arm(WANTS_LOCK, ticket) and _held.get(self._key) is None:
                    result = self._mutex.try_lock()  # it may have been given back before the bell could be seen
                    if result != "busy":
                        return self._locked(result)
                await self._rung(min(deadline, time.monotonic() + self._pause()))
                self._require_open()
        finally:
            if ticket is not None and not self._closed and not self._bells.disarm(WANTS_LOCK):
                if _held.get(self._key) is None:
                    self._bells.ring_waiter()  # rung, and perhaps not needed: hands it on

    def _require_free(self, what: str) -> None:
        self._require_open()
        if _held.get(self._key) == threading.get_native_id():
            raise Deadlock(f'Cannot {what} the cell "{self.name}": this thread holds its lock already')

    def _locked(self, result: str) -> "Guard":
        if self._closed:  # meanwhile, by another thread
            self._mutex.consistent() if result == "owner-died" else None
            self._mutex.unlock()
            self._require_open()
        _held[self._key] = self._holder = threading.get_native_id()
        counter = self._word(_COUNTER)
        died = result == "owner-died"
        if counter & 1:  # a writer did not finish: the same place stays current, and readers of the other begin again
            atomics.add32(self._base + _COUNTER, 1 if self._stride == 0 else 3)
            died = True
        if result == "owner-died":
            self._mutex.consistent()
        return Guard(self, died)

    def _unlock(self) -> None:
        if self._holder != threading.get_native_id():
            raise IpcError(
                f'Cannot unlock the cell "{self.name}": another thread has locked it; that one must unlock it'
            )
        self._holder = None  # before: from then on another thread may have it
        _held.pop(self._key, None)
        self._mutex.unlock()
        self._bells.ring_waiter()

    def update(self, function: Callable[[Any], Any], timeout: Optional[float] = None) -> Any:
        """Stores what the function makes of the value, under the lock; returns it."""
        with self.lock(timeout) as guard:
            guard.value = function(guard.value)
            return guard.value

    # --- Changes -----------------------------------------------------------------------------------------------------

    def watch(self, timeout: Optional[float] = None) -> "Watch":
        """The value after each change from now on, by ``for`` or ``async for``: may skip some, never the last one.

        :param timeout: seconds to wait for one change, by ``for``; then :class:`~isthmus.errors.Timeout`.
        """
        self._require_open()
        return Watch(self, timeout)

    def _pause(self) -> float:
        return _LOOK if self._bells.own >= 0 else _LOOK_WITHOUT_BELL

    def _arm(self, wants: int, ticket: int = 0) -> bool:
        with self._bell_lock:
            self._require_open()
            return self._bells.arm(wants, ticket)

    async def _rung(self, until: float) -> None:
        """Until the bell of this cell, which several tasks may await, or so long."""
        fd, left = self._bells.fd, max(0.0, until - time.monotonic())
        if fd < 0:
            await asyncio.sleep(left)
        elif self.waits.enter():
            try:
                await self.waits.wait_async((fd,), until)
                _bell.drain(fd)
            finally:
                self.waits.leave()

    def _rung_sync(self, until: float) -> None:
        """The same for a thread."""
        fd = self._bells.fd
        if fd < 0:
            time.sleep(max(0.0, until - time.monotonic()))
        elif self.waits.enter():
            try:
                self.waits.wait((fd,), until)
                _bell.drain(fd)
            finally:
                self.waits.leave()

    # --- The rest ----------------------------------------------------------------------------------------------------

    @property
    def atomic(self) -> AtomicCell:
        """Atomic operations, of a cell with the layout i32, u32, i64 or u64."""
        self._require_open()
        return AtomicCell(self, self.layout, self._base + self._offset)

    def _touched(self) -> None:
        atomics.add32(self._base + _COUNTER, 2)
        self._bells.ring_watchers()

    @property
    def ref_count(self) -> int:
        """How many attachments live, in all processes."""
        self._require_open()
        return self._file.holders()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def close(self) -> None:
        """Ends the attachment. The last one removes the cell. Closing twice is harmless.

        A lock that this thread still holds is given back; what its guard changed is not stored.
        """
        with self._bell_lock:
            if self._closed:
                return
            if self._holder == threading.get_native_id():
                self._unlock()
            self._closed = True
            self._ended()
        self.waits.end(self._leave)

    def _leave(self) -> None:
        self._bells.close()
        left = self._file.leave()
        atomics.store32(self._base + _REFERENCES, left)
        if left == 0:
            atomics.store32(self._base + _STATE, _GONE)

    def _after_fork(self) -> None:
        self._closed = True
        self._bell_lock = threading.Lock()
        self.waits.forget()
        close_quietly(self._bells.fd)
        close_quietly(self._file.fd)

    def __enter__(self) -> "Cell":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def __repr__(self) -> str:
        return f"<Cell {self.name!r}{' closed' if self.closed else ''}>"
