"""What may stand inside a value besides data: endpoints, memory and descriptors, each by its descriptors."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ._system import close_quietly
from ._values import Outgoing
from .errors import Incompatible, IpcError, Serialization

#: Makes an object of the descriptors of a message: given where they are, its first one, and what else was written.
Unpack = Callable[["Received", int, List[Any]], Any]
_kinds: Dict[str, Unpack] = {}


def register(kind: str, unpack: Unpack) -> None:
    """Says how an object of a kind is put together."""
    _kinds[kind] = unpack


class Attachments(Outgoing):
    """The descriptors of one message on its way out, and what to do when it is sent or is not."""

    #: Lists once there is anything: nearly no message has any.
    fds: "List[int] | Tuple[()]" = ()
    _sent: "List[Callable[[], None]] | Tuple[()]" = ()
    _kept: "List[Callable[[], None]] | Tuple[()]" = ()

    def add(self, fds: Sequence[int]) -> int:
        """Adds descriptors; returns the number of the first."""
        if not self.fds:
            self.fds = []
        self.fds += fds
        return len(self.fds) - len(fds)

    def add_own(self, fd: int) -> int:
        """Adds one that is closed when the message was sent, or was not."""
        self.moves(lambda: close_quietly(fd), lambda: close_quietly(fd))
        return self.add([fd])

    def moves(self, sent: Callable[[], None], kept: Callable[[], None]) -> None:
        """Something moves: ``sent`` closes it here, ``kept`` takes it back."""
        if not self._sent or not self._kept:
            self._sent, self._kept = [], []
        self._sent.append(sent)
        self._kept.append(kept)

    def finish(self, sent: bool) -> None:
        """The message is on its way, or was not sent."""
        acts = self._sent if sent else self._kept[::-1]
        self._sent = self._kept = ()
        for act in acts:
            act()

    def collect(self, value: Any) -> Optional[List[Any]]:
        """Called by the encoder for what is no data."""
        pack = getattr(value, "_pack", None)
        if pack is None:
            return None
        kind, first, details = pack(self)
        return [kind, first, *details]


class Received:
    """The descriptors of one message that came in; each can be claimed once."""

    def __init__(self, fds: Sequence[int]) -> None:
        self._fds: List[Optional[int]] = list(fds)
        self._made: List[Any] = []

    def claim(self, first: int, count: int) -> List[int]:
        """Takes descriptors over."""
        wanted = self._fds[first : first + count] if first >= 0 else []
        if len(wanted) != count or None in wanted:
            raise Serialization(f"Cannot decode a message: descriptor {first} is not there, or taken twice")
        self._fds[first : first + count] = [None] * count
        return [fd for fd in wanted if fd is not None]

    def revive(self, written: List[Any]) -> Any:
        """Puts together what stands in a value."""
        if len(written) < 3 or not isinstance(written[1], str) or type(written[2]) is not int:
            raise Serialization("Cannot decode a message: an endpoint in it is damaged")
        unpack = _kinds.get(written[1])
        if unpack is None:
            raise Incompatible(f'Cannot decode a message: this version of the package knows no "{written[1][:40]}"')
        found = unpack(self, written[2], written[3:])
        self._made.append(found)
        return found

    def finish(self, decoded: bool) -> None:
        """Closes what nobody claimed; and all of it, if the message could not be decoded."""
        for fd in self._fds:
            if fd is not None:
                close_quietly(fd)
        if not decoded:
            for made in self._made:
                try:
                    made.close()
                except (IpcError, OSError):
                    pass


def early_of(received: Received, first: int, details: List[Any]) -> List[Tuple[int, int, List[int], Optional[int]]]:
    """Descriptors that a receiver had read ahead of their messages when it was sent."""
    found: List[Tuple[int, int, List[int], Optional[int]]] = []
    for item in details:
        if (
            not isinstance(item, (list, tuple))
            or len(item) not in (3, 4)
            or any(type(part) is not int for part in item)
        ):
            break
        slot, counter, count, *bundled = item
        if not 0 <= count <= 1 << 16:
            break
        found.append((slot, counter, received.claim(first, count), bundled[0] if bundled else None))
        first += count
    return found
