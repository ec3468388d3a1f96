"""Servers, clients, children, and what travels inside messages: between Python and Deno."""

import asyncio
import os
import pathlib
import random
import socket
import sys
import time

import pytest
from conftest import PATIENCE

import isthmus
from isthmus import (
    Closed,
    Disconnected,
    Fd,
    Incompatible,
    NotFound,
    Sender,
    Serialization,
    Server,
    SharedMemory,
    Timeout,
    channel,
    connect,
    duplex,
)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_python_connects_to_a_deno_server(peers, tmp_path):
    before = descriptors()
    for arguments in ([None, 1 << 20], [str(tmp_path / "socket"), None]):
        peer = peers.deno("echo-server", *arguments)
        with connect(peer.hear()) as line:
            for value in ({"a": [1, None]}, "x" * 100, b"bytes", "large " + "y" * 5_000_000):
                line.send(value, PATIENCE)
                assert line.recv(PATIENCE) == value
            assert line.try_recv("nothing") == "nothing"
        peer.hear()
        peer.end()
        peer.close()
        assert descriptors() == before


def test_deno_connects_to_a_python_server(peers, tmp_path):
    for path in (None, str(tmp_path / "socket")):
        with Server(path) as server:
            peer = peers.deno("connect-echo", server.name)
            with server.accept(PATIENCE) as line:
                assert line.peer.pid == peer.process.pid and line.peer.uid == os.getuid()
                peer.hear()
                line.send(line.recv(PATIENCE))
                assert peer.hear() is True
                peer.say()
                with pytest.raises(Disconnected):
                    line.recv(PATIENCE)
                with pytest.raises(Disconnected):
                    while True:  # its other end is closed a moment later
                        line.send("nobody", PATIENCE)
            peer.end()
            with pytest.raises(Timeout):
                server.accept(timeout=0.01)
    assert os.listdir(tmp_path) == []


def test_byte_strings_over_a_server(peers):
    peer = peers.deno("bytes-server")
    name = peer.hear()
    with pytest.raises(Incompatible):
        connect(name)
    with connect(name, byte_strings=True) as line:
        for size in (0, 5, 100_000, 9_000_000):
            line.send_bytes(bytes(size), PATIENCE)
            with line.borrow(PATIENCE) as view:
                assert view == bytes(size)
    peer.end()


def test_a_one_shot_server_takes_a_python_client(peers):
    peer = peers.deno("one-shot")
    name = peer.hear()
    with pytest.raises(Incompatible):
        connect(name)
    with Sender.connect(name) as sender:
        sender.send("first"), sender.send("second")
        assert [peer.hear(), peer.hear()] == ["first", "second"]
    peer.end()


def test_everything_that_travels(peers):
    before = descriptors()
    with Server() as server:
        peer = peers.deno("travellers", server.name)
        with server.accept(PATIENCE) as line:
            found = line.recv(PATIENCE)
            assert found["wordReceiver"].recv(PATIENCE) == "queued before it moved"
            found["words"].send("by the first clone"), found["again"][0].send("by the second")
            assert found["wordReceiver"].recv(PATIENCE) == "by the first clone"
            assert found["wordReceiver"].recv(PATIENCE) == "by the second"
            assert found["byteReceiver"].recv_bytes(PATIENCE) == bytes([9, 8, 7])
            found["theirs"].send("a word")
            assert peer.hear() == "a word"
            assert found["theirs"].recv(PATIENCE) == "and back"
            memory = found["memory"]
            assert bytes(memory.view) == bytes([1, 2, 3, 4])
            memory.view[0] = 77
            to_python, from_deno = channel()
            to_deno, from_python = channel()
            to_deno.send("in Python's queue")
            reader, writer = os.pipe()
            os.write(writer, b"through a pipe")
            with SharedMemory.of(b"\x05\x06") as own, Fd(reader) as fd:
                line.send({"memory": own, "fd": fd, "sender": to_python, "receiver": from_python})
                assert from_python.closed and not fd._fd < 0
            assert peer.hear() == [[77, 2, 3, 4], [5, 6], True]
            assert peer.hear() == "in Python's queue"
            assert from_deno.recv(PATIENCE) == "over Python's own channel"
            assert peer.hear() == "through a pipe"
            peer.say()
            for end in (to_python, from_deno, to_deno, memory, *found["again"], found["theirs"]):
                end.close()
            found["words"].close(), found["wordReceiver"].close(), found["byteReceiver"].close()
            os.close(writer)
        peer.end()
        peer.close()
    assert descriptors() == before


def test_ends_inside_messages_within_python():
    before = descriptors()
    sender, receiver = channel()
    with sender, receiver:
        one, two = duplex()
        inner, moved = channel(byte_strings=True)
        moved_to = inner
        for i in range(40):  # each is read ahead by the next receiver
            inner.send_bytes(b"%d" % i)
        sender.send([two, moved])
        assert two.closed and moved.closed
        with pytest.raises(Closed):
            moved.recv_bytes()
        theirs, moved = receiver.recv(PATIENCE)
        assert [moved.recv_bytes() for _ in range(40)] == [b"%d" % i for i in range(40)]
        one.send("question")
        assert theirs.recv() == "question"
        theirs.send({"fd": Fd(os.open("/dev/null", os.O_RDONLY))})
        one.recv()["fd"].close()
        # What is not sent belongs to its owner still.
        with pytest.raises(Serialization):
            sender.send([moved, object()])
        assert not moved.closed
        moved_to.send_bytes(b"still here")
        assert moved.recv_bytes(PATIENCE) == b"still here"
        many = [Fd(os.open("/dev/null", os.O_RDONLY)) for _ in range(300)]
        sender.send(many)
        for fd in [*many, *receiver.recv(PATIENCE)]:
            fd.close()
        for end in (one, theirs, moved, inner):
            end.close()
    assert descriptors() == before


def test_python_answers_a_deno_program_that_started_it(peers):
    actor = str(pathlib.Path(__file__).parent / "actor.py")
    for capacity, found in ((None, 4 << 20), (1 << 17, 1 << 17)):
        peer = peers.deno("spawn", sys.executable, ["-B", actor, "answer-parent"], capacity, flags=["--allow-run"])
        assert peer.hear() == {"sum": 6, "capacity": found}
        assert peer.hear() == 0
        peer.end()


def test_python_answers_in_byte_strings(peers):
    actor = str(pathlib.Path(__file__).parent / "actor.py")
    peer = peers.deno("spawn-bytes", sys.executable, ["-B", actor, "answer-parent-in-bytes"], flags=["--allow-run"])
    assert peer.hear() == [3, 2, 1]
    assert peer.hear() == 0
    peer.end()


def test_without_a_parent(monkeypatch):
    monkeypatch.delenv("ISTHMUS_PARENT", raising=False)
    for text in (None, "nonsense", f"@isthmus-parent-none:{'0' * 32}"):
        if text is not None:
            monkeypatch.setenv("ISTHMUS_PARENT", text)
        with pytest.raises(NotFound):
            isthmus.parent()


def test_a_deno_client_killed_in_the_middle(peers):
    with Server() as server:
        for _ in range(4):
            peer = peers.deno("stream-until-killed", server.name)
            with server.accept(PATIENCE) as line:
                until, n = None, 0
                with pytest.raises(Disconnected):
                    while True:
                        value = line.recv(PATIENCE)
                        assert value["n"] == n and len(value["fill"]) == n % 2000
                        n += 1
                        until = until or time.monotonic() + random.random() / 10
                        if time.monotonic() >= until and peer.process.poll() is None:
                            peer.kill()


def test_a_python_client_killed_in_the_middle_leaves_no_descriptor(peers):
    before = descriptors()
    with Server() as server:
        for _ in range(8):
            peer = peers.python("connect-until-killed", server.name)
            with server.accept(PATIENCE) as line:
                until, n = time.monotonic() + 0.05 + random.random() / 20, 0
                with pytest.raises(Disconnected):
                    while True:
                        value = line.recv(PATIENCE)
                        value["fd"].close()
                        assert value["n"] == n and len(value["fill"]) == n % 2000
                        n += 1
                        if time.monotonic() >= until and peer.process.poll() is None:
                            peer.kill()
            peer.close()
    assert descriptors() == before


def test_clients_that_talk_nonsense_hold_nobody_up():
    before = descriptors()
    with Server() as server:
        address = b"\0" + server.name[1:].encode()
        lines = []
        for word in (b"", b"nonsense", b"ISTHHELO" + b"\x02\0\0\0\x02\0\0\0", b"ISTHHELO" + b"\xff" * 8, b"x" * 100):
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            line.connect(address)
            line.send(word) if word else None
            lines.append(line)
        with connect(server.name) as client, server.accept(PATIENCE) as line:
            client.send("served")
            assert line.recv(PATIENCE) == "served"
        for line in lines:
            line.close()
        assert server.try_accept() is None
    assert descriptors() == before
    with Server(allow=lambda peer: False) as server, connect(server.name) as client:
        assert server.try_accept() is None
        with pytest.raises(Disconnected):
            client.recv(PATIENCE)


def test_a_server_at_the_path_of_a_dead_one(tmp_path):
    path = str(tmp_path / "socket")
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(path)
    dead.close()
    with pytest.raises(NotFound):
        connect(path)
    with Server(path):
        with pytest.raises(isthmus.IpcError):
            Server(path)
    assert not os.path.exists(path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(isthmus.IpcError):
        Server(str(tmp_path / "file"))
    with pytest.raises(Incompatible):
        connect(str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


def test_asyncio_serves(peers):
    async def run():
        with Server() as server:
            peer = peers.deno("connect-echo", server.name)
            async for line in server:
                async for value in line:
                    await line.send_async(value)
                    assert peer.hear() is None and peer.hear() is True
                    peer.say()
                line.close()
                break
            with pytest.raises(Timeout):
                await server.accept_async(timeout=0.01)

    asyncio.run(run())
