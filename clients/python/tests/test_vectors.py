"""Python at the test vectors: what it says of each is what the index says. See tests/vectors/README.md."""

import fcntl
import json
import os
import struct
import time

import pytest
from conftest import PATIENCE, ROOT

from isthmus import Cell, IpcError, Receiver, Sender, Subscriber, Timeout
from isthmus._system import MACHINE

FOLDER = ROOT / "tests" / "vectors" / "data"
VECTORS = json.loads((FOLDER / "index.json").read_text())
#: Seconds until "there is nothing" is believed.
SHORT = 0.1


def memory_of(name):
    packed = (FOLDER / f"{name}.bin").read_bytes()
    magic, size = struct.unpack_from("=8sQ", packed)
    assert magic == b"ISTHVECT"
    memory, at = bytearray(size), 16
    while at < len(packed):
        offset, length = struct.unpack_from("=II", packed, at)
        at += 8
        memory[offset : offset + length] = packed[at : at + length]
        at += length
    return memory


def received(end, says):
    with end:
        yield "ok"
        for due in says[1:]:
            try:
                data = end.recv_bytes(SHORT if due == "empty" else PATIENCE)
                yield f"message of {len(data)}" if len(data) > 1000 else f"message {data.hex()}".rstrip()
            except Timeout:
                yield "empty"


def sent(sender):
    with sender:
        yield "ok"
        yield "sent" if sender.try_send_bytes(b"\0") else "full"


def loaded(cell):
    with cell:
        yield "ok"
        yield f"value {cell.read_bytes().hex()}"
        with cell.lock(PATIENCE) as guard:
            yield "lock ownerDied" if guard.owner_died else "lock"
            yield f"value {cell.read_bytes().hex()}"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_python_says_what_is_to_be_said(name, vector):
    if vector.get("machine", MACHINE) != MACHINE:
        pytest.skip("the mutex of another processor")
    path, says = f"/dev/shm/isthmus.{name}", vector["says"]
    found = []
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, memory_of(vector["name"]))
        if vector["kind"] == "cell":
            fcntl.flock(fd, fcntl.LOCK_SH)  # somebody holds it: it is not a dead one
        began = time.monotonic()
        try:
            look = {
                "ring": lambda: received(Receiver(path), says),
                "topic": lambda: received(Subscriber(path, begin="oldest"), says),
                "sender": lambda: sent(Sender(path)),
                "cell": lambda: loaded(Cell.load(name, layout=vector.get("layout"))),
            }[vector["kind"]]()
            for word in look:
                found.append(word)
        except IpcError as error:
            found.append(f"error {error.code}")
        assert found == says, vector["about"]
        assert time.monotonic() - began < PATIENCE / 2
    finally:
        os.close(fd)
        for suffix in ("", ".bell", ".room", ".seats", ".bell.0"):
            try:
                os.unlink(path + suffix)
            except FileNotFoundError:
                pass
