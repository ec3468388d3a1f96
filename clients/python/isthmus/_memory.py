"""Memory that is mapped: as long as any view on it lives, and not a moment longer."""

from __future__ import annotations

import ctypes
import fcntl
import mmap as _mmap
import os
import weakref
from typing import Callable, Optional, Type

from ._system import (
    F_ADD_SEALS,
    F_GET_SEALS,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_READ,
    PROT_WRITE,
    SEAL_FUTURE_WRITE,
    SEAL_GROW,
    SEAL_SEAL,
    SEAL_SHRINK,
    SEAL_WRITE,
    mmap,
)
from .errors import Incompatible, system_error

#: Nobody can cut the file short under a mapping of it, or seal it further.
SEALS = SEAL_SEAL | SEAL_SHRINK | SEAL_GROW
#: Nor change its bytes.
FINAL = SEALS | SEAL_WRITE

_types: "weakref.WeakValueDictionary[int, Type[ctypes.Array[ctypes.c_char]]]" = weakref.WeakValueDictionary()


def bytes_type(length: int) -> "Type[ctypes.Array[ctypes.c_char]]":
    """``char[length]``; making such a type takes much longer than finding it."""
    found = _types.get(length)
    if found is None:
        found = _types[length] = ctypes.c_char * length
    return found


class Mapping:
    """A mapping. It goes when neither this object nor any view on it is left.

    It lies over memory of an ``mmap`` object, which unmaps all of it when it is freed: not when it is finalized, as
    the garbage collector does in any order, so that what uses the memory in its own end still finds it.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self._memory = _mmap.mmap(-1, length, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))

    def _lay(self, offset: int, length: int, fd: int, start: int, write: bool = True) -> None:
        access = PROT_READ | PROT_WRITE if write else PROT_READ
        mmap(self.address + offset, length, access, MAP_SHARED | MAP_FIXED, fd, start)

    @classmethod
    def shared(cls, fd: int, length: int) -> "Mapping":
        """All of a file."""
        mapping = cls(length)
        mapping._lay(0, length, fd, 0)
        return mapping

    @classmethod
    def mirrored(cls, fd: int, head: int, data: int, write: bool = True) -> "Mapping":
        """The head of a file, and twice in a row the data behind it. Without ``write``, a store is a SIGSEGV."""
        mapping = cls(head + 2 * data)
        mapping._lay(0, head + data, fd, 0, write)
        mapping._lay(head + data, data, fd, head, write)
        return mapping

    def view(self, start: int = 0, stop: "int | None" = None) -> memoryview:
        """A view on part of it."""
        return memoryview(self._memory)[start:stop]

    def window(self, offset: int, length: int, ended: Optional[Callable[[], None]] = None) -> memoryview:
        """A view of its own on part of it.

        :param ended: called when it was released, with every view and array that was made of it.
        """
        if length == 0:
            if ended is not None:
                ended()
            return memoryview(b"")
        array = bytes_type(length).from_buffer(self._memory, offset)
        if ended is not None:
            weakref.finalize(array, ended).atexit = False
        return memoryview(array).cast("B")


def sealed_memory(label: str, length: int) -> int:
    """A new memory file of a size that nobody can change."""
    fd = os.memfd_create(label, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, length)
        fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    except OSError as error:
        os.close(fd)
        raise system_error(f"Cannot create a memory file of {length} bytes", error) from error
    return fd


def check_seals(fd: int, seals: int = SEALS, without: int = SEAL_WRITE | SEAL_FUTURE_WRITE, write: bool = True) -> int:
    """Looks at memory that a peer sent, before anything else is asked of it; returns its size."""
    try:
        found = fcntl.fcntl(fd, F_GET_SEALS)
    except OSError:
        raise Incompatible("Cannot use the memory that a peer sent: it is not a memory file") from None
    if found & seals != seals or found & without:
        raise Incompatible(
            f"Cannot use the memory that a peer sent: it carries the seals {found}, and must carry {seals}"
            + (f", without {without}" if without else "")
        )
    access = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    if access == os.O_WRONLY or (write and access != os.O_RDWR):
        raise Incompatible("Cannot use the memory that a peer sent: it is not open for reading and writing")
    return os.fstat(fd).st_size


def memory_of(fd: int) -> int:
    """Bytes of memory that a file takes."""
    return os.fstat(fd).st_blocks * 512
