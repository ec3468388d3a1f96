"""The memory of a ring, as drawn in docs/protocol.md, and who owns a slot in it.

Offsets are indices of 32-bit words. Positions count blocks of 64 bytes modulo 2^32.
"""

from __future__ import annotations

import os
import struct
from typing import Callable, List, Optional

from ._atomics import PLAIN_LOADS, atomics
from ._memory import Mapping, check_seals, sealed_memory
from ._process import Identity, is_alive, own_identity
from ._system import is_byte_locked, reopen, try_lock_byte, unlock_byte
from .errors import Corrupt, Incompatible, IpcError

MASK32 = 0xFFFFFFFF
BLOCK = 64
FORMAT_VERSION = 2
W_NAMESPACE, W_TRIMS, W_TAIL, W_HEAD, W_BELL, W_SPACE, W_RECEIVER, W_READ = 4, 5, 16, 32, 48, 64, 80, 84
W_GAPS, W_GAP_LOG, LOGGED_GAPS = 96, 112, 16
BELL_CLOSED = MASK32  # -1
SLOTS, W_SLOTS, SLOT_WORDS = 1024, 1024, 16
ID_TID, ID_START, ID_NAMESPACE, ID_PID, ID_LOCK = 0, 1, 2, 3, 7
CLAIM_POSITION, CLAIM_BLOCKS, SLOT_COUNTER = 4, 5, 6
W_COMMIT = W_SLOTS + SLOTS * SLOT_WORDS
HEADER_BYTES = 4096
MIN_CAPACITY, MAX_CAPACITY, DEFAULT_CAPACITY = 1 << 16, 1 << 30, 4 << 20
#: A ring goes back to its first blocks when it can, which are in the caches; looked at every so many.
WARM_BLOCKS = (256 << 10) // BLOCK
EXTENDED_HEADER = 32
HAS_DESCRIPTORS, IS_OUT_OF_LINE = 1, 2

_HEADER = struct.Struct("=8sIII")
_MAGIC = b"ISTHRING"
_NUMBER, _HOLDS = 0x3FFFFFFF, 0x40000000


def data_offset(blocks: int) -> int:
    """Bytes before the data."""
    return -(-(W_COMMIT * 4 + blocks * 4) // 65536) * 65536


def ring_size(blocks: int) -> int:
    """Bytes of a ring."""
    return data_offset(blocks) + blocks * BLOCK


def blocks_for(length: int) -> int:
    """Blocks that so many bytes take; an empty message takes one."""
    return (length + 63) >> 6 or 1


def padding_word(blocks: int) -> int:
    """The commit word of padding."""
    return -(2 * blocks + 1) & MASK32


def signed(difference: int) -> int:
    """A difference of positions as a number that may be negative."""
    difference &= MASK32
    return difference - (1 << 32) if difference >= 1 << 31 else difference


def capacity_of(capacity: Optional[int]) -> int:
    """Bytes of a ring for what an option asks for: a power of two."""
    if capacity is None:
        return DEFAULT_CAPACITY
    if not isinstance(capacity, int) or not 0 < capacity <= MAX_CAPACITY:
        raise ValueError(f"Cannot make a channel with the capacity {capacity!r}: give 1 to {MAX_CAPACITY} bytes")
    return int(max(MIN_CAPACITY, 1 << (capacity - 1).bit_length()))


def write_header(memory: memoryview, blocks: int, namespace: int) -> None:
    """Makes a ring of zeros."""
    _HEADER.pack_into(memory, 0, _MAGIC, FORMAT_VERSION, blocks, namespace)


class RingMemory:
    """A ring, mapped. Its file belongs to this object."""

    def __init__(self, fd: int, blocks: int) -> None:
        self.fd, self.blocks = fd, blocks
        self.offset = data_offset(blocks)
        self.mapping = Mapping.mirrored(fd, self.offset, blocks * BLOCK)
        self.base = self.mapping.address
        self.words = self.mapping.view(0, self.offset).cast("I")
        #: The data, twice in a row, so that every record is contiguous.
        self.data = self.mapping.view(self.offset)
        #: A sequentially consistent load of a word.
        self.load: Callable[[int], int] = self.words.__getitem__ if PLAIN_LOADS else self._load

    def _load(self, index: int) -> int:
        return atomics.load32(self.base + 4 * index)

    def store(self, index: int, value: int) -> None:
        """A sequentially consistent store."""
        atomics.store32(self.base + 4 * index, value)

    def swap(self, index: int, expected: int, new: int) -> int:
        """Compare and swap; returns what was found."""
        return atomics.compare_exchange32(self.base + 4 * index, expected, new)

    def add(self, index: int, value: int) -> int:
        """Adds; returns what was found."""
        return atomics.add32(self.base + 4 * index, value)

    def log_gap(self, head: int, blocks: int) -> None:
        """Notes what is stepped over, before READ moves: a sender that was killed may ask later what became of it."""
        gaps = self.load(W_GAPS)
        entry = W_GAP_LOG + (gaps & (LOGGED_GAPS - 1)) * 2
        self.store(entry, head)
        self.store(entry + 1, blocks)
        self.store(W_GAPS, (gaps + 1) & MASK32)

    @classmethod
    def create(cls, capacity: Optional[int]) -> "RingMemory":
        """A new ring without a name."""
        blocks = capacity_of(capacity) // BLOCK
        fd = sealed_memory("isthmus-ring", ring_size(blocks))
        try:
            memory = cls(fd, blocks)
        except BaseException:
            os.close(fd)
            raise
        write_header(memory.mapping.view(), blocks, own_identity().namespace)
        return memory

    @classmethod
    def attach(cls, fd: int) -> "RingMemory":
        """A ring that came from a peer; the descriptor stays the caller's if this fails."""
        return cls._attach(fd, check_seals(fd), Corrupt, "Cannot attach to a channel")

    @classmethod
    def attach_file(cls, fd: int, what: str) -> "RingMemory":
        """A ring in a file."""
        return cls._attach(fd, os.fstat(fd).st_size, Incompatible, what)

    @classmethod
    def _attach(cls, fd: int, size: int, error: Callable[[str], IpcError], what: str) -> "RingMemory":
        blocks = MIN_CAPACITY // BLOCK
        while blocks * BLOCK <= MAX_CAPACITY and ring_size(blocks) != size:
            blocks *= 2
        if blocks * BLOCK > MAX_CAPACITY:
            raise error(f"{what}: its memory of {size} bytes has not the size of a ring")
        magic, version, claimed, namespace = _HEADER.unpack(os.pread(fd, _HEADER.size, 0))
        if magic != _MAGIC:
            raise error(f"{what}: its memory does not begin as a ring does")
        if version != FORMAT_VERSION:
            raise Incompatible(
                f"{what} of format {version}: this version of the package speaks format {FORMAT_VERSION}"
            )
        if claimed != blocks:
            raise error(f"{what}: its header says {claimed} blocks, its size says {blocks}")
        memory = cls(fd, blocks)
        if namespace != own_identity().namespace:
            memory.store(W_NAMESPACE, 0)  # who looks at this from now on holds locks
        return memory

    def close(self) -> None:
        """Closes the file. The mapping goes with the last view on it."""
        os.close(self.fd)


# --- Who owns a slot, or the receiving end ---------------------------------------------------------------------------


def _byte_of(at: int) -> int:
    return SLOTS if at < W_SLOTS else (at - W_SLOTS) // SLOT_WORDS


def _pair(tid: int, start: int) -> int:
    return tid & MASK32 | start << 32


def claim_identity(
    memory: RingMemory, at: int, take_over: bool, lock: int = -1, prepare: Callable[[], None] = lambda: None
) -> bool:
    """Claims an identity, at a word index, if nobody that lives has it.

    :param take_over: whether to look if a present owner is dead.
    :param lock: an open file of the caller's alone: claims only what it can lock as well.
    :param prepare: called when it is this process's, and nobody counts with it yet.
    """
    if memory.load(at) != 0 and not take_over:
        return False
    if lock >= 0 and not _try_lock(lock, at):
        return False
    address = memory.base + 4 * at
    found = atomics.load64(address)
    own = own_identity()
    tid, start = found & MASK32, found >> 32
    taking = _pair(-(own.tid | _HOLDS if lock >= 0 else own.tid), own.namespace)
    free = tid == 0 or (take_over and not _lives(memory, at, tid, start, lambda: lock < 0))
    if not free or atomics.compare_exchange64(address, found, taking) != found:
        if lock >= 0:
            unlock_byte(lock, _byte_of(at))
        return False
    words = memory.words
    words[at + ID_NAMESPACE], words[at + ID_PID], words[at + ID_LOCK] = own.namespace, own.tid, int(lock >= 0)
    prepare()
    atomics.exchange64(address, _pair(own.tid, own.start))
    return True


def _try_lock(lock: int, at: int) -> bool:
    try:
        return try_lock_byte(lock, _byte_of(at))
    except OSError:
        return False  # a file system without locks


def is_identity_alive(memory: RingMemory, at: int) -> bool:
    """Whether the owner at a word index lives. An empty identity does not."""
    found = atomics.load64(memory.base + 4 * at)
    tid, start = found & MASK32, found >> 32
    return tid != 0 and _lives(memory, at, tid, start, lambda: is_byte_locked(memory.fd, _byte_of(at)))


def _lives(memory: RingMemory, at: int, tid: int, start: int, locked: Callable[[], bool]) -> bool:
    taking = tid >= 1 << 31
    number = -signed(tid) if taking else tid
    holds = number & _HOLDS != 0 if taking else memory.load(at + ID_LOCK) != 0
    if holds and not locked():
        return False
    if taking:
        return is_alive(Identity(number & _NUMBER, 0, start))
    return is_alive(Identity(tid, start, memory.load(at + ID_NAMESPACE)))


def clear_identity(memory: RingMemory, at: int, lock: int = -1) -> None:
    """Gives an identity up."""
    if lock >= 0 and memory.load(at + ID_LOCK) != 0:
        memory.store(at + ID_LOCK, 0)  # first: who says that it holds the lock, and does not, is dead
        unlock_byte(lock, _byte_of(at))
    words = memory.words
    words[at + ID_START] = words[at + ID_NAMESPACE] = words[at + ID_PID] = 0
    memory.store(at + ID_TID, 0)


class SenderSlots:
    """The slots that one sender has: its own, and one for each loan that is out."""

    def __init__(self, memory: RingMemory, lock: int = -1) -> None:
        self._memory = memory
        self._lock, self._lock_is_own = lock, lock < 0
        self._slots: List[int] = []
        self._spare: List[int] = []
        self._locked = False

    @property
    def _needed(self) -> bool:
        """Whether an end of the ring is, or was, in another PID namespace, or this one is not known."""
        namespace = own_identity().namespace
        return self._memory.load(W_NAMESPACE) != namespace or namespace == 0

    def _open(self) -> int:
        if self._lock < 0:
            found = reopen(self._memory.fd, os.O_RDWR)
            self._lock = -1 if found is None else found
        return self._lock

    def claim(self, locked: bool = False) -> int:
        """A slot for claims: one at a time. ``locked`` if one may stay open while this sender does nothing."""
        lock = self._open() if locked or self._needed else -1
        for own_lock in (lock, -1) if lock >= 0 else (-1,):
            for take_over in (False, True):
                for i in range(SLOTS):
                    slot = W_SLOTS + i * SLOT_WORDS
                    if take_over and slot in self._slots:
                        continue

                    def no_claim(slot: int = slot) -> None:  # a dead owner's would be taken for one of ours
                        self._memory.words[slot + CLAIM_BLOCKS] = 0

                    if claim_identity(self._memory, slot, take_over, own_lock, no_claim):
                        self._slots.append(slot)
                        self._locked = False
                        return slot
        raise IpcError(f"Cannot send: {SLOTS} threads send through this channel already; close some senders")

    def lock(self) -> None:
        """Takes the locks that have become necessary since the last call."""
        if self._locked or not self._needed or self._open() < 0:
            return
        done = True
        for slot in self._slots:
            if self._memory.load(slot + ID_LOCK) != 0:
                continue
            if _try_lock(self._lock, slot):
                self._memory.store(slot + ID_LOCK, 1)
            else:
                done = False
        self._locked = done

    def borrow(self) -> int:
        """A slot for a claim that stays open while others are made."""
        return self._spare.pop() if self._spare else self.claim(True)

    def give_back(self, slot: int) -> None:
        """Takes a slot back after its claim was committed."""
        self._memory.words[slot + CLAIM_BLOCKS] = 0
        self._spare.append(slot)

    def close(self) -> None:
        """Gives up all slots."""
        for slot in self._slots:
            self._memory.words[slot + CLAIM_BLOCKS] = 0
            clear_identity(self._memory, slot, self._lock)
        self._slots.clear()
        if self._lock_is_own and self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
