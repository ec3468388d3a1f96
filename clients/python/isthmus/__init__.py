"""Talk to Deno programs on the same machine through shared memory.

Channels at a path (:class:`Sender`, :class:`Receiver`), for values and for byte strings. Cells (:class:`Cell`), a value that programs share under a name, with a lock that survives the death of its owner.
"""

from . import layout
from .cell import Cell, Guard, Watch
from .errors import (
    AlreadyExists,
    Closed,
    Corrupt,
    Deadlock,
    Disconnected,
    Incompatible,
    IpcError,
    NotFound,
    Permission,
    Serialization,
    Timeout,
    TooLarge,
    Unsupported,
)
from .receiver import Receiver
from .sender import Loan, Sender

__version__ = "0.1.0"

__all__ = [
    "AlreadyExists",
    "Cell",
    "Closed",
    "Corrupt",
    "Deadlock",
    "Disconnected",
    "Guard",
    "Incompatible",
    "IpcError",
    "Loan",
    "NotFound",
    "Permission",
    "Receiver",
    "Sender",
    "Serialization",
    "Timeout",
    "TooLarge",
    "Unsupported",
    "Watch",
    "layout",
]
