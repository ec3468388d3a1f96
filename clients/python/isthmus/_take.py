"""What is made of a record that was found: a value, bytes, or a view on the channel's memory."""

from __future__ import annotations

import struct
from typing import Any, List, Optional, Tuple

from ._carrier import MAX_DESCRIPTORS, close_all
from ._consumer import Consumer
from ._record import Record, corrupt, read_body
from ._ring import EXTENDED_HEADER, HAS_DESCRIPTORS, IS_OUT_OF_LINE
from ._travellers import Received
from ._values import decode
from .errors import IpcError

_HEADER = struct.Struct("=IIIIQ")


def take_value(ring: Consumer, record: Record) -> Any:
    """Its value."""
    if not record.extended:
        data = ring.copy(record)
        ring.release(record)
        return decode(data)
    body, fds = _open_extended(ring, record)
    if body is None:
        body = ring.copy(record)[EXTENDED_HEADER:]
    ring.release(record)
    received = Received(fds)
    decoded = False
    try:
        value = decode(body, received.revive)
        decoded = True
        return value
    finally:
        received.finish(decoded)


def take_bytes(ring: Consumer, record: Record) -> bytes:
    """Its bytes, a copy."""
    if not record.extended:
        data = ring.copy(record)
        ring.release(record)
        return data
    body, fds = _open_extended(ring, record)
    if body is None:
        body = ring.copy(record)[EXTENDED_HEADER:]
    ring.release(record)
    close_all(fds)
    return body


def take_borrowed(ring: Consumer, record: Record) -> memoryview:
    """Its bytes, where they lie."""
    if not record.extended:
        return ring.lend(record)
    body, fds = _open_extended(ring, record)
    close_all(fds)
    if body is None:
        return ring.lend(record, EXTENDED_HEADER)
    ring.release(record)
    return memoryview(body)


def _open_extended(ring: Consumer, record: Record) -> Tuple[Optional[bytes], List[int]]:
    """The body, if it lies outside the ring, and the descriptors of an extended record, which are the caller's."""
    at = record.offset
    flags, slot, counter, count, length = _HEADER.unpack(bytes(ring.memory.data[at : at + _HEADER.size]))
    fds: List[int] = []
    try:
        if flags & HAS_DESCRIPTORS:
            if not 1 <= count <= MAX_DESCRIPTORS:
                raise corrupt(f"a message claims {count} descriptors")
            fds = ring.queue.take(slot, counter, count)
        if not flags & IS_OUT_OF_LINE:
            if length != record.length - EXTENDED_HEADER:
                raise corrupt(f"a message claims {length} bytes")
            return None, fds
        if not fds:
            raise corrupt(f"a message claims {length} bytes elsewhere, and sends no memory")
        return read_body(fds[0], length, ring.admit), fds[1:]
    except BaseException as error:
        close_all(fds)
        if not (isinstance(error, IpcError) and error.code == "System") and isinstance(error, Exception):
            ring.release(record)  # damaged, or too large; without room for descriptors it stays for another try
        raise
    finally:
        if flags & IS_OUT_OF_LINE and fds:
            close_all(fds[:1])
