"""Talk to Deno programs on the same machine through shared memory.

Channels at a path (:class:`Sender`, :class:`Receiver`), for values and for byte strings. Conversations over a server's name
(:func:`connect`, :class:`Server`) and with the program that started this one (:func:`parent`), in which descriptors
(:class:`Fd`), memory (:class:`SharedMemory`) and ends of channels (:func:`channel`) travel. Cells (:class:`Cell`), a value that programs share under a name, with a lock that survives the death of its owner.
"""

from . import layout
from ._failure import RemoteError
from ._guard import Guard, Watch
from .calls import Remote, Stream, expose, remote
from .cell import Cell
from .channel import channel
from .duplex import Duplex, Peer, duplex
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
from .publisher import Publisher
from .receiver import Receiver
from .sender import Loan, Sender
from .server import Server, connect, parent
from .shared import Fd, SharedMemory
from .subscriber import Subscriber

__version__ = "0.1.0"

__all__ = [
    "AlreadyExists",
    "Cell",
    "Closed",
    "Corrupt",
    "Deadlock",
    "Disconnected",
    "Duplex",
    "Fd",
    "Guard",
    "Incompatible",
    "IpcError",
    "Loan",
    "NotFound",
    "Peer",
    "Permission",
    "Publisher",
    "Receiver",
    "Remote",
    "RemoteError",
    "Sender",
    "Serialization",
    "Server",
    "SharedMemory",
    "Stream",
    "Subscriber",
    "Timeout",
    "TooLarge",
    "Unsupported",
    "Watch",
    "channel",
    "connect",
    "duplex",
    "expose",
    "layout",
    "parent",
    "remote",
]
