"""Memory and descriptors that are sent inside messages."""

from __future__ import annotations

import os
from typing import List, Tuple

from ._memory import Mapping, check_seals, sealed_memory
from ._process import OpenThing
from ._system import allocate, close_quietly
from ._travellers import Attachments, Received, register
from .errors import Closed, system_error


class Fd(OpenThing):
    """A descriptor: owned by this object, and shared by sending it.

    >>> with Fd(os.dup(0)) as fd:
    ...     os.fstat(fd.fileno()).st_mode > 0
    True
    """

    def __init__(self, fd: int) -> None:
        if not isinstance(fd, int) or isinstance(fd, bool) or fd < 0:
            raise TypeError(f"Cannot own {fd!r}: give the number of an open descriptor")
        self._fd = fd
        self._opened()

    def fileno(self) -> int:
        """Its number; it stays owned by this object."""
        if self._fd < 0:
            raise Closed("Cannot use a descriptor: it was closed or taken")
        return self._fd

    def take(self) -> int:
        """Its number; the caller's from now on."""
        fd = self.fileno()
        self._fd = -1
        self._ended()
        return fd

    def close(self) -> None:
        """Closes it. Closing twice is harmless."""
        if self._fd >= 0:
            close_quietly(self.take())

    def _after_fork(self) -> None:
        pass  # a plain descriptor is the child's as well

    def _pack(self, attachments: Attachments) -> Tuple[str, int, List[object]]:
        return "fd", attachments.add([self.fileno()]), []

    def __enter__(self) -> "Fd":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()


class SharedMemory:
    """Bytes that several processes see: sent like a value, without a copy. ``IpcSharedMemory`` in Deno.

    >>> with SharedMemory.of(b"abc") as memory:
    ...     memory.view[0] = 65
    ...     bytes(memory.view)
    b'Abc'
    """

    def __init__(self, length: int) -> None:
        """Zeros, of so many bytes."""
        if not isinstance(length, int) or length < 0:
            raise TypeError(f"Cannot make shared memory of the length {length!r}: give a number of bytes")
        fd = sealed_memory("isthmus-memory", length)
        try:
            if length:
                allocate(fd, 0, length)  # now, so that running out is an error here
        except OSError as error:
            os.close(fd)
            raise system_error(f"Cannot make shared memory of {length} bytes", error) from error
        self._take(fd, length)

    def _take(self, fd: int, length: int) -> None:
        self._fd = Fd(fd)
        self._view = Mapping.shared(fd, length).view() if length else memoryview(bytearray())

    @classmethod
    def of(cls, data: "bytes | bytearray | memoryview") -> "SharedMemory":
        """A copy of bytes."""
        source = as_bytes(data)
        memory = cls(source.nbytes)
        memory._view[:] = source
        return memory

    @classmethod
    def _received(cls, received: Received, first: int, _: List[object]) -> "SharedMemory":
        fd = received.claim(first, 1)[0]
        memory = cls.__new__(cls)
        try:
            memory._take(fd, check_seals(fd))
        except BaseException:
            close_quietly(fd)
            raise
        return memory

    @property
    def view(self) -> memoryview:
        """The bytes themselves; numpy takes it without a copy. Valid as long as it is kept, also after :meth:`close`."""
        self._fd.fileno()
        return self._view

    def __len__(self) -> int:
        return self._view.nbytes

    def close(self) -> None:
        """Closes it here; others keep it, and views that were made keep the memory mapped."""
        if self._fd._fd >= 0:
            self._fd.close()
            self._view = memoryview(b"")

    def _pack(self, attachments: Attachments) -> Tuple[str, int, List[object]]:
        return "shared-memory", attachments.add([self._fd.fileno()]), []

    def __enter__(self) -> "SharedMemory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def as_bytes(data: object) -> memoryview:
    """Bytes of a program's, whatever buffer they are in."""
    if type(data) is bytes:
        return memoryview(data)  # as nearly always
    try:
        view = memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"Cannot send {type(data).__name__} as bytes: give bytes, or another contiguous buffer"
        ) from None
    if view.nbytes == 0:
        return memoryview(b"")
    if not view.c_contiguous:
        raise TypeError("Cannot send a buffer that is not contiguous: send a copy of it")
    return view.cast("B")


register("fd", lambda received, first, _: Fd(received.claim(first, 1)[0]))
register("shared-memory", SharedMemory._received)
