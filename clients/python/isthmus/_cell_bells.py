"""The table of bells in a cell: who waits for its lock, or for a change, and how they are woken."""

from __future__ import annotations

import os

from ._atomics import atomics
from ._bell import open_fifo, ring_by_name
from ._cell_file import BELL_COUNT, CellFile, bell_path
from ._process import Identity, is_alive, own_identity
from ._system import close_quietly

_TABLE, _BELL = 192, 32
_OWNER, _START, _NAMESPACE, _WANTS, _TICKET = 0, 4, 8, 12, 16
_WAITERS, _WATCHERS, _STARVING, _IN_USE, _NEXT_TICKET = 44, 128, 132, 136, 140
#: Bits of the word "wants".
WANTS_LOCK, WANTS_CHANGE = 1, 2
_NEGATIVE = 1 << 32


def _and(at: int, mask: int) -> int:
    """Takes bits away; returns what was there."""
    while True:
        found = atomics.load32(at)
        if atomics.compare_exchange32(at, found, found & mask) == found:
            return found


class Bells:
    """The bells of one cell, as this attachment uses them. Its own one is taken when it first waits."""

    def __init__(self, address: int, file: CellFile) -> None:
        self._base = address
        self._file = file
        #: Number of its own bell, and the FIFO to listen on; -1 without one.
        self.own = -1
        self.fd = -1
        self._refused = False

    def _at(self, bell: int, word: int) -> int:
        return self._base + _TABLE + _BELL * bell + word

    @property
    def _in_use(self) -> int:
        found = atomics.load32(self._base + _IN_USE)
        return min(found, BELL_COUNT) if found < 1 << 31 else 0

    def open(self) -> bool:
        """Takes a bell. ``False`` if it cannot: then the caller looks now and then."""
        if self.own >= 0:
            return True
        if self._refused:
            return False
        bell = self._claim()
        fd = None if bell < 0 else self._make(bell_path(self._file.inode, bell))
        if fd is None:
            if bell >= 0:
                atomics.store32(self._at(bell, _OWNER), 0)
            self._refused = True
            return False
        self.own, self.fd = bell, fd
        return True

    def _make(self, path: str) -> "int | None":
        try:
            os.unlink(path)  # what a dead owner left
        except OSError:
            pass
        made = True
        try:
            os.mkfifo(path, 0o600)
        except OSError:
            made = False
        fd = open_fifo(path)
        if fd is None:
            return None
        try:
            self._file.trusted.check(os.fstat(fd), "", path)
            if made:
                os.fchmod(fd, self._file.mode)  # who may write to the cell may ring
        except Exception:
            os.close(fd)
            return None
        return fd

    def _claim(self) -> int:
        own = own_identity()
        taking = _NEGATIVE - own.tid  # negative while the words do not belong together

        def take(bell: int, found: int) -> bool:
            return atomics.compare_exchange32(self._at(bell, _OWNER), found, taking) == found

        for bell in range(BELL_COUNT):
            if atomics.load32(self._at(bell, _OWNER)) == 0 and take(bell, 0):
                break
        else:
            for bell in range(BELL_COUNT):
                tid, start, namespace = (atomics.load32(self._at(bell, word)) for word in (_OWNER, _START, _NAMESPACE))
                owner = Identity(tid if tid < 1 << 31 else tid - _NEGATIVE, start, namespace)
                if not is_alive(owner) and take(bell, tid):
                    break
            else:
                return -1
        for word, value in ((_WANTS, 0), (_START, own.start), (_NAMESPACE, own.namespace), (_OWNER, own.tid)):
            atomics.store32(self._at(bell, word), value)
        used = self._in_use
        while used <= bell:
            atomics.compare_exchange32(self._base + _IN_USE, used, bell + 1)
            used = self._in_use
        return bell

    def ticket(self) -> int:
        """A number that is lower than what later callers get, in all processes."""
        return atomics.add32(self._base + _NEXT_TICKET, 1)

    def arm(self, wants: int, ticket: int = 0) -> bool:
        """Asks to be rung. Look once more after it."""
        if not self.open():
            return False
        if wants & WANTS_LOCK:
            atomics.store32(self._at(self.own, _TICKET), ticket)
        at = self._at(self.own, _WANTS)
        while True:  # the bell first, then the sign: a ringer takes the sign down before it looks at the bells
            found = atomics.load32(at)
            if atomics.compare_exchange32(at, found, found | wants) == found:
                break
        atomics.store32(self._base + (_WAITERS if wants & WANTS_LOCK else _WATCHERS), 1)
        return True

    def disarm(self, wants: int) -> bool:
        """Takes the wish back. ``False`` if somebody has rung, or is about to."""
        return self.own >= 0 and bool(_and(self._at(self.own, _WANTS), 0xFFFFFFFF & ~wants) & wants)

    def ring_waiter(self) -> None:
        """Rings who has waited longest for the lock. To be called when it was given back."""
        if atomics.load32(self._base + _WAITERS) == 0:
            return
        atomics.store32(self._base + _WAITERS, 0)
        for _ in range(2 * BELL_COUNT):
            starving = atomics.load32(self._base + _STARVING) - 1
            chosen, lowest, wanting = -1, 0, 0
            for bell in range(self._in_use - 1, -1, -1):
                if not atomics.load32(self._at(bell, _WANTS)) & WANTS_LOCK:
                    continue
                wanting += 1
                ticket = atomics.load32(self._at(bell, _TICKET))
                # Tickets wrap around; differences do not.
                earlier = (ticket - lowest) & 0xFFFFFFFF >= 1 << 31
                if chosen < 0 or bell == starving or (chosen != starving and earlier):
                    chosen, lowest = bell, ticket
            if chosen < 0:
                return
            if wanting > 1:
                atomics.store32(self._base + _WAITERS, 1)
            if not _and(self._at(chosen, _WANTS), 0xFFFFFFFF & ~WANTS_LOCK) & WANTS_LOCK:
                continue  # rung by another
            if ring_by_name(bell_path(self._file.inode, chosen)):
                return
            if chosen == starving:
                atomics.compare_exchange32(self._base + _STARVING, chosen + 1, 0)

    def ring_watchers(self) -> None:
        """Rings everybody who waits for a change. To be called when the value was switched."""
        if atomics.load32(self._base + _WATCHERS) == 0:
            return
        atomics.store32(self._base + _WATCHERS, 0)
        for bell in range(self._in_use - 1, -1, -1):
            if _and(self._at(bell, _WANTS), 0xFFFFFFFF & ~WANTS_CHANGE) & WANTS_CHANGE:
                ring_by_name(bell_path(self._file.inode, bell))

    def close(self) -> None:
        """Gives its own bell back."""
        if self.own < 0:
            return
        atomics.store32(self._at(self.own, _WANTS), 0)
        try:
            os.unlink(bell_path(self._file.inode, self.own))
        except OSError:
            pass
        atomics.store32(self._at(self.own, _START), 0)
        atomics.store32(self._at(self.own, _OWNER), 0)
        close_quietly(self.fd)
        self.own = self.fd = -1
