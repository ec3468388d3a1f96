"""Waiting for room in a full ring: see "A full ring" in docs/internals.md."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Callable

from . import _bell
from ._carrier import send_space_bell
from ._ring import W_BELL, W_SPACE
from ._system import close_quietly

if TYPE_CHECKING:
    from ._producer import Producer

#: Seconds of sleep where the receiver has no bell to ring, where one serves all senders, and where it has one's own.
_BLIND_SLEEP, _SHARED_SLEEP, _LONGEST_SLEEP = 0.005, 0.02, 0.1


class RoomWait:
    """A producer's bell, which the receiver rings when there is room."""

    def __init__(self, producer: "Producer") -> None:
        self._producer = producer
        self._bell = -1

    def wait(self, attempt: Callable[[], bool], deadline: float) -> bool:
        """Sleeps and attempts until it succeeds; ``False`` if the time is over."""
        producer = self._producer
        while not attempt():
            armed = self.arm()
            if attempt():
                return True
            now = time.monotonic()
            if now >= deadline:
                return False
            until = min(deadline, now + self.pause(armed))
            if armed:
                self._sleep(until)
            else:
                time.sleep(until - now)
            with producer.lock:
                producer.require_open()
                producer.require_listener()
        return True

    def pause(self, armed: bool) -> float:
        """Seconds to sleep at most."""
        producer = self._producer
        if not armed:
            return _BLIND_SLEEP
        return _LONGEST_SLEEP if producer.file is None else _SHARED_SLEEP

    def _sleep(self, until: float) -> None:
        producer = self._producer
        bell = self._bell
        if producer.waits.enter():
            try:
                self.after_sleep(bell, producer.waits.wait((bell,), until))
            finally:
                producer.waits.leave()

    async def sleep_async(self, until: float, armed: bool) -> None:
        """Until there may be room, by the event loop."""
        producer = self._producer
        bell = self._bell if armed else producer.bell
        if producer.waits.enter():
            try:
                await producer.waits.wait_async((bell,), until)
                if armed:
                    self.after_sleep(bell, _bell.wait(bell, 0.0))
            finally:
                producer.waits.leave()

    def after_sleep(self, bell: int, events: int) -> None:
        """Takes what was rung; after a hang-up, the next wait gives another bell."""
        producer = self._producer
        with producer.lock:
            if bell < 0 or bell != self._bell:
                return  # another thread has seen the hang-up first
            if events & select.POLLHUP and producer.file is None:
                close_quietly(bell)
                self._bell = -1
            elif events:
                _bell.drain(bell)

    def arm(self) -> bool:
        """Asks the receiver to ring when there is room. Look once more after it. ``False`` if it cannot be asked."""
        producer = self._producer
        with producer.lock:
            producer.require_open()
            if self._bell < 0 and producer.file is not None:
                self._bell = os.dup(producer.file.room)
            elif self._bell < 0:
                listen, ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                assert producer.carrier is not None
                sent = False
                try:
                    os.fchmod(listen, 0o666)
                    sent = send_space_bell(producer.carrier, ring)
                finally:
                    os.close(ring)
                    if not sent:
                        os.close(listen)
                if not sent:
                    return False
                self._bell = listen
            producer.slots.lock()
            producer.memory.store(W_SPACE, 1)
            # What fills the ring may be a claim of the dead, which a receiver that sleeps has to step over.
            bell = producer.memory.load(W_BELL)
            if bell != 0:
                producer.wake(bell)
            return True

    def close(self) -> None:
        """Closes the bell."""
        if self._bell >= 0:
            close_quietly(self._bell)
