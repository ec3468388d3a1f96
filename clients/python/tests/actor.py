"""What another Python program does in the tests: ``actor.py SCENARIO ARGUMENTS…``, with a line of JSON each way."""

import itertools
import json
import os
import socket
import sys
import threading

import isthmus


def say(word=None):
    os.write(1, json.dumps(word).encode() + b"\n")


def hear():
    return json.loads(sys.stdin.readline())


def cell_die_holding(name):
    cell = isthmus.Cell.load(name)
    guard = cell.lock()
    guard.value = 99
    say()
    hear()


def cell_die_writing(name):
    """Writes all the time, to be killed at a random moment."""
    cell = isthmus.Cell.load(name)
    say()
    while True:
        with cell.lock() as guard:
            n = guard.value["a"] + 1
            guard.value = {"a": n, "b": n, "fill": "x" * (n % 300)}


def send_until_killed(path, run):
    sender = isthmus.Sender(path)
    say()
    n = 0
    while True:
        sender.send({"run": run, "n": n, "fill": "x" * (n % 3000)})
        n += 1


def receive_until_killed(path, log):
    """Notes each number before the next is received; the last one may be noted by nobody."""
    receiver = isthmus.Receiver(path)
    fd = os.open(log, os.O_WRONLY | os.O_APPEND)
    say()
    while True:
        os.write(fd, b"%d\n" % receiver.recv()["i"])


def claim_and_stop(path):
    """Claims, and does not go on before it is told to."""
    sender = isthmus.Sender(path)
    loan = sender.reserve(100)
    say()
    hear()
    loan.view[:] = b"w" * 100
    loan.commit()
    say()
    hear()


def answer_parent():
    with isthmus.parent() as line:
        assert isthmus.parent() is line
        for value in line:
            if value == "end":
                break
            line.send({"sum": sum(value), "capacity": line.sender.capacity})


def answer_parent_in_bytes():
    try:
        isthmus.parent()
    except isthmus.Incompatible:
        with isthmus.parent(byte_strings=True) as line:
            line.send_bytes(line.recv_bytes(60)[::-1])
            try:
                line.recv_bytes(60)
            except isthmus.Disconnected:
                pass


def connect_until_killed(name):
    line = isthmus.connect(name)
    say()
    n = 0
    while True:
        reader, writer = os.pipe()
        with isthmus.Fd(reader) as fd:
            line.send({"n": n, "fd": fd, "fill": "x" * (n % 2000)})
        os.close(writer)
        n += 1


def publish_until_killed(name):
    topic = isthmus.Publisher(name, capacity=65_536)
    say()
    n = 0
    while True:
        topic.publish({"n": n, "fill": "x" * (n % 3000)})
        n += 1


def subscribe_as_another(name, user):
    """With the rights of another user, who may read the topic and nothing else."""
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    topic = isthmus.Subscriber(name)
    say()
    say([topic.recv(60) for _ in range(10)])
    try:
        isthmus.Publisher(name)
    except isthmus.Permission:
        say("refused")
    topic.close()


def end_while_waiting(path, how):
    """The program ends while its threads wait: with the interpreter go the waits, and nothing stays behind."""
    receiver = isthmus.Receiver(path)
    mine, theirs = isthmus.duplex()
    server = isthmus.Server()
    for wait in (receiver.recv, mine.recv, server.accept):
        threading.Thread(target=wait, daemon=True).start()
    theirs.send(1)
    say()
    if how == "exit":
        sys.exit(3)
    if how == "error":
        sys.stderr = open(os.devnull, "w")
        raise RuntimeError


def answer_until_killed(name):
    numbers = itertools.count()
    isthmus.expose(isthmus.connect(name), {"next": lambda: next(numbers)})


def use_ringless(name, use):
    """Is given a sender without a ring, and is killed after some use of it."""
    line = isthmus.connect(name)
    if use == "stream":
        say()
    sender = line.recv()
    for n in itertools.count() if use == "stream" else ():
        sender.send(n)
    for word in {"nothing": [], "post": ["first"], "ring": ["first", "second"]}[use]:
        sender.send(word)
    say()
    hear()


def create_ringless(name, use):
    """Gives such a sender, receives what is posted or not, and is killed."""
    import cbor2

    line = isthmus.connect(name)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mark = cbor2.CBORTag(27, ["isthmus", "sender", 0, 2, 65_536])
    line.sender._ring().try_send(memoryview(cbor2.dumps(mark)), [there.fileno()])
    there.close()
    hear()
    if use == "shut":
        here.shutdown(socket.SHUT_RD)
    elif use != "keep":
        here.recv(2000)
    say()
    hear()


def answer_and_die(name, count):
    """Takes a question, answers so many times, and is killed."""
    with isthmus.Server(name) as server:
        say()
        with server.accept() as line:
            reply = line.recv()["reply"]
            for n in range(count):
                reply.send(n)
            say(reply._ringless is not None)
            hear()


def answer_questions_until_killed(name):
    """Answers question after question, 0 to 3 times each, to be killed at a random moment."""
    with isthmus.Server(name) as server:
        say()
        with server.accept() as line:
            for n in itertools.count():
                with line.recv()["reply"] as reply:
                    for i in range(n % 4):
                        reply.send([n, i])


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*map(json.loads, sys.argv[2:]))
