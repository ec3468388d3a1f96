"""What the garbage collector finds in a circle is let go of in any order."""

import gc

from isthmus import Cell, Receiver, Sender, channel


def test_ends_and_cells_in_a_circle_are_closed_by_the_collector(path, name):
    for _ in range(20):
        circle = [Receiver(path), Sender(path), Cell.create_or_load(name, 1), *channel()]
        circle[1].send_bytes(b"borrowed")
        circle += [circle[0].borrow(), circle[1].reserve(10), circle[2].lock()]
        circle.append(circle)
        del circle
        gc.collect()
    with Receiver(path) as receiver, Sender(path) as sender:
        sender.send("whole")
        assert receiver.recv() == "whole"


def test_views_outlive_what_they_are_of(path):
    receiver, sender = Receiver(path), Sender(path)
    sender.send_bytes(b"kept" * 1000)
    view, loan = receiver.borrow(), sender.reserve(100)
    part, target = view[4:], memoryview(loan.view)
    sender.close(), receiver.close()
    del sender, receiver, loan
    gc.collect()
    assert bytes(part[:4]) == b"kept" and target.nbytes == 100
