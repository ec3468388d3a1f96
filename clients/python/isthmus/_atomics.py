"""Sequentially consistent loads, stores and swaps on shared memory. Python has none, so they are called by ctypes.

Two means, tried in this order:

1. ``libatomic.so.1``, GCC's library of just these functions (``__atomic_compare_exchange_4`` and its kin).
2. Where that is missing (slim containers): 200 bytes of machine code, the same few instructions, in a memory file that
   is mapped for reading and executing, never for writing. Where the system forbids that as well, importing the package
   is an :class:`~isthmus.errors.Unsupported` that says what to install.

``ISTHMUS_ATOMICS=libatomic`` or ``=code`` asks for one of them alone.

A plain load through a ``memoryview`` is one ``mov`` on x86-64, and there that is what a sequentially consistent load is,
as long as stores that others must see first are swaps: the stores here are. On arm64 every load is one of these calls.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from typing import Callable, Optional

from ._system import MACHINE, MAP_PRIVATE, PROT_EXEC, PROT_READ, mmap
from .errors import IpcError, Unsupported

_SEQ_CST = 5

Load = Callable[[int], int]
Store = Callable[[int, int], None]
Swap = Callable[[int, int], int]
CompareSwap = Callable[[int, int, int], int]


class Atomics:
    """The functions; each takes an address. ``compare_exchange`` returns what it found."""

    load32: Load
    store32: Store
    exchange32: Swap
    add32: Swap
    compare_exchange32: CompareSwap
    load64: Load
    exchange64: Swap
    add64: Swap
    compare_exchange64: CompareSwap
    fence: Callable[[], None]
    #: Makes a compare-and-swap at one address, for one thread at a time: in half the time of the above.
    bind_compare_exchange32: Callable[[int], Swap]
    #: What they are made of, for people.
    means: str


def _from_libatomic() -> Optional[Atomics]:
    try:
        # PyDLL: they take nanoseconds, and giving up the interpreter's lock takes longer.
        library = ctypes.PyDLL("libatomic.so.1")
        address, order = ctypes.c_void_p, ctypes.c_int
        found = Atomics()
        for bits, word in ((32, ctypes.c_uint32), (64, ctypes.c_uint64)):
            size = bits // 8
            load = getattr(library, f"__atomic_load_{size}")
            load.argtypes, load.restype = [address, order], word
            swap = getattr(library, f"__atomic_exchange_{size}")
            swap.argtypes, swap.restype = [address, word, order], word
            add = getattr(library, f"__atomic_fetch_add_{size}")
            add.argtypes, add.restype = [address, word, order], word
            compare = getattr(library, f"__atomic_compare_exchange_{size}")
            compare.argtypes, compare.restype = [address, ctypes.c_void_p, word, order, order], ctypes.c_bool
            _bind(found, bits, word, load, swap, add, compare)
        # Without argument types ctypes converts nothing, which is half of what a call takes; the pointers are made before.
        bare = library.__getitem__("__atomic_compare_exchange_4")
        bare.restype = ctypes.c_int

        def bind(at: int) -> Swap:
            pointer, cell = ctypes.c_void_p(at), ctypes.c_uint32()
            reference = ctypes.byref(cell)

            def compare_exchange(expected: int, new: int) -> int:
                cell.value = expected
                return expected if bare(pointer, reference, new, _SEQ_CST, _SEQ_CST) & 0xFF else cell.value

            return compare_exchange

        found.bind_compare_exchange32 = bind
        store = library.__getattr__("__atomic_store_4")
        store.argtypes, store.restype = [address, ctypes.c_uint32, order], None
        found.store32 = lambda at, value: store(at, value, _SEQ_CST)
        fence = library.__getattr__("atomic_thread_fence")
        fence.argtypes, fence.restype = [order], None
        found.fence = lambda: fence(_SEQ_CST)
        found.means = "libatomic"
        return found
    except (OSError, AttributeError):
        return None


def _bind(found: Atomics, bits: int, word, load, swap, add, compare) -> None:  # type: ignore[no-untyped-def]
    byref = ctypes.byref

    def compare_exchange(at: int, expected: int, new: int) -> int:
        cell = word(expected)  # of this call alone: another thread may be in here, too
        compare(at, byref(cell), new, _SEQ_CST, _SEQ_CST)
        return int(cell.value)

    setattr(found, f"load{bits}", lambda at: load(at, _SEQ_CST))
    setattr(found, f"exchange{bits}", lambda at, value: swap(at, value, _SEQ_CST))
    setattr(found, f"add{bits}", lambda at, value: add(at, value, _SEQ_CST))
    setattr(found, f"compare_exchange{bits}", compare_exchange)


def _arm(*instructions: int) -> bytes:
    return struct.pack(f"<{len(instructions)}I", *instructions)


#: Each routine takes its arguments in registers as C functions do, and returns what was there before.
_CODE = {
    "x86_64": {
        "load32": bytes.fromhex("8b07 c3"),  # mov eax,[rdi]; ret
        "exchange32": bytes.fromhex("89f0 8707 c3"),  # mov eax,esi; xchg [rdi],eax
        "add32": bytes.fromhex("89f0 f00fc107 c3"),  # mov eax,esi; lock xadd [rdi],eax
        "compare_exchange32": bytes.fromhex("89f0 f00fb117 c3"),  # mov eax,esi; lock cmpxchg [rdi],edx
        "load64": bytes.fromhex("488b07 c3"),
        "exchange64": bytes.fromhex("4889f0 488707 c3"),
        "add64": bytes.fromhex("4889f0 f0480fc107 c3"),
        "compare_exchange64": bytes.fromhex("4889f0 f0480fb117 c3"),
        "fence": bytes.fromhex("0faef0 c3"),  # mfence
    },
    # ldaxr … stlxr in a loop, then dmb ish: what compilers make of it for every arm64 processor.
    "aarch64": {
        "load32": _arm(0x88DFFC00, 0xD65F03C0),  # ldar w0,[x0]; ret
        "exchange32": _arm(0x885FFC03, 0x8804FC01, 0x35FFFFC4, 0xD5033BBF, 0x2A0303E0, 0xD65F03C0),
        "add32": _arm(0x885FFC03, 0x0B010065, 0x8804FC05, 0x35FFFFA4, 0xD5033BBF, 0x2A0303E0, 0xD65F03C0),
        "compare_exchange32": _arm(
            0x885FFC03, 0x6B01007F, 0x54000061, 0x8804FC02, 0x35FFFF84, 0xD5033BBF, 0x2A0303E0, 0xD65F03C0
        ),
        "load64": _arm(0xC8DFFC00, 0xD65F03C0),
        "exchange64": _arm(0xC85FFC03, 0xC804FC01, 0x35FFFFC4, 0xD5033BBF, 0xAA0303E0, 0xD65F03C0),
        "add64": _arm(0xC85FFC03, 0x8B010065, 0xC804FC05, 0x35FFFFA4, 0xD5033BBF, 0xAA0303E0, 0xD65F03C0),
        "compare_exchange64": _arm(
            0xC85FFC03, 0xEB01007F, 0x54000061, 0xC804FC02, 0x35FFFF84, 0xD5033BBF, 0xAA0303E0, 0xD65F03C0
        ),
        "fence": _arm(0xD5033BBF, 0xD65F03C0),  # dmb ish
    },
}


def _from_code() -> Optional[Atomics]:
    try:
        fd = os.memfd_create("isthmus-atomics")
    except OSError:
        return None
    try:
        offsets, whole = {}, b""
        for name, code in _CODE[MACHINE].items():
            offsets[name] = len(whole)
            whole += code + b"\0" * (-len(code) % 16)
        # Written to the file, and mapped afterwards: the kernel makes what it maps for execution visible to the
        # instruction caches, as it does with every library.
        os.write(fd, whole)
        base = mmap(None, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0)
    except (OSError, IpcError):
        return None
    finally:
        os.close(fd)
    found = Atomics()
    address = ctypes.c_void_p
    for bits, word in ((32, ctypes.c_uint32), (64, ctypes.c_uint64)):
        for name, arguments in (("load", 0), ("exchange", 1), ("add", 1), ("compare_exchange", 2)):
            prototype = ctypes.PYFUNCTYPE(word, address, *[word] * arguments)
            setattr(found, f"{name}{bits}", prototype(base + offsets[f"{name}{bits}"]))
    bare = ctypes.PYFUNCTYPE(ctypes.c_uint32)(base + offsets["compare_exchange32"])  # without argument types: as above
    found.bind_compare_exchange32 = lambda at: functools.partial(bare, ctypes.c_void_p(at))
    exchange = found.exchange32
    found.store32 = lambda at, value: void(exchange(at, value))
    found.fence = ctypes.PYFUNCTYPE(None)(base + offsets["fence"])
    found.means = "code"
    return found


def void(_: object) -> None:
    """Nothing, whatever it is given."""


def _choose() -> Atomics:
    wanted = os.environ.get("ISTHMUS_ATOMICS", "")
    means = {"libatomic": [_from_libatomic], "code": [_from_code]}.get(wanted, [_from_libatomic, _from_code])
    for make in means:
        found = make()
        if found is not None:
            return found
    raise Unsupported(
        "Cannot use shared memory: this Python finds no atomic operations; install libatomic "
        "(Debian, Ubuntu: libatomic1; Fedora: libatomic; Alpine has no glibc, which cells need)"
    )


atomics = _choose()
#: Whether a load through a memoryview is as good.
PLAIN_LOADS = MACHINE == "x86_64"
