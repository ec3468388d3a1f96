"""How processes find each other: servers, their clients, and programs that ``spawn()`` has started.

See "Servers" in docs/protocol.md.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import struct
import threading
import time
import uuid
from typing import AsyncIterator, Callable, Iterator, List, NamedTuple, Optional, Tuple

from ._carrier import close_all, receive_packet, send_packet
from ._process import OpenThing
from ._ring import FORMAT_VERSION, MAX_CAPACITY, capacity_of
from ._system import FOREVER, deadline_of, timed_out, unwaiting
from ._waits import Waits
from .channel import Parts, make_parts, own_receiver, own_sender
from .duplex import Duplex, Peer
from .errors import Closed, Disconnected, Incompatible, IpcError, NotFound, system_error
from .receiver import Receiver
from .sender import Sender

_HELLO = struct.Struct("=8sII")
_MAGIC = b"ISTHHELO"
_ENDS = 3
#: Connections that have not sent their greeting: so many, and each for so many seconds.
_MOST_GUESTS, _PATIENCE = 64, 10.0
_FRESH = re.compile(
    r"@isthmus-(one-shot|server|bytes-server)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:#([1-9]\d{0,9}))?"
)
_CONNECT = {"one-shot": "Sender.connect()", "server": "connect()", "bytes-server": "connect(byte_strings=True)"}
_PARENT = re.compile(r"(@[^:]{1,106}):([0-9a-f]{32})(?::([1-9]\d{0,9}))?")


def _address(name: str) -> "str | bytes":
    if not isinstance(name, str) or name in ("", "@") or "\0" in name or len(os.fsencode(name)) > 107:
        raise TypeError(
            f'Cannot use {name!r} as the name of a socket: it is a path, or "@" and a name, of 1 to 107 bytes'
        )
    return b"\0" + os.fsencode(name[1:]) if name.startswith("@") else name


def _send_hello(name: str, ends: List[List[int]], token: bytes = b"") -> None:
    """Sends ends of channels over a fresh connection. There is no answer."""
    what = f'Cannot connect to "{name}"'
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(None)  # whatever socket.setdefaulttimeout() says
        try:
            line.connect(_address(name))
            hello = _HELLO.pack(_MAGIC, FORMAT_VERSION, len(ends)) + token
            if not send_packet(line, hello, [fd for end in ends for fd in end]):
                raise IpcError(f"{what}: its queue is full")
        except Disconnected:
            raise NotFound(f"{what}: the server went away") from None
        except (ConnectionRefusedError, FileNotFoundError) as error:
            if not name.startswith("@") and os.path.exists(name) and not stat.S_ISSOCK(os.stat(name).st_mode):
                raise Incompatible(f"{what}: there is a file, not a server; use Sender() or Receiver()") from None
            raise NotFound(
                f"{what}: nobody listens there (any more); start the server first", errno=error.errno
            ) from None
        except OSError as error:
            raise system_error(what, error) from error


def _require_kind(name: str, kind: str) -> Optional[int]:
    """The capacity in the name of a server, which must not be that of another kind."""
    found = _FRESH.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        return None
    if found[1] != kind:
        raise Incompatible(
            f'Cannot connect to "{name}" by {_CONNECT[kind]}: it is the name of a server of another kind; use '
            f"{_CONNECT[found[1]]}"
        )
    return None if found[2] is None else int(found[2])


def connect(name: str, *, capacity: Optional[int] = None, byte_strings: bool = False) -> Duplex:
    """Connects to a server (``IpcServer`` in Deno, or :class:`Server`). Does not wait for it to accept.

    :param name: the server's name, or its path.
    :param capacity: bytes that can wait in each direction; by default what the server's name asks for, or 4 MiB.
    :param byte_strings: whether the server is an ``IpcBytesServer``.
    :raises NotFound: if nobody listens there.
    """
    asked = _require_kind(name, "bytes-server" if byte_strings else "server")
    return _connect(name, asked if capacity is None else capacity, b"", "bytes-" if byte_strings else "")


def _connect(name: str, capacity: Optional[int], token: bytes, prefix: str = "") -> Duplex:
    made: List[Parts] = []
    try:
        made.append(make_parts(capacity))
        made.append(make_parts(capacity))
        there, back = made
        _send_hello(name, [there.receiver, back.sender], token)
    except BaseException:
        for parts in made:
            close_all(parts.sender + parts.receiver)
        raise
    close_all(there.receiver + back.sender)
    return Duplex(own_sender(there.sender, f"{prefix}sender"), own_receiver(back.receiver, f"{prefix}receiver"))


def connect_one_shot(name: str) -> Sender:
    """Connects to a server that takes one client: see :meth:`Sender.connect`."""
    _require_kind(name, "one-shot")
    parts = make_parts(None)
    try:
        _send_hello(name, [parts.receiver])
    except BaseException:
        close_all(parts.sender + parts.receiver)
        raise
    close_all(parts.receiver)
    return own_sender(parts.sender)


# --- Servers ---------------------------------------------------------------------------------------------------------


class _Guest(NamedTuple):
    line: socket.socket
    until: float
    peer: Peer


class Server(OpenThing):
    """Takes any number of clients (``IpcServer.connect()`` in Deno, or :func:`connect`), each with a conversation.

    Clients that are silent, or send something else, do not delay others.

    :param path: where its socket is; by default a fresh name without a file, :attr:`name`.
    :param allow: whether a client is taken, by who it is; by default those of the same user.
    :param capacity: bytes that clients are asked to have room for in each direction; only without a path.
    :param byte_strings: for ``IpcBytesServer.connect()``.
    """

    def __init__(
        self,
        path: Optional[str] = None,
        *,
        allow: Optional[Callable[[Peer], bool]] = None,
        capacity: Optional[int] = None,
        byte_strings: bool = False,
    ) -> None:
        self._prefix = "bytes-" if byte_strings else ""
        self._allow = allow or (lambda peer: peer.uid == os.geteuid())
        self._guests: List[_Guest] = []
        #: Threads take turns.
        self._lock = threading.RLock()
        self._waits = Waits()
        self._path, self._inode = path, 0
        self.name = path or f"@isthmus-{self._prefix}server-{uuid.uuid4()}"
        if capacity is not None:
            capacity_of(capacity)
            if path is not None:
                raise TypeError("Cannot ask for a capacity at a path: only the name of a server can say it")
            self.name += f"#{capacity}"
        self._socket: Optional[socket.socket] = unwaiting(
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        )
        try:
            self._bind(self._socket)
        except BaseException:
            self._socket.close()
            self._socket = None
            raise
        self._opened()

    def _bind(self, listener: socket.socket) -> None:
        address = _address(self.name)
        try:
            try:
                listener.bind(address)
            except OSError as error:
                if self._path is None or error.errno != 98 or not self._is_dead():  # EADDRINUSE
                    raise
                os.unlink(self._path)  # what a killed server left
                listener.bind(address)
            if self._path is not None:
                self._inode = os.stat(self._path).st_ino
                os.chmod(self._path, 0o600)
            listener.listen(128)
        except OSError as error:
            raise system_error(f'Cannot listen at "{self.name}"', error) from error

    def _is_dead(self) -> bool:
        assert self._path is not None
        if not stat.S_ISSOCK(os.stat(self._path, follow_symlinks=False).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(self._path)
            except ConnectionRefusedError:
                return True
            return False

    def accept(self, timeout: Optional[float] = None) -> Duplex:
        """The next client's conversation; waits for it.

        :param timeout: seconds; by default as long as it takes.
        """
        deadline = deadline_of(timeout)
        while True:
            found = self.try_accept()
            if found is not None:
                return found
            now = time.monotonic()
            if now >= deadline:
                raise timed_out("Cannot accept: no client came", timeout)
            if self._waits.enter():
                try:
                    fds, until = self._awaited()
                    self._waits.wait(fds, min(deadline, until))
                finally:
                    self._waits.leave()

    async def accept_async(self, timeout: Optional[float] = None) -> Duplex:
        """As :meth:`accept`, without holding up the event loop."""
        deadline = deadline_of(timeout)
        while True:
            found = self.try_accept()
            if found is not None:
                return found
            now = time.monotonic()
            if now >= deadline:
                raise timed_out("Cannot accept: no client came", timeout)
            if self._waits.enter():
                try:
                    fds, until = self._awaited()
                    await self._waits.wait_async(fds, min(deadline, until))
                finally:
                    self._waits.leave()

    def _awaited(self) -> Tuple[List[int], float]:
        """What says something when somebody comes or speaks, and when the first of those who are silent has to go."""
        with self._lock:
            if self._socket is None:
                raise Closed("Cannot accept: this server was closed")
            lines = [self._socket, *(guest.line for guest in self._guests)]
            return [line.fileno() for line in lines], min((guest.until for guest in self._guests), default=FOREVER)

    def try_accept(self) -> Optional[Duplex]:
        """The next client's conversation if one is there."""
        with self._lock:
            return self._try_accept()

    def _try_accept(self) -> Optional[Duplex]:
        if self._socket is None:
            raise Closed("Cannot accept: this server was closed")
        self._let_in(self._socket)
        now = time.monotonic()
        for guest in list(self._guests):
            ends = self._greeting(guest)
            if ends is None and now < guest.until:
                continue
            self._guests.remove(guest)
            guest.line.close()
            if ends:
                sender = Sender._of(None, ends[_ENDS:], f"{self._prefix}sender")
                return Duplex(sender, Receiver._of(None, ends[:_ENDS], [], f"{self._prefix}receiver"), guest.peer)
        return None

    def _let_in(self, listener: socket.socket) -> None:
        for _ in range(_MOST_GUESTS):
            try:
                line, _address_ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                raise system_error("Cannot accept a client", error) from error
            peer = Peer(*struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))
            if not self._allow(peer):
                line.close()
                continue
            if len(self._guests) >= _MOST_GUESTS:
                self._guests.pop(0).line.close()  # the one that has been silent for longest
            self._guests.append(_Guest(unwaiting(line), time.monotonic() + _PATIENCE, peer))

    @staticmethod
    def _greeting(guest: _Guest) -> Optional[List[int]]:
        """The ends that a client brings; ``None`` if it has not said, nothing if it is none."""
        try:
            data, fds = receive_packet(guest.line, _HELLO.size + 1, 2 * _ENDS + 1)
        except BlockingIOError:
            return None
        except IpcError as error:
            if error.code == "System":
                raise  # no room for its descriptors: it waits
            return []
        except OSError:
            return []
        if len(data) == _HELLO.size and _HELLO.unpack(data) == (_MAGIC, FORMAT_VERSION, 2) and len(fds) == 2 * _ENDS:
            return fds
        close_all(fds)
        return []

    def __iter__(self) -> Iterator[Duplex]:
        """Clients, until this server is closed."""
        while self._socket is not None:
            try:
                client = self.accept()
            except Closed:
                return
            yield client

    async def __aiter__(self) -> AsyncIterator[Duplex]:
        while self._socket is not None:
            try:
                client = await self.accept_async()
            except Closed:
                return
            yield client

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._socket is None

    def close(self) -> None:
        """Stops listening. Conversations go on."""
        with self._lock:
            if self._socket is None:
                return
            listener, self._socket = self._socket, None
            guests, self._guests = self._guests, []
            if self._path is not None:
                try:
                    if os.stat(self._path).st_ino == self._inode:
                        os.unlink(self._path)
                except OSError:
                    pass
            self._ended()

        def close() -> None:
            for line in (listener, *(guest.line for guest in guests)):
                line.close()

        self._waits.end(close)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._waits.forget()
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        for guest in self._guests:
            guest.line.close()
        self._guests.clear()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_socket", None) is not None:
            self.close()


# --- Children ----------------------------------------------------------------------------------------------------------

_known: Optional[Tuple[int, Duplex]] = None


def parent(*, byte_strings: bool = False) -> Duplex:
    """The conversation with the program that started this one by ``spawn()``. Later calls return the same object.

    To be called early: the parent waits for it.

    :param byte_strings: whether the parent has called ``spawn()`` with ``bytes: true``.
    :raises Incompatible: if the parent wants the other kind of conversation.
    :raises NotFound: if nobody started this program by ``spawn()``, or its parent does not wait for it any more.
    """
    global _known
    kind = "bytes-sender" if byte_strings else "sender"
    if _known is not None and _known[0] == os.getpid():
        if _known[1].sender._kind != kind:
            raise _other_kind(byte_strings)
        return _known[1]
    text = os.environ.get("ISTHMUS_PARENT")
    if text is None:
        raise NotFound("Cannot find the parent: nobody started this program by spawn(), as ISTHMUS_PARENT is not set")
    found = _PARENT.fullmatch(text)
    if found is None or int(found[3] or 1) > MAX_CAPACITY:
        raise NotFound("Cannot find the parent: ISTHMUS_PARENT holds something else than what spawn() sets")
    if found[1].startswith("@isthmus-bytes-parent-") != byte_strings:
        raise _other_kind(byte_strings)
    capacity = None if found[3] is None else int(found[3])
    try:
        line = _connect(found[1], capacity, bytes.fromhex(found[2]), "bytes-" if byte_strings else "")
    except NotFound as error:
        raise NotFound(
            "Cannot find the parent: it does not wait for this program (any more); it has given up or ended, or another "
            "process called parent() first",
            errno=error.errno,
        ) from error
    _known = (os.getpid(), line)
    return line


def _other_kind(byte_strings: bool) -> Incompatible:
    if byte_strings:
        return Incompatible(
            "Cannot talk to the parent in bytes: it has called spawn() without { bytes: true }; call parent()"
        )
    return Incompatible(
        "Cannot talk to the parent in values: it has called spawn() with { bytes: true }; call "
        "parent(byte_strings=True)"
    )
