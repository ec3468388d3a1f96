"""One class of errors, as in the TypeScript package, with a subclass for each code."""

from __future__ import annotations

import errno as _errno
import os
from typing import Optional


class IpcError(Exception):
    """Something between this program and another went wrong; :attr:`code` says what kind of thing."""

    code: str = "System"

    def __init__(self, message: str, *, errno: Optional[int] = None, delivered: bool = True) -> None:
        super().__init__(message)
        self.errno = errno
        #: Of a call: ``False`` if the method was certainly not called, so that calling again is safe.
        self.delivered = delivered


class Disconnected(IpcError):
    """The other side is gone. Everything that it sent was received before."""

    code = "Disconnected"


class Timeout(IpcError, TimeoutError):
    """The time was over. Nothing was lost: the next call goes on."""

    code = "Timeout"


class Closed(IpcError):
    """This end was closed, or sent away."""

    code = "Closed"


class Corrupt(IpcError):
    """A peer, or damage, broke the rules of the memory that is shared."""

    code = "Corrupt"


class Incompatible(IpcError):
    """What was found is something else, or of another version."""

    code = "Incompatible"


class NotFound(IpcError):
    """There is no such cell, channel folder, server or parent."""

    code = "NotFound"


class AlreadyExists(IpcError):
    """There is one already, or the channel has a receiver."""

    code = "AlreadyExists"


class Permission(IpcError):
    """It belongs to somebody else."""

    code = "Permission"


class TooLarge(IpcError):
    """More bytes than the cell or channel takes."""

    code = "TooLarge"


class Serialization(IpcError):
    """The value cannot be encoded, or what came cannot be decoded. The next message is not touched by it."""

    code = "Serialization"


class Deadlock(IpcError):
    """This thread holds the lock already."""

    code = "Deadlock"


class Unsupported(IpcError):
    """Not on this system."""

    code = "Unsupported"


def system_error(what: str, error: OSError) -> IpcError:
    """An error of a system call as an :class:`IpcError`, with what was tried."""
    number = error.errno
    kinds = {
        _errno.ENOENT: NotFound,
        _errno.EACCES: Permission,
        _errno.EPERM: Permission,
        _errno.ECONNREFUSED: NotFound,
    }
    kind = kinds.get(number, IpcError) if number is not None else IpcError
    text = os.strerror(number) if number is not None else str(error)
    return kind(f"{what}: {text}", errno=number)
