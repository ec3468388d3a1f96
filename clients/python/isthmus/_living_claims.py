"""Which part of a gap in a ring certainly belongs to nobody that lives."""

from __future__ import annotations

import time
from typing import Set, Tuple

from ._ring import (
    CLAIM_BLOCKS,
    CLAIM_POSITION,
    ID_START,
    MASK32,
    SLOT_WORDS,
    SLOTS,
    W_SLOTS,
    RingMemory,
    is_identity_alive,
)

#: Seconds that one look may take: finding out about an owner takes up to 50 µs, and a peer may name many.
_MOST_TIME = 0.001


class LivingClaims:
    """The claims that living senders have noted, as the receiver of a ring needs them."""

    def __init__(self, memory: RingMemory) -> None:
        self._memory = memory
        #: Owners that are dead, as was found out for the gap at one head.
        self._dead: Set[Tuple[int, int, int]] = set()
        self._head = 0

    def before(self, head: int, gap: int) -> int:
        """Blocks from the head on that nobody who lives has claimed, of a gap of so many.

        If the time is over before all are looked at, the next one counts as living, and the next call goes on behind it.
        """
        if head != self._head:
            self._dead.clear()
        self._head = head
        load = self._memory.load
        notes = []
        for slot in range(W_SLOTS, W_SLOTS + SLOTS * SLOT_WORDS, SLOT_WORDS):
            tid = load(slot)
            if not 0 < tid < 1 << 31:
                continue  # who is just taking it has claimed nothing yet
            if not 0 < load(slot + CLAIM_BLOCKS) < 1 << 31:
                continue
            start = (load(slot + CLAIM_POSITION) - head) & MASK32  # one that began before the head is not in the gap
            if start < gap:
                notes.append((start, slot, (slot, tid, load(slot + ID_START))))
        until = time.monotonic() + _MOST_TIME
        for start, slot, owner in sorted(notes):
            if owner in self._dead:
                continue
            if time.monotonic() >= until or is_identity_alive(self._memory, slot):
                return start
            self._dead.add(owner)
        return gap
