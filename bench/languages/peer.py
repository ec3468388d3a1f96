"""Python: `peer.py send|receive PATH SIZE COUNT HOW`, as peer.ts says; HOW is copy, place, value, or Python's own means:
connection (multiprocessing.Connection), socket (a Unix socket), shared_memory (with a pipe for turns). The receiver of
those starts the sender itself."""

import json
import multiprocessing
import socket
import sys
import time
from multiprocessing import shared_memory

role, path, size, count, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
warm = count // 4
VALUE = {"id": 0, "name": "sensor", "ok": True, "pos": [1.5, 2.5]}
SLOTS = 8

try:
    import numpy

    def ends(view):
        array = numpy.frombuffer(view, "uint8")
        return int(array[0]) + int(array[-1])
except ImportError:  # the same memory, by Python's own view of it

    def ends(view):
        return view[0] + view[-1]


def send():
    import isthmus

    with isthmus.Sender(path) as sender:
        data = bytearray(size)
        for i in range(count):
            if how == "value":
                sender.send(dict(VALUE, id=i))
            else:
                data[0] = i & 255
                sender.send_bytes(data)


def receiver():
    """What takes one message."""
    import isthmus

    end = isthmus.Receiver(path, capacity=1 << 24 if size >= 1 << 20 else 1 << 22)

    def borrowed():
        with end.borrow() as view:
            ends(view)

    def copied():
        ends(end.recv_bytes())

    return {"place": borrowed, "copy": copied, "value": end.recv}[how], end.close


def send_by_connection(end):
    for i in range(count):
        end.send(dict(VALUE, id=i))


def send_by_socket(end):
    data = bytearray(size)
    for i in range(count):
        data[0] = i & 255
        end.sendall(data)


def send_by_shared_memory(name, go, done):
    memory, data = shared_memory.SharedMemory(name), bytearray(size)
    for i in range(count):
        if i >= SLOTS:
            done.recv_bytes()
        data[0] = i & 255
        memory.buf[i % SLOTS * size : (i % SLOTS + 1) * size] = data
        go.send_bytes(b"x")
    memory.close()


def start(target, *arguments):
    process = multiprocessing.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def own_means():
    if how == "connection":
        far, near = multiprocessing.Pipe(False)
        start(send_by_connection, near)
        return far.recv, lambda: None
    if how == "socket":
        far, near = socket.socketpair()
        start(send_by_socket, near)
        buffer = bytearray(size)

        def from_socket():
            view, got = memoryview(buffer), 0
            while got < size:
                got += far.recv_into(view[got:])
            ends(buffer)

        return from_socket, lambda: None
    memory = shared_memory.SharedMemory(create=True, size=SLOTS * size)
    told, go = multiprocessing.Pipe(False)
    freed, done = multiprocessing.Pipe(False)
    process = start(send_by_shared_memory, memory.name, go, freed)
    turn = 0

    def from_memory():
        nonlocal turn
        told.recv_bytes()
        view = memory.buf[turn % SLOTS * size : (turn % SLOTS + 1) * size]
        ends(view)
        view.release()
        done.send_bytes(b"x")
        turn += 1

    def close():
        process.join()
        memory.close()
        memory.unlink()

    return from_memory, close


def receive():
    take, close = own_means() if how in ("connection", "socket", "shared_memory") else receiver()
    print("ready", flush=True)
    begin = 0
    for i in range(count):
        take()
        if i == warm:
            begin = time.perf_counter_ns()
    ns = time.perf_counter_ns() - begin
    print(json.dumps({"ops": count - warm - 1, "ns": ns}), flush=True)
    close()


if __name__ == "__main__":
    if role == "send":
        send()
    else:
        receive()
