"""Who this process is, and whether a thread of another one lives: by its number and the moment it started.

What this process owns in shared memory it owns in the name of its main thread, as objects of Python go from thread to
thread. Python's main thread lives as long as the process.
"""

from __future__ import annotations

import atexit
import os
import weakref
from typing import NamedTuple, Optional

from ._waits import Waits

#: The inode of the time namespace that Linux begins with.
_FIRST_TIME_NAMESPACE = 0xEFFFFFFA


class Identity(NamedTuple):
    """A thread, as others can look it up."""

    tid: int
    #: Field 22 of its ``stat`` in /proc, low 32 bits; 0 if unknown.
    start: int
    #: Its PID namespace; 0 if unknown.
    namespace: int


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino & 0xFFFFFFFF
    except OSError:
        return 0


def _own_namespace() -> int:
    try:
        # Of another PID namespace's /proc, our numbers are those of other threads.
        if os.readlink("/proc/self") != str(os.getpid()):
            return 0
    except OSError:
        return 0
    pid, time = _inode("/proc/self/ns/pid"), _inode("/proc/self/ns/time")
    if pid == 0 or time in (0, _FIRST_TIME_NAMESPACE):
        return pid
    # Start times count from another moment there: another number, so that they are not compared.
    return ((pid ^ time) * 0x9E3779B1) & 0xFFFFFFFF


def _start_of(tid: int) -> Optional[int]:
    """When a thread that lives was started; ``None`` if it does not, 0 if that cannot be told."""
    try:
        with open(f"/proc/{tid}/task/{tid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        text = b""
    if not text:
        try:
            os.kill(tid, 0)
        except ProcessLookupError:
            return None
        except OSError:
            pass
        return 0  # /proc may be hidden, or not there
    fields = text[text.rindex(b")") + 2 :].split()  # the name before may hold spaces and brackets
    if fields[0] in (b"Z", b"X", b"x"):
        return None
    return int(fields[19]) & 0xFFFFFFFF


_own: Optional[Identity] = None


def own_identity() -> Identity:
    """The main thread of this process."""
    global _own
    pid = os.getpid()
    if _own is None or _own.tid != pid:
        namespace = _own_namespace()
        _own = Identity(pid, (_start_of(pid) or 0) if namespace != 0 else 0, namespace)
    return _own


def is_alive(thread: Identity) -> bool:
    """Whether a thread lives; a stopped one does, a zombie does not. ``True`` if it cannot be told."""
    own = own_identity()
    if thread.tid <= 0 or own.namespace == 0 or thread.namespace != own.namespace:
        return True
    start = _start_of(thread.tid)
    if start is None:
        return False
    return start == 0 or thread.start == 0 or start == thread.start


# --- What is open here -----------------------------------------------------------------------------------------------


class OpenThing:
    """What holds descriptors or places in shared memory: closed at the end, and not this process's after a fork."""

    def close(self) -> None:
        raise NotImplementedError

    def _after_fork(self) -> None:
        """In a child that has just been forked: closes its descriptors, and leaves shared memory alone."""
        raise NotImplementedError

    def _opened(self) -> None:
        _open.add(self)

    def _ended(self) -> None:
        _open.discard(self)


_open: "weakref.WeakSet[OpenThing]" = weakref.WeakSet()


def _close_all() -> None:
    Waits.exiting = True
    for thing in list(_open):
        try:
            thing.close()
        except Exception:  # the others are closed all the same
            pass


def _forked() -> None:
    for thing in list(_open):
        try:
            thing._after_fork()
        except Exception:
            pass
    _open.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forked)
