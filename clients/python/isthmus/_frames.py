"""What the two ends of a conversation with calls send each other: arrays, as drawn in docs/protocol.md under "Calls"."""

from __future__ import annotations

from typing import Any

VERSION = 1
HELLO, CALL, RESULT, THROW, STREAM, ITEM, END, MORE, STOP, SKIPPED, SYNC, SYNCED = range(12)
#: Elements of a frame of each kind.
LENGTHS = (3, 4, 3, 3, 2, 4, 3, 3, 3, 2, 2, 3)


def is_count(found: Any) -> bool:
    """Whether an element is a count or an id."""
    return type(found) is int and 0 <= found < 1 << 53
