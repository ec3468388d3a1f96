"""Publishing to a topic: to everybody who subscribes, without waiting for any of them."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
import time
from typing import Any, Dict, Optional

from . import _bell
from ._atomics import PLAIN_LOADS, atomics
from ._memory import Mapping
from ._process import OpenThing
from ._ring import BLOCK, ID_PID, SLOT_WORDS, SLOTS, W_SLOTS, claim_identity, clear_identity, is_identity_alive
from ._system import SYS_FUTEX, allocate, close_quietly, libc, reopen
from ._topic_file import SEATS_SIZE, open_for_publishing
from ._topic_memory import (
    DATA_OFFSET,
    HEAD,
    LAST_AT,
    MESSAGE_HEADER,
    NOBODY,
    OLDEST_AT,
    TURN_AT,
    TopicMemory,
    blocks_for,
)
from ._topic_seat import SEATS, WANTS_AT
from ._trust import Trust, Trusted
from ._values import encode
from .errors import Closed, Corrupt, IpcError, Timeout, TooLarge, system_error
from .shared import as_bytes

_OWNER, _SLEEPERS, _NEXT_TURN, _MASK32 = 0x7FF, 0x800, 0x1000, 0xFFFFFFFF
_CHUNK = 256 << 10
#: Seconds: between two looks at a turn that is taken, of one message of another's, and of all in all.
_NAP, _PATIENCE, _LONGEST_WAIT = 0.001, 5.0, 60.0
_FUTEX_WAKE = 1


class _Slots:
    """What owners of slots are looked up in: the words are the topic's, the locks are on its seats."""

    def __init__(self, memory: TopicMemory, seats: int) -> None:
        self.words, self.base, self.fd = memory.words, memory.base, seats

    def load(self, index: int) -> int:
        return atomics.load32(self.base + 4 * index)

    def store(self, index: int, value: int) -> None:
        atomics.store32(self.base + 4 * index, value)


class Publisher(OpenThing):
    """Publishes to a topic, which is made if there is none. Never waits for a subscriber: what nobody reads in time is
    overwritten. Threads may share one.

    >>> import uuid
    >>> from isthmus import Publisher, Subscriber
    >>> name = f"prices-{uuid.uuid4()}"
    >>> with Publisher(name) as prices, Subscriber(name) as listener:
    ...     prices.publish({"symbol": "DENO", "price": 12.5})
    ...     listener.recv(timeout=5)
    {'symbol': 'DENO', 'price': 12.5}

    :param name: of 1 to 200 bytes, or, with "/" in it, the path of its file.
    :param capacity: bytes of messages that are kept at least, and of the largest; 4 MiB by default.
    :param mode: permission bits, if it is made here: who may read it may subscribe, who may write it may publish.
    :param trust: whose topic is used besides this user's and root's.
    """

    def __init__(self, name: str, *, capacity: Optional[int] = None, mode: int = 0o600, trust: Trust = "user") -> None:
        self._closed = True
        self.name = name
        file = self._file = open_for_publishing(name, capacity, mode, Trusted(trust, mode))
        try:
            memory = self._memory = file.memory
            self._slots = _Slots(memory, file.seats)
            apart = reopen(file.seats, os.O_RDWR)  # a mapping keeps its open file, and with it the locks
            if apart is None:
                raise IpcError(f'Cannot publish to "{name}": its seats cannot be opened anew')
            try:
                self._seats = Mapping.shared(apart, SEATS_SIZE)
            finally:
                os.close(apart)
            self._waiting = self._seats.view().cast("I")
            self._take_slot()
        except BaseException:
            file.leave()
            raise
        #: Bytes of the data that are known to have memory: a page that cannot be had is a SIGBUS.
        self._allocated = 0
        self._bells: Dict[int, int] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._opened()

    @classmethod
    def open(cls, name: str, **options: Any) -> "Publisher":
        """The same as ``Publisher(name)``, by the name that it has in TypeScript."""
        return cls(name, **options)

    def _take_slot(self) -> None:
        for lock in (self._file.seats, -1):  # -1: a file system without locks
            for take_over in (False, True):
                for i in range(SLOTS):
                    slot = W_SLOTS + i * SLOT_WORDS
                    if claim_identity(self._slots, slot, take_over, lock):  # type: ignore[arg-type]
                        self._slot, self._slot_lock, self._own = slot, lock, i + 1
                        # Its last owner may have died in its turn, which would look like this one's from now on.
                        found = self._turn()
                        if found & _OWNER == self._own:
                            taken = self._try_take(found, _SLEEPERS)
                            if taken:
                                self._give(taken)
                        return
        raise IpcError(f'Cannot publish to "{self.name}": it has {SLOTS} publishers already; close some')

    # --- Publishing --------------------------------------------------------------------------------------------------

    def publish(self, value: Any) -> None:
        """Publishes a value. When this returns every subscriber can read it.

        :raises TooLarge: if it is larger than the capacity.
        :raises Timeout: if another publisher was stopped in the middle of a message.
        :raises Serialization: if it cannot be encoded; endpoints, memory and descriptors cannot be published.
        """
        self._publish(memoryview(encode(value)))

    def publish_bytes(self, data: Any) -> None:
        """Publishes bytes, or what another contiguous buffer holds, for subscribers of bytes."""
        self._publish(as_bytes(data))

    def _publish(self, data: memoryview) -> None:
        with self._lock:
            if self._closed:
                raise Closed(f'Cannot publish to "{self.name}": this publisher was closed')
            if data.nbytes > self._memory.capacity:
                raise TooLarge(
                    f'Cannot publish {data.nbytes} bytes to "{self.name}": it keeps {self._memory.capacity} bytes, and '
                    "no message may be larger; make it with a larger capacity, or publish less"
                )
            turn = self._take()
            try:
                self._write(data)
            finally:
                self._give(turn)
            # The load of WAITING comes after the store of LAST, which is a swap: one of the two sides sees the other.
            if self._load_waiting(0) != 0:
                self._ring_all()

    def _write(self, data: memoryview) -> None:
        memory = self._memory
        last, blocks, length = memory.position(LAST_AT), memory.blocks, data.nbytes
        start = number = 0
        if last != NOBODY:
            before, _, number = HEAD.unpack_from(memory.data, (last & (blocks - 1)) * BLOCK)
            if not 0 <= before <= memory.capacity or last >= 1 << 52 or number >= (1 << 52) - 1:
                raise Corrupt(
                    f'Cannot publish to "{self.name}": its newest message claims {before} bytes and the number {number}; '
                    "another publisher has damaged it; remove it"
                )
            start, number = last + blocks_for(before), number + 1
        needed = blocks_for(length)
        at = (start & (blocks - 1)) * BLOCK
        if self._allocated < memory.size:
            self._allocate(at + needed * BLOCK)
        self._make_room(start, start + needed - blocks)
        HEAD.pack_into(memory.data, at, length, 0, number)
        at += MESSAGE_HEADER
        memory.data[at : at + length] = data
        memory.store_position(LAST_AT, start)

    def _make_room(self, start: int, until: int) -> None:
        """Gives up the messages whose blocks are about to be written to. OLDEST moves before anything is written."""
        memory = self._memory
        oldest, blocks = memory.position(OLDEST_AT), memory.blocks
        sane = oldest <= start and start - oldest <= blocks
        if oldest >= until and sane:
            return
        position = oldest if sane else start  # what is no position is one behind everything
        while position < min(until, start):
            length = HEAD.unpack_from(memory.data, (position & (blocks - 1)) * BLOCK)[0]
            position = position + blocks_for(length) if 0 <= length <= memory.capacity else start
        position = min(position, start)
        if position != oldest:
            memory.store_position(OLDEST_AT, position)

    def _allocate(self, end: int) -> None:
        if end <= self._allocated:
            return
        size = self._memory.size
        for until in (min(-(-end // _CHUNK) * _CHUNK, size), min(end, size)):
            try:
                allocate(self._memory.fd, DATA_OFFSET + self._allocated, until - self._allocated)
                self._allocated = until
                return
            except OSError as error:
                if error.errno != errno.ENOSPC or until <= end:
                    what = f'Cannot publish to "{self.name}": its file system must have room for it'
                    raise system_error(what, error) from error

    # --- Turns -------------------------------------------------------------------------------------------------------

    def _turn(self) -> int:
        return self._slots.load(TURN_AT >> 2)

    def _try_take(self, found: int, sleepers: int) -> int:
        """The word of the turn, if it was taken; else 0."""
        turn = ((found & ~(_OWNER | _SLEEPERS)) + _NEXT_TURN & _MASK32) | self._own | (found & _SLEEPERS) | sleepers
        return turn if self._swap_turn(found, turn) == found else 0

    def _swap_turn(self, expected: int, new: int) -> int:
        return atomics.compare_exchange32(self._memory.base + TURN_AT, expected, new)

    def _take(self) -> int:
        """Waits for the turn; only ever for other publishers, and for as long as they copy."""
        found = self._turn()
        if found & _OWNER == 0:
            turn = self._try_take(found, 0)
            if turn:
                return turn
        began = since = time.monotonic()
        seen = -1
        while True:
            found = self._turn()
            if found & _OWNER == 0 or (found & ~_SLEEPERS == seen and not self._lives(found & _OWNER)):
                turn = self._try_take(found, 0)
                if turn:
                    return turn
                continue
            now = time.monotonic()
            if found & ~_SLEEPERS != seen:
                seen, since = found & ~_SLEEPERS, now
            if now - since > _PATIENCE or now - began > _LONGEST_WAIT:
                raise Timeout(
                    f'Cannot publish to "{self.name}": its publisher in process {self._pid_of(found & _OWNER)} has been '
                    f"in the middle of a message for {now - since:.1f} s; continue it if it was stopped, or end it"
                )
            time.sleep(_NAP)  # by the clock, so that nobody has to wake this one

    def _lives(self, owner: int) -> bool:
        if owner > SLOTS or owner == self._own:
            return False
        return is_identity_alive(self._slots, W_SLOTS + (owner - 1) * SLOT_WORDS)  # type: ignore[arg-type]

    def _pid_of(self, owner: int) -> int:
        return 0 if owner > SLOTS else self._slots.words[W_SLOTS + (owner - 1) * SLOT_WORDS + ID_PID]

    def _give(self, turn: int) -> None:
        """Gives the turn back, and wakes one that sleeps. A word that others have damaged is not this one's to give."""
        free = turn & ~(_OWNER | _SLEEPERS)
        asleep = turn & _SLEEPERS != 0
        if self._swap_turn(turn, free) != turn:
            asleep = self._swap_turn(turn | _SLEEPERS, free) == turn | _SLEEPERS
        if asleep:
            address = ctypes.c_void_p(self._memory.base + TURN_AT)
            libc.syscall(ctypes.c_long(SYS_FUTEX), address, ctypes.c_int(_FUTEX_WAKE), ctypes.c_int(1), None, None, 0)

    # --- Bells -------------------------------------------------------------------------------------------------------

    def _load_waiting(self, index: int) -> int:
        return self._waiting[index] if PLAIN_LOADS else atomics.load32(self._seats.address + 4 * index)

    def _ring_all(self) -> None:
        """The byte first, then the word of that subscriber, then the sign that there is any: if this one dies in between,
        the next one rings."""
        base = self._seats.address
        waiting = atomics.load32(base)
        for seat in range(SEATS):
            at = WANTS_AT + 4 * seat
            ticket = self._load_waiting(at >> 2)
            if ticket != 0:
                self._ring_one(seat)
                atomics.compare_exchange32(base + at, ticket, 0)
        atomics.compare_exchange32(base, waiting, 0)

    def _ring_one(self, seat: int) -> None:
        known = self._bells.get(seat)
        if known is not None:
            if _bell.ring(known):
                return
            close_quietly(self._bells.pop(seat))
        fd = _bell.open_ringer(f"{self._file.path}.bell.{seat}")
        if fd is not None:
            _bell.ring(fd)
            self._bells[seat] = fd

    # --- The rest ----------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path of the topic's file."""
        return self._file.path

    @property
    def capacity(self) -> int:
        """Bytes of messages that are kept at least, and bytes of the largest one."""
        return self._memory.capacity

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def close(self) -> None:
        """Leaves the topic; the last one removes it. Closing twice is harmless."""
        if self._closed:
            return
        with self._lock:
            self._closed = True
        self._ended()
        clear_identity(self._slots, self._slot, self._slot_lock)  # type: ignore[arg-type]
        self._close_bells()
        self._file.leave()

    def _close_bells(self) -> None:
        for fd in self._bells.values():
            close_quietly(fd)
        self._bells.clear()

    def _after_fork(self) -> None:
        self._closed = True
        self._lock = threading.Lock()
        self._close_bells()
        self._file.close_descriptors()

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def __repr__(self) -> str:
        return f"<Publisher {self.name!r}{' closed' if self._closed else ''}>"
