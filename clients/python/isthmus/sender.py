"""The sending end of a channel."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any, Callable, List, Optional, Sequence, Tuple, Union

from ._carrier import carrier_from, close_all, private_end, unpack_sender
from ._named import open_named
from ._process import OpenThing
from ._producer import Claim, Producer
from ._ring import RingMemory
from ._ringless import Ringless, require_capacity
from ._system import deadline_of, reopen, timed_out
from ._travellers import Attachments, Received, register
from ._trust import Trust
from ._values import encode
from .errors import Closed, Corrupt, Incompatible, Serialization
from .shared import as_bytes

#: How a sender came in a message, if not as three descriptors: by the first of its details.
_PACKED, _RINGLESS = 1, 2
_WHAT = "Cannot send: the receiver has made no room"


class Sender(OpenThing):
    """Sends through the channel at a path, which is made if there is none, and whose receiver may come later.

    Values by :meth:`send`, byte strings by :meth:`send_bytes`: use one of them with a receiver that expects it
    (``IpcReceiver`` or ``IpcBytesReceiver`` in Deno). Threads may share a sender.

    :param path: of the channel's file; best in ``/dev/shm``.
    :param capacity: bytes that can wait, if it is made here; 4 MiB by default, rounded up to a power of two.
    :param mode: permission bits, if it is made here.
    :param trust: whose channel is used besides this user's and root's.
    """

    def __init__(self, path: str, *, capacity: Optional[int] = None, mode: int = 0o600, trust: Trust = "user") -> None:
        file = open_named(path, capacity, mode, trust)
        try:
            producer = Producer(file.memory, file.bell, None, file)
        except BaseException:
            file.memory.close()
            file.leave()
            raise
        self._start(producer, [], "sender")

    def _start(
        self, producer: Optional[Producer], handle: Sequence[int], kind: str, ringless: Optional[Ringless] = None
    ) -> "Sender":
        self._producer = producer
        #: What it starts from, at its first use: three descriptors, one if it is packed, or a socket without a ring.
        self._handle = list(handle)
        self._ringless = ringless
        self._kind = kind
        self._closed = False
        #: One thread attaches it.
        self._first_use = threading.Lock()
        self._opened()
        return self

    @classmethod
    def open(cls, path: str, **options: Any) -> "Sender":
        """The same as ``Sender(path)``, by the name that it has in TypeScript."""
        return cls(path, **options)

    @staticmethod
    def connect(name: str) -> "Sender":
        """Connects to a server that takes one client, ``IpcOneShotServer`` in Deno. Does not wait for it to accept."""
        from .server import connect_one_shot

        return connect_one_shot(name)

    @classmethod
    def _of(
        cls,
        producer: Optional[Producer],
        handle: Sequence[int] = (),
        kind: str = "sender",
        ringless: Optional[Ringless] = None,
    ) -> "Sender":
        return cls.__new__(cls)._start(producer, handle, kind, ringless)

    def _ring(self) -> Producer:
        if self._closed:
            raise Closed("Cannot send: this sender was closed")
        if self._producer is None and self._ringless is not None:
            try:
                self._producer = self._ringless.grow()
            except (Corrupt, Incompatible):
                self.close()
                raise
        elif self._producer is None:
            self._attach()
        return self._producer

    def _attach(self) -> None:
        with self._first_use:
            if self._producer is not None:
                return
            if self._closed:  # another thread found that it cannot be used
                raise Closed("Cannot send: this sender was closed")
            handle, self._handle = self._handle, []
            try:
                self._producer = attach(handle)
            except BaseException:
                self._closed = True
                self._ended()
                raise

    def _quick(self) -> Union[Producer, Ringless]:
        """What may take a small message at once; if it does not, the ring does."""
        ringless = self._ringless
        if self._producer is None and ringless is not None and ringless.may_post and not self._closed:
            return ringless
        return self._ring()

    # --- Sending -----------------------------------------------------------------------------------------------------

    def send(self, value: Any, timeout: Optional[float] = None) -> None:
        """Sends a value; waits for room.

        :param timeout: seconds; by default as long as it takes.
        :raises Disconnected: if the receiver is gone.
        :raises Timeout: if the time was over: nothing was sent.
        :raises Serialization: if the value cannot be encoded.
        """
        self._send_value(value, timeout, True)

    def try_send(self, value: Any) -> bool:
        """Sends a value if there is room now."""
        return self._send_value(value, None, False)

    def send_bytes(self, data: Any, timeout: Optional[float] = None) -> None:
        """Sends bytes, or what another contiguous buffer holds (a numpy array); waits for room."""
        quick = self._producer or self._quick()
        if type(data) is bytes and quick.send_quickly(data):
            return
        view, ring = as_bytes(data), self._ring()
        if not ring.try_send(view):
            self._wait(lambda: ring.try_send(view), timeout)

    def try_send_bytes(self, data: Any) -> bool:
        """Sends bytes if there is room now."""
        quick = self._producer or self._quick()
        if type(data) is bytes and quick.send_quickly(data):
            return True
        return self._ring().try_send(as_bytes(data))

    async def send_async(self, value: Any, timeout: Optional[float] = None) -> None:
        """As :meth:`send`, without holding up the event loop."""
        quick = self._producer or self._quick()
        attachments = Attachments()
        sent = False
        try:
            data = encode(value, attachments)
            sent = not attachments.fds and quick.send_quickly(data)
            if not sent:
                ring, view = self._ring(), memoryview(data)
                sent = await self._wait_async(lambda: ring.try_send(view, attachments.fds), timeout)
        finally:
            attachments.finish(sent)

    async def send_bytes_async(self, data: Any, timeout: Optional[float] = None) -> None:
        """As :meth:`send_bytes`, without holding up the event loop."""
        quick = self._producer or self._quick()
        if type(data) is bytes and quick.send_quickly(data):
            return
        view, ring = as_bytes(data), self._ring()
        await self._wait_async(lambda: ring.try_send(view), timeout)

    def _send_value(self, value: Any, timeout: Optional[float], waits: bool) -> bool:
        quick = self._producer or self._quick()
        attachments = Attachments()
        sent = False
        try:
            data = encode(value, attachments)
            if not attachments.fds and quick.send_quickly(data):
                sent = True
                return sent
            ring, view = self._ring(), memoryview(data)  # which it may have closed itself meanwhile
            sent = ring.try_send(view, attachments.fds)
            if not sent and waits:
                sent = self._wait(lambda: ring.try_send(view, attachments.fds), timeout)
            return sent
        finally:
            attachments.finish(sent)

    def _wait(self, attempt: Callable[[], bool], timeout: Optional[float]) -> bool:
        deadline = deadline_of(timeout)
        if not self._ring().room.wait(attempt, deadline):
            raise timed_out(_WHAT, timeout)
        return True

    async def _wait_async(self, attempt: Callable[[], bool], timeout: Optional[float]) -> bool:
        deadline = deadline_of(timeout)
        ring = self._ring()
        while not attempt():
            armed = ring.room.arm()
            if attempt():
                break
            now = time.monotonic()
            if now >= deadline:
                raise timed_out(_WHAT, timeout)
            # By the clock as well, and more often: other tasks of this thread may have heard the bell.
            until = min(deadline, now + min(ring.room.pause(armed), 0.005))
            await ring.room.sleep_async(until, armed)
            with ring.lock:
                ring.require_open()
                ring.require_listener()
        return True

    # --- Loans -------------------------------------------------------------------------------------------------------

    def reserve(self, length: int, timeout: Optional[float] = None) -> "Loan":
        """Memory of the channel itself, to write a byte message in place: :meth:`Loan.commit` sends it.

        >>> # with sender.reserve(frame.nbytes) as loan:
        >>> #     numpy.frombuffer(loan.view, frame.dtype)[:] = frame.ravel()
        >>> #     loan.commit()
        """
        if not isinstance(length, int) or length < 0:
            raise TypeError(f"Cannot reserve {length!r} bytes: give a number of bytes")
        ring = self._ring()
        found: List[Claim] = []

        def attempt() -> bool:
            claim = ring.try_reserve(length)
            if claim is not None:
                found.append(claim)
            return claim is not None

        self._wait(attempt, timeout)
        return Loan(ring, found[0])

    # --- The rest ----------------------------------------------------------------------------------------------------

    @property
    def path(self) -> Optional[str]:
        """The path of a named channel."""
        file = None if self._producer is None else self._producer.file
        return None if file is None else file.path

    @property
    def capacity(self) -> int:
        """Bytes that the channel holds."""
        return self._ring().capacity

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def close(self) -> None:
        """Closes it. What was sent still arrives. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._ended()
        if self._ringless is not None:
            self._ringless.close()
        elif self._producer is not None:
            self._producer.close()
        close_all(self._handle)

    def _after_fork(self) -> None:
        self._closed = True
        if self._ringless is not None:
            self._ringless.forget()
            self._producer = self._ringless.producer
        if self._producer is not None:
            self._producer.close_descriptors()
        close_all(self._handle)

    def _pack(self, attachments: Attachments) -> Tuple[str, int, List[Any]]:
        """Into a message: cloned by it."""
        if self._producer is None and self._handle:
            return self._kind, attachments.add(self._handle), [_PACKED] if len(self._handle) == 1 else []
        ring = self._ring()
        if ring.file is not None or ring.carrier is None:
            raise Serialization(
                f'Cannot send an end of the named channel "{self.path}": send its path, and open it there'
            )
        # Another open file for the bell: who gets it could make this one block.
        bell = reopen(ring.bell, os.O_WRONLY)
        first = attachments.add([ring.memory.fd])
        attachments.add_own(os.dup(ring.bell) if bell is None else bell)
        attachments.add([ring.carrier.fileno()])
        return self._kind, first, []

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def __repr__(self) -> str:
        return f"<Sender{f' {self.path!r}' if self.path else ''}{' closed' if self._closed else ''}>"


def attach(handle: List[int]) -> Producer:
    """The sending side of a ring that came from a peer; owns its descriptors, also if it fails."""
    carrier: Optional[socket.socket] = None
    memory: Optional[RingMemory] = None
    rest = list(handle)
    try:
        carrier = carrier_from(rest.pop())
        if not rest:
            rest = list(unpack_sender(carrier))
        memory = RingMemory.attach(rest[0])
        rest.pop(0)
        bell = private_end(rest.pop(), os.O_WRONLY)
        rest.append(bell)
        return Producer(memory, bell, carrier)
    except BaseException:
        close_all(rest)
        if memory is not None:
            memory.close()
        if carrier is not None:
            carrier.close()
        raise


class Loan:
    """Memory of a channel, to write one message into. Leaving ``with`` without :meth:`commit` sends nothing."""

    def __init__(self, ring: Producer, claim: Claim) -> None:
        self._ring: Optional[Producer] = ring
        self._claim = claim
        self._length = claim.view.nbytes

    @property
    def view(self) -> memoryview:
        """The memory, to be written to until it is committed. What is made of it must not be written to afterwards."""
        if self._ring is None:
            raise Closed("Cannot use a loan: it was committed, or given up")
        return self._claim.view

    def commit(self, length: Optional[int] = None) -> None:
        """Sends what was written: all of it, or so many bytes."""
        length = self._length if length is None else length
        if not isinstance(length, int) or not 0 <= length <= self._length:
            raise ValueError(f"Cannot commit {length!r} bytes of a loan of {self._length}")
        if self._ring is None:
            raise Closed("Cannot commit a loan: it was committed, or given up")
        self._end(length)

    def _end(self, length: Optional[int]) -> None:
        ring, self._ring = self._ring, None
        assert ring is not None
        try:
            self._claim.view.release()
        except BufferError:
            pass  # an array was made of it
        ring.end_claim(self._claim, length)

    def close(self) -> None:
        """Gives it up, unless it was committed."""
        if self._ring is not None:
            self._end(None)

    def __enter__(self) -> "Loan":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_ring", None) is not None:
            self.close()


def shape_of(details: List[Any]) -> Tuple[int, int]:
    """How many descriptors a sender in a message has, and how many of the details are about that."""
    return {_PACKED: (1, 1), _RINGLESS: (1, 2)}.get(details[0] if details and type(details[0]) is int else 0, (3, 0))


def _unpack(kind: str) -> Callable[[Received, int, List[Any]], Sender]:
    def unpack(received: Received, first: int, details: List[Any]) -> Sender:
        fds, about = shape_of(details)
        if about == 2:
            capacity = require_capacity(details[1] if len(details) > 1 else None)
            return Sender._of(None, [], kind, Ringless(received.claim(first, fds)[0], capacity))
        return Sender._of(None, received.claim(first, fds), kind)

    return unpack


for _kind in ("sender", "bytes-sender", "opaque-sender"):
    register(_kind, _unpack(_kind))
