"""Atomic operations on a cell that is one integer."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Callable, Optional

from ._atomics import atomics
from .layout import Layout

if TYPE_CHECKING:
    from .cell import Cell

_FORMATS = {"i32": ("<i", "<I"), "u32": ("<I", "<I"), "i64": ("<q", "<Q"), "u64": ("<Q", "<Q")}


class AtomicCell:
    """Without the lock, and atomic for all processes. Results of arithmetic wrap around. A change wakes watchers."""

    def __init__(self, cell: "Cell", layout: Optional[Layout], address: int) -> None:
        text = None if layout is None else layout.text
        if text not in _FORMATS:
            raise TypeError(
                f"Cannot use atomic operations on a cell with {text or 'CBOR values'}: they need the layout i32, u32, i64 "
                "or u64"
            )
        self._cell, self._address = cell, address
        self._format, self._raw = _FORMATS[text]
        wide = text.endswith("64")
        self._mask = (1 << (64 if wide else 32)) - 1
        self._load = atomics.load64 if wide else atomics.load32
        self._exchange = atomics.exchange64 if wide else atomics.exchange32
        self._add = atomics.add64 if wide else atomics.add32
        self._compare = atomics.compare_exchange64 if wide else atomics.compare_exchange32

    def _operand(self, value: int) -> int:
        self._cell._require_open()
        try:
            return int(struct.unpack(self._raw, struct.pack(self._format, value))[0])
        except struct.error:
            raise TypeError(f"Cannot use {value!r} with this cell: it takes {self._cell.layout.text}") from None  # type: ignore[union-attr]

    def _number(self, raw: int) -> int:
        return int(struct.unpack(self._format, struct.pack(self._raw, raw))[0])

    def _changed(self, before: int, after: int) -> int:
        if before != after:
            self._cell._touched()
        return self._number(before)

    def load(self) -> int:
        """The number."""
        self._cell._require_open()
        return self._number(self._load(self._address))

    def store(self, value: int) -> None:
        """Sets it."""
        self.exchange(value)

    def exchange(self, value: int) -> int:
        """Sets it; returns what it was."""
        operand = self._operand(value)
        return self._changed(self._exchange(self._address, operand), operand)

    def add(self, value: int) -> int:
        """Adds; returns what it was."""
        operand = self._operand(value)
        before = self._add(self._address, operand)
        return self._changed(before, (before + operand) & self._mask)

    def sub(self, value: int) -> int:
        """Subtracts; returns what it was."""
        operand = -self._operand(value) & self._mask
        before = self._add(self._address, operand)
        return self._changed(before, (before + operand) & self._mask)

    def _combine(self, make: Callable[[int], int]) -> int:
        while True:
            before = self._load(self._address)
            after = make(before)
            if self._compare(self._address, before, after) == before:
                return self._changed(before, after)

    def and_(self, value: int) -> int:
        """Keeps the bits that both have; returns what it was."""
        operand = self._operand(value)
        return self._combine(lambda found: found & operand)

    def or_(self, value: int) -> int:
        """Sets bits; returns what it was."""
        operand = self._operand(value)
        return self._combine(lambda found: found | operand)

    def xor(self, value: int) -> int:
        """Flips bits; returns what it was."""
        operand = self._operand(value)
        return self._combine(lambda found: found ^ operand)

    def compare_exchange(self, expected: int, replacement: int) -> int:
        """Sets it if it is what was expected; returns what it was."""
        wanted, new = self._operand(expected), self._operand(replacement)
        before = self._compare(self._address, wanted, new)
        return self._changed(before, new) if before == wanted else self._number(before)
