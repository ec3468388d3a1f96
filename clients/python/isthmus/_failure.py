"""What a method has thrown, on its way to the caller: see channel/call/failure.ts."""

from __future__ import annotations

import traceback
from typing import Any, Dict, Optional

from . import errors
from .errors import IpcError, Serialization

_CODES = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, IpcError)
}
_MOST_TEXT = 16_384


class RemoteError(Exception):
    """The other side has thrown something that is no ``TypeError``, ``ValueError`` (``RangeError`` there) or
    :class:`~isthmus.IpcError`."""

    def __init__(self, message: str, name: str = "Error", value: Any = None) -> None:
        super().__init__(f"{name}: {message}")
        #: Name and message of the error there; what was thrown, if it was no error.
        self.name, self.message, self.value = name, message, value


def pack_failure(error: BaseException) -> Dict[str, Any]:
    """An exception as data."""
    kind = type(error)
    name = "Error"
    if isinstance(error, IpcError):
        name = "IpcError"
    elif isinstance(error, TypeError):
        name = "TypeError"
    elif isinstance(error, (ValueError, IndexError, OverflowError)):
        name = "RangeError"
    try:
        message = str(error)[:_MOST_TEXT]
    except Exception:
        message = "What was thrown cannot be looked at"
    stack = "".join(traceback.format_exception(kind, error, error.__traceback__))[-_MOST_TEXT:]
    failure: Dict[str, Any] = {"class": name, "message": message, "stack": stack}
    if name == "Error":
        failure["name"] = error.name if isinstance(error, RemoteError) else kind.__name__
    if isinstance(error, IpcError):
        failure["properties"] = {"code": error.code, "delivered": error.delivered}
        if error.errno is not None:
            failure["properties"]["errno"] = error.errno
    return failure


def unpack_failure(found: Any, depth: int = 0) -> BaseException:
    """What the other side has thrown, whatever it has really sent."""
    if not isinstance(found, dict):
        return RemoteError("The other side has failed")
    kind, message, name = found.get("class"), _text(found.get("message")), _text(found.get("name"))
    if not isinstance(kind, str):
        return RemoteError(f"threw {found.get('value')!r}"[:_MOST_TEXT], value=found.get("value"))
    made: BaseException
    if kind == "IpcError":
        properties = found.get("properties")
        given = properties if isinstance(properties, dict) else {}
        code = given.get("code")
        number = given.get("errno")
        made = _CODES.get(code if isinstance(code, str) else "", IpcError)(
            message, errno=number if isinstance(number, int) else None, delivered=given.get("delivered") is not False
        )
    elif kind == "TypeError":
        made = TypeError(message)
    elif kind == "RangeError":
        made = ValueError(message)
    else:
        made = RemoteError(message, name or kind)
    stack: Optional[str] = _text(found.get("stack"))
    made.__cause__ = RemoteError(stack or message, "The stack of the other side")
    return made


def _text(value: Any) -> str:
    return value[:_MOST_TEXT] if isinstance(value, str) else ""


def call_error(error: Optional[BaseException], what: str, delivered: bool = True) -> IpcError:
    """The same error, for one call."""
    kind = type(error) if isinstance(error, IpcError) else Serialization
    number = error.errno if isinstance(error, IpcError) else None
    made = kind(f"{what}: {error}", errno=number, delivered=delivered)
    made.__cause__ = error
    return made
