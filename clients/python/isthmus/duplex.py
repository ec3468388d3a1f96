"""A conversation: a channel each way."""

from __future__ import annotations

from typing import Any, AsyncIterator, Callable, Iterator, List, NamedTuple, Optional, Tuple

from ._travellers import Attachments, Received, register
from .channel import channel
from .receiver import Receiver
from .receiver import _unpack as _unpack_receiver
from .sender import Loan, Sender, shape_of
from .sender import _unpack as _unpack_sender


class Peer(NamedTuple):
    """Who is at the other end, as the kernel vouched for it when it connected."""

    pid: int
    uid: int
    gid: int


class Duplex:
    """One end of a conversation: what it sends is what the other receives, and the other way round.

    It has the methods of :class:`~isthmus.Sender` and :class:`~isthmus.Receiver`, which are :attr:`sender` and
    :attr:`receiver`.
    """

    def __init__(self, sender: Sender, receiver: Receiver, peer: Optional[Peer] = None) -> None:
        self.sender, self.receiver = sender, receiver
        #: Of a server's: who the client is.
        self.peer = peer
        #: What calls go through, once there are any.
        self._line: Any = None

    def send(self, value: Any, timeout: Optional[float] = None) -> None:
        """See :meth:`Sender.send`."""
        self.sender.send(value, timeout)

    def try_send(self, value: Any) -> bool:
        """See :meth:`Sender.try_send`."""
        return self.sender.try_send(value)

    def send_bytes(self, data: Any, timeout: Optional[float] = None) -> None:
        """See :meth:`Sender.send_bytes`."""
        self.sender.send_bytes(data, timeout)

    def reserve(self, length: int, timeout: Optional[float] = None) -> Loan:
        """See :meth:`Sender.reserve`."""
        return self.sender.reserve(length, timeout)

    async def send_async(self, value: Any, timeout: Optional[float] = None) -> None:
        """See :meth:`Sender.send_async`."""
        await self.sender.send_async(value, timeout)

    def recv(self, timeout: Optional[float] = None) -> Any:
        """See :meth:`Receiver.recv`."""
        return self.receiver.recv(timeout)

    def try_recv(self, default: Any = None) -> Any:
        """See :meth:`Receiver.try_recv`."""
        return self.receiver.try_recv(default)

    def recv_bytes(self, timeout: Optional[float] = None) -> bytes:
        """See :meth:`Receiver.recv_bytes`."""
        return self.receiver.recv_bytes(timeout)

    def borrow(self, timeout: Optional[float] = None) -> memoryview:
        """See :meth:`Receiver.borrow`."""
        return self.receiver.borrow(timeout)

    async def recv_async(self, timeout: Optional[float] = None) -> Any:
        """See :meth:`Receiver.recv_async`."""
        return await self.receiver.recv_async(timeout)

    def __iter__(self) -> Iterator[Any]:
        """Values until the other end is gone."""
        return iter(self.receiver)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self.receiver.__aiter__()

    def split(self) -> Tuple[Sender, Receiver]:
        """Both ends, to be used apart."""
        return self.sender, self.receiver

    @property
    def closed(self) -> bool:
        """Whether both ends are closed, or sent away."""
        return self.sender.closed and self.receiver.closed

    def close(self) -> None:
        """Closes both ends."""
        self.sender.close()
        self.receiver.close()

    def _pack(self, attachments: Attachments) -> Tuple[str, int, List[Any]]:
        kind = "bytes-duplex" if self.sender._kind == "bytes-sender" else "duplex"
        _, first, of_sender = self.sender._pack(attachments)
        _, _, of_receiver = self.receiver._pack(attachments)
        attachments.moves(self.sender.close, lambda: None)
        return kind, first, [*of_sender, *of_receiver]

    def __enter__(self) -> "Duplex":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def duplex(capacity: Optional[int] = None) -> Tuple[Duplex, Duplex]:
    """Both ends of a new conversation: send one of them to another process, inside a message."""
    there, here = channel(capacity), channel(capacity)
    return Duplex(there[0], here[1]), Duplex(here[0], there[1])


def _unpack(prefix: str) -> Callable[[Received, int, List[Any]], Duplex]:
    unpack_sender = _unpack_sender(f"{prefix}sender")
    unpack_receiver = _unpack_receiver(f"{prefix}receiver")

    def unpack(received: Received, first: int, details: List[Any]) -> Duplex:
        fds, about = shape_of(details)
        sender = unpack_sender(received, first, details)
        try:
            receiver = unpack_receiver(received, first + fds, details[about:])
        except BaseException:
            sender.close()
            raise
        return Duplex(sender, receiver)

    return unpack


register("duplex", _unpack(""))
register("bytes-duplex", _unpack("bytes-"))
