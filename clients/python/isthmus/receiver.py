"""The receiving end of a channel."""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from typing import Any, AsyncIterator, Callable, Iterator, List, Optional, Sequence, Tuple, TypeVar

from . import _bell
from ._carrier import Arrived, DescriptorQueue, carrier_from, close_all, private_end
from ._consumer import Consumer, Disconnection
from ._named import open_named
from ._process import OpenThing
from ._record import Record
from ._ring import RingMemory
from ._system import FOREVER, deadline_of, timed_out
from ._take import take_borrowed, take_bytes, take_value
from ._travellers import Attachments, Received, early_of, register
from ._trust import Trust
from ._values import decode
from .errors import Closed, Disconnected, IpcError, Serialization

T = TypeVar("T")
Take = Callable[[Consumer, Record], T]
_WHAT = "Cannot receive: nothing was sent"
#: Messages that a task receives before the event loop has a turn.
_TURN = 32


class Receiver(OpenThing):
    """Receives from the channel at a path, which is made if there is none. A channel has one receiver at a time.

    Values by :meth:`recv`, iteration and ``async for``; byte strings by :meth:`recv_bytes` and :meth:`borrow`. One that
    is started again, after it was closed or killed, goes on with the next message.

    :param path: of the channel's file; best in ``/dev/shm``.
    :param capacity: bytes that can wait, if it is made here; 4 MiB by default, rounded up to a power of two.
    :param mode: permission bits, if it is made here.
    :param trust: whose channel is used besides this user's and root's.
    :param max_message_bytes: longer messages are :class:`~isthmus.errors.TooLarge`.
    :raises AlreadyExists: if it has a receiver.
    """

    def __init__(
        self,
        path: str,
        *,
        capacity: Optional[int] = None,
        mode: int = 0o600,
        trust: Trust = "user",
        max_message_bytes: Optional[int] = None,
    ) -> None:
        file = open_named(path, capacity, mode, trust)
        self._start(Consumer(file.memory, file.bell, DescriptorQueue(None, file.room), file), [], [], "receiver")
        self._limit(max_message_bytes)

    def _start(
        self, consumer: Optional[Consumer], handle: Sequence[int], early: Sequence[Arrived], kind: str
    ) -> "Receiver":
        self._consumer = consumer
        self._handle, self._early = list(handle), list(early)
        self._kind = kind
        self._closed = False
        #: One thread attaches it.
        self._first_use = threading.Lock()
        #: One wait at a time.
        self._waiting = threading.Lock()
        self._tasks: Optional[asyncio.Lock] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._turns = 0
        self._opened()
        return self

    @classmethod
    def create(cls, path: str, **options: Any) -> "Receiver":
        """The same as ``Receiver(path)``, by the name that it has in TypeScript."""
        return cls(path, **options)

    @classmethod
    def _of(
        cls,
        consumer: Optional[Consumer],
        handle: Sequence[int] = (),
        early: Sequence[Arrived] = (),
        kind: str = "receiver",
    ) -> "Receiver":
        return cls.__new__(cls)._start(consumer, handle, early, kind)

    def _ring(self) -> Consumer:
        if self._closed:
            raise Closed("Cannot receive: this receiver was closed or sent away")
        if self._consumer is None:
            self._attach()
        return self._consumer

    def _attach(self) -> None:
        with self._first_use:
            if self._consumer is not None:
                return
            if self._closed:  # another thread found that it cannot be used
                raise Closed("Cannot receive: this receiver was closed or sent away")
            handle, self._handle = self._handle, []
            try:
                consumer = _attach(handle)
                consumer.queue.adopt(self._early)
            except BaseException:
                self._closed = True
                self._ended()
                for item in self._early:
                    close_all(item.fds)
                raise
            self._early = []
            self._consumer = consumer

    def _limit(self, most: Optional[int]) -> None:
        if most is not None:
            if not isinstance(most, int) or most < 0:
                raise TypeError(f"Cannot limit messages to {most!r} bytes: give a number of bytes")
            self._ring().most_bytes = most

    # --- Receiving ---------------------------------------------------------------------------------------------------

    def recv(self, timeout: Optional[float] = None) -> Any:
        """The next value; waits for it.

        :param timeout: seconds; by default as long as it takes.
        :raises Disconnected: if every sender is gone and all was received. A named channel has no such end.
        :raises Timeout: if the time was over.
        :raises Serialization: if a message cannot be decoded; the next call gets the next one.
        """
        ring = self._consumer
        data = None if ring is None else ring.take_quickly()
        return self._receive(take_value, timeout) if data is None else decode(data)

    def try_recv(self, default: Any = None) -> Any:
        """The next value if there is one, else the default."""
        return self._try(take_value, default)

    def recv_bytes(self, timeout: Optional[float] = None) -> bytes:
        """The next message as bytes, a copy."""
        ring = self._consumer
        data = None if ring is None else ring.take_quickly()
        return self._receive(take_bytes, timeout) if data is None else data

    def try_recv_bytes(self) -> Optional[bytes]:
        """The next message as bytes if there is one."""
        found: Optional[bytes] = self._try(take_bytes, None)
        return found

    def borrow(self, timeout: Optional[float] = None) -> memoryview:
        """The next message as a view on the channel's memory, without a copy; ``numpy.frombuffer()`` takes it as it is.

        The blocks are the senders' again when the view, and all that was made of it, is gone: leave it by ``with``, or
        call ``release()``, or let it go. Meanwhile others can be received, and borrowed.
        """
        return self._receive(take_borrowed, timeout)

    async def recv_async(self, timeout: Optional[float] = None) -> Any:
        """As :meth:`recv`, without holding up the event loop, and without a thread."""
        if self._is_turn_of_others():
            await asyncio.sleep(0)
        data = self._take_quickly()
        return await self._receive_async(take_value, timeout) if data is None else decode(data)

    async def recv_bytes_async(self, timeout: Optional[float] = None) -> bytes:
        """As :meth:`recv_bytes`, without holding up the event loop."""
        if self._is_turn_of_others():
            await asyncio.sleep(0)
        data = self._take_quickly()
        return await self._receive_async(take_bytes, timeout) if data is None else data

    async def borrow_async(self, timeout: Optional[float] = None) -> memoryview:
        """As :meth:`borrow`, without holding up the event loop."""
        if self._is_turn_of_others():
            await asyncio.sleep(0)
        return await self._receive_async(take_borrowed, timeout)

    def _try(self, take: "Take[T]", default: Any) -> Any:
        ring = self._ring()
        with ring.lock:
            self._ring()
            record = self._poll(ring)
            return default if record is None else take(ring, record)

    @staticmethod
    def _poll(ring: Consumer) -> Optional[Record]:
        try:
            return ring.poll()
        except Disconnection:
            raise Disconnected("Cannot receive: every sender is gone, and all that they sent was received") from None

    def _receive(self, take: "Take[T]", timeout: Optional[float]) -> T:
        deadline = deadline_of(timeout)
        ring = self._ring()
        if not self._waiting.acquire(timeout=-1 if deadline == FOREVER else max(0.0, deadline - time.monotonic())):
            raise timed_out(_WHAT, timeout)
        try:
            while True:
                with ring.lock:
                    self._ring()  # still open?
                    record = ring.next() or ring.look()
                    if record is None:
                        pause = ring.arm()
                        record = ring.next()
                        if record is not None:
                            ring.disarm()
                    if record is not None:
                        return take(ring, record)
                began = time.monotonic()
                if not ring.waits.enter():
                    continue
                try:
                    events = ring.waits.wait((ring.bell,), min(deadline, began + pause))
                    if events & select.POLLIN:
                        _bell.drain(ring.bell)
                finally:
                    ring.waits.leave()
                    with ring.lock:
                        if not self._closed:
                            ring.disarm()
                now = time.monotonic()
                ring.slept(now - began)
                # The end of the senders, a gap to look at, or the end of the time, also after a bell without a message.
                if not events & select.POLLIN or events & select.POLLHUP or now >= deadline:
                    with ring.lock:
                        self._ring()
                        record = self._poll(ring)
                        if record is not None:
                            return take(ring, record)
                    if now >= deadline:
                        raise timed_out(_WHAT, timeout)
        finally:
            self._waiting.release()

    def _is_turn_of_others(self) -> bool:
        """Whether the event loop gets a turn, before anything is taken: it gets none from what is there at once."""
        self._turns += 1
        return self._turns % _TURN == 0

    def _take_quickly(self) -> Optional[bytes]:
        """The next message for a task, unless others came before it."""
        if self._consumer is None or (self._tasks is not None and self._tasks.locked()):
            return None
        return self._consumer.take_quickly()

    async def _receive_async(self, take: "Take[T]", timeout: Optional[float]) -> T:
        deadline = deadline_of(timeout)
        loop = asyncio.get_running_loop()
        if self._tasks is None or self._loop is not loop:  # a lock belongs to its loop
            self._tasks, self._loop = asyncio.Lock(), loop
        async with self._tasks:
            ring = self._ring()
            if not self._waiting.acquire(blocking=False):
                raise IpcError("Cannot await a message: a thread is waiting for one at this receiver")
            try:
                while True:
                    with ring.lock:
                        self._ring()
                        record = self._poll(ring)
                        if record is None:
                            pause = ring.arm()
                            record = ring.next()
                            if record is not None:
                                ring.disarm()
                        if record is not None:
                            return take(ring, record)
                    now = time.monotonic()
                    if now >= deadline:
                        ring.disarm()
                        raise timed_out(_WHAT, timeout)
                    if not ring.waits.enter():
                        continue
                    try:
                        await ring.waits.wait_async((ring.bell,), min(deadline, now + pause))
                        _bell.drain(ring.bell)
                    finally:
                        ring.waits.leave()
                        with ring.lock:
                            if not self._closed:
                                ring.disarm()
            finally:
                self._waiting.release()

    def __iter__(self) -> Iterator[Any]:
        """Values until every sender is gone, or this receiver is closed."""
        return self.values()

    def values(self, timeout: Optional[float] = None) -> Iterator[Any]:
        """The same, with a time-out for each value."""
        while not self._closed:
            try:
                value = self.recv(timeout)
            except Disconnected:
                return
            yield value

    async def __aiter__(self) -> AsyncIterator[Any]:
        while not self._closed:
            try:
                value = await self.recv_async()
            except Disconnected:
                return
            except Closed:
                if self._closed:
                    return
                raise
            yield value

    # --- The rest ----------------------------------------------------------------------------------------------------

    @property
    def path(self) -> Optional[str]:
        """The path of a named channel."""
        file = None if self._consumer is None else self._consumer.file
        return None if file is None else file.path

    @property
    def closed(self) -> bool:
        """Whether it was closed, or sent away."""
        return self._closed

    def close(self) -> None:
        """Closes it. Senders learn of it; a named channel keeps what was not received for the next receiver, and goes
        if all was received and nobody is attached. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._ended()
        if self._consumer is not None:
            self._consumer.close()
        self._close_unused()

    def _close_unused(self) -> None:
        close_all(self._handle)
        for item in self._early:
            close_all(item.fds)
        self._handle, self._early = [], []

    def _after_fork(self) -> None:
        self._closed = True
        self._waiting, self._tasks = threading.Lock(), None
        if self._consumer is not None:
            self._consumer.close_descriptors()
        self._close_unused()

    def _pack(self, attachments: Attachments) -> Tuple[str, int, List[Any]]:
        """Into a message: it moves, once that is sent."""
        ring = self._ring()
        if ring.queue.socket is None:
            raise Serialization(
                "Cannot send the receiver of a named channel: close it, and create it there by its path"
            )
        if ring.has_lent:
            raise Serialization("Cannot send a receiver with borrowed messages: let them go first")
        first = attachments.add([ring.memory.fd, ring.bell, ring.queue.socket.fileno()])
        early = ring.queue.surrender()
        for item in early:
            attachments.add(item.fds)
        ring.detach()
        self._closed = True

        def sent() -> None:
            self._ended()
            ring.waits.end(ring.close_descriptors)
            for item in early:
                close_all(item.fds)

        def kept() -> None:
            ring.undo_detach()
            ring.queue.adopt(early)
            self._closed = False

        attachments.moves(sent, kept)
        details = [
            [item.slot, item.counter, len(item.fds)] + ([] if item.bundled is None else [item.bundled])
            for item in early
        ]
        return self._kind, first, details

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def __repr__(self) -> str:
        return f"<Receiver{f' {self.path!r}' if self.path else ''}{' closed' if self._closed else ''}>"


def _attach(handle: List[int]) -> Consumer:
    """The receiving side of a ring that came from a peer; owns its descriptors, also if it fails."""
    queue: Optional[DescriptorQueue] = None
    memory: Optional[RingMemory] = None
    rest = list(handle)
    try:
        queue = DescriptorQueue(carrier_from(rest.pop()))
        memory = RingMemory.attach(rest[0])
        rest.pop(0)
        bell = private_end(rest.pop(), os.O_RDONLY)
    except BaseException:
        close_all(rest)
        if memory is not None:
            memory.close()
        if queue is not None:
            queue.close()
        raise
    return Consumer(memory, bell, queue)


def _unpack(kind: str) -> Callable[[Received, int, List[Any]], Receiver]:
    def unpack(received: Received, first: int, details: List[Any]) -> Receiver:
        handle = received.claim(first, 3)
        early: List[Arrived] = []
        try:
            early = [Arrived(*item) for item in early_of(received, first + 3, details)]
        except BaseException:
            close_all(handle)
            raise
        return Receiver._of(None, handle, early, kind)

    return unpack


for _kind in ("receiver", "bytes-receiver", "opaque-receiver"):
    register(_kind, _unpack(_kind))
