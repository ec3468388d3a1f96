"""Subscribing to a topic: every message from the start on, in order, or how many were missed."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any, AsyncIterator, Callable, Iterator, Optional, Tuple, TypeVar

from . import _bell
from ._process import OpenThing
from ._system import FOREVER, close_quietly, deadline_of, timed_out
from ._topic_early import EarlyBell
from ._topic_file import TopicFile, open_for_subscribing, topic_path
from ._topic_reader import TopicReader
from ._topic_seat import Seat
from ._trust import Trust, Trusted
from ._values import decode
from ._waits import Waits
from .errors import Closed, IpcError, NotFound

T = TypeVar("T")
#: Seconds between two looks, doubling: of one that cannot be rung, and of one that can, for what nobody rings for.
_FIRST_LOOK, _LAST_LOOK, _FIRST_SLOW_LOOK, _LAST_SLOW_LOOK = 0.001, 0.016, 5.0, 60.0
#: The same without a doorbell where there is no topic any more.
_LOST_LOOK = 0.05
#: Attempts in one call to read a message that is not overwritten meanwhile.
_ATTEMPTS = 64
_TURN = 32


class Subscriber(OpenThing):
    """Receives what is published to a topic, from now on or from the oldest message that is kept. One that comes before
    the first publisher waits for it. A slow one misses messages, and knows how many (:attr:`missed`).

    :param name: of 1 to 200 bytes, or, with "/" in it, the path of its file.
    :param begin: ``"new"`` or ``"oldest"``.
    :param mode: who may publish to it, as permission bits.
    :param trust: whose topic is used besides this user's and root's.
    """

    def __init__(self, name: str, *, begin: str = "new", mode: int = 0o600, trust: Trust = "user") -> None:
        self._closed = True
        if begin not in ("new", "oldest"):
            raise TypeError(f'Cannot subscribe from {begin!r}: it must be "new" or "oldest"')
        self.name, self.path = name, topic_path(name)
        self._trusted = Trusted(trust, mode)
        self._file: Optional[TopicFile] = None
        self._reader: Optional[TopicReader] = None
        self._seat: Optional[Seat] = None
        self._standing = False
        #: While there is no topic at the path: rung when there is.
        self._early: Optional[EarlyBell] = None
        self._unlisted = False
        self._missed_before = 0
        self._pause, self._slow_pause = _FIRST_LOOK, _FIRST_SLOW_LOOK
        self._lock = threading.RLock()
        self._waiting = threading.Lock()
        self._waits = Waits()
        if not self._attach(begin) and not os.path.isdir(os.path.dirname(self.path) or "."):
            raise NotFound(f'Cannot subscribe to "{name}": the folder of "{self.path}" does not exist')
        self._closed = False
        self._opened()

    @classmethod
    def open(cls, name: str, **options: Any) -> "Subscriber":
        """The same as ``Subscriber(name)``, by the name that it has in TypeScript."""
        return cls(name, **options)

    def _attach(self, begin: str) -> bool:
        file = open_for_subscribing(self.path, f'Cannot subscribe to "{self.name}"', self._trusted)
        if file is None:
            return False
        self._file, self._reader = file, TopicReader(file.memory, begin)
        self._stop_looking()
        return True

    def _stop_looking(self) -> None:
        if self._early is not None:
            self._early.close()
        self._early, self._unlisted = None, False

    def _listen_for_topic(self) -> None:
        """Has the publisher that makes the topic ring, unless others may make it, who cannot."""
        if self._early is None and not self._unlisted and self._trusted.is_user_alone:
            self._early = EarlyBell.make(self.path)
        self._unlisted = self._early is None

    def _require_open(self) -> None:
        if self._closed:
            raise Closed(f'Cannot receive from "{self.name}": this subscriber was closed')

    # --- Receiving ---------------------------------------------------------------------------------------------------

    def recv(self, timeout: Optional[float] = None) -> Any:
        """The next value; waits for it.

        :param timeout: seconds; by default as long as it takes.
        :raises Timeout: if the time was over.
        :raises Serialization: if a message cannot be decoded; the next call gets the next one.
        :raises Corrupt: if a publisher has damaged the topic; the next call goes on with what is published then.
        """
        return self._receive(decode, timeout)

    def try_recv(self, default: Any = None) -> Any:
        """The next value if there is one, else the default."""
        found = self._now(decode)
        return found[0] if found else default

    def recv_bytes(self, timeout: Optional[float] = None) -> bytes:
        """The next message as bytes, a copy."""
        return self._receive(bytes, timeout)

    def try_recv_bytes(self) -> Optional[bytes]:
        """The next message as bytes if there is one."""
        found = self._now(bytes)
        return found[0] if found else None

    async def recv_async(self, timeout: Optional[float] = None) -> Any:
        """As :meth:`recv`, without holding up the event loop, and without a thread."""
        return await self._receive_async(decode, timeout)

    async def recv_bytes_async(self, timeout: Optional[float] = None) -> bytes:
        """As :meth:`recv_bytes`, without holding up the event loop."""
        return await self._receive_async(bytes, timeout)

    def _now(self, take: Callable[[bytes], T]) -> "Tuple[T] | Tuple[()]":
        with self._lock:
            self._require_open()
            if self._reader is None and not self._attach("successor"):
                return ()
            reader = self._reader
            assert reader is not None
            for _ in range(_ATTEMPTS):
                if not reader.next():
                    return ()
                # A copy first: it is decoded once it is known to be the message.
                data = bytes(reader.memory.data[reader.start : reader.start + reader.length])
                if not reader.intact():
                    reader.overtaken()
                    continue
                reader.step()
                return (take(data),)
            return ()  # publishers overwrite faster than this reads: for now

    def _sleepy(self) -> "Tuple[int, float]":
        """The bell, or -1, and the seconds after which to look by itself; 0.0 to look at once."""
        with self._lock:
            self._require_open()
            file = self._file
            if file is not None and not file.memory.removed:
                if self._seat is None and not self._standing:
                    self._seat = Seat.take(file)
                    self._standing = self._seat is None
                if self._seat is not None:
                    self._seat.arm()
            else:
                self._listen_for_topic()
            if self._reader is not None and self._reader.waiting:
                self._disarm()
                return -1, 0.0
            if self._follow():
                return -1, 0.0
            bell = self._early.fd if self._early is not None else -1 if self._seat is None else self._seat.bell
            if bell >= 0:
                pause, self._slow_pause = self._slow_pause, min(2 * self._slow_pause, _LAST_SLOW_LOOK)
                return bell, pause
            if file is not None and file.memory.removed:
                return -1, _LOST_LOOK
            pause, self._pause = self._pause, min(2 * self._pause, _LAST_LOOK)
            return -1, pause

    def _disarm(self) -> None:
        self._pause, self._slow_pause = _FIRST_LOOK, _FIRST_SLOW_LOOK
        if self._seat is not None:
            self._seat.disarm()

    def _woken(self) -> None:
        with self._lock:
            if self._closed:
                return
            if self._early is not None:
                _bell.drain(self._early.fd)
            if self._seat is not None:
                _bell.drain(self._seat.bell)
                self._seat.disarm()

    def _follow(self) -> bool:
        """Goes over to the topic that has taken the place of this one. All of the old one was read before."""
        file = self._file
        if file is None:
            return self._attach("successor")
        if file.is_at_path():
            return False
        following = open_for_subscribing(self.path, f'Cannot go on receiving from "{self.name}"', self._trusted)
        if following is None:
            return False
        assert self._reader is not None
        self._missed_before += self._reader.missed
        self._let_go()
        self._file, self._reader = following, TopicReader(following.memory, "successor")
        self._standing = False
        return True

    def _let_go(self) -> None:
        self._stop_looking()
        if self._seat is not None:
            self._seat.close()
            self._seat = None
        if self._file is not None:
            self._file.leave()
            self._file = None

    def _receive(self, take: Callable[[bytes], T], timeout: Optional[float]) -> T:
        deadline = deadline_of(timeout)
        if not self._waiting.acquire(timeout=-1 if deadline == FOREVER else max(0.0, deadline - time.monotonic())):
            raise timed_out("Cannot receive: nothing was published", timeout)
        try:
            while True:
                found = self._now(take)
                if found:
                    self._pause, self._slow_pause = _FIRST_LOOK, _FIRST_SLOW_LOOK
                    return found[0]
                if time.monotonic() >= deadline:
                    raise timed_out("Cannot receive: nothing was published", timeout)
                bell, pause = self._sleepy()
                until = min(deadline, time.monotonic() + pause)
                if bell >= 0:
                    if self._waits.enter():
                        try:
                            self._waits.wait((bell,), until)
                            self._woken()
                        finally:
                            self._waits.leave()
                elif pause > 0.0:
                    time.sleep(max(0.0, until - time.monotonic()))
        finally:
            self._waiting.release()

    async def _receive_async(self, take: Callable[[bytes], T], timeout: Optional[float]) -> T:
        deadline = deadline_of(timeout)
        if not self._waiting.acquire(blocking=False):
            raise IpcError("Cannot await a message: another task or thread is waiting for one at this subscriber")
        try:
            while True:
                found = self._now(take)
                if found:
                    self._pause, self._slow_pause = _FIRST_LOOK, _FIRST_SLOW_LOOK
                    return found[0]
                now = time.monotonic()
                if now >= deadline:
                    raise timed_out("Cannot receive: nothing was published", timeout)
                bell, pause = self._sleepy()
                until = min(deadline, now + pause)
                if bell >= 0:
                    if self._waits.enter():
                        try:
                            await self._waits.wait_async((bell,), until)
                        finally:
                            self._woken()
                            self._waits.leave()
                else:
                    await asyncio.sleep(max(0.0, until - time.monotonic()) if pause > 0.0 else 0)
        finally:
            self._waiting.release()

    def __iter__(self) -> Iterator[Any]:
        """Values until this subscriber is closed."""
        while not self._closed:
            try:
                value = self.recv()
            except Closed:
                return
            yield value

    async def __aiter__(self) -> AsyncIterator[Any]:
        count = 0
        while not self._closed:
            try:
                value = await self.recv_async()
            except Closed:
                return
            yield value
            count += 1
            if count % _TURN == 0:
                await asyncio.sleep(0)

    # --- The rest ----------------------------------------------------------------------------------------------------

    @property
    def missed(self) -> int:
        """Messages that were overwritten before this subscriber read them."""
        return self._missed_before + (0 if self._reader is None else self._reader.missed)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def close(self) -> None:
        """Leaves the topic; the last one removes it. Closing twice is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._ended()
        self._waits.end(self._let_go)

    def _after_fork(self) -> None:
        self._closed = True
        self._lock, self._waiting = threading.RLock(), threading.Lock()
        self._waits.forget()
        if self._early is not None:
            close_quietly(self._early.fd)
        if self._seat is not None:
            close_quietly(self._seat.bell)
        if self._file is not None:
            self._file.close_descriptors()

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def __repr__(self) -> str:
        return f"<Subscriber {self.name!r}{' closed' if self._closed else ''}>"
