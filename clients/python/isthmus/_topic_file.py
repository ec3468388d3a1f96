"""The files of a topic: its memory, the seats beside it, and who removes them. See "Topics" in docs/protocol.md."""

from __future__ import annotations

import os
import re
import stat
import time
from typing import Optional, Tuple

from ._ring import BLOCK
from ._system import allocate, close_quietly, publish, try_lock_file
from ._topic_early import ring_early
from ._topic_memory import (
    DATA_OFFSET,
    DEFAULT_CAPACITY,
    FORMAT_VERSION,
    HEADER,
    LAST_AT,
    MAGIC,
    MAX_CAPACITY,
    MIN_CAPACITY,
    REMOVED,
    STATE_AT,
    TopicMemory,
    blocks_in,
)
from ._trust import Trusted
from .errors import Incompatible, IpcError, NotFound, Permission, Timeout, system_error

SEATS_SIZE = 4096
_SEATS_MAGIC = b"ISTHSEAT"
_ATTEMPTS, _MISSING = 1000, 50
_PREFIX = "/dev/shm/isthmus-topic."


def topic_path(name: str) -> str:
    """The file of a topic: at a path if there is a slash in the name, else one in shared memory."""
    rule = 'the name of a topic is text of 1 to 200 bytes, or, with "/" in it, the path of its file'
    if not isinstance(name, str):
        raise TypeError(f"Cannot use {name!r} as the name of a topic: {rule}")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        length = 0
    most = 4080 if "/" in name else 200
    bad = not 0 < length <= most or "\0" in name or name.startswith("@") or name.endswith("/")
    if bad or re.search(r"\.(seats|bell\.\d+|early\.[0-9a-f]{8})$", name):
        raise TypeError(f"Cannot use {name[:60]!r} as the name of a topic: {rule}")
    return name if "/" in name else _PREFIX + name


class TopicFile:
    """One attachment to a topic."""

    def __init__(self, path: str, memory: TopicMemory, seats: int, trusted: Trusted) -> None:
        self.path, self.memory, self.seats, self.trusted = path, memory, seats, trusted
        self.mode = os.fstat(memory.fd).st_mode & 0o777

    @property
    def seats_mode(self) -> int:
        """Who may ring and lock: who may write to the topic."""
        return _seats_mode(self.mode)

    def is_at_path(self) -> bool:
        """Whether its path is still this very file."""
        return _is_at(self.path, self.memory.fd)

    def leave(self) -> None:
        """Gives it up; the last one removes the files."""
        if self.seats >= 0 and try_lock_file(self.seats, alone=True):
            _remove(self.path, self.memory.fd, self.memory.may_write, self.seats)
        self.close_descriptors()

    def close_descriptors(self) -> None:
        """Closes what is open, and nothing else."""
        self.memory.close()
        if self.seats >= 0:
            close_quietly(self.seats)
            self.seats = -1


def _seats_mode(mode: int) -> int:
    writers = mode & 0o222
    return writers | writers << 1


def _is_at(path: str, fd: int) -> bool:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    own = os.fstat(fd)
    return (found.st_ino, found.st_dev) == (own.st_ino, own.st_dev)


def _open(path: str, flags: int, what: str, trusted: Optional[Trusted]) -> int:
    """A regular file; -1 if there is none."""
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise system_error(f'{what}, "{path}"', error) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Incompatible(f'{what}: "{path}" is not a regular file, so no topic; use another name')
        if trusted is not None:
            trusted.check(status, what, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_for_publishing(name: str, capacity: Optional[int], mode: int, trusted: Trusted) -> TopicFile:
    """Attaches to a topic; makes it if there is none, or if all who were attached have died."""
    path, what = topic_path(name), f'Cannot open the topic "{name}"'
    wanted = DEFAULT_CAPACITY if capacity is None else capacity
    if not isinstance(wanted, int) or not 0 < wanted <= MAX_CAPACITY:
        raise ValueError(f"Cannot make a topic with the capacity {wanted!r}: give 1 to {MAX_CAPACITY} bytes")
    blocks = 2 * max(MIN_CAPACITY, 1 << (wanted - 1).bit_length()) // BLOCK
    for _ in range(_ATTEMPTS):
        found = _attach(path, True, what, trusted) or _create(path, what, blocks, mode, trusted)
        if found is not None:
            return found
    raise IpcError(f"{what}: its files are removed and made again all the time")


def open_for_subscribing(path: str, what: str, trusted: Trusted) -> Optional[TopicFile]:
    """Attaches to a topic, if there is one."""
    return _attach(path, False, what, trusted)


def _attach(path: str, publishing: bool, what: str, trusted: Trusted) -> Optional[TopicFile]:
    for attempt in range(_ATTEMPTS):
        fd = _open(path, os.O_RDWR if publishing else os.O_RDONLY, what, trusted)
        if fd < 0:
            return None
        seats = -1
        try:
            blocks_in(fd, what)  # before anything else is touched: it may be any file
            if publishing:
                seats, again = _take_seats(path, what, trusted, fd)
            else:
                seats, again = _may_take_seats(path, trusted, attempt < _MISSING)
            if not again and _is_at(path, fd):
                if not publishing:
                    try_lock_file(fd, alone=False)  # for those who list topics
                return TopicFile(path, TopicMemory(fd, publishing, what), seats, trusted)
        except BaseException:
            close_quietly(fd)
            if seats >= 0:
                close_quietly(seats)
            raise
        os.close(fd)
        if seats >= 0:
            os.close(seats)
        time.sleep(0.001)
    raise Timeout(f"{what}: a process that is removing it has been stopped half-way; continue or end it")


def _are_seats(fd: int) -> bool:
    return os.fstat(fd).st_size >= SEATS_SIZE and os.pread(fd, 8, 8) == _SEATS_MAGIC


def _may_take_seats(path: str, trusted: Trusted, again: bool) -> Tuple[int, bool]:
    """A subscriber's: the seats, held, or -1; and whether to look again."""
    try:
        fd = _open(path + ".seats", os.O_RDWR, "Cannot subscribe", trusted)
    except (Permission, Incompatible):
        return -1, False
    if fd < 0:
        return -1, again
    if not _are_seats(fd):
        os.close(fd)
        return -1, False
    if try_lock_file(fd, alone=False) and _is_at(path + ".seats", fd):
        return fd, False
    os.close(fd)
    return -1, True


def _take_seats(path: str, what: str, trusted: Trusted, topic: int) -> Tuple[int, bool]:
    """The same for a publisher, who makes what is missing, and removes a topic that the dead have left."""
    at = path + ".seats"
    fd = _open(at, os.O_RDWR, what, trusted)
    if fd < 0:
        if _is_at(path, topic):  # else it was just removed
            _make_seats(path, what, _seats_mode(os.fstat(topic).st_mode))
        return -1, True
    try:
        _check_seats(fd, at, what)
        # Alone: all who were attached are dead. Another user's files may have to stay: then it goes on.
        if try_lock_file(fd, alone=True) and _is_at(at, fd) and _remove(path, topic, True, fd):
            os.close(fd)
            return -1, True
        if try_lock_file(fd, alone=False) and _is_at(at, fd):
            return fd, False
    except BaseException:
        close_quietly(fd)
        raise
    os.close(fd)
    return -1, True


def _check_seats(fd: int, at: str, what: str) -> None:
    if not _are_seats(fd):
        raise Incompatible(f'{what}: "{at}" is something else; remove it, or use another name')


def _unnamed(path: str, what: str) -> int:
    try:
        return os.open(os.path.dirname(path) or ".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise NotFound(f"{what}: its folder does not exist; make it first, or use another") from None
    except OSError as error:
        raise system_error(f"{what}: its folder must take unnamed files", error) from error


def _make_seats(path: str, what: str, mode: int) -> None:
    fd = _unnamed(path, what)
    try:
        os.ftruncate(fd, SEATS_SIZE)
        allocate(fd, 0, SEATS_SIZE)
        os.pwrite(fd, _SEATS_MAGIC, 8)
        os.fchmod(fd, mode)
        publish(fd, path + ".seats")
    except FileExistsError:
        pass
    except OSError as error:
        raise system_error(what, error) from error
    finally:
        os.close(fd)


def _create(path: str, what: str, blocks: int, mode: int, trusted: Trusted) -> Optional[TopicFile]:
    """Makes a topic; ``None`` if another does."""
    opened = [_unnamed(path, what)]
    try:
        fd = opened[0]
        os.ftruncate(fd, DATA_OFFSET + blocks * BLOCK)
        # All but the data, now: a page that cannot be had later is a SIGBUS. The data is had as it is used.
        allocate(fd, 0, DATA_OFFSET)
        os.fchmod(fd, mode)
        os.pwrite(fd, HEADER.pack(MAGIC, FORMAT_VERSION, blocks), 0)
        os.pwrite(fd, b"\xff" * 8, LAST_AT)
        _make_seats(path, what, _seats_mode(mode))
        # Held before the topic can be found, so that nobody takes it for a dead one.
        seats = _open(path + ".seats", os.O_RDWR, what, trusted)
        if seats >= 0:
            opened.append(seats)
            _check_seats(seats, path + ".seats", what)
            if try_lock_file(seats, alone=False) and _is_at(path + ".seats", seats):
                publish(fd, path)
                ring_early(path)
                return TopicFile(path, TopicMemory(fd, True, what), seats, trusted)
            time.sleep(0.001)
    except FileExistsError:
        pass
    except BaseException as error:
        for fd in opened:
            close_quietly(fd)
        if isinstance(error, OSError):
            raise system_error(what, error) from error
        raise
    for fd in opened:
        close_quietly(fd)
    return None


def _remove(path: str, topic: int, may_write: bool, seats: int) -> bool:
    """Removes the files of a topic; the caller has its seats alone. The seats go last."""
    try:
        if _is_at(path, topic):
            os.unlink(path)
        if may_write:
            os.pwrite(topic, REMOVED.to_bytes(4, "little"), STATE_AT)
        if not _is_at(path + ".seats", seats):
            return True
        folder, name = os.path.split(path)
        for found in os.listdir(folder or "."):
            if re.fullmatch(re.escape(name) + r"\.bell\.\d+", found):
                os.unlink(os.path.join(folder, found))
        os.unlink(path + ".seats")
        return True
    except OSError:
        return False
