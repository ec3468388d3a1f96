"""The driver of the language matrix in Python: does what the suite says, a command a line, and judges only contents."""

import os
import platform
import sys

import isthmus

PATIENCE = 60.0
PATTERN = bytes(range(256)) * 4


class Failed(Exception):
    """A message, or a value, with the wrong content."""


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def pattern(start, length):
    global PATTERN
    start &= 255
    while len(PATTERN) < start + length:
        PATTERN += PATTERN
    return PATTERN[start : start + length]


def length_of(i, size):
    return size - (i * 37) % (size // 2)


def make(kind, i, size):
    length = length_of(i, size)
    if kind == "bytes":
        return i.to_bytes(8, "little") + pattern(i + 8, length - 8)
    return {
        "i": i,
        "text": f"message {i}",
        "list": [i, -i, i + 0.5],
        "yes": i % 2 == 0,
        "none": None,
        "bytes": pattern(i, length),
    }


def check(kind, message, size):
    """The number that a message says it has; wrong content is an error."""
    if kind == "bytes":
        if len(message) < 8:
            raise Failed(f"a message of {len(message)} bytes")
        i = int.from_bytes(message[:8], "little")
        right = len(message) == length_of(i, size) and message[8:] == pattern(i + 8, len(message) - 8)
    else:
        i = message.get("i") if isinstance(message, dict) else None
        right = isinstance(i, int) and message == make(kind, i, size)
        right = right and message["yes"] is (i % 2 == 0) and type(message["bytes"]) is bytes
    if not right:
        raise Failed(f"message {i} has the wrong content")
    return i


class Line:
    """A sending end, a receiving end, or both."""

    def __init__(self, end, kind):
        self.end, self.kind = end, kind
        self.sender = getattr(end, "sender", end)
        self.receiver = getattr(end, "receiver", end)

    def send(self, i, size, how):
        if how == "loan":
            if self.kind != "bytes":
                raise isthmus.Unsupported("loans are of bytes")
            data = make("bytes", i, size)
            with self.sender.reserve(len(data), PATIENCE) as loan:
                loan.view[:] = data
                loan.commit()
        elif self.kind == "bytes":
            self.sender.send_bytes(make("bytes", i, size), PATIENCE)
        else:
            self.sender.send(make("values", i, size), PATIENCE)

    def receive(self, size, how):
        if how == "borrow":
            if self.kind != "bytes":
                raise isthmus.Unsupported("only bytes are borrowed")
            with self.receiver.borrow(PATIENCE) as view:
                return check("bytes", view, size)
        if self.kind == "bytes":
            return check("bytes", self.receiver.recv_bytes(PATIENCE), size)
        return check("values", self.receiver.recv(PATIENCE), size)

    def close(self):
        self.end.close()


class Value:
    """A cell with a number, and a copy of it."""

    def __init__(self, name, how, layout):
        self.kind = layout
        zero = 0 if layout == "u64" else {"n": 0, "copy": 0}
        text = {"cbor": None, "u64": "u64"}.get(layout, isthmus.layout.struct(n="u64", copy="u64"))
        make_it = isthmus.Cell.create if how == "create" else None
        self.cell = make_it(name, zero, layout=text) if make_it else isthmus.Cell.load(name, layout=text)
        self.died = 0

    def add(self, how):
        if how == "atomic":
            self.cell.atomic.add(1)
            return
        with self.cell.lock(PATIENCE) as guard:
            self.died += guard.owner_died
            if self.kind == "u64":
                guard.value += 1
            else:
                n, copy = self.parts(guard.value)
                guard.value = {"n": n + 1, "copy": copy + 1}

    def parts(self, value):
        return (value, value) if self.kind == "u64" else (value["n"], value["copy"])

    def read(self):
        return self.parts(self.cell.read())

    def close(self):
        self.cell.close()


class Driver:
    def __init__(self):
        self.things = {}

    def hello(self):
        words = "bytes values borrow loan cbor-cell struct-cell atomic watch server client"
        return f"Python {platform.python_version()} {words}"

    def create(self, h, path, kind, capacity):
        self.things[h] = Line(isthmus.Receiver(path, capacity=int(capacity)), kind)

    def open(self, h, path, kind):
        self.things[h] = Line(isthmus.Sender(path), kind)

    def serve(self, s, name):
        self.things[s] = isthmus.Server(name)

    def accept(self, h, s):
        self.things[h] = Line(self.things[s].accept(PATIENCE), "values")

    def connect(self, h, name):
        self.things[h] = Line(isthmus.connect(name), "values")

    def send(self, h, first, count, size, how, *_):
        for i in range(int(first), int(first) + int(count)):
            self.things[h].send(i, int(size), how)

    def receive(self, h, first, count, size, how, *_):
        for i in range(int(first), int(first) + int(count)):
            found = self.things[h].receive(int(size), how)
            if found != i:
                raise Failed(f"expected {i}, got {found}")

    def flood(self, h, first, size, how, every, stop, *_):
        i, line, every, size = int(first), self.things[h], int(every), int(size)
        try:
            while True:
                for _turn in range(every):
                    line.send(i, size, how)
                    i += 1
                say("at", i)
                if os.path.exists(stop):
                    return str(i)
        except isthmus.Disconnected:
            return f"{i} gone"

    def drain(self, h, end, size, how, every, *_):
        line, end, size, every = self.things[h], int(end), int(size), int(every)
        runs, count, last, gone = [], 0, None, ""
        try:
            while last != end:
                i = line.receive(size, how)
                if last is None or i != last + 1:
                    runs.append([i, i])
                last = runs[-1][1] = i
                count += 1
                if count % every == 0:
                    say("at", i)
        except isthmus.Disconnected:
            gone = "gone"
        return " ".join([f"{a}:{b}" for a, b in runs] + [gone] * bool(gone))

    def poll(self, h):
        line = self.things[h]
        nothing = object()
        try:
            if line.kind == "bytes":
                found = line.receiver.try_recv_bytes()
                if found is not None:
                    return f"message {int.from_bytes(found[:8], 'little')}"
                return "empty"
            found = line.receiver.try_recv(nothing)
            return "empty" if found is nothing else f"message {found['i']}"
        except isthmus.Disconnected:
            return "gone"

    def serve_echo(self, h):
        line, count = self.things[h], 0
        try:
            while True:
                line.sender.send(line.receiver.recv(PATIENCE), PATIENCE)
                count += 1
        except isthmus.Disconnected:
            return str(count)

    def ask(self, h, first, count, size):
        line = self.things[h]
        for i in range(int(first), int(first) + int(count)):
            line.send(i, int(size), "copy")
            found = line.receive(int(size), "copy")
            if found != i:
                raise Failed(f"expected {i}, got {found}")

    def cell(self, h, name, how, layout):
        self.things[h] = Value(name, how, layout)

    def add(self, h, count, how):
        for _ in range(int(count)):
            self.things[h].add(how)

    def hammer(self, h, how, every, stop):
        done, value = 0, self.things[h]
        while True:
            for _ in range(int(every)):
                value.add(how)
                done += 1
            say("at", done)
            if os.path.exists(stop):
                return str(done)

    def read(self, h):
        value = self.things[h]
        n, copy = value.read()
        return f"{n} {copy} {value.died}"

    def watch(self, h, until):
        value, until, seen = self.things[h], int(until), 1
        changes = value.cell.watch(PATIENCE)  # notes what is there now: from here on no change is missed
        last, copy = value.read()
        say("at", last)
        while True:
            if last != copy:
                raise Failed(f"n is {last}, its copy {copy}")
            if last >= until:
                return str(seen)
            n, copy = value.parts(next(changes))
            if n < last or (n == last and seen > 1):
                raise Failed(f"{n} after {last}")
            seen += n > last
            last = n

    def close(self, h):
        self.things.pop(h).close()


def main():
    driver = Driver()
    for line in sys.stdin:
        word, *words = line.rstrip("\n").split(" ")
        if word == "quit":
            break
        method = None if word.startswith("_") else getattr(driver, word.replace("-", "_"), None)
        try:
            if not callable(method):
                raise isthmus.Unsupported(f'there is no command "{word}"')
            result = method(*words)
            say(*(["ok"] if not result else ["ok", result]))
        except isthmus.IpcError as error:
            say("error", error.code, " ".join(str(error).split()))
        except Exception as error:
            say("error", "Failed", " ".join(f"{error}".split()) or type(error).__name__)
    for thing in driver.things.values():
        thing.close()


if __name__ == "__main__":
    main()
