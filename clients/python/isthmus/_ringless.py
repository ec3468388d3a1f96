"""A sender that came without a ring: what its socket carries before there is one.

The receiver's process made a pair of sockets and nothing else, and keeps the other one. The first small message is posted
there. For all else this side makes the ring, and sends its receiving end. Or the receiver did so first: then its packet
lies in the queue of this socket, and nothing can be sent here any more.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from typing import List, Optional, Tuple

from . import _bell
from ._carrier import carrier_from, check_end, close_all, receive_packet, require_room, send_packet
from ._producer import Producer
from ._ring import MAX_CAPACITY, MIN_CAPACITY
from ._system import close_quietly
from .errors import Closed, Corrupt, Disconnected, IpcError, Serialization, Timeout, system_error

#: Beside the kinds of packets in ``_carrier.py``: kind, slot, counter, count; a message that is posted lies behind it.
_PACKET = struct.Struct("=iiii")
_POST, _GROW, _BELL, _RING = 5, 6, 7, 8
_MOST_POSTED = 1024
_GROW_FDS, _RING_FDS = 6, 3
#: Packets in one look: a receiver sends a bell at most, and a ring.
_MOST_PACKETS = 3
#: Seconds to wait for a ring that the receiver is about to send.
_PATIENCE = 0.1


def require_capacity(capacity: object) -> int:
    """The bytes that a ring is to have, as a peer has written them."""
    if type(capacity) is int and MIN_CAPACITY <= capacity <= MAX_CAPACITY and capacity & (capacity - 1) == 0:
        return capacity
    raise Serialization("Cannot decode a message: a sender in it is to have a ring of an impossible size")


class Ringless:
    """The socket of such a sender. Threads take turns."""

    def __init__(self, fd: int, capacity: int) -> None:
        self._fd, self._capacity = fd, capacity
        self._socket: Optional[socket.socket] = None
        #: The message that was posted, until it is in a ring.
        self._posted: Optional[bytes] = None
        #: Whether nothing can be sent here any more: the receiver is gone, or has a ring.
        self._refused = False
        #: Of the ring that the receiver has sent, until it is attached to.
        self._handle: List[int] = []
        #: What the receiver listens at, if it waits: rung after each packet.
        self._bell = -1
        #: What a look behind a posted message has found: that one was sent all the same.
        self._failure: Optional[IpcError] = None
        self._closed = False
        self._lock = threading.Lock()
        #: Once there is a ring.
        self.producer: Optional[Producer] = None

    @property
    def may_post(self) -> bool:
        """Whether nothing was sent yet."""
        return self._posted is None and self.producer is None and not self._refused and self._failure is None

    def send_quickly(self, data: bytes) -> bool:
        """Posts a message without descriptors, if it is the first, and small. ``False``: by the ring."""
        if len(data) > _MOST_POSTED:
            return False
        with self._lock:
            if not self.may_post or self._closed:
                return False
            try:
                line = self._open()
                require_room(_RING_FDS)  # first: a bell that cannot be taken out would not be rung
                self._posted = data  # first: an interrupt right after it must not have it sent twice
                if not send_packet(line, _PACKET.pack(_POST, 0, 0, len(data)) + data, []):
                    self._posted = None
                    return False
            except Disconnected:
                self._posted, self._refused = None, True
                return False
            except Corrupt as error:
                self._failure = error
                return False
            except OSError as error:
                self._posted = None
                raise system_error("Cannot send", error) from error
            self._wake(line)
            return True

    def grow(self) -> Producer:
        """The sending side of the ring. That of a receiver that is gone has no other side.

        :raises Timeout: if the receiver is stopped while it sends its own.
        :raises Corrupt: if a peer broke the rules: it is to be closed then. After all else the next call may succeed.
        """
        with self._lock:
            if self.producer is None:
                if self._closed:
                    raise Closed("Cannot send: this sender was closed")
                try:
                    self._grow()
                except IpcError:
                    raise
                except OSError as error:
                    raise system_error("Cannot make or open the memory of a channel", error) from error
                self._end()
            assert self.producer is not None
            return self.producer

    def _grow(self) -> None:
        if self._failure is not None:
            raise self._failure
        line = self._open()
        self._read(line)
        if not self._handle and not self._refused:
            if self._send_ring(line):
                return
            self._refused = True
        if not self._handle and not self._await_ring(line):
            self.producer, given = self._make_ring()
            close_all(given)
            try:
                self.producer.require_listener()  # so that it knows
            except Disconnected:
                pass
            return
        # A copy, as it is lost where this process has no room for more descriptors.
        copies: List[int] = []
        try:
            for fd in self._handle:
                copies.append(os.dup(fd))
        except OSError:
            close_all(copies)
            raise
        self.producer = _attach(copies)

    def _open(self) -> socket.socket:
        """The socket, which a peer may have replaced by anything."""
        if self._socket is None:
            fd, self._fd = self._fd, -1
            line = carrier_from(fd)
            if line.type != socket.SOCK_SEQPACKET or not _is_connected(line):
                line.close()
                raise Corrupt("Cannot use the sender that a peer sent: its socket is not one of a pair")
            line.setblocking(False)
            self._socket = line
        return self._socket

    # --- A ring of this side -----------------------------------------------------------------------------------------

    def _make_ring(self) -> Tuple[Producer, List[int]]:
        """A ring with what was posted in it: its sending side, and descriptors for the receiver, to be closed."""
        from .channel import make_parts

        parts = make_parts(self._capacity)
        given = list(parts.receiver)
        producer: Optional[Producer] = None
        try:
            try:
                given.append(os.dup(parts.sender[1]))  # of the doorbell: this side gets one of its own
            except OSError:
                close_all(parts.sender)
                raise
            producer = _attach(parts.sender)
            if self._posted is not None and not producer.try_send(memoryview(self._posted)):
                raise IpcError("Cannot send: a new ring has no room")
        except BaseException:
            close_all(given)
            if producer is not None:
                producer.close()
            raise
        return producer, given

    def _send_ring(self, line: socket.socket) -> bool:
        """Makes the ring, and sends the receiver both ends of it. ``False`` if nobody takes it."""
        producer, given = self._make_ring()
        assert producer.carrier is not None
        memory, bell, carrier, to_ring = given
        both = [memory, bell, carrier, memory, to_ring, producer.carrier.fileno()]
        self.producer = producer  # first: an interrupt right after it must not have it sent twice
        try:
            if not send_packet(line, _PACKET.pack(_GROW, 0, 0 if self._posted is None else 1, _GROW_FDS), both):
                raise Corrupt("Cannot send: a peer has filled the socket of this sender")
        except Exception as error:
            self.producer = None
            producer.close()
            if isinstance(error, Disconnected):
                return False
            raise
        finally:
            close_all(given)
        self._wake(line)
        return True

    # --- What the receiver has sent ----------------------------------------------------------------------------------

    def _wake(self, line: socket.socket) -> None:
        """Wakes the receiver, which waits for what has just been sent. That is sent, whatever comes of this."""
        try:
            self._read(line)
        except Corrupt as error:
            self._failure = error
        except (IpcError, OSError):
            pass
        if self._bell >= 0:
            _bell.ring_shared(self._bell)

    def _await_ring(self, line: socket.socket) -> bool:
        """Nothing can be sent: the receiver sends its ring this very moment, or it is gone (``False``)."""
        until = time.monotonic() + _PATIENCE
        while True:
            events = _bell.wait(line.fileno(), until)
            self._read(line)
            if self._handle:
                return True
            if events & select.POLLHUP:
                return False
            if time.monotonic() >= until:
                raise Timeout(
                    f"Cannot send: the receiver has not sent its ring within {_PATIENCE} s; it may be stopped; try again"
                )

    def _read(self, line: socket.socket) -> None:
        """Takes out of the queue what the receiver has sent."""
        for _ in range(_MOST_PACKETS):
            if self._handle:
                return
            found = _receive(line)
            if found is None:
                return
            data, fds = found
            fields = _PACKET.unpack(data) if len(data) == _PACKET.size else ()
            if fields == (_BELL, 0, 0, 1) and len(fds) == 1 and self._bell < 0:
                check_end(fds[0], os.O_WRONLY)
                self._bell = fds[0]
            elif fields == (_RING, 0, 0, _RING_FDS) and len(fds) == _RING_FDS:
                self._handle = fds
            else:
                close_all(fds)
                raise Corrupt("Cannot send: a peer sent a packet that is none")

    # --- The end -----------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Closes the socket, and what came out of it."""
        if self._socket is not None:
            self._socket.close()
        elif self._fd >= 0:
            close_quietly(self._fd)
        self._fd, self._socket = -1, None
        if self._bell >= 0:
            close_quietly(self._bell)
        close_all(self._handle)
        self._bell, self._handle, self._posted = -1, [], None

    def close(self) -> None:
        """Closes it, or the ring that it has become."""
        with self._lock:
            self._closed = True
            self._end()
            if self.producer is not None:
                self.producer.close()

    def forget(self) -> None:
        """For a child of a fork: closes what is open, but for the ring."""
        self._lock = threading.Lock()
        self._closed = True
        self._end()


def _attach(handle: List[int]) -> Producer:
    from .sender import attach

    return attach(handle)


def _is_connected(line: socket.socket) -> bool:
    try:
        line.getpeername()
        return True
    except OSError:
        return False


def _receive(line: socket.socket) -> Optional[Tuple[bytes, List[int]]]:
    """The next packet, ``None`` if there is none."""
    for _ in range(2):
        try:
            line.recv(1, socket.MSG_PEEK)  # most often there is none, and then no descriptor need be made room for
            data, fds = receive_packet(line, _PACKET.size + 1, _RING_FDS)
            return (data, fds) if data or fds else None
        except BlockingIOError:
            return None
        except ConnectionResetError:
            pass  # the receiver has left something unread; said once, before what lies in this queue
    return None
