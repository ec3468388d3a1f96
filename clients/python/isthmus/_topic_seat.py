"""The place of a subscriber among those that are rung. See "Topics" in docs/protocol.md."""

from __future__ import annotations

import os
import struct
from typing import Optional

from . import _bell
from ._atomics import atomics
from ._system import close_quietly, try_lock_byte, unlock_byte
from ._topic_file import TopicFile
from .errors import IpcError

SEATS, WANTS_AT, _FIRST_LOCK = 512, 256, 2048


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
                if not try_lock_byte(file.seats, _FIRST_LOCK + number):
                    continue
                bell = _make_bell(f"{file.path}.bell.{number}", file)
                if bell is not None:
                    return cls(file, number, bell)
                unlock_byte(file.seats, _FIRST_LOCK + number)
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
            unlock_byte(self._file.seats, _FIRST_LOCK + self._number)
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
