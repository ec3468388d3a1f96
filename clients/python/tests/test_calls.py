"""Calls between Python and Deno, both ways, and what a peer that breaks the rules gets."""

import os
import random
import threading
import time

import pytest
from conftest import PATIENCE

import isthmus
from isthmus import (
    AlreadyExists,
    Closed,
    Corrupt,
    Disconnected,
    Incompatible,
    NotFound,
    RemoteError,
    Serialization,
    Server,
    Stream,
    Timeout,
    connect,
    duplex,
    expose,
    remote,
)


def test_python_calls_deno(peers):
    peer = peers.deno("expose")
    line = connect(peer.hear())
    there = remote(line, timeout=PATIENCE)
    assert there.add(1, 2) == 3
    for value in ({"a": [1, None, "x"]}, b"bytes", [], 2.5):
        assert there.echo(value) == value
    assert there.nothing() is None
    for name, kind, words in (("range", ValueError, "out of it"), ("type", TypeError, "of another kind")):
        with pytest.raises(kind, match=words) as caught:
            getattr(there, name)()
        assert "peer_calls.ts" in str(caught.value.__cause__)
    with pytest.raises(RemoteError, match="MyError: mine"):
        there.own()
    with pytest.raises(NotFound, match="not here"):
        there.ipc()
    with pytest.raises(RemoteError) as caught:
        there.value()
    assert caught.value.value == 42
    with pytest.raises(NotFound) as missing:
        there.call("no such method")
    assert missing.value.delivered is False
    with pytest.raises(Serialization) as unsendable:
        there.echo(object())
    assert unsendable.value.delivered is False
    assert there.add(20, 22) == 42
    line.close()
    assert peer.hear() == "resolved"
    with pytest.raises(Closed):
        there.add(1, 1)


def test_streams_of_deno(peers):
    peer = peers.deno("expose")
    with connect(peer.hear()) as line:
        there = remote(line, timeout=PATIENCE)
        stream = there.count(1000)
        assert isinstance(stream, Stream)
        assert list(stream) == list(range(1000)) and list(stream) == []
        with there.count(1 << 40) as much:
            assert [next(much) for _ in range(40)] == list(range(40))
        assert list(much) == []
        broken = there.broken()
        assert next(broken) == 1
        with pytest.raises(ValueError, match="half-way"):
            next(broken)
        assert there.add(1, 1) == 2


def test_a_call_that_times_out_is_stopped_there(peers):
    peer = peers.deno("expose")
    with connect(peer.hear()) as line:
        there = remote(line)
        assert there.add(0, 0) == 0
        with pytest.raises(Timeout) as late:
            there.call("hang", timeout=0.05)
        assert late.value.delivered is True
        while there.stopped() != "yes":  # the signal there has aborted
            pass


def test_nobody_exposes_anything():
    mine, theirs = duplex()
    with mine, theirs, pytest.raises(Timeout) as late:
        remote(mine, timeout=0.05).anything()
    assert late.value.delivered is False


def test_the_callee_dies(peers):
    peer = peers.deno("expose")
    with connect(peer.hear()) as line:
        there = remote(line, timeout=PATIENCE)
        with pytest.raises(Disconnected) as gone:
            there.die()
        assert gone.value.delivered is True
        with pytest.raises(Disconnected) as gone:
            there.add(1, 1)
        assert gone.value.delivered is False


class Api:
    """Methods for a Deno program."""

    def add(self, a, b):
        return a + b

    def count(self, to):
        yield from range(to)

    def fail(self, how):
        raise {
            "value": ValueError("of no use"),
            "type": TypeError("another kind"),
            "key": KeyError("k"),
            "ipc": isthmus.TooLarge("too much"),
        }[how]

    def unsendable(self):
        return object()

    def _hidden(self):
        raise AssertionError

    @property
    def not_a_method(self):
        raise AssertionError


def test_deno_calls_python(peers):
    with Server() as server:
        peer = peers.deno("call", server.name)
        with server.accept(PATIENCE) as line:
            serving = threading.Thread(target=expose, args=(line, Api()))
            serving.start()
            assert peer.hear() == list(range(1, 201))
            assert peer.hear() == list(range(100))
            assert peer.hear() == [0, 1, 2]
            assert peer.hear() == ["RangeError", "of no use", None, None]
            assert peer.hear() == ["TypeError", "another kind", None, None]
            assert peer.hear() == ["KeyError", "'k'", None, None]
            name, message, code, _ = peer.hear()
            assert (message, code) == ("too much", "TooLarge")
            for _ in ("missing", "_hidden"):
                assert peer.hear()[2:] == ["NotFound", False]
            assert peer.hear()[2] == "Serialization"
            assert peer.hear() == 4
            peer.say()
            serving.join(PATIENCE)
            assert not serving.is_alive()


def test_python_calls_python_both_ways_and_from_threads():
    mine, theirs = duplex()
    seen = []
    here = {"double": lambda n: 2 * n, "call_back": lambda n: remote(theirs, timeout=PATIENCE).note(n)}
    serving = [
        threading.Thread(target=expose, args=(theirs, here)),
        threading.Thread(target=expose, args=(mine, {"note": seen.append})),
    ]
    for thread in serving:
        thread.start()
    there = remote(mine, timeout=PATIENCE)
    results = {}

    def call(n):
        results[n] = [there.double(n * 100 + i) for i in range(100)]

    callers = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(PATIENCE)
    assert results == {n: [2 * (n * 100 + i) for i in range(100)] for n in range(4)}
    assert there.call_back(5) is None and seen == [5]
    with pytest.raises(AlreadyExists):
        expose(mine, {})
    mine.close()
    for thread in serving:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    theirs.close()


@pytest.mark.parametrize(
    "frames",
    [
        ["no frame"],
        [{"a": 1}],
        [[]],
        [[12, 1]],
        [[-1, 1, 1]],
        [[True, 1, 1, []]],
        [[1, 1, "add"]],
        [[1, -1, "add", []]],
        [[1, "1", "add", []]],
        [[1, 1, ["add"], []]],
        [[1, 1, "add", {}]],
        [[1, n, "wait", []] for n in range(1, 9)],
        [[0, 1, -1]],
        [[0, 1, {}]],
        [[10, 1]] * 5000,
    ],
)
def test_a_peer_that_breaks_the_rules_is_shut_out(peers, frames):
    released = threading.Event()
    with Server(capacity=65_536) as server:
        peer = peers.deno("violate", server.name, frames)
        with server.accept(PATIENCE) as line:
            threading.Timer(0.5, released.set).start()
            with pytest.raises(Corrupt):
                expose(line, {"add": lambda a, b: a + b, "wait": lambda: released.wait(PATIENCE)}, concurrency=4)
            assert line.closed
            with pytest.raises(Corrupt):
                remote(line).anything()
        assert peer.hear() == "closed"


def test_a_call_that_was_given_up_before_its_turn_is_not_begun():
    mine, theirs = duplex()
    begun, go_on = threading.Event(), threading.Event()
    called = []

    def slow():
        begun.set()
        go_on.wait(PATIENCE)

    serving = threading.Thread(target=expose, args=(theirs, {"slow": slow, "note": called.append}))
    serving.start()
    there = remote(mine, timeout=PATIENCE)
    first = threading.Thread(target=there.slow)
    first.start()
    begun.wait(PATIENCE)
    with pytest.raises(Timeout):
        there.call("note", 1, timeout=0.01)
    go_on.set()
    first.join(PATIENCE)
    there.note(2)
    assert called == [2]
    mine.close()
    serving.join(PATIENCE)
    assert not serving.is_alive()
    theirs.close()


def test_callees_that_are_killed_tell_what_was_delivered(peers):
    """Each call that was answered counts once; the last one was delivered, or certainly not called."""
    with Server() as server:
        for _ in range(int(os.environ.get("ISTHMUS_KILLS", "10"))):
            peer = peers.python("answer-until-killed", server.name)
            with server.accept(PATIENCE) as line:
                there = remote(line, timeout=PATIENCE)
                killer = threading.Timer(random.random() / 20, peer.kill)
                killer.start()
                n = 0
                with pytest.raises(Disconnected) as gone:
                    while True:
                        assert there.next() == n
                        n += 1
                assert gone.value.delivered in (True, False)
                killer.join()


def test_frames_that_answer_nothing_are_passed_over(peers):
    """And so are those of calls that are over; another version is said."""
    mine, theirs = duplex()
    for frame in ([2, 99, "x"], [3, [], "x"], [5, 1, 0, 0], [6, {}, 0], [7, 1, 1], [8, None, 1], [11, 3, []], [9, 1]):
        theirs.send(frame)
    theirs.send([0, 2, 1])
    with pytest.raises(Incompatible, match="version 2"):
        remote(mine, timeout=PATIENCE).anything()
    theirs.close()


@pytest.mark.parametrize(
    "answers, wrong",
    [
        ([[4, 1], [4, 1]], Corrupt),
        ([[4, 1], [5, 1, 0, "unasked"] ] + [[5, 1, n, n] for n in range(1, 40)], Corrupt),
        ([[5, 1, 0, 0]], Corrupt),
        ([[6, 1, 0]], Corrupt),
        ([[4, 1], [5, 1, 7, 0]], Serialization),
        ([[4, 1], [6, 1, 7]], Serialization),
        ([[3, 1, "no failure"]], RemoteError),
        ([[3, 1, {"class": ["x"], "message": 5}]], RemoteError),
        ([[3, 1, {"class": "IpcError", "properties": {"code": [], "errno": "x"}}]], isthmus.IpcError),
    ],
)
def test_answers_that_make_no_sense(answers, wrong):
    mine, theirs = duplex()
    with mine, theirs:
        theirs.send([0, 1, 1])

        def answer():
            theirs.recv(PATIENCE)
            if answers[0][0] != 4:
                for frame in answers:
                    theirs.send(frame)
                return
            theirs.send(answers[0])
            if answers[1][0] == 5 and answers[1][2] != 7:
                for frame in answers[1:]:
                    theirs.send(frame)
                return
            if answers[1][0] != 4:
                theirs.recv(PATIENCE)  # it wants items
            for frame in answers[1:]:
                theirs.send(frame)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(wrong):
            list(remote(mine, timeout=PATIENCE).method())
        thread.join(PATIENCE)


def test_a_caller_that_reads_no_answers_does_not_hold_up_time_outs():
    mine, theirs = duplex(65_536)
    with mine, theirs:
        theirs.send([0, 1, 1 << 20])
        there = remote(mine, timeout=0.2)
        began = time.monotonic()
        with pytest.raises(Timeout):
            while True:  # the ring fills up with calls that nobody takes
                there.call("x", bytes(30_000), timeout=0.2)
        assert time.monotonic() - began < PATIENCE
