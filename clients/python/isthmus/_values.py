"""Values as CBOR: what Deno programs send, as Python has it, and the other way round.

Plain data is plain CBOR. ``Date`` is :class:`datetime.datetime` (UTC), ``Map`` a ``dict``, ``Set`` a ``set``, ``bigint``
an ``int``, ``undefined`` is ``cbor2.undefined``, a typed array is a :class:`memoryview` of its elements, which numpy takes
without a copy. Objects of other classes of JavaScript (``Error``, ``RegExp``) arrive as ``cbor2.CBORTag``.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping
from typing import Any, Callable, List, Optional

import cbor2

from .errors import IpcError, Serialization

#: The first element of what stands for an endpoint, memory or a descriptor, inside tag 27.
MARK = "isthmus"
_GENERIC = 27

#: Typed arrays of RFC 8746, little-endian, by the format of a memoryview.
_FORMAT_OF_TAG = {
    64: "B", 68: "B", 69: "H", 70: "I", 71: "Q", 72: "b", 77: "h", 78: "i", 79: "q", 85: "f", 86: "d",
}  # fmt: skip
_TAG_OF_FORMAT = {
    "B": 64, "c": 64, "H": 69, "I": 70, "L": 71, "Q": 71, "b": 72, "h": 77, "i": 78, "l": 79, "q": 79, "f": 85, "d": 86,
}  # fmt: skip

assert sys.byteorder == "little"

#: Makes an object of what ``27(["isthmus", …])`` holds.
Revive = Callable[[List[Any]], Any]


def _no_travellers(written: List[Any]) -> Any:
    raise Serialization("Cannot decode a value: an endpoint in it came without its descriptors")


def _tag_hook(revive: Revive) -> Callable[..., Any]:
    def hook(*arguments: Any) -> Any:  # versions of cbor2 differ in what else they pass
        tag = next(argument for argument in arguments if isinstance(argument, cbor2.CBORTag))
        content = tag.value
        form = _FORMAT_OF_TAG.get(tag.tag)
        if form is not None and isinstance(content, bytes):
            return memoryview(content).cast(form)  # type: ignore[call-overload]
        if tag.tag == 259 and isinstance(content, Mapping):
            return {key: _thaw(item) for key, item in content.items()}
        if tag.tag == _GENERIC and isinstance(content, (list, tuple)) and content:
            if content[0] == MARK:
                return revive(_thaw(content))
            if content[0] == "Date" and len(content) == 2 and isinstance(content[1], (int, float)):
                moment = datetime.timedelta(milliseconds=content[1])
                return datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + moment
        return tag

    return hook


def _thaw(value: Any) -> Any:
    """Some versions of cbor2 make what stands behind a tag immutable, so that it could be a key."""
    if isinstance(value, tuple):
        return [_thaw(item) for item in value]
    if isinstance(value, Mapping) and not isinstance(value, dict):
        return {key: _thaw(item) for key, item in value.items()}
    return value


_plain_hook = _tag_hook(_no_travellers)


def decode(data: bytes, revive: Optional[Revive] = None) -> Any:
    """One value, of bytes that nobody else can change meanwhile."""
    try:
        return cbor2.loads(data, tag_hook=_plain_hook if revive is None else _tag_hook(revive))
    except (MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        own = _own_error(error)
        if own is not None:
            raise own from None
        raise Serialization(f"Cannot decode a message of {len(data)} bytes: {error}") from error


class Outgoing:
    """What is found in a value besides data; here: nothing may be."""

    def collect(self, value: Any) -> Optional[List[Any]]:
        """What an object is written as; ``None`` for what does not travel."""
        return None

    def default(self, encoder: Any, found: Any) -> None:
        """Called by cbor2 for what it does not know."""
        encoder.encode(_stand_in(found, self))


_NOTHING = Outgoing()


def encode(value: Any, outgoing: Outgoing = _NOTHING) -> bytes:
    """A value as bytes."""
    try:
        return cbor2.dumps(value, default=outgoing.default, datetime_as_timestamp=True)
    except (MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        own = _own_error(error)
        if own is not None:
            raise own from None
        raise Serialization(f"Cannot encode a value: {error}") from error


def _own_error(error: BaseException) -> Optional[IpcError]:
    """The error of this package that another one may be wrapped around."""
    found: Optional[BaseException] = error
    while found is not None:
        if isinstance(found, IpcError):
            return found
        found = found.__cause__ or found.__context__
    return None


def _stand_in(found: Any, outgoing: Outgoing) -> Any:
    written = outgoing.collect(found)
    if written is not None:
        return cbor2.CBORTag(_GENERIC, [MARK, *written])
    try:
        view = memoryview(found)
    except TypeError:
        raise Serialization(
            f"Cannot encode a {type(found).__name__}: send data (numbers, text, bytes, lists, dicts with text keys, "
            "dates, sets, buffers); an endpoint, memory or a descriptor only through a channel that has no name"
        ) from None
    if view.ndim == 0:
        return view.tolist()  # a number of numpy's
    form = view.format.lstrip("@<")
    tag = _TAG_OF_FORMAT.get(form)
    if tag is None or view.ndim != 1 or not view.contiguous:
        raise Serialization(
            f"Cannot encode a buffer of format {view.format!r} with {view.ndim} dimensions: send a contiguous one of "
            "numbers with one dimension, such as array.ravel(), and its shape beside it"
        )
    return cbor2.CBORTag(tag, view.tobytes())
