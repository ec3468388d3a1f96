"""A topic: its memory, the file with the seats beside it, and who removes them. See "Topics" in docs/internals.md."""

from __future__ import annotations

import os
import re
import stat
import struct
import time
from typing import Optional, Tuple

from . import _bell
from ._atomics import PLAIN_LOADS, atomics
from ._memory import Mapping
from ._ring import BLOCK, SLOT_WORDS, SLOTS, W_SLOTS
from ._system import allocate, close_quietly, publish, try_lock_byte, try_lock_file, unlock_byte
from ._trust import Trusted
from .errors import Corrupt, Incompatible, IpcError, NotFound, Permission, Timeout, system_error

FORMAT_VERSION = 1
STATE_AT, TURN_AT, LAST_AT, OLDEST_AT, DATA_OFFSET = 16, 64, 128, 136, 131_072
MESSAGE_HEADER = 16
MIN_CAPACITY, MAX_CAPACITY, DEFAULT_CAPACITY = 1 << 16, 1 << 29, 4 << 20
SEATS, SEATS_SIZE, WANTS_AT, FIRST_LOCK = 512, 4096, 256, 2048
NOBODY = (1 << 64) - 1
#: Of a message: length, reserved, number.
HEAD = struct.Struct("=iIQ")
_HEADER = struct.Struct("=8sII")
_MAGIC, _SEATS_MAGIC = b"ISTHCAST", b"ISTHSEAT"
_REMOVED = 1
_ATTEMPTS, _MISSING = 1000, 50
_PREFIX = "/dev/shm/isthmus-topic."

assert W_SLOTS * 4 == 4096 and DATA_OFFSET >= (W_SLOTS + SLOTS * SLOT_WORDS) * 4


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
    if bad or re.search(r"\.(seats|bell\.\d+)$", name):
        raise TypeError(f"Cannot use {name[:60]!r} as the name of a topic: {rule}")
    return name if "/" in name else _PREFIX + name


def blocks_for(length: int) -> int:
    """Blocks of a message of so many bytes."""
    return (MESSAGE_HEADER + length + BLOCK - 1) // BLOCK


class TopicMemory:
    """The memory of a topic, mapped: for reading alone by subscribers. Its file belongs to this object."""

    def __init__(self, fd: int, may_write: bool, what: str) -> None:
        self.blocks = _blocks_in(fd, what)
        self.fd, self.may_write = fd, may_write
        self.size = self.blocks * BLOCK
        #: Most bytes of a message, and how many are kept at least.
        self.capacity = self.size // 2
        self.mapping = Mapping.mirrored(fd, DATA_OFFSET, self.size, may_write)
        self.base = self.mapping.address
        self.words = self.mapping.view(0, DATA_OFFSET).cast("I")
        self._longs = self.mapping.view(0, DATA_OFFSET).cast("Q")
        #: The data, twice in a row.
        self.data = self.mapping.view(DATA_OFFSET)

    def position(self, at: int) -> int:
        """A position, as it was at one moment: eight aligned bytes by one load."""
        return self._longs[at >> 3] if PLAIN_LOADS else atomics.load64(self.base + at)

    def position_after_reads(self, at: int) -> int:
        """The same, after everything that was read before it. x86-64 keeps loads in order by itself."""
        if not PLAIN_LOADS:
            atomics.fence()
        return self.position(at)

    def store_position(self, at: int, position: int) -> None:
        """Stores one; what is stored later is seen by nobody who does not see this."""
        atomics.exchange64(self.base + at, position)
        if not PLAIN_LOADS:
            atomics.fence()

    @property
    def removed(self) -> bool:
        """Whether its path is, or will be, another topic's."""
        return self.words[STATE_AT >> 2] == _REMOVED

    def close(self) -> None:
        """Closes the file; the mapping goes with the last view on it."""
        close_quietly(self.fd)


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


def _blocks_in(fd: int, what: str) -> int:
    size = os.fstat(fd).st_size
    head = os.pread(fd, _HEADER.size, 0)
    if size < DATA_OFFSET or head[:8] != _MAGIC:
        raise Incompatible(f"{what}: the file is no topic; use another name")
    _, version, blocks = _HEADER.unpack(head)
    if version != FORMAT_VERSION:
        raise Incompatible(
            f"{what}: it has format {version}, and this version of the package knows format {FORMAT_VERSION}"
        )
    valid = 2 * MIN_CAPACITY // BLOCK <= blocks <= 2 * MAX_CAPACITY // BLOCK and blocks & (blocks - 1) == 0
    if not valid or DATA_OFFSET + blocks * BLOCK != size:
        raise Incompatible(
            f"{what}: its header says {blocks} blocks, which a file of {size} bytes has not; remove it"
        )
    return int(blocks)


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
            _blocks_in(fd, what)  # before anything else is touched: it may be any file
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
        os.pwrite(fd, _HEADER.pack(_MAGIC, FORMAT_VERSION, blocks), 0)
        os.pwrite(fd, b"\xff" * 8, LAST_AT)
        _make_seats(path, what, _seats_mode(mode))
        # Held before the topic can be found, so that nobody takes it for a dead one.
        seats = _open(path + ".seats", os.O_RDWR, what, trusted)
        if seats >= 0:
            opened.append(seats)
            _check_seats(seats, path + ".seats", what)
            if try_lock_file(seats, alone=False) and _is_at(path + ".seats", seats):
                publish(fd, path)
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
            os.pwrite(topic, _REMOVED.to_bytes(4, "little"), STATE_AT)
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


class Seat:
    """The place of a subscriber that can be rung. It writes its words by system calls: it maps nothing for writing."""

    def __init__(self, file: TopicFile, number: int, bell: int) -> None:
        self._file, self._number, self.bell = file, number, bell
        self._tickets = 0
        self._armed = False

    @classmethod
    def take(cls, file: TopicFile) -> "Optional[Seat]":
        """A free seat; ``None`` if there is none, or no locks on this file system: then it looks by the clock."""
        if file.seats < 0:
            return None
        try:
            for number in range(SEATS):
                if not try_lock_byte(file.seats, FIRST_LOCK + number):
                    continue
                bell = _make_bell(f"{file.path}.bell.{number}", file)
                if bell is not None:
                    return cls(file, number, bell)
                unlock_byte(file.seats, FIRST_LOCK + number)
        except OSError:
            pass
        return None

    def arm(self) -> None:
        """Asks to be rung at the next message. Look for it once more afterwards."""
        self._tickets = self._tickets + 1 & 0x1FFFFF
        word = struct.pack("=I", self._number << 21 | self._tickets or 1 << 30)
        os.pwrite(self._file.seats, word, WANTS_AT + 4 * self._number)
        os.pwrite(self._file.seats, word, 0)
        self._armed = True
        atomics.fence()  # the look comes after the words; publishers do it the other way round

    def rung(self) -> None:
        """Publishers have taken the wish back."""
        self._armed = False

    def disarm(self) -> None:
        """Takes the wish back."""
        if self._armed:
            self._armed = False
            os.pwrite(self._file.seats, bytes(4), WANTS_AT + 4 * self._number)

    def close(self) -> None:
        """Leaves it."""
        try:
            self.disarm()
            os.unlink(f"{self._file.path}.bell.{self._number}")
        except OSError:
            pass
        close_quietly(self.bell)
        try:
            unlock_byte(self._file.seats, FIRST_LOCK + self._number)
        except OSError:
            pass


def _make_bell(path: str, file: TopicFile) -> Optional[int]:
    made = True
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        made = False
    fd = _bell.open_fifo(path)
    if fd is None:
        return None
    try:
        file.trusted.check(os.fstat(fd), "", path)
        if made:
            os.fchmod(fd, file.seats_mode)
        return fd
    except (OSError, IpcError):
        os.close(fd)
        return None


class TopicReader:
    """A subscriber's place in the messages of one topic. Only it knows where it stands; it writes nothing."""

    _LOOKS, _LONGEST_WALK = 64, 4096

    def __init__(self, memory: TopicMemory, begin: str) -> None:
        self.memory = memory
        self._mask = memory.blocks - 1
        #: The next message, and the number that it has: -1 if any will do.
        self.at, self._expected = 0, 0
        #: Whether messages before the next were missed, so that its number is higher.
        self._skipped = False
        self._overtaken = 0
        self.missed = 0
        self.start = self.length = 0
        if begin == "successor":
            self.at, self._skipped = memory.position(OLDEST_AT), True
            return
        for _ in range(self._LOOKS):
            last = memory.position(LAST_AT)
            if last == NOBODY:
                return
            at = last if begin == "new" else min(memory.position(OLDEST_AT), last)
            length, _, number = HEAD.unpack_from(memory.data, (at & self._mask) * BLOCK)
            if memory.position_after_reads(OLDEST_AT) > at:
                continue
            if not 0 <= length <= memory.capacity:
                break  # found out again by the first look
            self.at = at + blocks_for(length) if begin == "new" else at
            self._expected = number + 1 if begin == "new" else number
            return
        self.at, self._skipped, self._expected = memory.position(OLDEST_AT), True, -1

    @property
    def waiting(self) -> bool:
        """Whether there is a message."""
        last = self.memory.position(LAST_AT)
        return last != NOBODY and self.at <= last

    def next(self) -> bool:
        """Finds the next message: :attr:`start` and :attr:`length`. What is read of it counts if it is then intact."""
        memory = self.memory
        for _ in range(self._LOOKS):
            if not self.waiting:
                self._overtaken = 0
                return False
            start = (self.at & self._mask) * BLOCK
            length, _, number = HEAD.unpack_from(memory.data, start)
            if not self.intact():
                self.overtaken()
                continue
            fits = 0 <= length <= memory.capacity and number < 1 << 53
            if not fits or (number < self._expected if self._skipped else number != self._expected):
                raise self._damaged(length, number)
            if self._expected >= 0:
                self.missed += number - self._expected
            self._expected, self._skipped = number, False
            self.start, self.length = start + MESSAGE_HEADER, length
            return True
        return False  # for now

    def intact(self) -> bool:
        """Whether what was read was the message, and nothing written over it."""
        return self.memory.position_after_reads(OLDEST_AT) <= self.at

    def step(self) -> None:
        """The message that was found was read."""
        self.at += blocks_for(self.length)
        self._expected += 1

    def overtaken(self) -> None:
        """It was overwritten: goes on with the oldest; further ahead each time, or it would always read in vain."""
        memory = self.memory
        self.at, self._skipped = memory.position(OLDEST_AT), True
        last = memory.position(LAST_AT)
        ahead = 0 if self._overtaken == 0 else min(memory.blocks // 2, memory.blocks * 2**self._overtaken // 64)
        self._overtaken = min(self._overtaken + 1, 6)
        until = self.at + ahead
        for _ in range(self._LONGEST_WALK):
            if self.at >= until:
                return
            length = HEAD.unpack_from(memory.data, (self.at & self._mask) * BLOCK)[0]
            if not self.intact() or not 0 <= length <= memory.capacity:
                return  # overwritten, or damaged: found out by the next look
            following = self.at + blocks_for(length)
            if last == NOBODY or following > last:
                return
            self.at = following

    def _damaged(self, length: int, number: int) -> Corrupt:
        """The error, after which this goes on with what is published from now on."""
        memory, expected = self.memory, self._expected
        last = memory.position(LAST_AT)
        newest = HEAD.unpack_from(memory.data, (last & self._mask) * BLOCK)[0]
        self.at = (last + (blocks_for(newest) if 0 <= newest <= memory.capacity else 1)) & NOBODY
        self._skipped, self._expected = True, -1
        return Corrupt(
            f"Cannot receive: a publisher has damaged the topic; its message {expected} claims to be {number}, "
            f"with {length} bytes"
        )
