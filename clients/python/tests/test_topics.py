"""Topics between Python and Deno: publishers, subscribers, deaths, and a publisher that damages the memory."""

import asyncio
import mmap
import os
import random
import struct
import threading
import time

import pytest
from conftest import PATIENCE

from isthmus import (
    Closed,
    Corrupt,
    Incompatible,
    IpcError,
    NotFound,
    Publisher,
    Serialization,
    Subscriber,
    Timeout,
    TooLarge,
)


KILLS = int(os.environ.get("ISTHMUS_KILLS", "25"))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("kind", ["values", "bytes"])
def test_deno_publishes(peers, name, kind):
    peer = peers.deno("publish", name, 1000, kind)
    peer.hear()
    before = descriptors()
    with Subscriber(name) as topic:
        peer.say()
        for n in range(1000):
            if kind == "bytes":
                assert topic.recv_bytes(PATIENCE) == bytes([n & 255]) * 8
            else:
                assert topic.recv(PATIENCE) == {"n": n}
        assert topic.missed == 0
        peer.hear()
        with Subscriber(name, begin="oldest") as late:
            assert (late.try_recv_bytes() if kind == "bytes" else late.try_recv()) is not None
        peer.say()
        peer.end()
        with pytest.raises(Timeout):
            topic.recv(0.01)
    assert descriptors() == before


def test_deno_subscribes(peers, name):
    with Publisher(name, capacity=65_536) as topic:
        peer = peers.deno("subscribe", name, 500)
        peer.hear()
        for n in range(500):
            topic.publish({"n": n})
        seen, missed = peer.hear()
        assert seen == list(range(500)) and missed == 0
        peer.say()
        peer.end()


def test_a_slow_subscriber_knows_what_it_has_missed(name):
    with Publisher(name, capacity=65_536) as topic, Subscriber(name) as slow:
        for n in range(5000):
            topic.publish({"n": n, "fill": "x" * (n % 500)})
        seen = []
        value = slow.try_recv()
        while value is not None:
            seen.append(value["n"])
            value = slow.try_recv()
        assert seen == sorted(set(seen)) and seen[-1] == 4999
        assert len(seen) + slow.missed == 5000 and slow.missed > 0


def test_subscribers_that_came_before_the_topic_are_rung(peers, name):
    """In both languages, by publishers in both; and what a killed one has left is removed."""
    for publishes_here in (True, False):
        early = peers.deno("subscribe", name, 3)
        early.hear()
        killed = peers.deno("subscribe", name, 3)
        killed.hear()
        with Subscriber(name) as own:
            found = []
            thread = threading.Thread(target=lambda own=own, found=found: found.append(own.recv(PATIENCE)))
            thread.start()
            until = time.monotonic() + PATIENCE
            while sum(".early." in entry and name in entry for entry in os.listdir("/dev/shm")) < 3:
                assert time.monotonic() < until
            killed.kill()
            began = time.monotonic()
            if publishes_here:
                with Publisher(name) as topic:
                    for n in range(3):
                        topic.publish({"n": n})
                    assert early.hear() == [[0, 1, 2], 0]
                    thread.join(PATIENCE)
            else:
                peer = peers.deno("publish", name, 3, "values")
                peer.hear(), peer.say(), peer.hear()
                assert early.hear() == [[0, 1, 2], 0]
                thread.join(PATIENCE)
                peer.say()
                peer.end()
            assert found == [{"n": 0}]
            assert time.monotonic() - began < PATIENCE / 4  # Deno looks by itself after 60 s
            early.say()
            early.end()
        assert [entry for entry in os.listdir("/dev/shm") if ".early." in entry and name in entry] == []


def test_what_was_missed_between_python_and_deno(peers, name):
    with Publisher(name, capacity=65_536) as topic:
        peer = peers.deno("subscribe-late", name)
        peer.hear()
        for n in range(5000):
            topic.publish({"n": n, "fill": "x" * (n % 500)})
        peer.say()
        seen, missed = peer.hear()
        assert seen == sorted(set(seen)) and seen[-1] == 4999
        assert len(seen) + missed == 5000 and missed > 0
        peer.say()
        peer.end()
    peer = peers.deno("publish", name, 50_000, "values")
    peer.hear()
    with Subscriber(name) as slow:
        peer.say()
        peer.hear()
        seen = [value["n"] for value in iter(slow.try_recv, None)]
        assert seen == sorted(set(seen)) and seen[-1] == 49_999
        assert len(seen) + slow.missed == 50_000 and slow.missed > 0
        peer.say()
        peer.end()


def test_publishers_in_python_that_are_killed(peers, name):
    subscriber = peers.deno("subscribe-to-killed", name)
    subscriber.hear()
    with Publisher(name, capacity=65_536) as own:
        for _ in range(KILLS):
            peer = peers.python("publish-until-killed", name)
            peer.hear()
            time.sleep(random.random() / 20)
            peer.kill()
            own.publish({"n": 0, "fill": ""})  # its turn is taken over, if it was killed in it
        own.publish({"n": -1, "fill": ""})
        assert subscriber.hear()[0] > 0
        subscriber.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_who_may_only_read_subscribes_and_writes_nothing(peers, name):
    with Publisher(name, mode=0o644) as topic:
        # By the clock: another user cannot open the seats.
        peer = peers.python("subscribe-as-another", name, 65534)
        peer.hear()
        for n in range(10):
            topic.publish(n)
        assert peer.hear() == list(range(10))
        assert peer.hear() == "refused"
        peer.end()


def test_publishers_in_deno_that_are_killed(peers, name):
    with Subscriber(name) as topic, Publisher(name, capacity=65_536) as own:
        for _ in range(KILLS // 5):
            peer = peers.deno("publish-until-killed", name)
            peer.hear()
            until = time.monotonic() + random.random() / 4
            while time.monotonic() < until:
                value = topic.recv(PATIENCE)
                assert len(value["fill"]) == value["n"] % 3000
            peer.kill()
            own.publish({"n": 1, "fill": "y"})  # its turn is taken over, if it was killed in it
            while topic.recv(PATIENCE)["fill"] != "y":
                pass


def test_the_event_loop_hears_of_messages(peers, name):
    async def listen():
        with Subscriber(name) as topic:
            peer = peers.deno("publish", name, 100, "values")
            peer.hear()
            first = asyncio.ensure_future(topic.recv_async(PATIENCE))
            await asyncio.sleep(0)
            with pytest.raises(IpcError):
                await topic.recv_async()
            peer.say()
            assert await first == {"n": 0}
            seen = 0
            async for value in topic:
                seen += 1
                if value["n"] == 99:
                    break
            assert seen == 99
            with pytest.raises(Timeout):
                await topic.recv_async(0.01)
            peer.say()

    asyncio.run(listen())


def test_what_is_refused(name, tmp_path):
    for bad in ("", "@x", "a.seats", "a.bell.3", "a.early.0123abcd", "x" * 201, "a/", 5, "\0"):
        with pytest.raises(TypeError):
            Subscriber(bad)
    with pytest.raises(NotFound):
        Subscriber(f"/dev/shm/{name}-folder/topic")
    with pytest.raises(TypeError):
        Subscriber(name, begin="now")
    (tmp_path / "file").write_bytes(b"something else" * 20_000)
    for kind in (Publisher, Subscriber):
        with pytest.raises(Incompatible):
            kind(str(tmp_path / "file"))
    with Publisher(name, capacity=1) as topic:
        assert topic.capacity == 65_536
        with pytest.raises(TooLarge):
            topic.publish_bytes(bytes(65_537))
        topic.publish_bytes(bytes(65_536))
    with pytest.raises(Closed):
        topic.publish(1)
    topic.close()


def test_a_topic_that_is_removed_and_made_again(name):
    with Subscriber(name) as listener:
        for n in range(3):
            path = f"/dev/shm/isthmus-topic.{name}"
            with Publisher(name) as topic:
                topic.publish(n)
                assert listener.recv(PATIENCE) == n
                for suffix in ("", ".seats"):  # as `isthmus rm --force` does
                    os.unlink(path + suffix)
                with open(f"/proc/self/fd/{topic._file.memory.fd}", "r+b") as file:
                    file.seek(16)
                    file.write(b"\1")


def test_damage_is_an_error_and_the_next_message_counts(name):
    random.seed(1)
    with Publisher(name, capacity=65_536) as topic, Subscriber(name) as listener:
        with open(topic.path, "r+b") as file, mmap.mmap(file.fileno(), 131_072 + 4096) as memory:
            for length, number in ((-1, 0), (1 << 30, 0), (8, 1 << 60), (8, 77), (2**31 - 1, 2**64 - 1)):
                topic.publish_bytes(b"12345678")
                assert listener.recv_bytes(PATIENCE) == b"12345678"
                topic.publish_bytes(b"damaged")
                at = 131_072 + struct.unpack_from("=Q", memory, 128)[0] * 64
                right = memory[at : at + 16]
                struct.pack_into("=iIQ", memory, at, length, 0, number)
                with pytest.raises(Corrupt):
                    listener.recv_bytes(PATIENCE)
                memory[at : at + 16] = right
            # Positions that make no sense: an error, or nothing; never a fault or a hang.
            kept = memory[64:192]
            choices = [b"\xff" * 16, bytes(16), b"\0" * 7 + b"\x80" * 9]
            for _ in range(300):
                memory[128:144] = random.choice([random.getrandbits(128).to_bytes(16, "little"), *choices])
                began = time.monotonic()
                for act in (listener.try_recv_bytes, lambda: listener.recv_bytes(0), lambda: topic.publish_bytes(b"x")):
                    try:
                        act()
                    except (Corrupt, Timeout):
                        pass
                assert time.monotonic() - began < PATIENCE / 10
            memory[64:192] = kept


HOSTILE = (0, 1, 77, (1 << 15) - 1, 1 << 31, (1 << 52) - 1, 1 << 53, 1 << 63, (1 << 64) - 64, (1 << 64) - 1)


@pytest.mark.parametrize("begin", ["new", "oldest"])
def test_files_that_a_hostile_publisher_made(tmp_path, begin):
    """They are read-only here; their numbers are of no use. An error of this package or nothing, and soon."""
    path = tmp_path / "topic"
    random.seed(2)
    for turn in range(40):
        content = bytearray(131_072 + 2048 * 64)
        struct.pack_into("=8sII", content, 0, b"ISTHCAST", 1, 2048)
        struct.pack_into("=IIQQ", content, 64, random.getrandbits(32), 0, 0, 0)
        struct.pack_into("=QQ", content, 128, random.choice(HOSTILE), random.choice(HOSTILE))
        for _ in range(5 * turn):
            at = 131_072 + 64 * random.choice([0, 1, 2, 3, 77, 2047])
            length = random.choice([0, 1, 48, 49, 65_536, 65_537, -1, -(1 << 31), (1 << 31) - 1])
            struct.pack_into("=iIQ", content, at, length, random.getrandbits(32), random.choice(HOSTILE))
        path.write_bytes(content)
        path.chmod(0o444)
        began = time.monotonic()
        with Subscriber(str(path), begin=begin) as listener:
            for _ in range(20):
                for act in (listener.try_recv_bytes, listener.try_recv, lambda: listener.recv_bytes(0)):
                    try:
                        act()
                    except IpcError as error:
                        assert isinstance(error, (Corrupt, Timeout, Serialization)), error
            assert listener.missed >= 0
        assert time.monotonic() - began < PATIENCE / 10
        assert path.read_bytes() == content
        path.unlink()


@pytest.mark.parametrize(
    "header, size",
    [
        ((b"ISTHCAST", 2, 2048), 131_072 + 2048 * 64),
        ((b"ISTHCAST", 1, 2048), 131_072),
        ((b"ISTHCAST", 1, 2048), 131_072 + 2047 * 64),
        ((b"ISTHCAST", 1, 2047), 131_072 + 2047 * 64),
        ((b"ISTHCAST", 1, 0), 131_072),
        ((b"ISTHCAST", 1, 0xFFFFFFFF), 131_072 + 2048 * 64),
        ((b"ISTHRING", 1, 2048), 131_072 + 2048 * 64),
        ((b"ISTHCAST", 1, 2048), 16),
    ],
)
def test_files_that_are_no_topic(tmp_path, header, size):
    path = tmp_path / "topic"
    path.write_bytes((struct.pack("=8sII", *header) + bytes(size))[:size])
    for kind in (Publisher, Subscriber):
        with pytest.raises(Incompatible):
            kind(str(path))
