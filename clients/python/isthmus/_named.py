"""A ring that has a name: a file at a path, and two FIFOs beside it. See "Rings with a name" in docs/protocol.md."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import Callable, List, Optional

from ._memory import Mapping
from ._ring import BLOCK, HEADER_BYTES, W_TRIMS, RingMemory, capacity_of, data_offset, ring_size, write_header
from ._system import allocate, close_quietly, publish, try_lock_file
from ._trust import Trust, Trusted
from .errors import Incompatible, IpcError, NotFound, system_error

_ATTEMPTS = 1000
_BELL, _ROOM = ".bell", ".room"
_OPEN = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW


class NamedFile:
    """One attachment to a named ring."""

    def __init__(self, path: str, memory: RingMemory, bell: int, room: int, lock: int) -> None:
        self.path, self.memory, self.bell, self.room, self.lock = path, memory, bell, room, lock

    def leave(self, unused: Optional[Callable[[], bool]] = None) -> None:
        """Gives it up; ``unused`` is asked, once nobody else is attached, whether to remove the files."""
        if unused is not None and self.lock >= 0 and try_lock_file(self.lock, alone=True) and unused():
            _remove(self.path, self.lock)
        for fd in (self.bell, self.room, self.lock):
            if fd >= 0:
                close_quietly(fd)
        self.bell = self.room = self.lock = -1


def _status(path: str) -> Optional[os.stat_result]:
    try:
        return os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise system_error(f'Cannot open the channel "{path}"', error) from error


def _is_at(path: str, fd: int) -> bool:
    found, own = _status(path), os.fstat(fd)
    return found is not None and (found.st_ino, found.st_dev) == (own.st_ino, own.st_dev)


def _remove(path: str, lock: int) -> None:
    """Bells first, the path last: nobody attaches to a ring that has lost its bells."""
    if not _is_at(path, lock):
        return
    for name in (path + _ROOM, path + _BELL, path):
        try:
            os.unlink(name)
        except FileNotFoundError:
            pass
        except OSError:
            return


def open_named(path: str, capacity: Optional[int], mode: int, trust: Trust) -> NamedFile:
    """Attaches to the ring at a path; makes it if there is none."""
    path = os.fspath(path)
    if not isinstance(path, str) or not path or "\0" in path or path.endswith("/") or len(os.fsencode(path)) > 4088:
        raise TypeError(
            f"Cannot use {path!r} as the path of a channel: it is text of 1 to 4088 bytes that names a file"
        )
    if path.startswith("@"):
        raise TypeError(
            f'Cannot use {path!r} as the path of a channel: names with "@" are those of servers; use connect()'
        )
    what, blocks, trusted = f'Cannot open the channel "{path}"', capacity_of(capacity) // BLOCK, Trusted(trust, mode)
    for _ in range(_ATTEMPTS):
        found = _attach(path, what, trusted)
        if found is not None:
            return found
        _create(path, what, blocks, mode, trusted)
    raise IpcError(f"{what}: its files are removed and made again all the time")


def _require_file(path: str, what: str) -> Optional[os.stat_result]:
    status = _status(path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        kind = "the socket of a server; use connect()" if stat.S_ISSOCK(status.st_mode) else "not a regular file"
        raise Incompatible(f"{what}: the path is {kind}")
    return status


def _attach(path: str, what: str, trusted: Trusted) -> Optional[NamedFile]:
    if _require_file(path, what) is None:
        return None
    opened: List[int] = []
    memory: Optional[RingMemory] = None

    def open_(name: str) -> int:
        fd = os.open(name, _OPEN)
        opened.append(fd)
        trusted.check(os.fstat(fd), what, name)
        return fd

    try:
        lock = open_(path)
        for _look in range(_ATTEMPTS):
            if try_lock_file(lock, alone=False) or not _is_at(path, lock):
                break
            time.sleep(0.001)  # somebody removes it, in microseconds
        else:
            raise Incompatible(f"{what}: another program has locked the file")
        if not _is_at(path, lock):
            raise FileNotFoundError
        apart = open_(path)  # a mapping keeps its open file alive, and that its locks
        memory = RingMemory.attach_file(apart, f"{what}: the file is not a channel")
        allocate(lock, 0, data_offset(memory.blocks))
        bell, room = open_(path + _BELL), open_(path + _ROOM)
        for fd in (bell, room):
            if not stat.S_ISFIFO(os.fstat(fd).st_mode):
                raise Incompatible(f'{what}: "{path}{_BELL}" and "{path}{_ROOM}" must be FIFOs')
        return NamedFile(path, memory, bell, room, lock)
    except BaseException as error:
        for fd in opened:
            close_quietly(fd)
        if isinstance(error, FileNotFoundError):
            return None
        if isinstance(error, OSError):
            raise system_error(what, error) from error
        raise


def _create(path: str, what: str, blocks: int, mode: int, trusted: Trusted) -> None:
    """Makes a ring at a path, or what is missing beside one, unless somebody else does."""
    try:
        fd = os.open(os.path.dirname(path) or ".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise NotFound(f"{what}: its folder does not exist; make it first, or use another") from None
    except OSError as error:
        raise system_error(f"{what}: its folder must take unnamed files", error) from error
    try:
        os.ftruncate(fd, ring_size(blocks))
        allocate(fd, 0, data_offset(blocks))
        os.fchmod(fd, mode)
        write_header(Mapping.shared(fd, HEADER_BYTES).view(), blocks, 0)
        there = _require_file(path, what)
        for suffix in (_BELL, _ROOM):
            _make_fifo(path + suffix, mode if there is None else there.st_mode & 0o777)
        try:
            publish(fd, path)
        except FileExistsError:
            pass
    except OSError as error:
        raise system_error(what, error) from error
    finally:
        os.close(fd)


def _make_fifo(path: str, mode: int) -> None:
    try:
        os.mkfifo(path, 0o600)
        fd = os.open(path, _OPEN)
    except (FileExistsError, FileNotFoundError):
        return  # there is one; or it was removed with the others, and is looked for again
    os.fchmod(fd, mode)
    os.close(fd)


class RingRoom:
    """Memory for the data of a named ring, which its file takes only as it is used.

    A page that cannot be had is a SIGBUS, so a sender allocates before it claims, 64 KiB at a time. Where the receiver
    has given memory back, which it counts in the header, the sender allocates anew.
    """

    _CHUNK = (64 << 10) // BLOCK

    def __init__(self, memory: RingMemory, path: str) -> None:
        self._memory, self._path = memory, path
        self._trims = memory.load(W_TRIMS)
        self._known = bytearray(-(-memory.blocks // self._CHUNK))

    def allocate(self, first: int, most: int, needed: int) -> int:
        """Allocates free blocks from an index on: some, at least those needed; returns how many there are now.

        :raises OSError: ENOSPC if there is no room for those that are needed.
        """
        blocks, chunk = self._memory.blocks, self._CHUNK
        trims = self._memory.load(W_TRIMS)
        if trims != self._trims:
            self._known, self._trims = bytearray(len(self._known)), trims
        wanted = min(most, -(-(first + needed) // chunk) * chunk - first)
        at = first
        while at < first + wanted:
            number = (at & (blocks - 1)) // chunk
            if not self._known[number]:
                try:
                    self._have(number * chunk, min(chunk, blocks))
                    self._known[number] = 1
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    if at - first >= needed:
                        return at - first
                    # No room for whole chunks: perhaps for the pages of one message.
                    before = min(needed, blocks - first)
                    self._have(first, before)
                    if before < needed:
                        self._have(0, needed - before)
                    return needed
            at = (at // chunk + 1) * chunk
        return wanted

    def _have(self, index: int, count: int) -> None:
        allocate(self._memory.fd, data_offset(self._memory.blocks) + index * BLOCK, count * BLOCK)

    def full(self, blocks: int, error: OSError) -> IpcError:
        """The error of a file system that is full, or of another kind."""
        if error.errno != errno.ENOSPC:
            return system_error(f'Cannot send through "{self._path}"', error)
        return IpcError(
            f'Cannot send through "{self._path}": its file system has no room for {blocks * BLOCK} bytes more (ENOSPC); '
            "free some, or enlarge it; nothing was sent, and what waits in the channel still arrives",
            errno=error.errno,
        )
