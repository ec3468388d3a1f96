"""A Python program that shares a cell with Deno programs, by the layout that the documentation of arc/ gives.

    arc_peer.py FILE count N      adds 1 to value["n"] of a CBOR cell, N times, under the lock
    arc_peer.py FILE struct       prints the fields of a POD cell {"id":u32,"x":f64,"hits":[3]u16,"ok":bool}
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)


class Cell:
    def __init__(self, path):
        while True:
            self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self.fd, fcntl.LOCK_SH)  # holds the cell
            self.inode = os.fstat(self.fd).st_ino
            if os.stat(path).st_ino == self.inode:
                break
            os.close(self.fd)
        for n in range(65536):  # counts as a holder: any free byte of these
            try:
                byte = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0x10000000 + n, 1, 0)
                fcntl.fcntl(self.fd, 37, byte)  # F_OFD_SETLK
                break
            except BlockingIOError:
                continue
        apart = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # a mapping would keep the locks of fd
        self.memory = mmap.mmap(apart, 0)
        os.close(apart)
        assert self.memory[:8] == b"IPCARC\0\1" and self.word(8) == 1
        # The mutex is the C library's own: one of another library would keep nobody apart.
        mutex_size = {"x86_64": 40, "aarch64": 48}[platform.machine()]
        assert platform.libc_ver()[0] == "glibc" and self.word(164) == 1 | mutex_size << 8
        if self.word(168) != os.stat("/proc/self/ns/pid").st_ino & 0xFFFFFFFF:
            struct.pack_into("=I", self.memory, 168, 0)  # of several PID namespaces
        self.kind, self.offset, self.stride = self.word(12), self.word(56), self.word(60)
        self.counter = ctypes.c_uint32.from_buffer(self.memory, 40)
        self.mutex = ctypes.c_char.from_buffer(self.memory, 64)

    def word(self, offset):
        return struct.unpack_from("=I", self.memory, offset)[0]

    def __enter__(self):
        # Enough for programs in one PID namespace; for others, see the documentation.
        error = libc.pthread_mutex_lock(ctypes.byref(self.mutex))
        if error not in (0, errno.EOWNERDEAD):
            raise OSError(error, os.strerror(error))
        if self.counter.value & 1:  # a writer died: the old value stays
            self.counter.value += 1 if self.stride == 0 else 3
        if error == errno.EOWNERDEAD:
            libc.pthread_mutex_consistent(ctypes.byref(self.mutex))

    def __exit__(self, *_):
        libc.pthread_mutex_unlock(ctypes.byref(self.mutex))
        if self.word(44) != 0:
            self.ring_waiter()

    def ring_waiter(self):
        """Wakes who has waited longest. Without atomic operations it clears nothing: at worst it rings once more."""
        waiting = [
            (self.word(192 + 32 * bell + 16), bell)
            for bell in range(min(self.word(136), 256))
            if self.word(192 + 32 * bell + 12) & 1
        ]
        if waiting:
            try:
                name = f"/dev/shm/isthmus-bell.{self.inode:x}.{min(waiting)[1]}"
                fd = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
                os.write(fd, b"!")
                os.close(fd)
            except OSError:
                pass  # its owner is dead, or it is rung already

    def place(self):
        return (self.counter.value >> 1) & 1

    def read(self):
        place = self.place()
        start = self.offset + place * self.stride
        return self.memory[start : start + self.word(48 + 4 * place)]

    def write(self, data):
        self.counter.value += 1  # odd: the other place is being written
        place = self.place() ^ 1
        start = self.offset + place * self.stride
        self.memory[start : start + len(data)] = data
        struct.pack_into("=I", self.memory, 48 + 4 * place, len(data))
        struct.pack_into("=I", self.memory, 148 + 4 * place, 0)  # another encoder than the library's
        self.counter.value += 1  # even: it is the value now


cell = Cell(sys.argv[1])
if sys.argv[2] == "count":
    import cbor2

    for _ in range(int(sys.argv[3])):
        with cell:
            value = cbor2.loads(cell.read())
            value["n"] += 1
            value["languages"] = ["Python"]
            cell.write(cbor2.dumps(value))
elif sys.argv[2] == "struct":

    class Reading(ctypes.Structure):
        _fields_ = [
            ("id", ctypes.c_uint32),
            ("x", ctypes.c_double),
            ("hits", ctypes.c_uint16 * 3),
            ("ok", ctypes.c_bool),
        ]

    with cell:
        data = cell.read()
        reading = Reading.from_buffer_copy(data)
        id, x, a, b, c, ok = struct.unpack("@Id3H?", data[:23])
    print(
        json.dumps(
            {
                "ctypes": [reading.id, reading.x, list(reading.hits), reading.ok],
                "struct": [id, x, [a, b, c], ok],
                "size": [len(data), ctypes.sizeof(Reading)],
                "layout": cell.memory[cell.word(156) : cell.word(156) + cell.word(160)].decode(),
            }
        )
    )
