"""What another Python program does in the tests: ``actor.py SCENARIO ARGUMENTS…``, with a line of JSON each way."""

import json
import os
import sys

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


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*map(json.loads, sys.argv[2:]))
