"""The receiving side of a ring: find the next whole record, release its blocks, and step over what the dead left.

See "To receive" and "Gaps" in docs/protocol.md. Every number from the ring is read once, into a variable,
and checked there.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from collections import deque
from typing import Deque, Optional

from . import _bell
from ._atomics import PLAIN_LOADS
from ._carrier import DescriptorQueue
from ._lent import GiveBack, Lent
from ._living_claims import LivingClaims
from ._memory import memory_of
from ._named import NamedFile
from ._record import LARGE, Record, admit, corrupt
from ._ring import (
    BELL_CLOSED,
    EXTENDED_HEADER,
    MASK32,
    W_BELL,
    W_COMMIT,
    W_HEAD,
    W_READ,
    W_RECEIVER,
    W_SPACE,
    W_TAIL,
    W_TRIMS,
    WARM_BLOCKS,
    RingMemory,
    claim_identity,
    clear_identity,
    signed,
)
from ._system import FOREVER
from ._waits import Waits
from .errors import AlreadyExists, IpcError

#: Bounds of what one call does with what a peer may write as fast as it is read.
_MOST_PADDING, _MOST_GAP = 1024, 65_536
#: Seconds between two looks at a gap whose owner lives, doubling.
_FIRST_GAP_LOOK, _LAST_GAP_LOOK = 0.0005, 0.05
#: Looks before a wait sleeps, at most; fewer where looking did not pay.
_MOST_LOOKS = 64
_HEADER = struct.Struct("=IIIIQ")
#: The highest commit word of messages that are received the short way.
_QUICK = 64 << 10
_LONG_RINGING, _RING_PAUSE = 0.0002, 4


class Disconnection(Exception):
    """No sender is left, and nothing more to receive."""


class Consumer:
    """One receiver's use of a ring. What it does in steps is done under :attr:`lock`."""

    def __init__(self, memory: RingMemory, bell: int, queue: DescriptorQueue, file: Optional[NamedFile] = None) -> None:
        """Owns what it is given, also if another receiver has the ring."""
        self.memory, self.bell, self.queue, self.file = memory, bell, queue, file
        self.waits = Waits()
        lock = -1 if file is None else file.lock
        if not claim_identity(memory, W_RECEIVER, True, lock) and (
            file is None or not claim_identity(memory, W_RECEIVER, True)
        ):
            self.close_descriptors()
            where = "" if file is None else f' from "{file.path}"'
            raise AlreadyExists(f"Cannot receive{where}: this channel has a receiver already")
        self._words, self._load = memory.words, memory.load
        self._mask = memory.blocks - 1
        self._published = self._load(W_HEAD)
        self._head = self._resume()
        self._known_tail = self._head
        self._ticket = 0
        self._looks = _MOST_LOOKS
        self._gap_position, self._gap_pause, self._gap_at = 0, 0.0, 0.0
        self._living = LivingClaims(memory)
        self._unfinished = False
        self._last_tail: Optional[int] = None
        self._ring_after = 0.0
        self.orphans = file is None  # those of an earlier receiver, too
        self._lent: Deque[Lent] = deque()
        self._closed = False
        self.most_bytes: Optional[int] = None
        self.lock = threading.Lock()
        if file is not None:
            memory.add(W_TRIMS, 1)  # the one before may have died while it gave memory back
        if 0 < self._load(W_BELL) < 1 << 31:
            memory.store(W_BELL, 0)  # the flag of an earlier receiver's wait

    def _resume(self) -> int:
        """Goes on where the last receiver stopped, even if it was killed before it released what it had received."""
        read, tail = self._load(W_READ), self._load(W_TAIL)
        received = (read - self._published) & MASK32
        used = (tail - self._published) & MASK32
        if received > used or used > self.memory.blocks:
            return self._published  # damaged: the first look at the tail says so
        for i in range(received):
            self._words[W_COMMIT + ((self._published + i) & self._mask)] = 0
        self.memory.store(W_HEAD, read)
        self._published = read
        return read

    # --- Records -----------------------------------------------------------------------------------------------------

    def next(self) -> Optional[Record]:
        """The record at the head, if it is whole."""
        for _ in range(_MOST_PADDING):
            index = self._head & self._mask
            word = self._load(W_COMMIT + index)
            if word == 0:
                return None
            if word < 1 << 31:
                return self._locate(index, word - 1, False)
            size = (1 << 32) - word
            if size & 1 == 0:
                return self._locate(index, size >> 1, True)
            self._require_claimed(size >> 1, index)
            self._pass(size >> 1, index)
            self._publish()
        self._unfinished = True
        return None

    def take_quickly(self) -> Optional[bytes]:
        """The next message, in memory of its own, if it is a plain one of less than 64 KiB. ``None``: look by the others.

        Its stores are plain ones, which x86-64 keeps in order. HEAD must be seen before SPACE is loaded: giving up the lock
        is the barrier, as in ``Producer.send_quickly()``.
        """
        words = self._words
        with self.lock:
            head = self._head
            index = head & self._mask
            word = words[W_COMMIT + index]
            if not 0 < word <= _QUICK or self._closed or not PLAIN_LOADS:
                return None
            length = word - 1
            blocks = (length + 63) >> 6 or 1
            if (self._known_tail - head - blocks) & MASK32 >= 1 << 31:
                tail = words[W_TAIL]
                if (tail - self._published) & MASK32 > self.memory.blocks or signed(tail - head) < blocks:
                    return None
                self._known_tail = tail
            if self.most_bytes is not None and length > self.most_bytes:
                return None
            start = index << 6
            data = self.memory.data[start : start + length].tobytes()
            # READ first: if this process dies before it clears the word, the next receiver does.
            words[W_READ] = self._head = (head + blocks) & MASK32
            words[W_COMMIT + index] = 0
            if self._lent:
                self._publish()
            else:
                self._published = words[W_HEAD] = self._head
        if words[W_SPACE] != 0:
            with self.lock:
                if not self._closed:
                    self._publish()
        return data

    def _locate(self, index: int, length: int, extended: bool) -> Record:
        blocks = (length + 63) >> 6 or 1
        if (self._known_tail - self._head - blocks) & MASK32 >= 1 << 31:
            self._require_claimed(blocks, index)
        record = Record(index << 6, length, extended, blocks)
        if extended and length < EXTENDED_HEADER:
            self.release(record)
            raise corrupt(f"an extended record of {length} bytes has no room for its header")
        if length > LARGE or (self.most_bytes is not None and length > self.most_bytes):
            try:
                self.admit(length)
                if memory_of(self.memory.fd) < length:
                    raise corrupt(f"a record claims {length} bytes that nobody wrote")
            except IpcError:
                self.release(record)
                raise
        return record

    def admit(self, length: int) -> None:
        """Refuses messages that are larger than the program wants, or than half of the memory that is left."""
        admit(length, self.most_bytes)

    def _require_claimed(self, blocks: int, index: int) -> None:
        """A record must lie between head and tail."""
        if signed(self._head + blocks - self._known_tail) <= 0 and blocks > 0:
            return
        self._known_tail = self._load_tail()
        if blocks > 0 and signed(self._head + blocks - self._known_tail) <= 0:
            return
        # One block further, so that the same word is not reported again and again.
        self._pass(0 if self._head == self._known_tail else 1, index)
        self._publish()
        raise corrupt(f"a record claims {blocks} blocks where senders claimed fewer")

    def release(self, record: Record) -> None:
        """Releases the record: from here on it is received. Nothing in here throws."""
        self._pass(record.blocks, record.offset >> 6)
        self._publish()

    def _pass(self, blocks: int, index: int) -> None:
        """READ first: if this process dies before it clears the word, the next receiver does."""
        self._head = (self._head + blocks) & MASK32
        if PLAIN_LOADS:
            self._words[W_READ] = self._head
            self._words[W_COMMIT + index] = 0
        else:
            self.memory.store(W_READ, self._head)
            self.memory.store(W_COMMIT + index, 0)

    def _publish(self) -> None:
        lent = self._lent
        while lent and lent[0].returned:
            lent.popleft()
        self._published = lent[0].position if lent else self._head
        self.memory.store(W_HEAD, self._published)
        if self._load(W_SPACE) != 0 and time.monotonic() >= self._ring_after:
            self.memory.store(W_SPACE, 0)
            began = time.monotonic()
            self.queue.ring_space_bells()
            took = time.monotonic() - began
            self._ring_after = began + took + _RING_PAUSE * took if took > _LONG_RINGING else 0.0

    def _load_tail(self) -> int:
        tail = self._load(W_TAIL)
        used = (tail - self._published) & MASK32
        if used > self.memory.blocks or signed(tail - self._head) < 0:
            raise corrupt(f"its positions make no sense ({signed(used)} of {self.memory.blocks} blocks used)")
        return tail

    # --- Payloads ----------------------------------------------------------------------------------------------------

    def copy(self, record: Record) -> bytes:
        """The payload of a plain record, in memory of its own."""
        return bytes(self.memory.data[record.offset : record.offset + record.length])

    def lend(self, record: Record, skip: int = 0) -> memoryview:
        """Takes the record out of the ring without releasing its blocks: that is done when the view is let go."""
        if record.length == skip:
            self.release(record)
            return memoryview(b"")
        lent = Lent(self._head)
        self._lent.append(lent)
        self._pass(record.blocks, record.offset >> 6)
        start = self.memory.offset + record.offset + skip
        return self.memory.mapping.window(start, record.length - skip, GiveBack(self, lent)).toreadonly()

    def sweep(self) -> None:
        """Releases the blocks of what was let go. Called from anywhere, also in the middle of this object's own steps."""
        if not self.lock.acquire(blocking=False):
            return  # its owner publishes, or the next step does
        try:
            if not self._closed:
                self._publish()
        finally:
            self.lock.release()

    @property
    def has_lent(self) -> bool:
        """Whether messages are borrowed."""
        return any(not lent.returned for lent in self._lent)

    # --- What the dead left ------------------------------------------------------------------------------------------

    def recover(self, all_gone: bool) -> bool:
        """Steps over claims of dead senders at the head. Exact: only what no living process has noted, and what is still
        not committed after that was found.

        :returns: whether it is worth looking for a message again.
        """
        load, mask = self._load, self._mask
        most = min((self._load_tail() - self._head) & MASK32, _MOST_GAP)
        gap = 0
        while gap < most and load(W_COMMIT + ((self._head + gap) & mask)) == 0:
            gap += 1
        if gap == 0:
            return most > 0
        skip = gap if all_gone else self._living.before(self._head, gap)
        if skip == 0:
            return False
        # Who committed after the first look and then died, or moved on, left its word by now.
        if any(load(W_COMMIT + ((self._head + i) & mask)) for i in range(skip)):
            return True
        self.memory.log_gap(self._head, skip)
        self._head = (self._head + skip) & MASK32
        self.memory.store(W_READ, self._head)
        self._publish()
        self.orphans = True
        return True

    def _look_at_gap(self) -> bool:
        """Looks at a gap as often as is sensible: less and less. Returns whether it was worth it."""
        now = time.monotonic()
        if self._gap_position != self._head or self._gap_pause == 0:
            self._gap_position, self._gap_pause, self._gap_at = self._head, _FIRST_GAP_LOOK, now
            return False  # most likely its sender is just writing
        if now - self._gap_at < self._gap_pause:
            return False
        self._gap_at = now
        self._gap_pause = min(self._gap_pause * 2, _LAST_GAP_LOOK)
        return self.recover(False)

    def _close_orphans(self) -> None:
        """Closes descriptors of records that never came, once nothing is claimed any more."""
        if self.orphans and self.queue.read_all() and self._load_tail() == self._head:
            self.orphans = False
            self.queue.close_arrived()

    # --- Waiting -----------------------------------------------------------------------------------------------------

    def poll(self) -> Optional[Record]:
        """Looks for a message without waiting; deals with gaps.

        :raises Disconnection: if none can come any more.
        """
        if self._lent and self._lent[0].returned:
            self._publish()
        found = self.next()
        if found is not None or self._unfinished:
            self._unfinished = False
            return found
        if self.file is None:
            self._close_orphans()
            if _bell.state(self.bell) & select.POLLHUP:
                return self._drain_last()
        if self._load_tail() != self._head and self._look_at_gap():
            return self.next()
        self._go_back()
        return None

    def _drain_last(self) -> Optional[Record]:
        """No sender is left: what is committed still counts, what is not never will be."""
        if self._last_tail is None:
            self._last_tail = self._head  # for the case that it makes no sense, which is said once
            self._last_tail = self._load_tail()
        until = time.monotonic() + 0.001
        while True:
            if signed(self._last_tail - self._head) <= 0:
                raise Disconnection
            found = self.next()
            if found is not None:
                return found
            if not self._unfinished and not self.recover(True):
                raise Disconnection
            self._unfinished = False
            if time.monotonic() >= until:
                return None

    def arm(self) -> float:
        """Declares that this receiver waits for its bell. Look once more after it; it ends with :meth:`disarm`.

        :returns: seconds after which to look again in any case, ``inf`` if there is no gap.
        """
        if self._lent and self._lent[0].returned:
            self._publish()
        self._go_back()
        if self._ring_after and self._load(W_SPACE) != 0:
            self._ring_after = 0.0
            self._publish()
        self._ticket = self._ticket + 1 & 0x3FFFFFFF or 1
        self.memory.store(W_BELL, self._ticket)
        if self.file is None:
            self._close_orphans()
        if self._load(W_COMMIT + (self._head & self._mask)) != 0:
            return _FIRST_GAP_LOOK  # it may be more padding than one look passes over
        if self._load_tail() == self._head:
            return 0.05 if self._lent else FOREVER  # what was let go meanwhile is released
        self._look_at_gap()
        return self._gap_pause

    def disarm(self) -> None:
        """Declares that it does not wait any more."""
        self.memory.store(W_BELL, 0)

    def look(self) -> Optional[Record]:
        """Looks some times, if that has paid: being woken takes longer."""
        index = W_COMMIT + (self._head & self._mask)
        for _ in range(self._looks):
            if self._load(index) != 0:
                self._looks = min(_MOST_LOOKS, self._looks * 2)
                return self.next()
        return None

    def slept(self, seconds: float) -> None:
        """A wait went to sleep: looking did not pay, but for a sleep that was very short."""
        self._looks = max(4, self._looks // 2) if seconds > 0.0001 else min(_MOST_LOOKS, self._looks * 2)

    def _go_back(self) -> None:
        """An empty ring goes on at its first blocks, which are in the caches, and all the memory it takes."""
        index = self._head & self._mask
        if index <= WARM_BLOCKS or self._lent:
            return
        until = (self._head + self.memory.blocks - index) & MASK32
        if self.memory.swap(W_TAIL, self._head, until) == self._head:
            self._head = self._known_tail = until
            self.memory.store(W_READ, until)
            self._publish()

    # --- The end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Closes for good. A named ring keeps what was not received; an empty one that nobody uses goes."""
        with self.lock:
            if self._closed:
                return
            self._closed = True
            for lent in self._lent:
                lent.returned = True  # what was borrowed was received
            if self.file is None:
                self.memory.store(W_BELL, BELL_CLOSED)
                clear_identity(self.memory, W_RECEIVER)
            else:
                self.detach()
        self.waits.end(self._leave)

    def _leave(self) -> None:
        if self.file is not None:
            # Asked once nobody else is attached: a sender may have come, sent and gone until then.
            self.file.leave(lambda: self._load(W_TAIL) == self._head)
        self.close_descriptors()

    def detach(self) -> None:
        """Lets go of the ring, for a receiver to go on elsewhere with the next message."""
        self._publish()
        self.disarm()
        clear_identity(self.memory, W_RECEIVER, -1 if self.file is None else self.file.lock)

    def undo_detach(self) -> None:
        """Takes that back."""
        claim_identity(self.memory, W_RECEIVER, False)

    def close_descriptors(self) -> None:
        """Closes what is open, and nothing else: also for a child of a fork, in which nobody else has the lock."""
        self._closed = True
        self.lock = threading.Lock()
        self.waits.forget()
        self.memory.close()
        self.queue.close()
        if self.file is not None:
            self.file.leave()
        else:
            os.close(self.bell)
