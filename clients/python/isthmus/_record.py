"""Records that were found, and what of them lies outside the ring."""

from __future__ import annotations

import os
from typing import Callable, NamedTuple, Optional

from ._memory import FINAL, check_seals, memory_of
from .errors import Corrupt, TooLarge

#: Longer messages are looked at before they are received: whether anybody wrote them, and whether there is room.
LARGE, _VERY_LARGE = 1 << 20, 16 << 20
_PIECE = 64 << 20


class Record(NamedTuple):
    """A whole message at the head."""

    offset: int
    length: int
    extended: bool
    blocks: int


def corrupt(what: str) -> Corrupt:
    """The error for what no honest peer writes."""
    return Corrupt(f"Cannot receive: the ring is damaged, {what}; a peer misbehaves")


def admit(length: int, most: Optional[int]) -> None:
    """Refuses messages that are larger than the program wants, or, by default, than half of the memory that is left."""
    if most is not None:
        if length > most:
            raise TooLarge(f"Cannot receive a message of {length} bytes: at most {most} are allowed here")
    elif length > _VERY_LARGE:
        left = _available_memory()
        if left is not None and length > left // 2:
            raise TooLarge(
                f"Cannot receive a message of {length} bytes: the machine has {left} left, and by default a message may "
                "take half of that; allow more by max_message_bytes"
            )


def _available_memory() -> Optional[int]:
    """Bytes that the machine has left; ``None`` if it does not say."""
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                if line.startswith(b"MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def read_body(fd: int, length: int, admit: Callable[[int], None]) -> bytes:
    """The body of a message in a memory file that a peer sent: checked before anything of it is read."""
    size = check_seals(fd, FINAL, 0, write=False)
    if size != length:
        raise corrupt(f"a message of {length} bytes comes with memory of {size}")
    admit(length)
    if length > LARGE and memory_of(fd) < length:
        raise corrupt(f"only {memory_of(fd)} of the {length} bytes of a message were ever written")
    body = bytearray(length)
    view, at = memoryview(body), 0
    while at < length:
        read = os.preadv(fd, [view[at : at + _PIECE]], at)  # not by the position, which who sent the file shares
        if read == 0:
            raise corrupt("the memory of a message was cut short")
        at += read
    return bytes(body)
