"""The sending side of a ring: claim, copy, commit, and wake the receiver. See "To send" in docs/protocol.md."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import threading
import time
from typing import Optional, Sequence

from . import _bell
from ._atomics import PLAIN_LOADS, atomics
from ._carrier import send_descriptors
from ._memory import FINAL
from ._named import NamedFile, RingRoom
from ._process import own_identity
from ._ring import (
    BELL_CLOSED,
    BLOCK,
    CLAIM_BLOCKS,
    CLAIM_POSITION,
    EXTENDED_HEADER,
    HAS_DESCRIPTORS,
    ID_NAMESPACE,
    ID_PID,
    IS_OUT_OF_LINE,
    MASK32,
    SLOT_COUNTER,
    W_BELL,
    W_COMMIT,
    W_HEAD,
    W_READ,
    W_RECEIVER,
    W_TAIL,
    WARM_BLOCKS,
    RingMemory,
    SenderSlots,
    blocks_for,
    padding_word,
    signed,
)
from ._room_wait import RoomWait
from ._system import F_ADD_SEALS, close_quietly, thread_ended
from ._waits import Waits
from .errors import Closed, Corrupt, Disconnected, IpcError, Serialization, TooLarge, system_error

#: Seconds between two looks whether the receiver lives.
_LOOK_INTERVAL = 0.001
#: From so many bytes on a message is worth the longer way.
_LARGE = 64 << 10
_RELOADS, _MOST_ATTEMPTS = 1000, 10_000
_FULL = -1
_HEADER = struct.Struct("=IIIIQ")


class Producer:
    """One sender's use of a ring. Threads take turns."""

    def __init__(
        self, memory: RingMemory, bell: int, carrier: Optional[socket.socket], file: Optional[NamedFile] = None
    ) -> None:
        self.memory, self._bell, self.carrier, self.file = memory, bell, carrier, file
        self._words, self._load = memory.words, memory.load
        self._blocks, self._mask = memory.blocks, memory.blocks - 1
        #: Addresses of TAIL and of the first commit word.
        self._tail, self._commits = memory.base + 4 * W_TAIL, memory.base + 4 * W_COMMIT
        self._swap_tail = atomics.bind_compare_exchange32(self._tail)
        self.slots = SenderSlots(memory, -1 if file is None else file.lock)
        self._room = None if file is None else RingRoom(memory, file.path)
        self._slot = self.slots.claim()
        self._limit = memory.load(W_TAIL)
        #: The position of the last claim.
        self._claimed_at = 0
        self._looked_at = 0.0
        self._gone = self._closed = False
        self.lock = threading.Lock()
        self.waits = Waits()
        self.room = RoomWait(self)

    @property
    def capacity(self) -> int:
        """Bytes that the ring holds."""
        return self.memory.blocks * BLOCK

    @property
    def position(self) -> int:
        """Where what is sent next will lie, or before that."""
        return self._load(W_TAIL)

    def is_unread(self, position: int) -> bool:
        """Whether the receiver has not got to a position. Final once it is gone."""
        return signed(self._load(W_READ) - position) <= 0

    @property
    def bell(self) -> int:
        """The ringing end of the doorbell."""
        return self._bell

    # --- Messages ----------------------------------------------------------------------------------------------------

    def send_quickly(self, data: bytes) -> bool:
        """Sends a message of less than 64 KiB where nothing has to be found out before. ``False``: by :meth:`try_send`.

        Its stores are plain ones, which x86-64 keeps in order. The commit word must be seen before BELL is loaded, for which
        a full barrier is needed: giving up a lock of Python's is an atomic instruction, and there such a one is a barrier.
        """
        length = len(data)
        if length >= _LARGE or not PLAIN_LOADS:
            return False
        words, index = self._words, _FULL
        with self.lock:
            blocks, note = (length + 63) >> 6 or 1, self._slot + CLAIM_BLOCKS
            tail = words[W_TAIL]
            if (
                not blocks <= (self._limit - tail) & MASK32 <= self._blocks
                or time.monotonic() - self._looked_at >= _LOOK_INTERVAL
                or self._gone
                or self._closed
            ):
                return False
            word = padding_word(blocks)  # what the claim becomes if anything fails from here on
            try:
                words[self._slot + CLAIM_POSITION] = tail
                words[note] = blocks
                if self._swap_tail(tail, (tail + blocks) & MASK32) == tail:
                    index = tail & self._mask
                    start = index << 6
                    self.memory.data[start : start + length] = data
                    word = length + 1
            finally:
                if index != _FULL:
                    words[W_COMMIT + index] = word
                words[note] = 0
        if index == _FULL:
            return False
        if words[W_BELL] != 0:
            with self.lock:
                bell = self._load(W_BELL)
                if bell != 0 and not self._closed:
                    self._wake_for(tail, bell)
        return True

    def try_send(self, data: memoryview, fds: Sequence[int] = ()) -> bool:
        """Sends a message if there is room; the descriptors stay the caller's."""
        with self.lock:
            self.require_open()
            length = data.nbytes
            if fds or length > self.memory.blocks << 6:
                return self._try_send_extended(data, fds)
            blocks = (length + 63) >> 6 or 1
            index = _FULL
            word = padding_word(blocks)  # what the claim becomes if anything fails from here on
            try:
                index = self._claim(blocks, self._slot)
                if index == _FULL:
                    return False
                self._require_unclosed()
                start = index << 6
                self.memory.data[start : start + length] = data
                word = length + 1
            finally:
                self._finish(index, word)
            return True

    def _finish(self, index: int, word: int) -> None:
        """Commits a claim, and wakes the receiver once.

        Then the note goes: the load of BELL keeps it behind the commit, also on arm64. If something was thrown between
        the claim and the knowledge of it, such as KeyboardInterrupt, its blocks are a gap without a living owner now,
        which the receiver steps over.
        """
        bell = 0
        if index != _FULL:
            atomics.store32(self._commits + 4 * index, word)
            bell = self._load(W_BELL)
        self._words[self._slot + CLAIM_BLOCKS] = 0
        if bell != 0:
            self._wake_for(self._claimed_at, bell)

    def _wake_for(self, position: int, ticket: int) -> None:
        """The same for a record that was committed. The receiver may have polled, received it, and closed its end."""
        try:
            self.wake(ticket)
        except Disconnected:
            # pair: READ/end. The receiver moves READ, then closes.
            if self.is_unread(position):
                raise

    def _require_unclosed(self) -> None:
        """After a claim: the receiver has not closed its end. It is rung once, after the commit."""
        if self._load(W_BELL) == BELL_CLOSED:
            self._gone = True
            raise _disconnected()

    def wake(self, ticket: int) -> None:
        """Rings the receiver, for a ticket that was found in BELL."""
        if ticket != BELL_CLOSED and _bell.ring(self._bell):
            # The byte before the flag, and this wait's flag alone.
            self.memory.swap(W_BELL, ticket, 0)
            return
        self._gone = True
        raise _disconnected()

    def _try_send_extended(self, data: memoryview, fds: Sequence[int]) -> bool:
        length = data.nbytes
        if self.file is not None:
            raise self._not_by_name(length, len(fds))
        outside = EXTENDED_HEADER + length > self.capacity
        inline = EXTENDED_HEADER + (0 if outside else length)
        index, word = _FULL, padding_word(blocks_for(inline))
        body = -1
        try:
            if outside:
                body = _write_memory_file(data)
                fds = [body, *fds]
            index = self._claim(blocks_for(inline), self._slot)
            if index == _FULL:
                return False
            self._require_unclosed()
            # Never used again, by the next owner of the slot.
            counter = self.memory.add(self._slot + SLOT_COUNTER, 1)
            assert self.carrier is not None
            if not send_descriptors(self.carrier, self._slot, counter, fds):
                return False
            start = index << 6
            flags = (HAS_DESCRIPTORS if fds else 0) | (IS_OUT_OF_LINE if outside else 0)
            _HEADER.pack_into(self.memory.data, start, flags, self._slot, counter, len(fds), length)
            if not outside:
                start += EXTENDED_HEADER
                self.memory.data[start : start + length] = data
            word = -2 * inline & MASK32
        finally:
            close_quietly(body) if body >= 0 else None
            self._finish(index, word)
        return True

    def _not_by_name(self, length: int, fds: int) -> IpcError:
        assert self.file is not None
        path = self.file.path
        if fds:
            return Serialization(
                f'Cannot send an endpoint, memory or a descriptor through "{path}": a named channel carries data only'
            )
        return TooLarge(
            f'Cannot send {length} bytes through "{path}": a message is at most as large as the channel, '
            f"{self.capacity} bytes; make it with a larger capacity"
        )

    # --- Claims ------------------------------------------------------------------------------------------------------

    def _claim(self, blocks: int, slot: int) -> int:
        """Claims blocks; returns the index of the first, or ``_FULL``."""
        now = time.monotonic()
        if self._gone or now - self._looked_at >= _LOOK_INTERVAL:
            self.require_listener()
            self._limit = self._load(W_TAIL)  # and no older than this, or positions could come round to it
            self.slots.lock()
            self._looked_at = now
        words, most = self._words, self.memory.blocks
        tail = words[W_TAIL]  # however old: the swap finds out
        for _ in range(_MOST_ATTEMPTS):
            room = (self._limit - tail) & MASK32
            if not blocks <= room <= most:
                if not self._refresh_limit(blocks):
                    return _FULL
                tail = self._load(W_TAIL)
                continue
            # The note before the tail: who finds the blocks claimed finds out by whom.
            words[slot + CLAIM_POSITION] = tail
            words[slot + CLAIM_BLOCKS] = blocks
            found = atomics.compare_exchange32(self._tail, tail, (tail + blocks) & MASK32)
            if found == tail:
                self._claimed_at = tail
                return int(tail & self._mask)
            tail = found
        words[slot + CLAIM_BLOCKS] = 0  # what was noted is another's claim
        return _FULL

    def require_listener(self) -> None:
        """Raises ``Disconnected`` if the receiver is gone for good."""
        open_ = not self._gone and self._load(W_BELL) != BELL_CLOSED
        if open_ and self.file is None:
            open_ = not _bell.state(self._bell) & select.POLLERR and not self._receiver_ended()
        if not open_:
            self._gone = True
            raise _disconnected()

    def _receiver_ended(self) -> bool:
        """Whether the receiver was in a thread that has ended, such as a Worker of Deno's, whose process goes on."""
        tid, pid = self._load(W_RECEIVER), self._load(W_RECEIVER + ID_PID)
        namespace = own_identity().namespace
        if not 0 < tid < 1 << 31 or not 0 < pid < 1 << 31 or namespace == 0:
            return False
        if self._words[W_RECEIVER + ID_NAMESPACE] != namespace:
            return False
        return thread_ended(pid, tid) and self._load(W_RECEIVER) == tid

    def _refresh_limit(self, blocks: int) -> bool:
        """Learns how far the receiver got. ``False`` if so many blocks do not fit."""
        capacity = self.memory.blocks
        for _ in range(_RELOADS):
            head = self._load(W_HEAD)
            tail = self._load(W_TAIL)
            used = (tail - head) & MASK32
            if used <= capacity:
                break
        else:
            raise Corrupt(f"Cannot send: the ring's positions make no sense ({used} of {capacity} blocks used)")
        index = tail & self._mask
        # Back to the first blocks, which are in the caches, if half of the ring is free there.
        if index > WARM_BLOCKS and index - used >= max(capacity // 2, blocks) and self._skip_rest(tail):
            ahead = capacity if self._room is None else capacity - index  # of a file: or allocated first
            self._limit = ((head if self._room is None else tail) + ahead) & MASK32
            return True
        free = capacity - used
        window = min(free, max(blocks, WARM_BLOCKS))
        self._limit = (tail + window) & MASK32
        if free < blocks:
            self._words[self._slot + CLAIM_BLOCKS] = 0  # what an attempt may have noted is another's claim now
            return False
        if self._room is not None:
            try:
                self._limit = (tail + self._room.allocate(tail & self._mask, window, blocks)) & MASK32
            except OSError as error:
                self._limit = tail
                if error.errno == errno.ENOSPC and index - used >= blocks:
                    self._skip_rest(tail)  # the blocks at the beginning are free, and allocated already
                    return True
                self._words[self._slot + CLAIM_BLOCKS] = 0
                raise self._room.full(blocks, error) from error
        return True

    def _skip_rest(self, tail: int) -> bool:
        """Claims what is left up to the end of the ring, as padding. ``False`` if another was faster."""
        index = tail & self._mask
        rest = self.memory.blocks - index
        self._words[self._slot + CLAIM_POSITION] = tail
        self._words[self._slot + CLAIM_BLOCKS] = rest
        if self.memory.swap(W_TAIL, tail, (tail + rest) & MASK32) == tail:
            self.memory.store(W_COMMIT + index, padding_word(rest))
            self._load(W_BELL)
            self._words[self._slot + CLAIM_BLOCKS] = 0
            return True
        self._words[self._slot + CLAIM_BLOCKS] = 0
        return False

    # --- Loans -------------------------------------------------------------------------------------------------------

    def try_reserve(self, length: int) -> Optional["Claim"]:
        """Claims room for a message that is written in place, by a slot of its own."""
        if length > self.capacity:
            raise TooLarge(f"Cannot reserve {length} bytes: the channel holds {self.capacity}; send them instead")
        with self.lock:
            self.require_open()
            slot = self.slots.borrow()
            index = _FULL
            blocks = blocks_for(length)
            try:
                index = self._claim(blocks, slot)
                if index != _FULL and self._load(W_BELL) == BELL_CLOSED:
                    self.wake(BELL_CLOSED)
                if index != _FULL:
                    return Claim(self, slot, self._claimed_at, index, blocks, length)
            except BaseException:
                if index != _FULL:
                    self.memory.store(W_COMMIT + index, padding_word(blocks))
                self.slots.give_back(slot)
                raise
            self.slots.give_back(slot)
            return None

    def end_claim(self, claim: "Claim", length: Optional[int]) -> None:
        """Commits a claim that was open, or makes padding of it."""
        with self.lock:
            if self._closed:
                return
            used = claim.blocks if length is None else blocks_for(length)
            if used < claim.blocks:
                rest = claim.blocks - used
                self.memory.store(W_COMMIT + (claim.index + used & self._mask), padding_word(rest))
            word = padding_word(used) if length is None else length + 1
            self.memory.store(W_COMMIT + claim.index, word)
            bell = self._load(W_BELL)
            self.slots.give_back(claim.slot)
            if bell not in (0, BELL_CLOSED):
                self._wake_for(claim.position, bell)

    # --- The end -----------------------------------------------------------------------------------------------------

    def require_open(self) -> None:
        """Raises ``Closed`` if it is."""
        if self._closed:
            raise Closed("Cannot send: this sender was closed")

    def close(self) -> None:
        """Gives up the slots and closes everything."""
        with self.lock:
            if self._closed:
                return
            self._closed = True
            self.slots.close()
        self.waits.end(self.close_descriptors)

    def close_descriptors(self) -> None:
        """Closes what is open, and nothing else: also for a child of a fork, in which nobody else has the lock."""
        self._closed = True
        self.lock = threading.Lock()
        self.waits.forget()
        self.room.close()
        self.memory.close()
        if self.file is not None:
            self.file.leave()
        else:
            close_quietly(self._bell)
            assert self.carrier is not None
            self.carrier.close()


class Claim:
    """Blocks that are claimed, and the program writes to."""

    def __init__(self, producer: Producer, slot: int, position: int, index: int, blocks: int, length: int) -> None:
        self.slot, self.index, self.blocks, self.position = slot, index, blocks, position
        memory = producer.memory
        self.view = memory.mapping.window(memory.offset + index * BLOCK, length)


def _write_memory_file(data: memoryview) -> int:
    fd = os.memfd_create("isthmus-message", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        at = 0
        while at < data.nbytes:
            at += os.write(fd, data[at : at + (1 << 30)])
        fcntl.fcntl(fd, F_ADD_SEALS, FINAL)
    except OSError as error:
        os.close(fd)
        raise system_error(f"Cannot put a message of {data.nbytes} bytes into a memory file", error) from error
    return fd


def _disconnected() -> IpcError:
    return Disconnected("Cannot send: the receiver is gone")
