"""Counts how bright the pixels of frames are, which a Deno program makes: see frame_histogram.ts.

Frames are looked at where they lie, in memory that both programs share. Needs numpy, and the package for Python:

    pip install ./clients/python numpy
"""

import sys

import numpy
from isthmus import Disconnected, connect, parent


def main() -> None:
    # By spawn() the parent is known; by hand, give the name that the other program prints.
    line = connect(sys.argv[1], byte_strings=True) if len(sys.argv) > 1 else parent(byte_strings=True)
    frames, pixels = 0, 0
    with line:
        while True:
            try:
                frame = line.borrow()
            except Disconnected:
                break
            with frame:  # until here the frame stays as it is
                counts = numpy.bincount(numpy.frombuffer(frame, "uint8"), minlength=256)
                frames, pixels = frames + 1, pixels + frame.nbytes
            line.send_bytes(counts.astype("<u4"))
    print(f"{frames} frames, {pixels} pixels counted in Python", flush=True)


main()
