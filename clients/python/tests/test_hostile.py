"""A peer that may write what it likes: it costs the channel at most, never the process, nor much time."""

import mmap
import os
import random
import socket
import struct
import time

import pytest
from conftest import PATIENCE, full_table

import isthmus
from isthmus import Corrupt, Disconnected, Incompatible, IpcError, Receiver, Sender, channel
from isthmus._carrier import private_end
from isthmus._ring import W_BELL, W_COMMIT, W_HEAD, W_READ, W_RECEIVER, W_SLOTS, W_SPACE, W_TAIL, blocks_for, ring_size

HOSTILE = [0, 1, 2, 63, 64, 65, 1024, 2**16, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1]
WORDS = [
    W_TAIL,
    W_HEAD,
    W_BELL,
    W_SPACE,
    W_READ,
    W_RECEIVER,
    W_RECEIVER + 1,
    W_SLOTS,
    W_SLOTS + 4,
    W_SLOTS + 5,
    W_SLOTS + 7,
]


def peer_view(end):
    """The ring as a peer has it: another mapping of the same memory."""
    memory = (end._producer or end._ring()).memory if isinstance(end, Sender) else end._consumer.memory
    return memoryview(mmap.mmap(memory.fd, 0)).cast("I"), memory


@pytest.mark.parametrize("seed", range(4))
def test_damage_of_a_ring_is_an_error_and_nothing_else(seed):
    choice = random.Random(seed)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        sender, receiver = channel(1 << 16)
        words, memory = peer_view(sender)
        data = memory.offset // 4
        for _ in range(30):
            where = choice.choice(["word", "commit", "header", "slot"])
            at = {
                "word": lambda: choice.choice(WORDS),
                "commit": lambda: W_COMMIT + choice.choice([0, 1, words[W_HEAD] & 1023, choice.randrange(1024)]),
                "header": lambda: data + 16 * (words[W_HEAD] & 1023) + choice.randrange(6),
                "slot": lambda: W_SLOTS + choice.randrange(64),
            }[where]()
            words[at] = choice.choice(HOSTILE) if choice.random() < 0.8 else choice.getrandbits(32)
            for use in (
                lambda: sender.try_send([1, "text"]),
                lambda: receiver.try_recv(),
                lambda: sender.try_send_bytes(bytes(choice.choice([0, 1, 100, 70_000]))),
                lambda: receiver.try_recv_bytes(),
                lambda: receiver.borrow(timeout=0).release(),
                lambda: sender.reserve(64, timeout=0).commit(),
            ):
                began = time.monotonic()
                try:
                    use()
                except IpcError:
                    pass
                assert time.monotonic() - began < PATIENCE
        words.release()
        sender.close(), receiver.close()


def test_a_record_beyond_what_was_claimed_is_one_error(path):
    with Receiver(path, capacity=65536) as receiver, Sender(path) as sender:
        words, _ = peer_view(receiver)
        sender.send_bytes(b"first")
        head = words[W_HEAD] & 1023
        words[W_COMMIT + head] = 50_000  # more than was claimed
        with pytest.raises(Corrupt):
            receiver.recv_bytes(timeout=1)
        sender.send_bytes(b"second")
        assert receiver.recv_bytes(timeout=PATIENCE) == b"second"


def test_a_header_is_read_once_and_must_agree():
    sender, receiver = channel(1 << 16)
    with sender, receiver:
        words, memory = peer_view(sender)
        at = memory.offset // 4
        for flags, count, length in (
            (1, 0, 8),
            (1, 2**31, 8),
            (2, 0, 8),
            (3, 1, 8),
            (0, 0, 9),
            (0, 0, 2**64 - 1),
            (255, 9, 9),
        ):
            sender.send_bytes(bytes(40))  # claims a block
            index = (words[W_TAIL] - 1) & 1023
            for i, word in enumerate((flags, W_SLOTS, 0, count, length & 0xFFFFFFFF, length >> 32)):
                words[at + 16 * index + i] = word
            words[W_COMMIT + index] = 2**32 - 2 * 40
            with pytest.raises(IpcError):
                receiver.recv_bytes(timeout=1)
        sender.send_bytes(b"good")
        assert receiver.recv_bytes() == b"good"


def handles(line):
    """Sends whatever descriptors as an end of a channel, and uses what comes of it."""

    def use(kind, fds, details=()):
        end = line.sender
        import cbor2

        data = cbor2.dumps({"end": cbor2.CBORTag(27, ["isthmus", kind, 0, *details])})
        assert end._ring().try_send(memoryview(data), fds)
        return line.receiver.recv(PATIENCE)["end"]

    return use


def test_ends_that_are_something_else_are_refused(tmp_path):
    one, two = isthmus.duplex()
    loop = isthmus.Duplex(one.sender, two.receiver)
    use = handles(loop)
    before = len(os.listdir("/proc/self/fd"))
    unsealed = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(unsealed, ring_size(1024))
    empty = os.memfd_create("empty", os.MFD_ALLOW_SEALING)
    os.ftruncate(empty, ring_size(1024))
    import fcntl

    fcntl.fcntl(empty, 1033, 7)
    reader, writer = os.pipe()
    left, right = socket.socketpair()
    os.mkfifo(tmp_path / "fifo")
    fifo = os.open(tmp_path / "fifo", os.O_RDWR)
    null = os.open("/dev/null", os.O_RDWR)
    for fds in (
        [unsealed, writer, left.fileno()],
        [empty, writer, left.fileno()],
        [null, writer, left.fileno()],
        [reader, reader, reader],
        [empty, fifo, left.fileno()],
        [empty, reader, null],
        [unsealed, unsealed, unsealed],
    ):
        with use("sender", fds) as sender, pytest.raises((IpcError, OSError)):
            sender.send(1)
        with use("receiver", fds) as receiver, pytest.raises((IpcError, OSError)):
            receiver.recv(timeout=1)
    with use("sender", [left.fileno()], [1]) as sender, pytest.raises((IpcError, OSError)):
        sender.send(1)  # nothing is packed in its socket
    for kind, details in (("sender", []), ("nonsense", []), ("receiver", [[1, 2, 2**40]]), ("duplex", [])):
        with pytest.raises(IpcError):
            use(kind, [null], details)
    with pytest.raises(Incompatible):
        use("shared-memory", [unsealed])
    for fd in (unsealed, empty, reader, writer, fifo, null):
        os.close(fd)
    left.close(), right.close()
    assert len(os.listdir("/proc/self/fd")) == before
    loop.close(), one.close(), two.close()


def test_a_doorbell_that_cannot_be_opened_anew_now_is_closed():
    before = len(os.listdir("/proc/self/fd"))
    reader, writer = os.pipe()
    given = os.dup(writer)
    with full_table(), pytest.raises(IpcError):
        private_end(given, os.O_WRONLY)
    own = private_end(os.dup(writer), os.O_WRONLY)
    for fd in (reader, writer, own):
        os.close(fd)
    assert len(os.listdir("/proc/self/fd")) == before


def test_packets_that_are_none_cost_no_descriptor():
    sender, receiver = channel()
    before = len(os.listdir("/proc/self/fd"))
    carrier = sender._ring().carrier
    null = os.open("/dev/null", os.O_RDONLY)
    for kind, count, fds in ((9, 1, 1), (1, 2, 1), (2, 1, 1), (3, 0, 1), (3, 2**31 - 1, 1), (1, -5, 2), (2, 1, 0)):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", null) * fds)] if fds else []
        carrier.sendmsg([struct.pack("iiii", kind, 1024, 0, count)], rights)
        sender.send_bytes(b"data")
        assert receiver.recv_bytes(PATIENCE) == b"data"
    with isthmus.Fd(null) as fd:
        for _ in range(10):
            try:
                sender.send(fd)
                receiver.recv(PATIENCE).close()
                break
            except IpcError:
                pass  # what was wrong with a packet is said once
    receiver.close()
    with pytest.raises(Disconnected):
        sender.send(1)
    sender.close()
    assert len(os.listdir("/proc/self/fd")) <= before - 4
    assert blocks_for(0) == 1
