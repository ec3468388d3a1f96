"""Channels without a name: their ends travel inside messages."""

from __future__ import annotations

import os
import socket
from typing import List, NamedTuple, Optional, Tuple

from ._carrier import DescriptorQueue, close_all
from ._consumer import Consumer
from ._producer import Producer
from ._ring import RingMemory
from ._system import unwaiting
from .receiver import Receiver
from .sender import Sender


class Parts(NamedTuple):
    """The descriptors of a new channel, an end each: ring, doorbell, socket."""

    sender: List[int]
    receiver: List[int]


def make_parts(capacity: Optional[int]) -> Parts:
    """Makes all that a channel needs, or nothing."""
    made: List[int] = []
    try:
        memory = RingMemory.create(capacity)
        made.append(memory.fd)
        made.append(os.dup(memory.fd))
        made += os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.fchmod(made[2], 0o666)  # a peer of another user may open its end anew
        one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        made += [one.detach(), two.detach()]
    except BaseException:
        close_all(made)
        raise
    return Parts([made[0], made[3], made[4]], [made[1], made[2], made[5]])


def own_sender(handle: List[int], kind: str = "sender") -> Sender:
    """The sending end of a channel that this process has made."""
    memory = RingMemory.attach(handle[0])
    return Sender._of(Producer(memory, handle[1], unwaiting(socket.socket(fileno=handle[2]))), [], kind)


def own_receiver(handle: List[int], kind: str = "receiver") -> Receiver:
    """The receiving end of a channel that this process has made."""
    memory = RingMemory.attach(handle[0])
    queue = DescriptorQueue(unwaiting(socket.socket(fileno=handle[2])))
    return Receiver._of(Consumer(memory, handle[1], queue), [], [], kind)


def channel(capacity: Optional[int] = None, *, byte_strings: bool = False) -> Tuple[Sender, Receiver]:
    """A new channel without a name: send one of its ends to another process, inside a message.

    :param capacity: bytes that can wait; 4 MiB by default. Larger messages go beside it.
    :param byte_strings: whether the other side is to get an end for byte strings (``IpcBytesSender`` in Deno).
    """
    parts = make_parts(capacity)
    prefix = "bytes-" if byte_strings else ""
    return own_sender(parts.sender, f"{prefix}sender"), own_receiver(parts.receiver, f"{prefix}receiver")
