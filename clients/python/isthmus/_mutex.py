"""glibc's process-shared, robust mutex, as cells use it.

Locking is trying, never waiting inside ``pthread_mutex_lock``: see "Cells" in docs/internals.md. Waiting is a futex on
the mutex's first word, which who unlocks wakes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import threading
import time
from typing import Callable

from ._atomics import atomics
from ._system import MACHINE, SYS_FUTEX, libc, quick
from .errors import Corrupt, IpcError, Unsupported

_MUTEX_SIZE = {"x86_64": 40, "aarch64": 48}[MACHINE]
#: What the header of a cell says of whose mutex it is: glibc's, of this size.
MUTEX_MARK = 1 | _MUTEX_SIZE << 8

_SHARED, _ROBUST, _NORMAL = 1, 1, 0
_WAITERS, _OWNER_DIED, _TID_MASK = 0x80000000, 0x40000000, 0x3FFFFFFF
_FUTEX_WAIT = 0
#: Seconds that a thread sleeps at a time: what a wake-up that was lost costs at most.
_LONGEST_SLEEP = 0.1


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


libc.syscall.restype = ctypes.c_long


def require_glibc() -> None:
    """Cells hold the C library's own mutex: one of another library would keep nobody apart."""
    if platform.libc_ver()[0] != "glibc":
        raise Unsupported(
            "Cannot use cells with this C library: they hold a mutex of glibc's, and this Python has another"
        )


class RobustMutex:
    """A mutex at an address. The thread that locks it unlocks it."""

    def __init__(self, address: int) -> None:
        self.address = address

    def initialize(self) -> None:
        """Makes one in memory that nobody else sees yet."""
        attributes = ctypes.create_string_buffer(16)
        for result in (
            quick.pthread_mutexattr_init(attributes),
            quick.pthread_mutexattr_setpshared(attributes, _SHARED),
            quick.pthread_mutexattr_setrobust(attributes, _ROBUST),
            quick.pthread_mutexattr_settype(attributes, _NORMAL),
            quick.pthread_mutex_init(ctypes.c_void_p(self.address), attributes),
        ):
            if result != 0:
                raise IpcError(f"Cannot make a process-shared mutex: {os.strerror(result)}", errno=result)

    def try_lock(self) -> str:
        """``locked``, ``owner-died`` (held, too: repair, then :meth:`consistent`) or ``busy``."""
        word = atomics.load32(self.address)
        # A thread of another PID namespace with this one's number: not even an attempt.
        if word != 0 and word & ~_WAITERS == threading.get_native_id():
            return "busy"
        result = quick.pthread_mutex_trylock(ctypes.c_void_p(self.address))
        if result == 0:
            return "locked"
        if result == errno.EBUSY:
            return "busy"
        if result == errno.EOWNERDEAD:
            return "owner-died"
        if result == errno.ENOTRECOVERABLE:
            raise Corrupt(
                "Cannot lock: the last owner died, and the next one did not repair the data; remove the cell",
                errno=result,
            )
        raise IpcError(f"Cannot lock a mutex: {os.strerror(result)}", errno=result)

    def lock(self, deadline: float, wanted: Callable[[], bool]) -> str:
        """The same; waits for it, and is ``busy`` only when the time is over, or when it is not wanted any more."""
        result = self.try_lock()
        while result == "busy":
            left = deadline - time.monotonic()
            if left <= 0 or not wanted():
                return "busy"
            self._sleep(min(left, _LONGEST_SLEEP))
            result = self.try_lock()
            if result != "busy":
                self._mark_waiters()  # others may sleep as well, and this attempt did not say so
        return result

    def _mark_waiters(self) -> None:
        while True:
            word = atomics.load32(self.address)
            if word & _WAITERS or atomics.compare_exchange32(self.address, word, word | _WAITERS) == word:
                return

    def _sleep(self, seconds: float) -> None:
        found = atomics.load32(self.address)
        if found & _TID_MASK == 0 or found & _OWNER_DIED:
            return
        marked = found | _WAITERS
        if found != marked and atomics.compare_exchange32(self.address, found, marked) != found:
            return
        span = _Timespec(0, min(999_999_999, int(seconds * 1e9)))
        libc.syscall(
            ctypes.c_long(SYS_FUTEX), ctypes.c_void_p(self.address), ctypes.c_int(_FUTEX_WAIT), ctypes.c_uint32(marked),
            ctypes.byref(span), None, 0,
        )  # fmt: skip

    def consistent(self) -> None:
        """The data is repaired, after ``owner-died``."""
        quick.pthread_mutex_consistent(ctypes.c_void_p(self.address))

    def unlock(self) -> None:
        """Gives the lock back."""
        result = quick.pthread_mutex_unlock(ctypes.c_void_p(self.address))
        if result != 0:
            raise IpcError(
                f"Cannot unlock a mutex: {os.strerror(result)}; the thread that locked it must", errno=result
            )
