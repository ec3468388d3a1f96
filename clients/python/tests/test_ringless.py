"""Senders that came without a ring. The test plays the creator, which is a Deno program in earnest."""

import asyncio
import fcntl
import gc
import os
import random
import select
import signal
import socket
import struct
import threading
import time

import cbor2
import pytest
from conftest import PATIENCE, full_table

import isthmus
from isthmus import Closed, Corrupt, Disconnected, Fd, IpcError, Serialization, Timeout, _bell, channel
from isthmus.channel import make_parts, own_receiver, own_sender
from isthmus.receiver import Receiver

POST, GROW, BELL, RING = 5, 6, 7, 8
CAPACITY = 1 << 17


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def nothing_stays_open():
    before = descriptors()
    yield
    assert descriptors() == before


def send(to, kind, count, fds=(), slot=0, counter=0, body=b""):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
    to.sendmsg([struct.pack("iiii", kind, slot, counter, count) + body], rights)


class Creator:
    """What a program has of a channel that it has made and whose sender it has sent away."""

    def __init__(self, capacity=CAPACITY):
        self.capacity = capacity
        self.line, self.given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.line.setblocking(False)
        self.given.setblocking(False)
        self.posted = None

    def sender(self, kind="sender", keep=False):
        """The sender, as it comes out of a message."""
        found = unpack([kind, 0, 2, self.capacity], [self.given.fileno()])
        if not keep:
            self.given.close()
        return found

    def take(self):
        """The next packet: its fields, its body and its descriptors; ``None`` at the end."""
        try:
            data, fds, _, _ = socket.recv_fds(self.line, 4096, 8)
        except ConnectionResetError:  # a bell was left unread; said once, before what lies in the queue
            data, fds, _, _ = socket.recv_fds(self.line, 4096, 8)
        if not data:
            return None
        kind, slot, counter, count = struct.unpack("iiii", data[:16])
        if kind == POST:
            assert (slot, counter, count, fds) == (0, 0, len(data) - 16, [])
            self.posted = data[16:]
        else:
            assert (kind, slot, count, len(fds), len(data)) == (GROW, 0, 6, 6, 16)
            assert counter == (0 if self.posted is None else 1)
        return kind, data[16:], fds

    def nothing(self):
        try:
            return self.line.recv(1, socket.MSG_PEEK) == b"never"
        except BlockingIOError:
            return True

    def take_ring(self):
        """The receiver of the ring that the other side has made: what was posted lies in it."""
        kind, _, fds = self.take()
        assert kind == GROW and self.take() is None  # nothing follows
        self.line.close()
        modes = [fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE for fd in fds]
        assert modes[0] == modes[3] == os.O_RDWR and modes[1] == os.O_RDONLY and modes[4] == os.O_WRONLY
        with own_sender(fds[3:]):  # what the receiver's process makes its own senders of
            pass
        receiver = Receiver._of(None, fds[:3])
        assert receiver._ring().memory.blocks * 64 == self.capacity
        return receiver

    def ring_bell(self):
        """Waits: sends a bell, returns the end at which it listens."""
        listen, ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            send(self.line, BELL, 1, [ring])
        except BlockingIOError:
            os.close(listen)
            raise
        finally:
            os.close(ring)
        return listen

    def shut(self):
        self.line.shutdown(socket.SHUT_RD)

    def send_ring(self):
        """Makes the ring, with what was posted and not received in it; returns its receiver."""
        parts = make_parts(self.capacity)
        while (found := self.read_after_end()) is not None:
            assert found[0] == POST
            with own_sender([os.dup(fd) for fd in parts.sender]) as own:
                own.send_bytes(found[1])
        send(self.line, RING, 3, parts.sender)
        self.line.close()
        for fd in parts.sender:
            os.close(fd)
        return own_receiver(parts.receiver)

    def read_after_end(self):
        try:
            return self.take()
        except BlockingIOError:
            return None

    def close(self):
        self.line.close(), self.given.close()


def unpack(mark, fds):
    """What comes of a mark in a message with these descriptors."""
    sender, receiver = channel()
    with sender, receiver:
        assert sender._ring().try_send(memoryview(cbor2.dumps([cbor2.CBORTag(27, ["isthmus", *mark])])), fds)
        return receiver.recv(PATIENCE)[0]


def was_rung(listen):
    """Whether a byte is there, and that nobody has the other end any more."""
    hung_up = _bell.state(listen) & select.POLLHUP
    rung = os.read(listen, 10)
    os.close(listen)
    return hung_up and rung == b"\x01"


# --- As it should be -------------------------------------------------------------------------------------------------


def test_the_first_small_message_is_posted():
    for size in (0, 1, 1023, 1024):
        creator = Creator()
        with creator.sender("bytes-sender") as sender:
            sender.send_bytes(b"x" * size)
            assert creator.take() == (POST, b"x" * size, [])
            assert creator.nothing()
        assert creator.take() is None
        creator.close()


@pytest.mark.parametrize("how", ["send", "try_send", "send_async", "send_bytes", "try_send_bytes", "send_bytes_async"])
def test_every_way_to_send_posts_once_and_then_makes_a_ring(how):
    creator = Creator()
    raw = "bytes" in how

    def once(value):
        value = value.encode() if raw else value
        found = getattr(sender, how)(value)
        if how.endswith("async"):
            asyncio.run(found)

    async def run():
        for word in ("one", "two", "three"):
            await getattr(sender, how)(word.encode() if raw else word)

    with creator.sender() as sender:
        if how.endswith("async"):
            asyncio.run(run())
        else:
            for word in ("one", "two", "three"):
                assert getattr(sender, how)(word.encode() if raw else word) in (None, True)
        assert creator.take()[1] == (b"one" if raw else cbor2.dumps("one"))
        with creator.take_ring() as receiver:
            for word in ("one", "two", "three"):
                assert (receiver.recv_bytes(1) == word.encode()) if raw else (receiver.recv(1) == word)
            sender.send("on it goes")
            assert receiver.recv(1) == "on it goes"
            sender.close()
            with pytest.raises(Disconnected):
                receiver.recv(1)


def test_all_else_makes_a_ring_at_once():
    def loan(sender):
        with sender.reserve(3) as found:
            found.view[:] = b"abc"
            found.commit()

    def with_a_descriptor(sender):
        with Fd(os.open("/dev/null", os.O_RDONLY)) as fd:
            sender.send(fd)

    for use in (
        lambda sender: sender.send_bytes(bytes(1025)),
        lambda sender: sender.send_bytes(bytes(1 << 20)),
        lambda sender: sender.send_bytes(bytearray(3)),
        lambda sender: sender.send("x" * 2000),
        loan,
        with_a_descriptor,
        lambda sender: sender.capacity,
    ):
        creator = Creator()
        with creator.sender() as sender:
            use(sender)
            assert sender.capacity == CAPACITY
            sender.send("last")
            with creator.take_ring() as receiver:
                assert creator.posted is None
                while (found := receiver.recv_bytes(1)) != cbor2.dumps("last"):
                    assert len(found) > 2


def test_an_answer_that_is_no_data_makes_a_ring_after_a_post():
    creator = Creator()
    with creator.sender() as sender:
        sender.send("small")
        with Fd(os.open("/dev/null", os.O_RDONLY)) as fd:
            sender.send({"fd": fd, "self": sender})
        creator.take()
        with creator.take_ring() as receiver:
            assert receiver.recv(1) == "small"
            found = receiver.recv(1)
            sender.close()
            found["fd"].close()
            with found["self"] as clone:
                clone.send("by the clone")
            assert receiver.recv(1) == "by the clone"
            with pytest.raises(Disconnected):
                receiver.recv(1)


def test_a_sender_that_is_sent_on_is_an_ordinary_one():
    for before in (0, 1):
        creator = Creator()
        to, at = channel()
        with to, at, creator.sender("opaque-sender") as sender:
            if before:
                sender.send("first")
            to.send([sender])
            sender.close()
            with at.recv(1)[0] as moved:
                assert moved._ringless is None and moved._kind == "opaque-sender"
                moved.send("second")
            if before:
                creator.take()
            with creator.take_ring() as receiver:
                assert list(receiver) == ["first", "second"][1 - before :]


def test_a_conversation_whose_sender_has_no_ring():
    creator = Creator()
    back = make_parts(CAPACITY)
    null = os.open("/dev/null", os.O_RDONLY)
    line = unpack(["duplex", 0, 2, CAPACITY, [1024, 0, 1]], [creator.given.fileno(), *back.receiver, null])
    assert [item[:2] for item in line.receiver._early] == [(1024, 0)]  # what its receiver had read ahead
    os.close(null)
    creator.given.close()
    for fd in back.receiver:
        os.close(fd)
    with line, own_sender(back.sender) as there:
        there.send("question")
        line.send(line.recv(1) + "!")
        assert creator.take()[1] == cbor2.dumps("question!")
        to, at = channel()
        with to, at:
            to.send(line)
            assert line.closed
            with at.recv(1) as moved, creator.take_ring() as receiver:
                there.send("again")
                moved.send(moved.recv(1))
                assert list(zip((1, 2), receiver)) == [(1, "question!"), (2, "again")]
    creator.close()


def test_who_waits_is_woken_by_a_post_and_by_a_ring():
    creator = Creator()
    with creator.sender() as sender:
        bell = creator.ring_bell()
        sender.send(1)
        assert os.read(bell, 10) == b"\x01" and not _bell.state(bell) & select.POLLHUP
        sender.send(2)
        assert was_rung(bell)
        creator.take()
        creator.take_ring().close()
    creator = Creator()
    with creator.sender() as sender:
        sender.send(1)
        bell = creator.ring_bell()
        sender.send(2)
        assert was_rung(bell)
        creator.take()
        creator.take_ring().close()


def test_a_bell_is_not_rung_before_anything_was_sent():
    creator = Creator()
    with creator.sender() as sender:
        bell = creator.ring_bell()
        with full_table(left=6), pytest.raises(IpcError):
            sender.capacity  # takes the bell, and has no room for the ring
        assert creator.nothing()
        with pytest.raises(BlockingIOError):
            os.read(bell, 1)
        sender.capacity
        assert was_rung(bell)
        creator.take_ring().close()


def test_a_ring_of_the_receiver_is_used_wherever_it_is_found():
    # Before anything was sent.
    creator = Creator()
    with creator.sender() as sender:
        creator.shut()
        with creator.send_ring() as receiver:
            sender.send(1), sender.send(2)
            assert [receiver.recv(1), receiver.recv(1)] == [1, 2]
    # After a message was posted, received or not, and at the look behind it.
    for received in (True, False):
        creator = Creator()
        with creator.sender() as sender:
            sender.send("posted")
            if received:
                assert creator.take()[0] == POST
            creator.shut()
            with creator.send_ring() as receiver:
                sender.send("then")
                assert list(zip(range(2 - received), receiver)) == list(enumerate(["posted", "then"][received:]))
    # Also with a bell before it.
    creator = Creator()
    with creator.sender() as sender:
        bell = creator.ring_bell()
        creator.shut()
        with creator.send_ring() as receiver:
            assert sender.capacity == CAPACITY
            sender.send("first")
            assert receiver.recv(1) == "first"
        os.close(bell)


def test_a_ring_that_is_there_at_the_look_behind_a_post_is_kept():
    creator = Creator()
    with creator.sender() as sender:
        parts = make_parts(CAPACITY)
        send(creator.line, RING, 3, parts.sender)
        for fd in parts.sender:
            os.close(fd)
        sender.send("posted")  # as between the receiver's two steps
        assert creator.take()[0] == POST
        creator.shut()
        with own_receiver(parts.receiver) as receiver:
            sender.send("then")
            assert receiver.recv(1) == "then"
    creator.close()


def test_a_ring_that_is_about_to_come_is_waited_for():
    for use in (lambda: sender.send("word"), lambda: sender.send_bytes(cbor2.dumps("word") + bytes(2000))):
        creator = Creator()
        with creator.sender() as sender:
            creator.shut()
            found = []
            timer = threading.Timer(0.03, lambda: found.append(creator.send_ring()))
            timer.start()
            use()
            timer.join()
            with found[0] as receiver:
                assert receiver.recv_bytes(1)[:5] == cbor2.dumps("word")


def test_closing_closes_the_socket():
    for use in ("nothing", "post"):
        creator = Creator()
        sender = creator.sender()
        if use == "post":
            sender.send(1)
            creator.take()
        bell = creator.ring_bell()
        sender.close(), sender.close()
        assert creator.take() is None and _bell.state(bell) & select.POLLHUP
        for late in (lambda: sender.send(1), lambda: sender.capacity, lambda: sender.try_send_bytes(b"")):
            with pytest.raises(Closed):
                late()
        os.close(bell)
        creator.close()
    creator = Creator()
    creator.sender()
    gc.collect()
    assert creator.take() is None
    creator.close()


def test_threads_share_a_sender_without_a_ring():
    for _ in range(20):
        creator = Creator()
        with creator.sender() as sender:
            start = threading.Barrier(4)

            def work(run):
                start.wait()
                for n in range(5):
                    sender.send([run, n])

            threads = [threading.Thread(target=work, args=(run,)) for run in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            while creator.posted is None:
                assert creator.take()[0] == POST
            with creator.take_ring() as receiver:
                found = [receiver.recv(1) for _ in range(20)]
                assert found[0] == cbor2.loads(creator.posted)
                for run in range(4):
                    assert [n for who, n in found if who == run] == list(range(5))


def test_a_forked_child_has_no_sender():
    creator = Creator()
    with creator.sender() as sender:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(writer)
                sender.send("from the child")
            except Closed:
                os.read(reader, 1)
                os._exit(0)
            os._exit(1)
        sender.send("from the parent")
        assert creator.take()[1] == cbor2.dumps("from the parent")
    assert os.waitpid(child, os.WNOHANG)[0] == 0
    deadline = time.monotonic() + PATIENCE
    while creator.nothing() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert creator.take() is None  # the child lives, and does not hold it
    os.close(writer), os.close(reader)
    assert os.waitpid(child, 0)[1] == 0
    creator.close()


# --- As it should not be ---------------------------------------------------------------------------------------------


def test_marks_that_are_impossible_are_refused():
    for details in (
        [2],
        [2, 0],
        [2, 65535],
        [2, 65537],
        [2, 1 << 15],
        [2, 1 << 31],
        [2, -65536],
        [2, 65536.0],
        [2, True],
        [2, "65536"],
        [2, None],
        [2, 2**70],
    ):
        for kind in ("sender", "bytes-sender", "opaque-sender", "duplex"):
            creator = Creator()
            with pytest.raises(Serialization):
                unpack([kind, 0, *details], [creator.given.fileno()] * 4)
            creator.given.close()
            assert creator.take() is None
            creator.close()
    creator = Creator()
    for first in (-1, 1, 2**40):
        with pytest.raises(Serialization):
            unpack(["sender", first, 2, CAPACITY], [creator.given.fileno()])
    with pytest.raises(Serialization):
        unpack(["duplex", 0, 2, CAPACITY], [creator.given.fileno()])  # without those of its receiver
    creator.given.close()
    assert creator.take() is None
    creator.close()


def test_a_socket_that_is_none_is_corrupt():
    reader, writer = os.pipe()
    stream, other = socket.socketpair()
    datagram, its_other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    alone, listener = (socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
    listener.bind("")
    listener.listen()
    internet = socket.socket()
    null = os.open("/dev/null", os.O_RDWR)
    sockets = (stream, other, datagram, its_other, alone, listener, internet)
    for fd in (reader, writer, null, *(item.fileno() for item in sockets)):
        for use in (lambda: sender.send(1), lambda: sender.capacity, lambda: sender.send_bytes(bytes(2000))):
            with unpack(["sender", 0, 2, CAPACITY], [fd]) as sender:
                with pytest.raises(Corrupt):
                    use()
                assert sender.closed
                with pytest.raises(Closed):
                    use()
    for item in sockets:
        item.close()
    for fd in (reader, writer, null):
        os.close(fd)


def packets():
    """What no honest receiver sends, each by a function of its socket."""
    reader, writer = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    fifo = f"/tmp/isthmus-test-{os.getpid()}"
    os.mkfifo(fifo)
    named = os.open(fifo, os.O_RDWR)
    only = os.open(fifo, os.O_WRONLY)
    os.unlink(fifo)
    one, two = socket.socketpair()
    ring = make_parts(CAPACITY)
    other = make_parts(CAPACITY)
    s = ring.sender
    found = [
        lambda to: send(to, 0, 0),
        lambda to: send(to, POST, 0),
        lambda to: send(to, GROW, 6, [*ring.receiver, *s]),
        lambda to: (send(to, BELL, 1, [writer]), send(to, BELL, 1, [writer])),
        lambda to: send(to, BELL, 1),
        lambda to: send(to, BELL, 0, [writer]),
        lambda to: send(to, BELL, 2, [writer, writer]),
        lambda to: send(to, BELL, 1, [writer, writer]),
        lambda to: send(to, BELL, 1, [writer], slot=1),
        lambda to: send(to, BELL, 1, [writer], counter=1),
        lambda to: send(to, BELL, 1, [writer], body=b"more"),
        lambda to: send(to, BELL, 1, [reader]),
        lambda to: send(to, BELL, 1, [null]),
        lambda to: send(to, BELL, 1, [named]),
        lambda to: send(to, BELL, 1, [only]),
        lambda to: send(to, BELL, 1, [one.fileno()]),
        lambda to: send(to, RING, 3, s[:2]),
        lambda to: send(to, RING, 2, s[:2]),
        lambda to: send(to, RING, 3, [*s, writer]),
        lambda to: send(to, RING, -3, s),
        lambda to: send(to, RING, 2**31 - 1, s),
        lambda to: send(to, RING, 3, s, counter=-1),
        lambda to: send(to, RING, 3, [null] * 200),
        lambda to: send(to, 2**31 - 1, 3, s),
        lambda to: to.sendmsg([b"short"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", writer))]),
        lambda to: to.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", writer))]),
        lambda to: to.sendmsg([bytes(100_000)]),
    ]
    rings = [
        [null, s[1], s[2]],
        [s[1], s[1], s[2]],
        [s[0], ring.receiver[1], s[2]],
        [s[0], null, s[2]],
        [s[0], only, s[2]],
        [s[0], s[1], s[1]],
        [s[0], s[1], null],
        [writer, reader, one.fileno()],
        [s[2], s[1], s[0]],
    ]
    found += [lambda to, fds=fds: send(to, RING, 3, fds) for fds in rings]

    def close():
        for fd in (reader, writer, null, named, only, *ring.sender, *ring.receiver, *other.sender, *other.receiver):
            os.close(fd)
        one.close(), two.close()

    return found, close


def test_packets_that_are_none_cost_this_sender_and_nothing_else():
    found, close = packets()
    for packet in found:
        before = descriptors()
        for shut in (True, False):
            creator = Creator()
            with creator.sender() as sender:
                packet(creator.line)
                if shut:
                    creator.shut()
                with pytest.raises((Corrupt, isthmus.Incompatible)):
                    sender.send(bytes(3000))
                assert sender.closed
            creator.close()
            # Behind a message that was posted: that one was sent, and the next use is an error.
            creator = Creator()
            with creator.sender() as sender:
                packet(creator.line)
                sender.send("posted")
                assert creator.take()[0] == POST
                if shut:
                    creator.shut()
                with pytest.raises((Corrupt, isthmus.Incompatible)):
                    sender.send("then")
                assert sender.closed and sender._ringless._bell < 0
            creator.close()
        assert descriptors() == before
    close()


def test_packets_without_anything_in_them_are_no_ring():
    creator = Creator()
    with creator.sender() as sender:
        for _ in range(50):
            creator.line.sendmsg([b""])
        creator.shut()
        began = time.monotonic()
        with pytest.raises(Timeout):
            sender.capacity
        assert time.monotonic() - began < 5
        with creator.send_ring() as receiver:
            sender.send(1)
            assert receiver.recv(1) == 1


def test_a_bell_that_a_peer_has_filled_and_made_to_block_holds_nobody_up():
    creator = Creator()
    with creator.sender() as sender:
        listen, ring = os.pipe()  # blocking, later
        os.set_blocking(ring, False)
        for size in (4096, 1):
            try:
                while True:
                    os.write(ring, bytes(size))
            except BlockingIOError:
                pass
        os.set_blocking(ring, True)
        send(creator.line, BELL, 1, [ring])
        began = time.monotonic()
        sender.send(1)
        assert time.monotonic() - began < 5 and os.get_blocking(ring)
        os.close(listen)  # and now nobody listens
        sender.send(2)
        os.close(ring)
        creator.take()
        creator.take_ring().close()


@pytest.mark.parametrize("number", [1, 38])
def test_a_shared_bell_is_rung_in_a_sandbox_too(monkeypatch, number):
    class Refuses:
        @staticmethod
        def vmsplice(*_):
            return -1

    monkeypatch.setattr(_bell, "quick", Refuses)
    monkeypatch.setattr(_bell.ctypes, "get_errno", lambda: number)
    listen, ring = os.pipe()
    assert _bell.ring_shared(ring)
    assert os.read(listen, 10) == b"\x01"
    os.close(listen)
    assert not _bell.ring_shared(ring)
    os.close(ring)


def test_a_receiver_that_is_gone_is_disconnected():
    for posts in (0, 1):
        for taken in (True, False):
            creator = Creator()
            with creator.sender() as sender:
                for _ in range(posts):
                    sender.send("posted")
                    if taken:
                        creator.take()
                creator.close()
                began = time.monotonic()
                for use in (lambda: sender.send(1), lambda: sender.reserve(5), lambda: sender.try_send_bytes(b"")):
                    with pytest.raises(Disconnected):
                        use()
                assert time.monotonic() - began < 0.09 and sender.capacity == CAPACITY
                to, at = channel()
                with to, at:  # as any sender whose receiver is gone
                    to.send(sender)
                    with at.recv(1) as clone, pytest.raises(Disconnected):
                        clone.send(1)


def test_a_ring_behind_a_message_that_nobody_took_is_found():
    """The receiver has left something unread: the first call here says so, before what lies in the queue."""
    creator = Creator()
    with creator.sender() as sender:
        sender.send("posted")
        parts = make_parts(CAPACITY)
        send(creator.line, RING, 3, parts.sender)
        creator.line.close()
        for fd in parts.sender:
            os.close(fd)
        with own_receiver(parts.receiver) as receiver:
            sender.send("then")
            assert receiver.recv(1) == "then"


def test_a_ring_that_is_waited_for_is_found_behind_a_message_that_nobody_took():
    creator = Creator()
    parts = make_parts(CAPACITY)
    with creator.sender() as sender:
        sender.send("posted")
        creator.shut()

        def finish():
            send(creator.line, RING, 3, parts.sender)
            creator.line.close()

        timer = threading.Timer(0.03, finish)
        timer.start()
        sender.send("then")
        timer.join()
        with own_receiver(parts.receiver) as receiver:
            assert receiver.recv(1) == "then"
    for fd in parts.sender:
        os.close(fd)


def test_a_receiver_that_is_stopped_between_its_steps_loses_nothing():
    for posts in (0, 1):
        creator = Creator()
        with creator.sender() as sender:
            for _ in range(posts):
                sender.send("posted")
            creator.shut()
            for use in (lambda: sender.send("late"), lambda: sender.send("late", timeout=0), lambda: sender.capacity):
                began = time.monotonic()
                with pytest.raises(Timeout):
                    use()
                assert 0.09 < time.monotonic() - began < 5 and not sender.closed
            with creator.send_ring() as receiver:
                sender.send("late")
                assert list(zip(range(1 + posts), receiver)) == list(enumerate(["posted", "late"][1 - posts :]))
    creator = Creator()
    with creator.sender() as sender:
        creator.shut()
        with pytest.raises(Timeout):
            sender.send("late")
        creator.close()
        with pytest.raises(Disconnected):
            sender.send("late")


def test_a_socket_that_a_peer_has_filled_is_corrupt():
    for posts in (0, 1):
        creator = Creator()
        with creator.sender(keep=True) as sender:
            for _ in range(posts):
                sender.send("posted")
            try:
                while True:
                    creator.given.send(bytes(16))
            except BlockingIOError:
                pass
            with pytest.raises(Corrupt):
                sender.send("more")
            assert sender.closed
        creator.close()


def test_a_full_table_loses_nothing():
    for posts in (0, 1):
        creator = Creator()
        with creator.sender() as sender:
            for _ in range(posts):
                sender.send("posted")
                creator.take()
            for left in range(0, 12):
                with full_table(left):
                    try:
                        sender.send(["large", "x" * 2000])
                        break
                    except IpcError as error:
                        assert error.code == "System" and not sender.closed
                        assert creator.nothing()
            assert left > 5
            sender.send("last")
            with creator.take_ring() as receiver:
                expected = ["posted"] * posts + [["large", "x" * 2000], "last"]
                assert [receiver.recv(1) for _ in expected] == expected
    # Nor a ring that came, nor a bell, which would not be rung.
    creator = Creator()
    with creator.sender() as sender:
        bell = creator.ring_bell()
        with full_table(left=2), pytest.raises(IpcError):
            sender.send("posted")
        assert creator.nothing()
        sender.send("posted")
        assert os.read(bell, 10) == b"\x01"
        os.close(bell)
        creator.shut()
        receiver = creator.send_ring()
        for left in range(0, 12):
            with full_table(left):
                try:
                    sender.send("then")
                    break
                except IpcError as error:
                    assert error.code == "System" and not sender.closed
        assert left > 3
        with receiver:
            assert [receiver.recv(1), receiver.recv(1)] == ["posted", "then"]


def test_descriptors_that_the_system_does_not_carry_now_are_an_error_of_that_use(monkeypatch):
    creator = Creator()
    with creator.sender() as sender:
        import isthmus._ringless as ringless

        def refuse(*_):
            raise OSError(109, "Too many references: cannot splice")

        with monkeypatch.context() as patch:
            patch.setattr(ringless, "send_packet", refuse)
            for use in (lambda: sender.send(1), lambda: sender.capacity):
                with pytest.raises(IpcError) as found:
                    use()
                assert found.value.errno == 109 and not sender.closed
        sender.send(1), sender.send(2)
        assert creator.take()[1] == cbor2.dumps(1)
        with creator.take_ring() as receiver:
            assert [receiver.recv(1), receiver.recv(1)] == [1, 2]


def test_an_interrupt_at_growing_sends_no_second_ring(monkeypatch):
    creator = Creator()
    with creator.sender() as sender:
        import isthmus._ringless as ringless

        real = ringless.send_packet

        def interrupted(*arguments):
            real(*arguments)
            raise KeyboardInterrupt

        sender.send("posted")
        creator.take()
        with monkeypatch.context() as patch:
            patch.setattr(ringless, "send_packet", interrupted)
            with pytest.raises(KeyboardInterrupt):
                sender.send("interrupted")
        sender.send("then")
        sender.close()
        with creator.take_ring() as receiver:
            assert list(receiver) == ["posted", "then"]


# --- Deaths ----------------------------------------------------------------------------------------------------------


def test_a_sender_that_is_killed_ends_the_channel(peers):
    for use in ("nothing", "post", "ring"):
        creator = Creator()
        with isthmus.Server() as server:
            peer = peers.python("use-ringless", server.name, use)
            with server.accept(PATIENCE) as line:
                mark = cbor2.CBORTag(27, ["isthmus", "sender", 0, 2, CAPACITY])
                line.sender._ring().try_send(memoryview(cbor2.dumps(mark)), [creator.given.fileno()])
                creator.given.close()
                peer.hear()
                bell = creator.ring_bell() if use != "ring" else -1
                peer.kill()
                peer.close()
                if use != "nothing":
                    assert creator.take()[1] == cbor2.dumps("first")
                if use == "ring":
                    with creator.take_ring() as receiver:
                        assert list(receiver) == ["first", "second"]
                else:
                    assert creator.take() is None and _bell.state(bell) & select.POLLHUP
                    os.close(bell)
        creator.close()


def test_senders_that_are_killed_at_random_moments(peers):
    """What came is a beginning of what was sent, whatever the moment."""
    for run in range(int(os.environ.get("ISTHMUS_KILLS", "12"))):
        creator = Creator()
        with isthmus.Server() as server:
            peer = peers.python("use-ringless", server.name, "stream")
            with server.accept(PATIENCE) as line:
                mark = cbor2.CBORTag(27, ["isthmus", "sender", 0, 2, CAPACITY])
                peer.hear()
                line.sender._ring().try_send(memoryview(cbor2.dumps(mark)), [creator.given.fileno()])
                creator.given.close()
                time.sleep(run * 0.0003)
                peer.kill()
                peer.close()
                found, ring = [], None
                while ring is None and (packet := creator.take()) is not None:
                    if packet[0] == POST:
                        found.append(cbor2.loads(packet[1]))
                    else:
                        for fd in packet[2][3:]:
                            os.close(fd)
                        with Receiver._of(None, packet[2][:3]) as ring:
                            found = list(ring) or found
                assert found == list(range(len(found)))
        creator.close()


def test_a_receiver_that_is_killed_is_disconnected(peers):
    for use in ("keep", "take", "ring", "shut"):
        with isthmus.Server() as server:
            peer = peers.python("create-ringless", server.name, use)
            with server.accept(PATIENCE) as line, line.recv(PATIENCE) as sender:
                sender.send("first")
                if use == "ring":
                    sender.send("second")
                    sender.send("third")
                peer.say()
                peer.hear()
                if use == "shut":
                    peer.kill(signal.SIGSTOP)
                    with pytest.raises(Timeout):
                        sender.send("late")
                peer.kill()
                peer.close()
                with pytest.raises(Disconnected):
                    sender.send("late", timeout=PATIENCE)
                with pytest.raises(Disconnected):
                    sender.send_bytes(bytes(2000), timeout=PATIENCE)


# --- With Deno as the creator ----------------------------------------------------------------------------------------


@pytest.fixture
def asked(peers):
    """Starts a Deno program that asks: it, and the conversation with it."""
    opened = []

    def start(scenario, *arguments):
        server = isthmus.Server()
        opened.append(server)
        peer = peers.deno(scenario, server.name, *arguments)
        line = server.accept(PATIENCE)
        opened.append(line)
        return peer, line

    yield start
    for thing in opened:
        thing.close()


def question_of(line):
    """The next question, and where to answer it, which has no ring."""
    found = line.recv(PATIENCE)
    assert found["reply"]._ringless is not None
    return found["question"], found["reply"]


def test_deno_is_answered_once(asked):
    peer, line = asked("ask-once", 400)
    for i in range(400):
        question, reply = question_of(line)
        if i % 5 == 0:
            time.sleep(0.002)  # it sleeps by now
        with reply:
            reply.send(2 * question)
            assert reply._producer is None
            if i % 3 == 0:
                assert reply.capacity == 4 << 20  # a ring, behind the answer
    assert peer.hear() == 400
    peer.end()


def test_deno_is_answered_once_by_the_event_loop(asked):
    async def run():
        peer, line = asked("ask-once", 100)
        for _ in range(100):
            found = await line.recv_async(PATIENCE)
            with found["reply"] as reply:
                await reply.send_async(2 * found["question"])
        assert peer.hear() == 100
        peer.end()

    asyncio.run(run())


def test_deno_is_answered_in_any_order(asked):
    peer, line = asked("ask-together", 50)
    questions = [question_of(line) for _ in range(50)]
    for question, reply in questions[::-1]:
        reply.send(2 * question)
    assert peer.hear() is True
    for _, reply in questions:
        reply.close()
    peer.end()


@pytest.mark.parametrize("how", ["await", "sync"])
def test_deno_is_answered_many_times(asked, how):
    large = "x" * 5_000_000
    answers = {
        "none": [],
        "one": ["one"],
        "two": [1, 2],
        "many": list(range(1000)),
        "large": [large],
        "small, then large": ["small", large, "small"],
        "at the limit": ["x" * (1024 - 3), "x" * (1025 - 3), "x"],
        "over the limit": ["x" * (1025 - 3), "x" * (1024 - 3)],
    }
    peer, line = asked("ask-for-many", list(answers), how)
    for expected in answers.values():
        with question_of(line)[1] as reply:
            for i, answer in enumerate(expected):
                if i in (1, 3):
                    time.sleep(0.01)  # it sleeps by now
                reply.send(answer, PATIENCE)
        assert peer.hear() == [len(item) if isinstance(item, str) and len(item) > 100 else item for item in expected]
    peer.end()


def test_deno_is_answered_in_byte_strings(asked):
    peer, line = asked("ask-for-bytes")
    sizes = [1024, 0, 5_000_000, 1025]
    with question_of(line)[1] as reply:
        assert reply._kind == "bytes-sender"
        for size in sizes:
            reply.send_bytes(bytes(size), PATIENCE)
        with reply.reserve(77) as loan:
            loan.commit()
    assert peer.hear() == [*sizes, 77]
    peer.end()


def test_deno_is_answered_with_descriptors(asked):
    peer, line = asked("ask-for-descriptors")
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe")
    os.close(writer)
    words, heard = channel()
    with question_of(line)[1] as reply, Fd(reader) as fd, heard, words:
        reply.send({"fd": fd, "itself": reply, "words": words})
        assert peer.hear() == "through a pipe"
        assert peer.hear() == "by a clone that went round"
        assert heard.recv(PATIENCE) == "into the channel that came"
        reply.send("last")
        reply.close()
        peer.say()
        assert peer.hear() == ["last"]
    peer.end()


def test_deno_sends_the_receiver_away(asked):
    for posted in (False, True):
        peer, line = asked("grow-first", "sent away" + (", posted" if posted else ""))
        with question_of(line)[1] as reply:
            if posted:
                reply.send("posted")
                peer.say()
            with line.recv(PATIENCE)["answers"] as answers:
                reply.send("then")
                peer.say()
                assert [answers.recv(PATIENCE) for _ in range(1 + posted)] == ["posted", "then"][1 - posted :]
        peer.end()


def test_deno_uses_its_own_sender_as_well(asked):
    for before in ([], ["posted"], ["posted", "in a ring"], ["in a ring at once" * 100]):
        peer, line = asked("grow-first", "its own" + (", posted" if before else ""))
        with question_of(line)[1] as reply:
            for word in before:
                reply.send(word)
            if before:
                peer.say()
            peer.hear()
            reply.send("then")
        assert peer.hear() == sorted(["its own", "then", *before])
        peer.end()


def test_a_sender_of_denos_is_passed_on(asked):
    peer, line = asked("passed-on")
    with question_of(line)[1] as reply:
        reply.send("first")
        line.send({"reply": reply})
    assert peer.hear() == ["first", "round"]
    peer.end()


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_deno_notices_that_who_answers_is_killed(peers, tmp_path, count, sync):
    name = str(tmp_path / "socket")
    actor = peers.python("answer-and-die", name, count)
    actor.hear()
    peer = peers.deno("ask-the-dying", name, sync)
    peer.hear()
    assert actor.hear() is True
    actor.kill()
    assert peer.hear() == [list(range(count)), "Disconnected"]
    peer.end()


@pytest.mark.parametrize("how", ["close", "kill"])
def test_python_notices_that_who_asked_is_gone(asked, how):
    for before in (0, 1, 2):
        peer, line = asked("ask-in-vain", how)
        with question_of(line)[1] as reply:
            peer.hear()
            if how == "kill":
                for _ in range(before):
                    reply.send("nobody takes it")
                peer.kill()
            with pytest.raises(Disconnected):
                reply.send("nobody there")
            with pytest.raises(Disconnected):
                reply.send("x" * 5000)
            assert reply.capacity == 4 << 20
        if how == "close":
            peer.say()
            peer.say()
            peer.end()


def test_who_answers_is_killed_at_random_moments(peers, tmp_path):
    for run in range(int(os.environ.get("ISTHMUS_KILLS", "6"))):
        name = str(tmp_path / f"socket{run}")
        actor = peers.python("answer-questions-until-killed", name)
        actor.hear()
        peer = peers.deno("ask-until-killed", name)
        peer.hear()
        time.sleep(random.random() / 5)
        actor.kill()
        actor.close()
        assert peer.hear() == [0, True]
        peer.end()
        peer.close()


def test_who_asks_is_killed_at_random_moments(asked):
    for _ in range(int(os.environ.get("ISTHMUS_KILLS", "6"))):
        peer, line = asked("ask-until-killed")
        peer.hear()
        until = time.monotonic() + random.random() / 5
        with pytest.raises(Disconnected):
            while True:
                if peer.process.poll() is None and time.monotonic() > until:
                    peer.kill()
                question, reply = question_of(line)
                with reply:
                    for i in range(question % 4):
                        reply.send([question, i])
        peer.close()
