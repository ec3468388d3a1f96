"""Closing wakes who waits, in threads and tasks; what is cancelled has taken nothing; and programs that fork."""

import asyncio
import gc
import os
import random
import threading
import time

import pytest
from conftest import PATIENCE

from isthmus import Cell, Closed, Disconnected, Publisher, Receiver, Sender, Server, Subscriber, Timeout, channel, duplex
from isthmus import _bell
from isthmus._ring import W_BELL


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def full_sender(made):
    sender, receiver = channel(65_536)
    made.append(receiver)
    while sender.try_send_bytes(bytes(1000)):
        pass
    return sender, lambda: sender.send_bytes(bytes(1000)), lambda: sender.send_bytes_async(bytes(1000))


def idle_receiver(made):
    sender, receiver = channel()
    sender.send(1), receiver.recv()
    made.append(sender)
    return receiver, receiver.recv, receiver.recv_async


def named_receiver(made):
    path = f"/dev/shm/{made[0]}-channel"
    receiver = Receiver(path)
    return receiver, receiver.borrow, receiver.borrow_async


def subscriber(made):
    made.append(Publisher(made[0]))
    found = Subscriber(made[0])
    return found, found.recv, found.recv_async


def server(made):
    found = Server()
    return found, found.accept, found.accept_async


def server_at_a_path(made):
    found = Server(f"/dev/shm/{made[0]}-server")
    return found, lambda: next(iter(found), "ended"), found.accept_async


def watched_cell(made):
    cell = Cell.create(made[0], 1)
    return cell, lambda: next(cell.watch(), "ended"), lambda: anext_of(cell.watch(), "ended")


def locked_cell(made):
    holder = Cell.create(made[0], 1)
    made += [holder.lock(), holder]
    cell = Cell.load(made[0])
    return cell, cell.lock, cell.lock_async


async def anext_of(iterator, default):
    async for item in iterator:
        return item
    return default


KINDS = [full_sender, idle_receiver, named_receiver, subscriber, server, server_at_a_path, watched_cell, locked_cell]


def end(made):
    for thing in made[1:]:
        thing.abandon() if hasattr(thing, "abandon") else thing.close()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_closing_wakes_a_thread_that_waits(name, kind):
    before = descriptors()
    made = [name]
    thing, wait, _ = kind(made)
    outcome, asleep = [], threading.Event()

    def waits():
        asleep.set()
        try:
            outcome.append(wait())
        except Closed:
            outcome.append("closed")

    thread = threading.Thread(target=waits, daemon=True)
    thread.start()
    asleep.wait()
    time.sleep(0.05)  # so that it most likely sleeps; what is asserted does not depend on it
    thing.close()
    thread.join(PATIENCE / 4)
    assert not thread.is_alive()
    assert outcome in (["closed"], ["ended"])
    end(made)
    del thing, wait, made, thread
    assert descriptors() == before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_closing_wakes_a_task_that_waits(name, kind):
    made = [name]

    async def main():
        thing, _, wait = kind(made)
        task = asyncio.ensure_future(wait())
        for _ in range(3):
            await asyncio.sleep(0.001)
        assert not task.done()
        thing.close()
        try:
            assert await asyncio.wait_for(task, PATIENCE / 4) == "ended"
        except Closed:
            pass

    asyncio.run(main())
    end(made)


def test_numbers_of_closed_descriptors_are_not_read(path):
    """A waiting thread must not take what belongs to a descriptor that has got the number of a closed bell."""
    for _ in range(50):
        sender, receiver = channel()
        sender.send(1), receiver.recv()
        asleep = threading.Event()

        def waits(receiver=receiver, asleep=asleep):
            asleep.set()
            with pytest.raises(Closed):
                receiver.recv()

        thread = threading.Thread(target=waits)
        thread.start()
        asleep.wait()
        time.sleep(random.random() / 500)
        receiver.close()
        pipes = [os.pipe() for _ in range(8)]  # get the numbers that have become free
        for _, write in pipes:
            os.write(write, b"mine")
        thread.join(PATIENCE)
        for read, write in pipes:
            assert os.read(read, 10) == b"mine"
            os.close(read), os.close(write)
        sender.close()


def test_a_task_that_is_cancelled_has_taken_nothing(path):
    """At any moment: also when the message and the cancellation come in the same turn of the event loop."""

    async def main():
        with Sender(path) as sender, Receiver(path) as receiver:
            seen, sent = [], 0
            for turn in range(600):
                task = asyncio.ensure_future(receiver.recv_async())
                for _ in range(turn % 5):
                    await asyncio.sleep(0)
                if turn % 3:
                    sender.send(sent)
                    sent += 1
                if turn % 7 < 3:
                    await asyncio.sleep(0.0005 if turn % 7 == 2 else 0)
                task.cancel()
                try:
                    seen.append(await task)
                except asyncio.CancelledError:
                    pass
                if turn % 11 == 0:
                    try:
                        seen.append(await asyncio.wait_for(receiver.recv_async(), 0.0002))
                    except (asyncio.TimeoutError, Timeout):
                        pass
            while len(seen) < sent:
                seen.append(await receiver.recv_async(PATIENCE))
            assert seen == list(range(sent))

    asyncio.run(main())


def test_a_time_out_of_asyncio_loses_nothing(peers, path):
    async def main():
        with Receiver(path) as receiver:
            peer = peers.deno("send-values", path, 3000)
            seen = 0
            while seen < 3000:
                try:
                    value = await asyncio.wait_for(receiver.recv_async(), random.random() / 3000)
                except asyncio.TimeoutError:
                    continue
                assert value["i"] == seen
                seen += 1
            peer.hear(), peer.hear(), peer.say()

    asyncio.run(main())


def test_a_fork_while_threads_are_in_the_middle_of_everything(name, path):
    """The child's objects are closed, none of them hangs, and the parent's go on."""
    with Sender(path) as sender, Receiver(path) as receiver, Publisher(name) as topic, Subscriber(name) as listener:
        stop = threading.Event()
        received = []

        def sends():
            while not stop.is_set():
                try:
                    sender.send(b"x", 0.01)
                except Timeout:
                    pass
                topic.publish(b"y")

        def receives():
            while not stop.is_set():
                try:
                    received.append(receiver.recv(0.01))
                    listener.try_recv()
                except Timeout:
                    pass

        threads = [threading.Thread(target=work) for work in (sends, sends, receives)]
        for thread in threads:
            thread.start()
        for _ in range(30):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    for use in (lambda: sender.send(1), receiver.recv, lambda: topic.publish(1), listener.recv):
                        try:
                            use()
                            os._exit(2)
                        except Closed:
                            pass
                    for thing in (sender, receiver, topic, listener):
                        thing.close()
                    own, there = duplex()
                    own.send("of the child's own")
                    code = 0 if there.recv(PATIENCE) == "of the child's own" else 3
                finally:
                    os._exit(code)
            assert os.waitpid(pid, 0)[1] == 0
        before = len(received)
        until = time.monotonic() + PATIENCE
        while len(received) == before and time.monotonic() < until:
            time.sleep(0.001)
        assert len(received) > before
        stop.set()
        for thread in threads:
            thread.join()


def test_a_program_may_end_while_threads_wait(peers, path):
    for how in ("return", "exit", "error"):
        peer = peers.python("end-while-waiting", path, how)
        peer.hear()
        assert peer.process.wait(PATIENCE) == {"return": 0, "exit": 3, "error": 1}[how]
    assert not os.path.exists(path)


def _commit_a_loan(sender):
    with sender.reserve(1) as loan:
        loan.view[:] = b"x"
        loan.commit()


@pytest.mark.parametrize("send", [lambda sender: sender.send_bytes(b"x"), _commit_a_loan])
@pytest.mark.parametrize("received", [True, False])
def test_what_was_received_was_sent_although_the_receiver_is_gone(monkeypatch, send, received):
    """A receiver that polls may have received a message, and closed its end, before it is rung for."""
    sender, receiver = channel()
    sender.send_bytes(b"0")
    assert receiver.recv_bytes() == b"0"
    producer = sender._producer
    producer.memory.store(W_BELL, 7)  # it sleeps
    ring = _bell.ring

    def close_first(fd):
        if received:
            assert receiver.recv_bytes() == b"x"
        receiver.close()
        return ring(fd)

    monkeypatch.setattr(_bell, "ring", close_first)
    if received:
        send(sender)
    else:
        with pytest.raises(Disconnected):
            send(sender)
    assert receiver.closed
    with pytest.raises(Disconnected):
        sender.send_bytes(b"y")
    sender.close()
