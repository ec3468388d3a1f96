"""The file of a cell: found by its name, checked, counted by locks, made whole, removed by the last one out."""

from __future__ import annotations

import os
import random
import stat
import struct
import time
from typing import Optional, Tuple

from ._memory import Mapping
from ._mutex import MUTEX_MARK, RobustMutex, require_glibc
from ._process import own_identity
from ._system import allocate, close_quietly, count_locked_bytes, publish, try_lock_byte, try_lock_file
from ._trust import Trusted
from .errors import Corrupt, Incompatible, IpcError, Timeout, system_error
from .layout import Layout, fingerprint, is_scalar

FOLDER = "/dev/shm"
MAGIC = b"IPCARC\0\x01"
VERSION = 1
MUTEX_OFFSET = 64
BELL_COUNT = 256
VALUES_OFFSET = 192 + 32 * BELL_COUNT
MAX_CAPACITY = 1 << 30
_OTHERS, _OTHERS_LENGTH = 0x10000000, 65536
_ATTEMPTS = 2000
_HEAD = struct.Struct("=8sIIQII")  # magic, version, kind, size, references, state
KIND_CBOR, KIND_POD = 0, 1


def cell_path(name: str) -> str:
    """The file of a cell."""
    encoded = name.encode("utf-8", "surrogatepass") if isinstance(name, str) else b""
    if not 0 < len(encoded) <= 200 or "/" in name or "\0" in name or encoded.decode("utf-8", "replace") != name:
        raise TypeError(
            f'Cannot use {name!r} as a name: the name of a cell is text of 1 to 200 bytes without "/" and NUL'
        )
    return f"{FOLDER}/isthmus.{name}"


def bell_path(inode: int, bell: int) -> str:
    """The FIFO of a bell of a cell."""
    return f"{FOLDER}/isthmus-bell.{inode:x}.{bell}"


class Header:
    """The numbers of a header, read once from the file, and checked."""

    def __init__(self, fd: int, size: int, what: str) -> None:
        data = os.pread(fd, 192, 0)
        data += b"\0" * (192 - len(data))

        def word(at: int) -> int:
            return int(struct.unpack_from("=I", data, at)[0])

        magic, version, self.kind, claimed, _, _ = _HEAD.unpack_from(data)
        if magic != MAGIC:
            raise Incompatible(f"{what}: its file is of another kind, not a cell; use another name, or remove it")
        if version != VERSION:
            raise Incompatible(
                f"{what}: it has format {version}, and this version of the package knows format {VERSION}"
            )
        if word(164) != MUTEX_MARK:
            raise Incompatible(
                f"{what}: its lock is that of another C library or processor (mark {word(164)}, and here it is "
                f"{MUTEX_MARK}), which would keep nobody apart"
            )
        self.size, self.offset, self.stride, self.capacity = claimed, word(56), word(60), word(144)
        self.print = struct.unpack_from("=Q", data, 32)[0]
        self.text_offset, self.text_length = word(156), word(160)
        fits = (
            claimed == size
            and self.kind in (KIND_CBOR, KIND_POD)
            and 0 < self.capacity <= MAX_CAPACITY
            and self.offset >= VALUES_OFFSET
            and self.offset % 64 == 0
            and (
                (self.kind == KIND_POD and self.capacity in (1, 2, 4, 8))
                if self.stride == 0
                else self.stride >= self.capacity and self.stride % 64 == 0
            )
            and self.offset + self.stride + self.capacity <= size
        )
        if not fits:
            raise Corrupt(f"{what}: the numbers in its header contradict one another; remove it")

    def text(self, fd: int) -> str:
        """The text of the layout; empty if there is none."""
        end = self.text_offset + self.text_length
        if self.text_offset < VALUES_OFFSET or not 0 < self.text_length <= 1 << 16 or end > self.size:
            return ""
        return os.pread(fd, self.text_length, self.text_offset).decode("utf-8", "replace")


class CellFile:
    """One attachment: an open file with a shared lock, and a byte by which holders are counted."""

    def __init__(self, name: str, fd: int, trusted: Trusted) -> None:
        self.name, self.fd, self.trusted = name, fd, trusted
        status = os.fstat(fd)
        self.inode, self.mode, self.size = status.st_ino, status.st_mode & 0o777, status.st_size

    def join(self) -> None:
        """Counts from now on."""
        first = random.randrange(_OTHERS_LENGTH)
        for n in range(_OTHERS_LENGTH):
            if try_lock_byte(self.fd, _OTHERS + (first + n) % _OTHERS_LENGTH):
                return
        raise IpcError(f'Cannot attach to the cell "{self.name}": it has too many attachments; close some')

    def holders(self) -> int:
        """How many attachments live, this one included."""
        return 1 + count_locked_bytes(self.fd, 0, _OTHERS + _OTHERS_LENGTH)

    def map(self) -> Mapping:
        """Maps it by another open file: a mapping keeps its own, and that its locks."""
        apart = os.open(f"/proc/self/fd/{self.fd}", os.O_RDWR | os.O_CLOEXEC)
        try:
            return Mapping.shared(apart, self.size)
        finally:
            os.close(apart)

    def leave(self) -> int:
        """Gives the attachment up; the last one removes the file. Returns how many are left."""
        others = self.holders() - 1
        last = try_lock_file(self.fd, alone=True)
        if last:
            _remove(self.name, self.fd)
        close_quietly(self.fd)
        return 0 if last else others


def _is_at(path: str, status: os.stat_result) -> bool:
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (found.st_ino, found.st_dev) == (status.st_ino, status.st_dev)


def _remove(name: str, fd: int) -> None:
    """Removes a cell that nobody else holds: its bells first, its name last."""
    status, beginning = os.fstat(fd), os.path.basename(bell_path(os.fstat(fd).st_ino, 0))[:-1]
    for entry in os.listdir(FOLDER):
        if entry.startswith(beginning):
            _unlink(f"{FOLDER}/{entry}")
    if _is_at(cell_path(name), status):
        _unlink(cell_path(name))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # another user's stays


def open_cell(name: str, what: str, trusted: Trusted) -> Optional[CellFile]:
    """Attaches to a living cell; ``None`` if there is none. A dead one is removed on the way."""
    require_glibc()
    path = cell_path(name)
    for _ in range(_ATTEMPTS):
        try:
            fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise system_error(f"{what}, {path}", error) from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise Incompatible(f"{what}: {path} is not a regular file, so no cell; use another name")
            if status.st_size == 0:
                raise Corrupt(f"{what}: {path} was cut short to 0 bytes; remove it")
            if os.pread(fd, 8, 0) != MAGIC:
                raise Incompatible(
                    f"{what}: {path} is a file of another kind, not a cell; use another name, or remove it"
                )
            trusted.check(status, what, path)
            if try_lock_file(fd, alone=True):
                _remove(name, fd)
                if _is_at(path, status):
                    raise system_error(f"{what}: it is dead, and cannot be removed", PermissionError(13, ""))
                os.close(fd)
                continue
            if try_lock_file(fd, alone=False) and _is_at(path, status):
                file = CellFile(name, fd, trusted)
                file.join()
                return file
        except BaseException:
            close_quietly(fd)
            raise
        os.close(fd)
        time.sleep(0.001)  # somebody is just removing it
    raise Timeout(f"{what}: a process that is removing it has been stopped half-way; continue or end it")


def _up(length: int) -> int:
    return -(-length // 64) * 64


def create_cell(
    name: str, layout: Optional[Layout], capacity: int, first: bytes, mode: int, trusted: Trusted
) -> Optional[Tuple[CellFile, Mapping]]:
    """Makes a cell, in a file that gets its name when all of it is there. ``None`` if a living one has the name."""
    require_glibc()
    path, what = cell_path(name), f'Cannot create the cell "{name}"'
    text = b"" if layout is None else layout.text.encode()
    stride = 0 if layout is not None and is_scalar(layout) else _up(capacity)
    offset = _up(VALUES_OFFSET + len(text))
    size = offset + stride + _up(capacity)
    try:
        fd = os.open(FOLDER, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise system_error(what, error) from error
    try:
        try:
            allocate(fd, 0, size)
        except OSError as error:
            raise system_error(f"{what}: {FOLDER} has no room for {size} bytes", error) from error
        os.fchmod(fd, mode)
        file = CellFile(name, fd, trusted)
        mapping = file.map()
        memory = mapping.view()
        _HEAD.pack_into(memory, 0, MAGIC, VERSION, KIND_CBOR if layout is None else KIND_POD, size, 1, 0)
        struct.pack_into("=Q", memory, 32, 0 if layout is None else fingerprint(layout.text))
        struct.pack_into("=IIII", memory, 48, len(first), len(first), offset, stride)
        struct.pack_into("=I", memory, 144, capacity)
        struct.pack_into("=II", memory, 156, VALUES_OFFSET if text else 0, len(text))
        struct.pack_into("=II", memory, 164, MUTEX_MARK, own_identity().namespace)
        memory[VALUES_OFFSET : VALUES_OFFSET + len(text)] = text
        memory[offset : offset + len(first)] = first
        RobustMutex(mapping.address + MUTEX_OFFSET).initialize()
        struct.pack_into("=I", memory, 28, 1)
        if not try_lock_file(fd, alone=False):
            raise IpcError(f"{what}: its new file is locked already")
        file.join()
        for _ in range(_ATTEMPTS):
            try:
                publish(fd, path)
                return file, mapping
            except FileExistsError:
                pass
            except OSError as error:
                raise system_error(what, error) from error
            found = open_cell(name, what, trusted)
            if found is not None:
                found.leave()
                os.close(fd)
                return None
        raise Timeout(f"{what}: others create and remove it all the time")
    except BaseException:
        close_quietly(fd)
        raise
