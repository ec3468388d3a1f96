"""Doorbells: pipes whose bytes mean nothing but "look"."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import stat
import time
from typing import Optional

from ._system import FOREVER, quick, reopen
from .errors import IpcError

#: As many reads as a pipe holds, and no more: a peer may write all the time.
_MOST_READS = 16

_SPLICE_F_NONBLOCK = 2


class _Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


_BYTE = ctypes.create_string_buffer(b"\x01", 1)
_ONE_BYTE = _Iovec(ctypes.addressof(_BYTE), 1)
quick.vmsplice.argtypes = [ctypes.c_int, ctypes.POINTER(_Iovec), ctypes.c_ulong, ctypes.c_uint]
quick.vmsplice.restype = ctypes.c_ssize_t


def ring(fd: int) -> bool:
    """Wakes who listens. ``False`` if nobody does any more; a full pipe counts as rung."""
    try:
        os.write(fd, b"\x01")
    except BlockingIOError:
        pass
    except OSError:
        return False
    return True


def ring_shared(fd: int) -> bool:
    """The same by an end that a peer has as well: it could make plain writes block, and not this call."""
    if quick.vmsplice(fd, _ONE_BYTE, 1, _SPLICE_F_NONBLOCK) >= 0:
        return True
    number = ctypes.get_errno()
    if number not in (errno.ENOSYS, errno.EPERM):
        return number == errno.EAGAIN
    try:
        own = reopen(fd, os.O_WRONLY)  # a sandbox without that call
    except IpcError:
        return False
    if own is None:
        os.set_blocking(fd, False)
        return ring(fd)
    try:
        return ring(own)
    finally:
        os.close(own)


def drain(fd: int) -> None:
    """Takes the bytes out that ringers left."""
    for _ in range(_MOST_READS):
        try:
            if len(os.read(fd, 4096)) < 4096:
                return
        except OSError:
            return


def wait(fd: int, deadline: float, events: int = select.POLLIN) -> int:
    """Sleeps until something of this descriptor, or the time is over (0)."""
    poll = select.poll()
    poll.register(fd, events)
    if deadline == FOREVER:
        found = poll.poll()
    else:
        left = deadline - time.monotonic()
        found = poll.poll(max(0.0, left * 1000))
    return found[0][1] if found else 0


def state(fd: int) -> int:
    """What ``poll`` says now of a descriptor, beside data: POLLHUP, POLLERR."""
    return wait(fd, 0.0, 0)


def open_fifo(path: str) -> Optional[int]:
    """Opens both ends of a FIFO, so that who listens sees no end when a ringer leaves. ``None`` if there is none."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def open_ringer(path: str) -> Optional[int]:
    """Opens the FIFO at a path for ringing; ``None`` if nobody listens there."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def ring_by_name(path: str) -> bool:
    """Rings the FIFO at a path; ``False`` if nobody listens there."""
    fd = open_ringer(path)
    if fd is None:
        return False
    try:
        return ring(fd)
    finally:
        os.close(fd)
