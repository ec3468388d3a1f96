"""What a subscriber does with the memory of a topic: finds the next message, and whether it was overwritten meanwhile."""

from __future__ import annotations

from ._ring import BLOCK
from ._topic_memory import HEAD, LAST_AT, MESSAGE_HEADER, NOBODY, OLDEST_AT, TopicMemory, blocks_for
from .errors import Corrupt


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
