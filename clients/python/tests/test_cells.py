"""Cells, between Python and Deno."""

import asyncio
import os
import random
import threading
import time

import pytest
from conftest import PATIENCE

from isthmus import (
    AlreadyExists,
    Cell,
    Closed,
    Corrupt,
    Deadlock,
    Incompatible,
    NotFound,
    Serialization,
    Timeout,
    TooLarge,
)
from isthmus.layout import array, struct


def test_a_value_that_deno_made_is_read_and_changed(peers, name):
    peer = peers.deno("cell-hold", name, {"n": 1, "list": [1, 2.5, "x", None, True]})
    peer.hear()
    with Cell.load(name) as cell:
        assert cell.read() == {"n": 1, "list": [1, 2.5, "x", None, True]}
        assert cell.update(lambda value: {**value, "n": 2})["n"] == 2
        with cell.lock() as guard:
            guard.value["list"].append("more")  # changed in place
        assert cell.ref_count == 2
        peer.say()
        assert peer.hear() == {"n": 2, "list": [1, 2.5, "x", None, True, "more"]}


def test_no_addition_is_lost_between_two_languages(peers, name):
    with Cell.create(name, {"n": 0}) as cell:
        one, two = peers.deno("cell-add", name, 3000), peers.deno("cell-add", name, 3000)
        one.hear(), two.hear()
        one.say(), two.say()
        for _ in range(1500):
            cell.update(lambda value: {"n": value["n"] + 1})
        thread = threading.Thread(target=lambda: [cell.update(lambda value: {"n": value["n"] + 1}) for _ in range(500)])
        thread.start()
        for _ in range(1000):
            with cell.lock() as guard:
                guard.value["n"] += 1
        thread.join()
        one.hear(), two.hear()
        assert cell.read() == {"n": 9000}


def test_a_reader_without_the_lock_never_sees_half_a_value(peers, name):
    with Cell.create(name, {"a": 0, "b": 0, "fill": ""}) as cell:
        peer = peers.deno("cell-pairs", name)
        peer.hear()
        peer.say()
        last = 0
        while last < 20_000:
            value = cell.read()
            assert value["a"] == value["b"] >= last and len(value["fill"]) == value["a"] % 500
            last = value["a"]
        peer.hear()


def test_a_struct_is_what_its_header_says(peers, name):
    peer = peers.deno("cell-struct", name)
    peer.hear()
    layout = struct(id="u32", x="f64", hits=array("u16", 3), ok="bool")
    with Cell.load(name) as cell, Cell.load(name, layout=layout):
        assert cell.layout.text == layout
        assert cell.read() == {"id": 4_000_000_000, "x": -0.125, "hits": [1, 2, 65535], "ok": True}
        with cell.lock() as guard:
            guard.value["hits"][1] = 7
            guard.value["ok"] = False
        with pytest.raises(TypeError):
            cell.update(lambda value: {**value, "id": -1})
        with pytest.raises(Incompatible):
            Cell.load(name, layout=struct(id="u32"))
        with pytest.raises(TypeError):
            Cell.load(name, layout="{nonsense")
        peer.say()
        assert peer.hear() == [4_000_000_000, -0.125, [1, 7, 65535], False]


def test_atomic_additions_of_two_languages(peers, name):
    with Cell.create(name, 0, layout="u32") as cell:
        peer = peers.deno("cell-atomic", name, 20_000)
        peer.hear()
        peer.say()
        for _ in range(20_000):
            cell.atomic.add(1)
        peer.hear()
        assert cell.atomic.load() == cell.read() == 40_000


def test_atomic_operations(name):
    with Cell.create(name, -1, layout="i64") as cell:
        atomic = cell.atomic
        assert atomic.add(2) == -1 and atomic.load() == 1
        assert atomic.sub(5) == 1 and atomic.exchange(12) == -4
        assert atomic.or_(1) == 12 and atomic.and_(5) == 13 and atomic.xor(-1) == 5 and atomic.load() == -6
        assert atomic.compare_exchange(0, 1) == -6 and atomic.compare_exchange(-6, 2**63 - 1) == -6
        assert atomic.add(1) == 2**63 - 1 and cell.read() == -(2**63)
        with pytest.raises(TypeError):
            atomic.store(2**63)
    with Cell.create(name, "text") as cell, pytest.raises(TypeError):
        cell.atomic


def test_a_scalar_of_one_byte(name):
    with Cell.create(name, 255, layout="u8") as cell:
        assert cell.update(lambda value: value - 1) == 254 == cell.read()
        with pytest.raises(TypeError):
            cell.update(lambda value: 256)


@pytest.mark.parametrize("language", ["deno", "python"])
def test_the_next_owner_is_told_of_a_death(peers, name, language):
    with Cell.create(name, 1) as cell:
        peer = getattr(peers, language)("cell-die-holding", name)
        peer.hear()
        assert cell.try_lock() is None
        with pytest.raises(Timeout):
            cell.lock(timeout=0.05)
        peer.kill()
        with cell.lock(timeout=PATIENCE) as guard:
            assert guard.owner_died and guard.value == 1
        with cell.lock() as guard:
            assert not guard.owner_died


def test_deno_is_told_of_the_death_of_a_python_owner(peers, name):
    with Cell.create(name, 1):
        holder = peers.python("cell-die-holding", name)
        holder.hear()
        waiter = peers.deno("cell-lock-later", name)
        waiter.hear()
        holder.kill()
        assert waiter.hear() == [True, 1]


def test_a_writer_killed_at_a_random_moment_leaves_a_whole_value(peers, name):
    with Cell.create(name, {"a": 0, "b": 0, "fill": ""}) as cell:
        for _ in range(8):
            peer = peers.python("cell-die-writing", name)
            peer.hear()
            time.sleep(random.random() / 20)
            peer.kill()
            seen = cell.read()
            with cell.lock(timeout=PATIENCE) as guard:
                value = guard.value
                assert value["a"] == value["b"] >= seen["a"] and len(value["fill"]) == value["a"] % 300


def test_python_watches_what_deno_changes(peers, name):
    with Cell.create(name, 0) as cell:
        peer = peers.deno("cell-set", name)
        peer.hear()
        changes = cell.watch(timeout=PATIENCE)
        for value in (1, {"two": 2}, [3]):
            peer.say(value)
            assert next(changes) == value
            peer.hear()
        peer.say(None)
        peer.end()
        with pytest.raises(Timeout):
            next(cell.watch(timeout=0.02))


def test_asyncio_watches_and_waits_for_the_lock(peers, name):
    async def run():
        with Cell.create(name, 0) as cell:
            peer = peers.deno("cell-set", name)
            await asyncio.to_thread(peer.hear) if hasattr(asyncio, "to_thread") else peer.hear()
            changes = cell.watch()
            pending = asyncio.ensure_future(changes.__anext__())
            await asyncio.sleep(0)
            peer.say("changed")
            assert await asyncio.wait_for(pending, PATIENCE) == "changed"
            peer.say(None)
            peer.end()
            guard = await cell.lock_async()
            with pytest.raises(Timeout):
                await cell.lock_async(timeout=0.02)
            waiting = asyncio.ensure_future(cell.lock_async())
            await asyncio.sleep(0.02)
            assert not waiting.done()
            guard.release()
            (await asyncio.wait_for(waiting, PATIENCE)).release()

    asyncio.run(run())


def test_deno_watches_what_python_changes(peers, name):
    with Cell.create(name, 0) as cell:
        peer = peers.deno("cell-watch", name, 50)
        peer.hear()
        for value in range(1, 51):
            cell.update(lambda _, value=value: value)
        assert peer.hear() == 50
        peer.end()


def test_deno_is_rung_when_python_unlocks(peers, name):
    with Cell.create(name, 5) as cell:
        guard = cell.lock()
        peer = peers.deno("cell-lock-later", name)
        peer.hear()
        time.sleep(0.1)
        guard.value = 6
        guard.release()
        assert peer.hear() == [False, 6]


def test_the_last_one_out_removes_the_cell(peers, name):
    cell = Cell.create(name, 0)
    with pytest.raises(AlreadyExists):
        Cell.create(name, 1)
    again = Cell.create_or_load(name, 1)
    assert again.read() == 0
    cell.close(), cell.close()
    assert again.read() == 0 and again.ref_count == 1
    again.close()
    with pytest.raises(NotFound):
        Cell.load(name)
    with pytest.raises(Closed):
        cell.read()


def test_a_cell_whose_holders_were_killed_is_not_found(peers, name):
    peer = peers.deno("cell-hold", name, 1)
    peer.hear()
    peer.kill()
    assert os.path.exists(f"/dev/shm/isthmus.{name}")
    with pytest.raises(NotFound):
        Cell.load(name)
    assert not os.path.exists(f"/dev/shm/isthmus.{name}")


def test_mistakes_are_errors_that_say_so(name):
    for bad in ("", "a/b", "a\0b", "x" * 201, 5, "\udc80"):
        with pytest.raises(TypeError):
            Cell.create(bad, 0)
    with Cell.create(name, "short", capacity=10) as cell:
        with pytest.raises(TooLarge):
            cell.update(lambda _: "much longer than that")
        with pytest.raises(Serialization):
            cell.update(lambda _: object())
        assert cell.read() == "short"
        with cell.lock():
            with pytest.raises(Deadlock):
                cell.lock()
            with pytest.raises(Deadlock), Cell.load(name) as other:
                other.lock()
        with pytest.raises(ZeroDivisionError):
            with cell.lock() as guard:
                guard.value = "lost"
                1 / 0
        assert cell.read() == "short"
        with pytest.raises(Closed):
            guard.value
        with pytest.raises(Incompatible):
            Cell.load(name, layout="u32")


def test_a_file_that_is_no_cell_is_left_alone(name):
    path = f"/dev/shm/isthmus.{name}"
    with open(path, "wb") as file:
        file.write(b"something else" * 1000)
    os.chmod(path, 0o600)
    with pytest.raises(Incompatible):
        Cell.load(name)
    with open(path, "wb") as file:
        file.write(b"IPCARC\0\x01" + b"\x01\0\0\0" + b"\xff" * 1000)
    holder = os.open(path, os.O_RDWR)
    import fcntl

    fcntl.flock(holder, fcntl.LOCK_SH)  # it lives
    with pytest.raises((Incompatible, Corrupt)):
        Cell.load(name)
    os.close(holder)
    with pytest.raises(NotFound):
        Cell.load(name)


def test_a_forked_child_leaves_its_parents_cells_alone(name):
    with Cell.create(name, 1) as cell:
        child = os.fork()
        if child == 0:
            code = 0 if cell.closed else 1
            try:
                with Cell.load(name) as own:
                    own.update(lambda value: value + 1)
            except BaseException:
                code = 2
            os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert cell.read() == 2 and cell.ref_count == 1
