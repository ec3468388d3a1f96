"""Who sleeps at the descriptors of an object, and how closing the object wakes them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import threading
import time
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from ._system import FOREVER, close_quietly, quick
from .errors import system_error

_EFD_CLOEXEC, _EFD_NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
#: Seconds that closing waits at most for those it has woken.
_LONGEST_LEAVE = 1.0
quick.eventfd.argtypes = [ctypes.c_uint, ctypes.c_int]


class Waits:
    """Those who sleep at an object's descriptors, between :meth:`enter` and :meth:`leave`.

    Who closes the object says so by :meth:`end`, which wakes them. The descriptors are closed once all have left: a number
    that is closed is given out again, and who still slept there would take what another part of the program waits for.
    """

    #: Whether the interpreter ends: then nobody is waited for who does not leave soon.
    exiting = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        #: The threads in which somebody sleeps, as often as somebody does.
        self._inside: List[int] = []
        #: Wakes threads; made when one sleeps for the first time.
        self._alarm = -1
        self._tasks: "Dict[asyncio.Future[None], asyncio.AbstractEventLoop]" = {}
        self._polls: "List[Tuple[Sequence[int], int, select.poll]]" = []
        self._close: Optional[Callable[[], None]] = None
        self._awaited = self._finished = False

    def enter(self) -> bool:
        """Before a sleep. ``False`` if the object is closed."""
        with self._lock:
            if self._close is None:
                self._inside.append(threading.get_ident())
                return True
            return False

    def leave(self) -> None:
        """After it, and after what was rung was taken."""
        with self._lock:
            if threading.get_ident() in self._inside:
                self._inside.remove(threading.get_ident())
            if self._close is None:
                return
            self._left.notify_all()
            if self._awaited:
                return  # who closes does the rest before it returns
        self._finish()

    def end(self, close: Callable[[], None]) -> None:
        """The object is closed: ``close`` is called when nobody sleeps any more, which is when this returns, but for tasks
        of this very thread, and threads that do not get to leave."""
        with self._lock:
            if self._close is not None:
                return
            self._close = close
            if self._inside and self._alarm >= 0:
                os.write(self._alarm, b"\1\0\0\0\0\0\0\0")
            for waiting, loop in list(self._tasks.items()):
                try:
                    loop.call_soon_threadsafe(fulfil, waiting)
                except RuntimeError:
                    pass  # that loop is closed, and with it the task
            self._awaited = True
            until = time.monotonic() + _LONGEST_LEAVE
            while any(thread != threading.get_ident() for thread in self._inside):
                if not self._left.wait(until - time.monotonic()):
                    break
            self._awaited = False
            if self.exiting:
                self._inside.clear()
        self._finish()

    def _finish(self) -> None:
        with self._lock:
            if self._inside or self._finished:
                return
            self._finished = True
        assert self._close is not None
        self._close_alarm()
        self._close()

    def forget(self) -> None:
        """For a child of a fork, in which nobody sleeps: closes what is open here."""
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        self._inside.clear()
        self._polls.clear()
        self._tasks.clear()
        self._close_alarm()

    def _close_alarm(self) -> None:
        if self._alarm >= 0:
            close_quietly(self._alarm)
            self._alarm = -1

    def _make_alarm(self) -> bool:
        with self._lock:
            if self._close is not None:
                return False
            if self._alarm < 0:
                self._alarm = quick.eventfd(0, _EFD_CLOEXEC | _EFD_NONBLOCK)
                if self._alarm < 0:
                    number = ctypes.get_errno()
                    raise system_error("Cannot wait", OSError(number, os.strerror(number)))
            return True

    def _poll(self, fds: Sequence[int], events: int) -> select.poll:
        """One that nobody else uses."""
        try:
            known, of, poll = self._polls.pop()
            if known == fds and of == events:
                return poll
        except IndexError:
            pass
        poll = select.poll()
        for fd in fds:
            poll.register(fd, events)
        poll.register(self._alarm, select.POLLIN)
        return poll

    def wait(self, fds: Sequence[int], deadline: float, events: int = select.POLLIN) -> int:
        """Sleeps until something of these descriptors, the end of the object, or the time is over (0)."""
        if self._alarm < 0 and not self._make_alarm():
            return 0
        poll = self._poll(fds, events)
        if deadline == FOREVER:
            found = poll.poll()
        else:
            found = poll.poll(max(0.0, (deadline - time.monotonic()) * 1000))
        self._polls.append((fds, events, poll))
        for fd, happened in found:
            if fd != self._alarm:
                return happened
        return 0

    async def wait_async(self, fds: Sequence[int], deadline: float) -> None:
        """As :meth:`wait` for data or the end of the other side, by the event loop, without a thread."""
        loop = asyncio.get_running_loop()
        waiting: "asyncio.Future[None]" = loop.create_future()
        with self._lock:
            if self._close is not None:
                return
            self._tasks[waiting] = loop
        own: List[int] = []
        # Not by asyncio.wait_for(), which before Python 3.12 forgets that its task is cancelled if the bell rings as well:
        # then a message is taken for nobody.
        timer = None if deadline == FOREVER else loop.call_later(max(0.0, deadline - time.monotonic()), fulfil, waiting)
        try:
            for fd in fds:
                own.append(os.dup(fd))  # an event loop takes each number once, and several tasks may wait
                loop.add_reader(own[-1], fulfil, waiting)
            await waiting
        finally:
            for fd in own:
                loop.remove_reader(fd)
                os.close(fd)
            if timer is not None:
                timer.cancel()
            with self._lock:
                self._tasks.pop(waiting, None)


def fulfil(waiting: "asyncio.Future[None]") -> None:
    """What an event loop calls when a bell rings."""
    if not waiting.done():
        waiting.set_result(None)
