"""Calls over a conversation: :func:`remote` calls what the other end exposes, :func:`expose` lets it call."""

from __future__ import annotations

import inspect
import threading
from typing import Any, Callable, Dict, Mapping, Optional, Union

from ._caller import Stream
from ._failure import call_error
from ._line import Line
from ._system import deadline_of
from .duplex import Duplex
from .errors import Closed, Disconnected

__all__ = ["Api", "Remote", "Stream", "expose", "remote"]

_RESERVED = frozenset({"__proto__", "constructor", "then", "with"})
_CONCURRENCY = 64

Api = Union[Mapping[str, Callable[..., Any]], object]

_lines_lock = threading.Lock()


def _line_of(duplex: Duplex, what: str) -> Line:
    """The line of a conversation; one for all that call and answer through it."""
    if not isinstance(duplex, Duplex):
        raise TypeError(f"{what} through {duplex!r}: give an end of a conversation, a Duplex")
    with _lines_lock:
        line: Any = duplex._line
        if line is None:
            line = duplex._line = Line(duplex)
        assert isinstance(line, Line)
        return line


class Remote:
    """The methods of the other end: ``remote(line).add(1, 2)``. See :func:`remote`."""

    def __init__(self, line: Line, timeout: Optional[float]) -> None:
        self._line, self._timeout = line, timeout

    def call(self, method: str, *arguments: Any, timeout: Optional[float] = None) -> Any:
        """Calls a method by its name, whatever that is.

        :param timeout: seconds for the answer, of a stream for its beginning; that of :func:`remote` by default.
        """
        if not isinstance(method, str):
            raise TypeError(f"Cannot call {method!r}: give the name of a method")
        return self._line.caller.call(method, list(arguments), self._timeout if timeout is None else timeout)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def method(*arguments: Any) -> Any:
            return self._line.caller.call(name, list(arguments), self._timeout)

        method.__name__ = name
        return method


def remote(duplex: Duplex, *, timeout: Optional[float] = None) -> Remote:
    """Calls the methods that the other end of a conversation exposes, by ``expose()`` in Deno or here.

    A call blocks until it is answered; threads may call at the same time. What a method throws is raised here: a
    ``TypeError``, a ``ValueError`` for a ``RangeError``, an :class:`~isthmus.IpcError`, or else a
    :class:`~isthmus.RemoteError`, with the stack of the other side as its cause. Where the method is an async generator, the call
    returns a :class:`~isthmus.calls.Stream`.

    A call that fails by itself is an :class:`~isthmus.IpcError` whose ``delivered`` is ``False`` if the method was certainly
    not called. Nothing else may receive from this end meanwhile, but it may :func:`expose` methods, too, in another thread.

    :param timeout: seconds for each answer; as long as it takes by default. The answering side is told.
    """
    deadline_of(timeout)
    return Remote(_line_of(duplex, "Cannot call methods"), timeout)


def expose(duplex: Duplex, api: Api, *, concurrency: int = _CONCURRENCY) -> None:
    """Lets the other end call methods, by ``remote()`` in Deno or here. Blocks until the other end is gone, or this one is
    closed, and runs the methods in this thread, one after the other; generators run as far ahead as the caller reads.

    :param api: a mapping from names to functions, or an object: its public methods.
    :param concurrency: calls that may wait here at a time; further ones wait at the caller.
    :raises Corrupt: if the other end breaks the protocol: this end is closed then.
    :raises AlreadyExists: if this end exposes methods already.
    """
    if not isinstance(concurrency, int) or not 1 <= concurrency < 1 << 31:
        raise ValueError(f"Cannot expose methods with the concurrency {concurrency!r}: give a number from 1 on")
    line = _line_of(duplex, "Cannot expose methods")
    if line.end is not None:
        if isinstance(line.end, Disconnected):
            return
        raise call_error(line.end, "Cannot expose methods")
    if duplex.closed:
        raise Closed("Cannot expose methods: this end was closed")
    line.callee.serve(_methods_of(api), concurrency)


def _methods_of(api: Api) -> Dict[str, Callable[..., Any]]:
    if isinstance(api, Mapping):
        found = {name: value for name, value in api.items() if isinstance(name, str) and callable(value)}
    else:
        found = {}
        for name in dir(api):
            static = inspect.getattr_static(api, name)
            if name.startswith("_") or isinstance(static, (property, type)):
                continue
            value = getattr(api, name)
            if inspect.isroutine(value):
                found[name] = value
    return {name: value for name, value in found.items() if name not in _RESERVED}
