"""Messages that are no honest CBOR: a value, or an error of this package; soon, and never the end of the process."""

import random
import time

import cbor2
import pytest
from conftest import PATIENCE

from isthmus import IpcError, Serialization, channel

HOSTILE = {
    "nothing": b"",
    "a break": b"\xff",
    "deep arrays": b"\x81" * 300_000 + b"\0",
    "deep maps": b"\xa1\0" * 300_000 + b"\0",
    "deep tags": b"\xc1" * 300_000 + b"\0",
    "deep typed arrays": b"\xd8\x1b\x81" * 300_000 + b"\0",
    "deep and without an end": b"\x9f" * 300_000,
    "2^60 elements": b"\x9b\x0f" + b"\xff" * 7,
    "2^60 pairs": b"\xbb\x0f" + b"\xff" * 7,
    "2^60 bytes": b"\x5b\x0f" + b"\xff" * 7,
    "2^64 characters": b"\x7b" + b"\xff" * 8,
    "2^26 elements that are not there": b"\x9a\x04\0\0\0",
    "a power of two with a huge exponent": b"\xc5\x82\x1b\x7f" + b"\xff" * 7 + b"\1",
    "a power of ten with a huge exponent": b"\xc4\x82\x1b\x7f" + b"\xff" * 7 + b"\1",
    "a fraction of nothing": b"\xd8\x1e\x82\1\0",
    "a regular expression": b"\xd8\x23\x67(a+)+$(",
    "a time that is infinite": b"\xc1\xf9\x7c\0",
    "a time far away": b"\xc1\xfb\x7e\x37\xe4\x3c\x88\0\x75\x9c",
    "a Date far away": bytes.fromhex("d81b826444617465fb7e37e43c8800759c"),
    "a Date that is none": bytes.fromhex("d81b826444617465f97e00"),
    "a list that holds itself": b"\xd8\x1c\x81\xd8\x1d\0",
    "a reference to nothing": b"\xd8\x1d\5",
    "text that is none": b"\x61\xff",
    "part of an element of a typed array": b"\xd8\x46\x43abc",
    "an endpoint without its descriptors": b"\xd8\x1b\x83\x67isthmus\x66sender\0",
    "an endpoint of no kind": b"\xd8\x1b\x82\x67isthmus\0",
    "an endpoint of another kind": b"\xd8\x1b\x83\x67isthmus\x65other\0",
    "a large number": b"\xc2\x5a\0\x10\0\0" + b"\xff" * (1 << 20),
}


def received_soon(data):
    """The value, or the error; and that the next message is not touched by it."""
    sender, receiver = channel()
    with sender, receiver:
        sender.send_bytes(data)
        sender.send("next")
        began = time.monotonic()
        try:
            found = receiver.recv(PATIENCE)
        except IpcError as error:
            found = error
        assert time.monotonic() - began < PATIENCE / 10
        assert receiver.recv(PATIENCE) == "next"
        return found


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values(name):
    received_soon(HOSTILE[name])


def test_errors_say_that_it_cannot_be_decoded():
    for name in ("nothing", "deep arrays", "2^60 elements", "an endpoint without its descriptors"):
        assert isinstance(received_soon(HOSTILE[name]), Serialization)


def test_honest_values_that_were_damaged():
    choice = random.Random(5)
    honest = [
        cbor2.dumps(value)
        for value in (
            {"id": 1, "list": [1, 2.5, None, True, "text"], "bytes": b"x" * 40},
            [cbor2.CBORTag(27, ["Date", 1.5e12]), cbor2.CBORTag(70, bytes(16)), {5: [{}]}, 1 << 70],
            cbor2.CBORTag(27, ["isthmus", "sender", 0]),
        )
    ]
    sender, receiver = channel()
    with sender, receiver:
        for _ in range(3000):
            data = bytearray(choice.choice(honest))
            for _ in range(choice.randrange(1, 4)):
                data[choice.randrange(len(data))] = choice.getrandbits(8)
            sender.send_bytes(bytes(data[: choice.randrange(1, len(data) + 1)]))
            try:
                receiver.recv(PATIENCE)
            except IpcError:
                pass
        sender.send("the last one")
        assert receiver.recv(PATIENCE) == "the last one"
