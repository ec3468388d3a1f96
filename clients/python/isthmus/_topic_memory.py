"""The memory of a topic, as drawn in docs/protocol.md under "Topics"."""

from __future__ import annotations

import os
import struct

from ._atomics import PLAIN_LOADS, atomics
from ._memory import Mapping
from ._ring import BLOCK, SLOT_WORDS, SLOTS, W_SLOTS
from ._system import close_quietly
from .errors import Incompatible

FORMAT_VERSION = 1
STATE_AT, TURN_AT, LAST_AT, OLDEST_AT, DATA_OFFSET = 16, 64, 128, 136, 131_072
MESSAGE_HEADER = 16
MIN_CAPACITY, MAX_CAPACITY, DEFAULT_CAPACITY = 1 << 16, 1 << 29, 4 << 20
NOBODY = (1 << 64) - 1
REMOVED = 1
#: Of a message: length, reserved, number.
HEAD = struct.Struct("=iIQ")
#: Of the file: magic, format version, blocks.
HEADER = struct.Struct("=8sII")
MAGIC = b"ISTHCAST"

assert W_SLOTS * 4 == 4096 and DATA_OFFSET >= (W_SLOTS + SLOTS * SLOT_WORDS) * 4


def blocks_for(length: int) -> int:
    """Blocks of a message of so many bytes."""
    return (MESSAGE_HEADER + length + BLOCK - 1) // BLOCK


class TopicMemory:
    """The memory of a topic, mapped: for reading alone by subscribers. Its file belongs to this object."""

    def __init__(self, fd: int, may_write: bool, what: str) -> None:
        self.blocks = blocks_in(fd, what)
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
        return self.words[STATE_AT >> 2] == REMOVED

    def close(self) -> None:
        """Closes the file; the mapping goes with the last view on it."""
        close_quietly(self.fd)


def blocks_in(fd: int, what: str) -> int:
    size = os.fstat(fd).st_size
    head = os.pread(fd, HEADER.size, 0)
    if size < DATA_OFFSET or head[:8] != MAGIC:
        raise Incompatible(f"{what}: the file is no topic; use another name")
    _, version, blocks = HEADER.unpack(head)
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
