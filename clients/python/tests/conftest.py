"""Deno programs and Python programs as peers: real processes, with a line of JSON each way."""

import contextlib
import json
import os
import pathlib
import resource
import select
import signal
import subprocess
import sys
import time
import uuid

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
#: Seconds before a test that hangs is given up. The machine may be busy with other things.
PATIENCE = float(os.environ.get("ISTHMUS_PATIENCE", "120"))


class Peer:
    """A program that was started, and its line."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1", **(env or {})}
        )
        self._buffer = b""
        #: Whether it will not end by itself.
        self.stuck = False

    def say(self, word=None):
        self.process.stdin.write(json.dumps(word).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, patience=PATIENCE):
        until = time.monotonic() + patience
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            self.stuck = not ready
            assert ready, "the peer says nothing"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"the peer ended with code {self.process.wait()}"
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def end(self):
        """Waits until it has ended by itself."""
        assert self.process.wait(PATIENCE) == 0

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(0 if self.stuck else 10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def full_table(left=0):
    """This process can have so many more descriptors, and no others."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 20, before[1]))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for _ in range(left):
            os.close(taken.pop())
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def peers(name):
    """Starts programs, and ends what is left of them, before it is looked whether anything is left of the name."""
    started = []

    class Peers:
        @staticmethod
        def deno(scenario, *arguments, flags=()):
            program = ["deno", "run", "--quiet", "--allow-ffi", *flags, "--no-prompt", str(HERE / "peer.ts"), scenario]
            started.append(Peer([*program, *map(json.dumps, arguments)]))
            return started[-1]

        @staticmethod
        def python(scenario, *arguments):
            program = [sys.executable, "-B", str(HERE / "actor.py"), scenario]
            started.append(Peer([*program, *map(json.dumps, arguments)]))
            return started[-1]

    yield Peers
    for peer in started:
        peer.close()


@pytest.fixture
def name():
    """A name for a cell, and that nothing is left of it."""
    found = f"python-{uuid.uuid4()}"
    before = set(os.listdir("/dev/shm"))
    yield found
    left = [entry for entry in set(os.listdir("/dev/shm")) - before if found in entry]
    for entry in left:
        os.unlink(f"/dev/shm/{entry}")
    assert left == []


@pytest.fixture
def path():
    """A path for a named channel, in memory. The last sender leaves the files for the next receiver; here they go."""
    found = f"/dev/shm/isthmus-test-{uuid.uuid4()}"
    yield found
    for entry in os.listdir("/dev/shm"):
        if f"/dev/shm/{entry}".startswith(found):
            os.unlink(f"/dev/shm/{entry}")
