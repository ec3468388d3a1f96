"""What the standard library lacks of libc, and the platforms that this package knows."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import socket
import struct
import sys
import time
from typing import Optional

from .errors import IpcError, Timeout, Unsupported, system_error

MACHINE = platform.machine()

if sys.platform != "linux" or MACHINE not in ("x86_64", "aarch64") or struct.calcsize("P") != 8:
    raise Unsupported(
        f"Cannot use isthmus on {sys.platform} {MACHINE}: it runs on Linux, x86-64 and arm64, in 64-bit Python"
    )

#: Calls that may take time let other threads run meanwhile …
libc = ctypes.CDLL(None, use_errno=True)
#: … and those that take nanoseconds do not: giving the interpreter up and taking it back costs more than they do.
quick = ctypes.PyDLL(None, use_errno=True)

SYS_FUTEX = {"x86_64": 202, "aarch64": 98}[MACHINE]
#: ``O_NOFOLLOW`` and the others come from ``os``; these do not.
F_OFD_GETLK, F_OFD_SETLK = 36, 37
F_ADD_SEALS, F_GET_SEALS = 1033, 1034
SEAL_SEAL, SEAL_SHRINK, SEAL_GROW, SEAL_WRITE, SEAL_FUTURE_WRITE = 1, 2, 4, 8, 16
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2
_AT_FDCWD, _AT_SYMLINK_FOLLOW = -100, 0x400

PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_NORESERVE = 1, 2, 0x10, 0x20, 0x4000

libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
libc.mkfifo.argtypes = [ctypes.c_char_p, ctypes.c_uint]
quick.tgkill.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]


def mmap(address: Optional[int], length: int, prot: int, flags: int, fd: int, offset: int) -> int:
    """Maps memory; returns its address."""
    found = libc.mmap(address, length, prot, flags, fd, offset)
    if found is None or found == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise system_error(f"Cannot map {length} bytes", OSError(number, os.strerror(number)))
    return int(found)


def allocate(fd: int, offset: int, length: int) -> None:
    """Has the memory of part of a file now. Not ``posix_fallocate``, which writes where the file system cannot."""
    while libc.fallocate(fd, 0, offset, length) != 0:
        number = ctypes.get_errno()
        if number != 4:  # EINTR
            raise OSError(number, os.strerror(number))


def publish(fd: int, path: str) -> None:
    """Gives a file without a name one. Not ``os.link``, which does not follow the link in /proc."""
    source = f"/proc/self/fd/{fd}".encode()
    if libc.linkat(_AT_FDCWD, source, _AT_FDCWD, os.fsencode(path), _AT_SYMLINK_FOLLOW) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def thread_ended(pid: int, tid: int) -> bool:
    """Whether a thread has certainly ended; ``False`` may still be a zombie."""
    return quick.tgkill(pid, tid, 0) < 0 and ctypes.get_errno() == 3  # ESRCH


# --- Locks on bytes of a file, of an open file description -----------------------------------------------------------

_FLOCK = struct.Struct("hhqqi4x")


def try_lock_byte(fd: int, byte: int) -> bool:
    """Takes one byte of a file alone, until the last descriptor of this open file is closed."""
    try:
        fcntl.fcntl(fd, F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
        return True
    except (BlockingIOError, PermissionError):
        return False


def unlock_byte(fd: int, byte: int) -> None:
    """Gives a byte back."""
    fcntl.fcntl(fd, F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, byte, 1, 0))


def is_byte_locked(fd: int, byte: int) -> bool:
    """Whether another open file has the byte. ``True`` if it cannot be told."""
    try:
        found = fcntl.fcntl(fd, F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
    except OSError:
        return True
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)


def count_locked_bytes(fd: int, start: int, end: int) -> int:
    """How many bytes of a range others have locked, one at a time."""
    count, ranges = 0, [(start, end)]
    while ranges:
        start, end = ranges.pop()
        if start >= end:
            continue
        found = fcntl.fcntl(fd, F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, end - start, 0))
        kind, _, at, length, _ = _FLOCK.unpack(found)
        if kind == fcntl.F_UNLCK:
            continue
        count += 1
        ranges += [(start, at), (at + (length or end - at), end)]
    return count


def try_lock_file(fd: int, alone: bool) -> bool:
    """Locks the whole file, shared or alone. A lock that was held is given up either way."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def reopen(fd: int, flags: int) -> Optional[int]:
    """Another open file for the same thing; ``None`` where the system does not let it be opened."""
    try:
        return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (23, 24):  # ENFILE, EMFILE
            raise system_error("Cannot open a file anew", error) from error
        return None


def unwaiting(made: socket.socket) -> socket.socket:
    """A socket whose calls with ``MSG_DONTWAIT`` do not wait either where the program uses ``socket.setdefaulttimeout()``.

    Python would wait for that time before such a call, and raise ``TimeoutError`` after it.
    """
    if made.gettimeout():
        made.setblocking(False)
    return made


def close_quietly(fd: int) -> None:
    """Closes a descriptor that may not be closed by now."""
    try:
        os.close(fd)
    except OSError:
        pass


# --- Time ------------------------------------------------------------------------------------------------------------

FOREVER = float("inf")


def deadline_of(timeout: Optional[float]) -> float:
    """When a wait of so many seconds ends, on the clock of ``time.monotonic()``; ``None`` waits as long as it takes."""
    if timeout is None:
        return FOREVER
    if timeout < 0 or timeout != timeout:
        raise ValueError(f"Cannot wait {timeout} seconds: give a number from 0 on, or None")
    return time.monotonic() + timeout


def timed_out(what: str, timeout: Optional[float]) -> IpcError:
    """The error for a time that is over."""
    return Timeout(f"{what}: timed out after {timeout} s")
