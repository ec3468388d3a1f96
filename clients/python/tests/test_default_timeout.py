"""What ``socket.setdefaulttimeout()`` says, as many programs set it for the network, is not for these sockets."""

import socket

import pytest
from conftest import PATIENCE

from isthmus import Server, channel, connect


@pytest.fixture(autouse=True)
def default_timeout():
    socket.setdefaulttimeout(0.05)
    yield
    socket.setdefaulttimeout(None)


def test_a_server_does_not_wait_for_clients_or_silent_ones():
    with Server() as server:
        assert server.try_accept() is None
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect("\0" + server.name[1:])
            assert server.try_accept() is None
            assert server.try_accept() is None
            with connect(server.name) as client, server.accept(PATIENCE) as line:
                client.send("heard", PATIENCE)
                assert line.recv(PATIENCE) == "heard"
            silent.setblocking(False)
            with pytest.raises(BlockingIOError):  # it may speak still
                silent.recv(1)


def test_where_a_channel_holds_no_more_descriptors_trying_to_send_says_so():
    sender, receiver = channel(capacity=1 << 20)
    kept, sent = [], 0
    while True:
        one, other = channel()
        kept += [one, other]
        if not sender.try_send([one]):
            break
        sent += 1
    for _ in range(sent):
        receiver.recv(PATIENCE)[0].close()
    assert receiver.try_recv("nothing") == "nothing"
    for end in (*kept, sender, receiver):
        end.close()


def test_many_descriptors_in_one_message():
    sender, receiver = channel()
    ends = [channel() for _ in range(300)]
    sender.send([one for one, _ in ends], PATIENCE)
    arrived = receiver.recv(PATIENCE)
    for i, one in enumerate(arrived):
        one.send(i, PATIENCE)
    assert [other.recv(PATIENCE) for _, other in ends] == list(range(300))
    for end in (*(end for pair in ends for end in pair), *arrived, sender, receiver):
        end.close()


def test_answers_to_a_deno_program(peers):
    with Server() as server:
        peer = peers.deno("ask-once", server.name, 20)
        with server.accept(PATIENCE) as line:
            for _ in range(20):
                question = line.recv(PATIENCE)
                with question["reply"] as reply:
                    reply.send(2 * question["question"], PATIENCE)
            assert peer.hear() == 20
        peer.end()
