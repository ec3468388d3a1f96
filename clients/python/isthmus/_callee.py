"""The answering side of a line: methods that are called, and what they return."""

from __future__ import annotations

import inspect
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Iterator, List, Optional

from ._failure import call_error, pack_failure, unpack_failure
from ._frames import END, HELLO, ITEM, RESULT, STREAM, THROW, VERSION, is_count
from ._system import FOREVER
from .errors import AlreadyExists, Closed, Disconnected, IpcError, NotFound

if TYPE_CHECKING:
    from ._line import Line

Methods = Dict[str, Callable[..., Any]]


class _Answering:
    """A call that came in."""

    def __init__(self, number: int, method: str, arguments: List[Any]) -> None:
        self.id, self.method, self.arguments = number, method, arguments
        self.items: Optional[Iterator[Any]] = None
        self.wanted = self.sent = 0
        #: Why the answer is not wanted any more, if so.
        self.stopped: Optional[BaseException] = None


class Callee:
    """Methods run in the thread that called ``expose()``, one after the other."""

    def __init__(self, line: "Line") -> None:
        self._line = line
        self._methods: Optional[Methods] = None
        self._most = 0
        self._active: Dict[int, _Answering] = {}
        self._todo: Deque[_Answering] = deque()

    def serve(self, methods: Methods, most: int) -> None:
        """Answers calls until the line is at its end."""
        line = self._line
        with line.turn:
            if self._methods is not None:
                raise AlreadyExists("Cannot expose methods: this end exposes some already; put them in one object")
            self._methods, self._most = methods, most
        try:
            line.post([HELLO, VERSION, most])
            while True:
                line.take_what_is_there()
                line.until(lambda: bool(self._todo), FOREVER)
                with line.turn:
                    if line.end is not None:
                        break
                    call = self._todo.popleft()
                self._answer(call)
            if not isinstance(line.end, (Disconnected, Closed)):
                raise call_error(line.end, "Cannot answer calls")
        finally:
            self._methods = None
            for call in self._active.values():
                _close(call.items)
            self._active.clear()
            self._todo.clear()

    # --- Frames: under the line's lock -------------------------------------------------------------------------------

    def called(self, number: Any, method: Any, arguments: Any) -> None:
        """A call."""
        well_formed = is_count(number) and type(method) is str and isinstance(arguments, list)
        if not well_formed or number in self._active:
            return self._line.violated("it sends a call that makes no sense")
        if self._methods is None or len(self._active) >= self._most:
            return self._line.violated("it sends more calls at a time than it may")
        call = self._active[number] = _Answering(number, method, arguments)
        self._todo.append(call)

    def wanted(self, number: Any, count: Any) -> None:
        """The caller wants so many more items of a stream."""
        call = self._active.get(number) if is_count(number) else None
        if call is None:
            return  # it has ended
        if not is_count(count):
            return self._line.violated("it wants no number of items")
        call.wanted = min(call.wanted + count, 1 << 53)
        self._go_on(call)

    def unwanted(self, number: Any, failure: Any) -> None:
        """The caller does not want the answer any more."""
        call = self._active.get(number) if is_count(number) else None
        if call is not None:
            call.stopped = unpack_failure(failure)
            self._go_on(call)

    def _go_on(self, call: _Answering) -> None:
        if call.items is not None and call not in self._todo:
            self._todo.append(call)

    def under_way(self) -> List[int]:
        """The calls that are under way, each followed by the items that were sent of its stream."""
        return [part for call in self._active.values() for part in (call.id, call.sent)]

    # --- Answers -----------------------------------------------------------------------------------------------------

    def _answer(self, call: _Answering) -> None:
        line = self._line
        try:
            if call.items is None:
                method = (self._methods or {}).get(call.method)
                what = f'Cannot call "{call.method}"'
                if method is None:
                    raise NotFound(f"{what}: the other end exposes no such method", delivered=False)
                if call.stopped is not None:
                    raise Closed(f"{what}: it was given up before its turn came", delivered=False)
                result = method(*call.arguments)
                if not inspect.isgenerator(result):
                    return self._last(call, [RESULT, call.id, result])
                call.items = result
                line.send([STREAM, call.id])
            self._pump(call)
        except Exception as error:
            if isinstance(error, (Disconnected, Closed)) and line.is_peer_gone:
                return line.finish(error)
            self._last(call, [THROW, call.id, pack_failure(error)])

    def _pump(self, call: _Answering) -> None:
        assert call.items is not None
        line = self._line
        while call.wanted > 0 and call.stopped is None:
            call.wanted -= 1
            try:
                item = next(call.items)
            except StopIteration:
                return self._last(call, [END, call.id, call.sent])
            line.send([ITEM, call.id, call.sent, item])
            call.sent += 1
            line.take_what_is_there()
            if self._todo:  # others' calls have their turn
                break
        with line.turn:
            if call.stopped is None:
                if call.wanted > 0 and call not in self._todo:
                    self._todo.append(call)
                return
        _close(call.items)
        self._last(call, [END, call.id, call.sent])

    def _last(self, call: _Answering, frame: List[Any]) -> None:
        """Sends the last frame of a call."""
        line = self._line
        try:
            line.send(frame)
        except Disconnected as error:
            line.finish(error)
            return
        except IpcError as error:
            # What cannot be sent is the method's mistake, and the caller must know.
            line.post([THROW, call.id, pack_failure(error)])
        with line.turn:
            self._active.pop(call.id, None)


def _close(items: Any) -> None:
    try:
        if items is not None:
            items.close()
    except Exception:
        pass  # of a generator's own end: nobody waits for it any more
