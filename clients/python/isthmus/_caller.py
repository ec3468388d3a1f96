"""The calling side of a line: calls that wait for their answers, and streams."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Optional

import cbor2

from ._failure import call_error, pack_failure, unpack_failure
from ._frames import CALL, END, ITEM, MORE, RESULT, STOP, STREAM, SYNC, THROW, is_count
from ._system import FOREVER, deadline_of
from .errors import Closed, Disconnected, IpcError, Serialization, Timeout

if TYPE_CHECKING:
    from ._line import Line

#: Items of a stream that are asked for ahead, and with how many fewer more are asked for.
_MOST_ITEMS, _REFILL = 16, 8


class _Outgoing:
    """A call, from when it is sent until its last frame has come."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.id = 0
        self.position = 0
        self.done = self.abandoned = self.streaming = False
        self.value: Any = None
        self.error: Optional[BaseException] = None
        #: Of a stream.
        self.items: Deque[Any] = deque()
        self.wanted = self.count = 0

    def fail(self, error: Optional[BaseException]) -> None:
        """Ends it."""
        self.done, self.error = True, error


class Caller:
    """Calls of several threads may be under way."""

    def __init__(self, line: "Line") -> None:
        self._line = line
        #: Calls that the other end takes at a time.
        self.window = 0
        self._next = 1
        self._active: Dict[int, _Outgoing] = {}
        self._sync = self._syncs = self._sync_until = 0
        self._sync_again = False
        self._lost: Optional[BaseException] = None

    # --- Frames: under the line's lock -------------------------------------------------------------------------------

    def answered(self, kind: int, number: Any, *rest: Any) -> None:
        """Part of an answer, or all of it."""
        call = self._active.get(number) if is_count(number) else None
        if call is None:
            return
        if kind == STREAM:
            if call.streaming:
                return self._line.violated("it answers twice")
            call.streaming = True
            return
        if kind == ITEM:
            return self._item(call, *rest)
        if kind == RESULT and call.streaming:
            return self._line.violated("it answers twice")
        if kind == END and not call.streaming:
            return self._line.violated("it ends a stream that has not begun")
        del self._active[number]
        if kind == RESULT:
            call.value = None if rest[0] is cbor2.undefined else rest[0]
        elif kind == THROW:
            call.error = call.error or unpack_failure(rest[0])
        elif rest[0] != call.count and not call.abandoned:
            call.error = call.error or _item_lost(call)
        call.done = True

    def _item(self, call: _Outgoing, number: Any, value: Any) -> None:
        if not call.streaming or not is_count(number):
            return self._line.violated("it sends an item of no stream")
        if call.abandoned:
            return
        if call.wanted == 0:
            return self._line.violated("it sends more of a stream than was asked for")
        if number != call.count:
            return self._cut(call)
        call.wanted -= 1
        call.count += 1
        call.items.append(value)

    def _cut(self, call: _Outgoing) -> None:
        call.fail(_item_lost(call))
        self.abandon(call, call.error)

    # --- What could not be received ----------------------------------------------------------------------------------

    def find_lost(self, error: BaseException) -> None:
        """A message could not be received, here or there: asks which calls are under way; the rest is lost."""
        with self._line.turn:
            if not self._active or self._line.end is not None:
                return
            self._lost = error
            if self._sync:
                self._sync_again = True
                return
            self._syncs += 1
            self._sync, self._sync_until = self._syncs, self._next
        self._line.post([SYNC, self._sync])

    def synced(self, number: Any, under_way: Any) -> None:
        """The answer to that. Answers come in order: what was sent before it and is not in it is lost."""
        if not self._sync or number != self._sync or not isinstance(under_way, list):
            return
        self._sync = 0
        items: Dict[Any, Any] = {}
        for i in range(0, len(under_way) - 1, 2):
            if is_count(under_way[i]):
                items[under_way[i]] = under_way[i + 1]
        for call in list(self._active.values()):
            if call.id >= self._sync_until:
                continue
            if call.id not in items:
                del self._active[call.id]
                call.fail(call_error(self._lost, f'Cannot call "{call.method}"'))
            elif call.streaming and not call.abandoned and call.count != items[call.id]:
                self._cut(call)
        if self._sync_again and self._lost is not None:
            self._sync_again = False
            self.find_lost(self._lost)

    # --- Calling -----------------------------------------------------------------------------------------------------

    def call(self, method: str, arguments: List[Any], timeout: Optional[float]) -> Any:
        """Calls, and waits for the answer, or for the beginning of a stream."""
        deadline, what, line = deadline_of(timeout), f'Cannot call "{method}"', self._line
        call = _Outgoing(method)
        if line.end is not None:
            raise call_error(line.end, what, delivered=False)
        try:
            producer = line.duplex.sender._ring()
        except IpcError as error:
            raise call_error(error, what, delivered=False) from None

        def may_send() -> bool:  # under the line's lock, so that two threads do not take one place
            if line.end is not None or len(self._active) >= self.window:
                return False
            call.id, self._next = self._next, self._next + 1
            call.position = producer.position
            self._active[call.id] = call
            return True

        if not line.until(may_send, deadline):
            raise Timeout(f"{what}: timed out after {timeout} s; the other end takes no call", delivered=False)
        if call.id == 0:
            raise call_error(line.end, what, delivered=False)
        try:
            left = None if deadline == FOREVER else max(0.0, deadline - time.monotonic())
            line.send([CALL, call.id, method, arguments], left)
        except BaseException as error:
            with line.turn:
                self._active.pop(call.id, None)
                line.turn.notify_all()
            if isinstance(error, IpcError):
                raise call_error(error, what, delivered=False) from error
            raise
        try:
            if not line.until(lambda: call.done or call.streaming, deadline):
                raise Timeout(f"{what}: timed out after {timeout} s")
        except BaseException as error:  # KeyboardInterrupt, too: the other end need not go on
            self.abandon(call, error)
            raise
        if call.streaming and call.error is None:
            return Stream(line, call)
        return self.outcome(call)

    def outcome(self, call: _Outgoing) -> Any:
        """The value, or raises what was thrown, or why there is no answer."""
        if call.error is not None:
            raise call.error
        if not call.done:
            end = self._line.end
            unread = isinstance(end, Disconnected) and self._is_unread(call)
            raise call_error(end, f'Cannot call "{call.method}"', delivered=not unread)
        return call.value

    def _is_unread(self, call: _Outgoing) -> bool:
        try:
            return self._line.duplex.sender._ring().is_unread(call.position)
        except IpcError:
            return False

    def abandon(self, call: _Outgoing, reason: Optional[BaseException]) -> None:
        """The answer is not wanted any more; the call counts until its last frame comes."""
        with self._line.turn:
            if call.abandoned or call.id not in self._active:
                return
            call.abandoned = True
            call.items.clear()
        self._line.post([STOP, call.id, pack_failure(reason or Closed("The reader has left the stream"))])


def _item_lost(call: _Outgoing) -> IpcError:
    return Serialization(f'Cannot go on with the stream of "{call.method}": an item was lost')


class Stream:
    """What a call returns whose method is a generator there: iterate over it. Leaving it early ends the generator."""

    def __init__(self, line: "Line", call: _Outgoing) -> None:
        self._line, self._call = line, call

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Any:
        line, call = self._line, self._call
        if call.abandoned and call.error is None:
            raise StopIteration
        missing = 0
        with line.turn:
            if not call.done and call.wanted + len(call.items) <= _MOST_ITEMS - _REFILL:
                missing = _MOST_ITEMS - call.wanted - len(call.items)
                call.wanted += missing
        if missing:
            line.post([MORE, call.id, missing])
        line.until(lambda: bool(call.items) or call.done, FOREVER)
        if call.items:
            return call.items.popleft()
        if not call.done or call.error is not None:
            try:
                line.caller.outcome(call)
            finally:
                call.fail(None)  # said once
        raise StopIteration

    def close(self) -> None:
        """Does not want the rest."""
        self._line.caller.abandon(self._call, None)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        call = getattr(self, "_call", None)
        if call is not None and not call.done and self._line.end is None:
            self.close()
