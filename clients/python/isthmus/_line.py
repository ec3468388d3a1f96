"""One end of a conversation with calls: what its calling and its answering side share.

The frames are those of channel/call/frame.ts. Nothing is sent unasked: no call before the other end says how many it
takes, no item of a stream before it is wanted. So a peer that sends more is one that breaks the rules, and is shut out.
"""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, List, Optional

from ._callee import Callee
from ._caller import Caller
from ._failure import pack_failure, unpack_failure
from ._frames import (
    CALL,
    HELLO,
    LENGTHS,
    MORE,
    SKIPPED,
    STOP,
    SYNC,
    SYNCED,
    VERSION,
    is_count,
)
from ._system import FOREVER, deadline_of
from .duplex import Duplex
from .errors import Closed, Corrupt, Disconnected, Incompatible, IpcError, Serialization, Timeout, TooLarge

#: Seconds that a thread waits for another one that receives, before it looks by itself.
_LOOK = 0.05
#: Seconds until a message is tried again for which this process had no descriptor left.
_LOOK_AGAIN = 0.01
#: Frames that are taken in one go, before a method is called.
_BATCH = 64


class Line:
    """Of the threads that wait for something, one receives for all of them."""

    def __init__(self, duplex: Duplex) -> None:
        self.duplex = duplex
        self.turn = threading.Condition(threading.RLock())
        self._reading = False
        #: Frames of several threads go out one after the other.
        self._sending = threading.Lock()
        #: Frames that go out as soon as there is room: what receives never waits for the peer to read.
        self._outbox: Deque[List[Any]] = deque()
        self._telling = self._complaining = False
        self.end: Optional[IpcError] = None
        self.caller = Caller(self)
        self.callee = Callee(self)

    # --- Receiving ---------------------------------------------------------------------------------------------------

    def until(self, ready: Callable[[], bool], deadline: float) -> bool:
        """Receives until something is so, or the line is at its end. ``False`` if the time is over before."""
        while True:
            with self.turn:
                if ready() or self.end is not None:
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if self._reading:
                    self.turn.wait(min(left, _LOOK))
                    continue
                self._reading = True
            self._read(left)

    def take_what_is_there(self) -> None:
        """Takes frames that have come, unless another thread does: what stops a call comes before the call is begun."""
        with self.turn:
            if self._reading or self.end is not None:
                return
            self._reading = True
        self._read(0.0)

    def _read(self, seconds: float) -> None:
        """For the thread that has the turn to receive: waits for a frame, and takes what came with it."""
        try:
            self._flush()
            if self._outbox and seconds > _LOOK:
                seconds = _LOOK
            for _ in range(_BATCH):
                if not self._read_frame(seconds) or self.end is not None:
                    return
                seconds = 0.0
        finally:
            with self.turn:
                self._reading = False
                self.turn.notify_all()

    def _read_frame(self, seconds: float) -> bool:
        try:
            frame = self.duplex.recv(None if seconds == FOREVER else seconds)
        except Timeout:
            return False
        except (Serialization, TooLarge, Incompatible) as error:
            self.caller.find_lost(error)
            if not self._complaining:
                self._complaining = True
                self.post([SKIPPED, pack_failure(error)])
            return True
        except IpcError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                self.finish(error)
                return False
            time.sleep(_LOOK_AGAIN)  # the message has stayed in the ring
            return False
        with self.turn:
            self._hand(frame)
        return True

    def _hand(self, frame: Any) -> None:
        kind = frame[0] if isinstance(frame, list) and frame else None
        if type(kind) is not int or not 0 <= kind < len(LENGTHS) or len(frame) != LENGTHS[kind]:
            return self.violated("what it sent is no part of a call; both ends must use expose() or remote()")
        if kind == HELLO:
            if frame[1] != VERSION:
                return self.finish(Incompatible(f"the other end speaks version {frame[1]!r} of calls, not {VERSION}"))
            if not is_count(frame[2]):
                return self.violated("it takes no number of calls")
            self.caller.window = frame[2]
        elif kind == CALL:
            self.callee.called(*frame[1:])
        elif kind == MORE:
            self.callee.wanted(frame[1], frame[2])
        elif kind == STOP:
            self.callee.unwanted(frame[1], frame[2])
        elif kind == SYNC:
            if self._telling:
                return self.violated("it asks again before it was answered")
            self._telling = True
            self.post([SYNCED, frame[1], self.callee.under_way()])
        elif kind == SYNCED:
            self.caller.synced(frame[1], frame[2])
        elif kind == SKIPPED:
            self.caller.find_lost(unpack_failure(frame[1]))
        else:
            self.caller.answered(kind, *frame[1:])

    # --- Sending -----------------------------------------------------------------------------------------------------

    def send(self, frame: List[Any], timeout: Optional[float] = None) -> None:
        """Sends a frame; waits for room."""
        deadline = deadline_of(timeout)
        if not self._sending.acquire(timeout=-1 if timeout is None else timeout):
            raise Timeout(f"Cannot send: timed out after {timeout} s")
        try:
            while self._outbox:  # those come first
                self._send_until(self._outbox[0], deadline)
                self._sent(self._outbox.popleft())
            self._send_until(frame, deadline)
        finally:
            self._sending.release()

    def _send_until(self, frame: List[Any], deadline: float) -> None:
        self.duplex.send(frame, None if deadline == FOREVER else max(0.0, deadline - time.monotonic()))

    def post(self, frame: List[Any]) -> None:
        """Sends a frame now or later, if the other end is there."""
        self._outbox.append(frame)
        self._flush()

    def _flush(self) -> None:
        if not self._outbox or not self._sending.acquire(blocking=False):
            return  # who has it sends these, too, or the next look does
        try:
            while self._outbox and self.duplex.try_send(self._outbox[0]):
                self._sent(self._outbox.popleft())
        except IpcError:
            self._outbox.clear()  # the other end is gone, or this one closed: who receives finds out
        finally:
            self._sending.release()

    def _sent(self, frame: List[Any]) -> None:
        if frame[0] == SYNCED:
            self._telling = False
        elif frame[0] == SKIPPED:
            self._complaining = False

    # --- The end -----------------------------------------------------------------------------------------------------

    @property
    def is_peer_gone(self) -> bool:
        """Whether nobody can receive what is sent any more."""
        try:
            self.duplex.sender._ring().require_listener()
            return False
        except IpcError:
            return True

    def violated(self, what: str) -> None:
        """The peer has broken the rules."""
        self.finish(Corrupt(f"the other end breaks the protocol: {what}"))

    def finish(self, end: IpcError) -> None:
        """Nothing more comes or goes."""
        with self.turn:
            if self.end is not None:
                return
            self.end = end
            self.turn.notify_all()
        if not isinstance(end, (Disconnected, Closed)):
            self.duplex.close()  # or the peer would go on
