"""The socket beside a ring that carries descriptors. See "Descriptors" in docs/protocol.md."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import stat
import struct
from collections import deque
from typing import Deque, Dict, List, NamedTuple, Optional, Sequence, Tuple

from . import _bell
from ._system import close_quietly, reopen, unwaiting
from .errors import Corrupt, Disconnected, IpcError, TooLarge, system_error

_PACKET = struct.Struct("=iiii")
_MESSAGE, _SPACE_BELL, _BUNDLE, _PACKED = 1, 2, 3, 4
_MOST_IN_PACKET = 253
MAX_DESCRIPTORS = 1 << 16
_MOST_PACKETS, _MOST_PACKETS_FOR_BELLS, _MOST_BELLS = 512, 32, 256
_FD = struct.calcsize("i")


def send_packet(to: socket.socket, data: bytes, fds: Sequence[int]) -> bool:
    """One message with descriptors; ``False`` if the queue is full."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        to.sendmsg([data], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return True
    except BlockingIOError:
        return False
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Disconnected("Cannot send: the receiver is gone", errno=error.errno) from None


def receive_packet(source: socket.socket, length: int, most: int, flags: int = 0) -> Tuple[bytes, List[int]]:
    """One message with descriptors; ``BlockingIOError`` if there is none, no bytes at the end.

    :raises IpcError: if this process has no room for so many descriptors: then nothing is read.
    """
    require_room(most)
    data, ancillary, message_flags, _ = source.recvmsg(
        length, socket.CMSG_SPACE(most * _FD), socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC | flags
    )
    fds: List[int] = []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += struct.unpack(f"={len(content) // _FD}i", content[: len(content) // _FD * _FD])
    if message_flags & socket.MSG_CTRUNC:
        close_all(fds)
        raise Corrupt(f"Cannot receive descriptors: a peer sent more than {most} at a time")
    return data, fds


def require_room(count: int) -> None:
    """Descriptors that do not fit into the table would be lost: takes as many, and gives them back."""
    taken: List[int] = []
    try:
        taken.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        for _ in range(count):
            taken.append(os.dup(taken[0]))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise system_error(f"Cannot receive {count} descriptors", error) from error
        raise
    finally:
        close_all(taken)


def close_all(fds: Sequence[int]) -> None:
    """Closes descriptors."""
    for fd in fds:
        close_quietly(fd)


def send_descriptors(to: socket.socket, slot: int, counter: int, fds: Sequence[int]) -> bool:
    """The descriptors of a message, before its record is committed. ``False`` if the queue is full."""
    counter = counter - (1 << 32) if counter >= 1 << 31 else counter
    if len(fds) <= _MOST_IN_PACKET:
        return send_packet(to, _PACKET.pack(_MESSAGE, slot, counter, len(fds)), fds)
    if len(fds) > MAX_DESCRIPTORS:
        raise TooLarge(f"Cannot send {len(fds)} descriptors in one message: the limit is {MAX_DESCRIPTORS}")
    # All or nothing, in one packet: what is too many goes into a socket of its own, and that one is sent.
    inner, outer = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    unwaiting(inner)
    try:
        for i in range(0, len(fds), _MOST_IN_PACKET):
            part = fds[i : i + _MOST_IN_PACKET]
            if not send_packet(inner, _PACKET.pack(_MESSAGE, slot, counter, len(part)), part):
                raise TooLarge(f"Cannot send {len(fds)} descriptors in one message: a socket holds only {i}")
        return send_packet(to, _PACKET.pack(_BUNDLE, slot, counter, len(fds)), [outer.fileno()])
    finally:
        inner.close()
        outer.close()


def send_space_bell(to: socket.socket, bell: int) -> bool:
    """Registers a pipe to be rung when there is room. ``False`` if it cannot be done now."""
    try:
        return send_packet(to, _PACKET.pack(_SPACE_BELL, 0, 0, 1), [bell])
    except OSError as error:
        if error.errno == errno.ETOOMANYREFS:
            return False
        raise


def check_end(fd: int, flags: int) -> None:
    """That a descriptor of a peer's is an end of a doorbell, which can be opened anew; closed if it is none."""
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            problem = "it is not a pipe"
        elif not os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
            problem = "it is a FIFO with a name"  # opening that may wait for the program behind it
        elif fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != flags:
            problem = "it is the other end of the pipe"
        else:
            return
    except OSError:
        close_quietly(fd)
        raise
    os.close(fd)
    raise Corrupt(f"Cannot use the doorbell that a peer sent: {problem}")


def private_end(fd: int, flags: int) -> int:
    """An end of a doorbell that came from a peer, made this process's own; closed if it is none, or cannot be.

    The peer shares the open file, and could make it block.
    """
    check_end(fd, flags)
    try:
        own = reopen(fd, flags)
    except IpcError:
        os.close(fd)
        raise
    if own is None:  # nobody listens any more, or another user's: used with a look before each call
        os.set_blocking(fd, False)
        return fd
    os.close(fd)
    return own


def carrier_from(fd: int) -> socket.socket:
    """The descriptor socket of an end that a peer sent; closed if it is something else."""
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            found = unwaiting(socket.socket(fileno=fd))
            if found.family == socket.AF_UNIX:
                return found
            found.detach()
    except OSError:
        pass
    close_quietly(fd)
    raise Corrupt("Cannot use the end of a channel that a peer sent: it comes without its socket")


def unpack_sender(carrier: socket.socket) -> Tuple[int, int]:
    """Ring and doorbell of a packed sender, copied out of the queue of its socket."""
    try:
        data, fds = receive_packet(carrier, _PACKET.size, 2, socket.MSG_PEEK)
    except OSError:
        data, fds = b"", []
    if len(data) == _PACKET.size and _PACKET.unpack(data)[0] == _PACKED and len(fds) == 2:
        return fds[0], fds[1]
    close_all(fds)
    raise Corrupt("Cannot use the sender that a peer sent: what belongs to it is not in its socket")


class Arrived(NamedTuple):
    """Descriptors that came ahead of their record."""

    slot: int
    counter: int
    fds: List[int]
    #: Of a bundle: how many it is to hold; the last of ``fds`` is the socket with the rest.
    bundled: Optional[int]


class DescriptorQueue:
    """The receiving end: finds the descriptors of a record, keeps what came early, closes what nobody will claim."""

    def __init__(self, source: Optional[socket.socket], room: int = -1) -> None:
        #: ``None`` for a named ring, which has no descriptors, and one bell for all who wait for room.
        self.socket = source
        self._room = room
        self._arrived: Dict[int, Deque[Arrived]] = {}
        self._bells: List[int] = []

    def ring_space_bells(self) -> None:
        """Rings everybody who waits for room. Never throws: a message was just received."""
        if self.socket is None:
            _bell.ring(self._room)
            return
        try:
            self._read(_MOST_PACKETS_FOR_BELLS)
        except (IpcError, OSError):
            pass  # what cannot be read now stays; a packet that is none was closed
        gone = [bell for bell in self._bells if not _bell.ring(bell)]
        for bell in gone:
            self._bells.remove(bell)
            os.close(bell)

    def read_all(self) -> bool:
        """Reads what is there. ``False`` if there may be more."""
        if self.socket is None:
            return True
        try:
            return self._read(_MOST_PACKETS)
        except (IpcError, OSError):
            return False

    def _read(self, most: int) -> bool:
        return not all(self._read_packet() for _ in range(most))

    def _read_packet(self) -> bool:
        assert self.socket is not None
        try:
            data, fds = receive_packet(self.socket, _PACKET.size, _MOST_IN_PACKET)
        except (BlockingIOError, ConnectionResetError):
            return False
        if not data:
            return False
        kind, slot, counter, count = _PACKET.unpack(data) if len(data) == _PACKET.size else (0, 0, 0, 0)
        if kind == _SPACE_BELL and len(fds) == 1:
            if len(self._bells) >= _MOST_BELLS:
                os.close(self._bells.pop(0))  # its sender learns of it, and gives another
            self._bells.append(private_end(fds[0], os.O_WRONLY))
        elif kind == _MESSAGE and len(fds) == count > 0:
            self._arrived.setdefault(slot, deque()).append(Arrived(slot, counter, fds, None))
        elif kind == _BUNDLE and len(fds) == 1 and 0 < count <= MAX_DESCRIPTORS:
            self._arrived.setdefault(slot, deque()).append(Arrived(slot, counter, fds, count))
        else:
            close_all(fds)
            raise Corrupt("Cannot receive descriptors: a peer sent a packet that is none")
        return True

    def take(self, slot: int, counter: int, count: int) -> List[int]:
        """The descriptors of a record, which are the caller's now."""
        if self.socket is None:
            raise Corrupt(f"Cannot receive a message: it claims {count} descriptors, on a channel without any")
        counter = counter - (1 << 32) if counter >= 1 << 31 else counter
        for _ in range(_MOST_PACKETS):
            found = self._find(slot, counter)
            if found is not None:
                return self._unpack(found, count)
            if not self._read_packet():
                break
        raise Corrupt(f"Cannot receive a message: its {count} descriptors did not come with it")

    def _find(self, slot: int, counter: int) -> Optional[Arrived]:
        queue = self._arrived.get(slot, deque())
        while queue:
            ahead = (queue[0].counter - counter) & 0xFFFFFFFF
            if ahead == 0:
                return queue.popleft()
            if ahead < 1 << 31:
                return None
            close_all(queue.popleft().fds)  # of a record that never came
        return None

    def _unpack(self, found: Arrived, count: int) -> List[int]:
        fds = found.fds
        if found.bundled is not None:
            bundle = unwaiting(socket.socket(fileno=fds.pop()))
            try:
                while len(fds) < found.bundled:
                    data, more = receive_packet(bundle, _PACKET.size, _MOST_IN_PACKET)
                    fds += more
                    if len(data) != _PACKET.size or not more:
                        break
            except OSError:
                pass  # their number is compared
            except IpcError:
                close_all(fds)
                raise
            finally:
                bundle.close()
        if len(fds) == count:
            return fds
        close_all(fds)
        raise Corrupt(f"Cannot receive a message: {len(fds)} descriptors came with it, it claims {count}")

    def close_arrived(self) -> None:
        """Closes what was read and not taken."""
        for item in self.surrender():
            close_all(item.fds)

    def surrender(self) -> List[Arrived]:
        """What arrived early, to be handed on with the receiver."""
        found = [item for queue in self._arrived.values() for item in queue]
        self._arrived.clear()
        return found

    def adopt(self, arrived: Sequence[Arrived]) -> None:
        """Takes over what was handed on."""
        for item in arrived:
            self._arrived.setdefault(item.slot, deque()).append(item)

    def close(self) -> None:
        """Closes everything."""
        self.close_arrived()
        close_all(self._bells)
        self._bells.clear()
        if self.socket is not None:
            self.socket.close()
