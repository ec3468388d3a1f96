"""Layouts of POD cells: how a C compiler lays values out.

A layout is text, the same as in the cell's header: the name of a scalar (``u8`` … ``f64``, ``bool``),
``[length]element``, or ``{"field":layout,…}``. :func:`struct` and :func:`array` write it::

    reading = struct(id="u32", x="f64", hits=array("u16", 3), ok="bool")
"""

from __future__ import annotations

import json
import re
import struct as _struct
from typing import Any, List, Tuple

_SCALARS = {
    "u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q",
    "f32": "f", "f64": "d", "bool": "?",
}  # fmt: skip

_MAX_DEPTH, _MAX_SIZE = 100, 1 << 30


def struct(**fields: str) -> str:
    """A struct with these fields, in this order."""
    if not fields:
        raise TypeError("Cannot make a struct without fields")
    return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{layout}" for name, layout in fields.items()) + "}"


def array(element: str, length: int) -> str:
    """So many elements, without gaps. One of ``u8`` is bytes."""
    return f"[{length}]{element}"


class Layout:
    """A layout that was read: its size, and values to bytes and back."""

    text: str
    size: int
    align: int

    def pack(self, value: Any, target: bytearray, at: int) -> None:
        """Writes a value into zeros."""
        raise NotImplementedError

    def unpack(self, source: bytes, at: int) -> Any:
        """Reads a value."""
        raise NotImplementedError

    def encode(self, value: Any) -> bytes:
        """A value as bytes."""
        target = bytearray(self.size)
        self.pack(value, target, 0)
        return bytes(target)

    def decode(self, source: bytes) -> Any:
        """Bytes as a value."""
        return self.unpack(source, 0)


class _Scalar(Layout):
    def __init__(self, name: str) -> None:
        self.text = name
        self.format = _struct.Struct("<" + _SCALARS[name])
        self.size = self.align = self.format.size

    def pack(self, value: Any, target: bytearray, at: int) -> None:
        try:
            self.format.pack_into(target, at, value)
        except (_struct.error, OverflowError, TypeError) as error:
            raise TypeError(f"Cannot store {value!r} as {self.text}: {error}") from None

    def unpack(self, source: bytes, at: int) -> Any:
        return self.format.unpack_from(source, at)[0]


class _Array(Layout):
    def __init__(self, element: Layout, length: int) -> None:
        self.element, self.length = element, length
        self.text = f"[{length}]{element.text}"
        self.size, self.align = element.size * length, element.align
        form = element.format.format[1:] if isinstance(element, _Scalar) else None
        self.format = _struct.Struct(f"<{length}{form}") if form is not None and form != "B" else None

    def pack(self, value: Any, target: bytearray, at: int) -> None:
        if len(value) != self.length:
            raise TypeError(f"Cannot store {len(value)} elements in {self.text}: give {self.length}")
        if self.element.text == "u8":
            target[at : at + self.length] = bytes(value)
        elif self.format is not None:
            try:
                self.format.pack_into(target, at, *value)
            except (_struct.error, OverflowError, TypeError) as error:
                raise TypeError(f"Cannot store elements in {self.text}: {error}") from None
        else:
            for i, item in enumerate(value):
                self.element.pack(item, target, at + i * self.element.size)

    def unpack(self, source: bytes, at: int) -> Any:
        if self.element.text == "u8":
            return bytes(source[at : at + self.length])
        if self.format is not None:
            return list(self.format.unpack_from(source, at))
        return [self.element.unpack(source, at + i * self.element.size) for i in range(self.length)]


class _Struct(Layout):
    def __init__(self, fields: List[Tuple[str, Layout]]) -> None:
        self.fields, at = [], 0
        self.align = max(layout.align for _, layout in fields)
        for name, layout in fields:
            at = -(-at // layout.align) * layout.align
            self.fields.append((name, layout, at))
            at += layout.size
        self.size = -(-at // self.align) * self.align
        names = [f"{json.dumps(name, ensure_ascii=False)}:{layout.text}" for name, layout in fields]
        self.text = "{" + ",".join(names) + "}"

    def pack(self, value: Any, target: bytearray, at: int) -> None:
        if not isinstance(value, dict) or set(value) != {name for name, _, _ in self.fields}:
            raise TypeError(f"Cannot store {value!r} in {self.text}: give a dict with exactly its fields")
        for name, layout, offset in self.fields:
            layout.pack(value[name], target, at + offset)

    def unpack(self, source: bytes, at: int) -> Any:
        return {name: layout.unpack(source, at + offset) for name, layout, offset in self.fields}


_TOKEN = re.compile(r"([a-z]+\d*)|\[(\d{1,10})\]|(\{)")
_NAME = re.compile(r'"(?:[^"\\]|\\.)*"')


def parse(text: str) -> Layout:
    """Reads the text of a layout.

    :raises TypeError: if it is none.
    """
    try:
        layout, end = _parse(text, 0, 0)
    except (ValueError, IndexError, KeyError, AttributeError):
        layout, end = None, -1
    if layout is None or end != len(text) or not 0 < layout.size <= _MAX_SIZE:
        raise TypeError(f"Cannot read the layout {text[:200]!r}: it is a scalar's name, [length]element or {{…}}")
    return layout


def _parse(text: str, at: int, depth: int) -> Tuple[Layout, int]:
    found = _TOKEN.match(text, at)
    if found is None or depth > _MAX_DEPTH:
        raise ValueError
    at = found.end()
    scalar, length, _ = found.groups()
    if scalar is not None:
        return _Scalar(scalar), at
    if length is not None:
        element, at = _parse(text, at, depth + 1)
        if int(length) * element.size > _MAX_SIZE or int(length) == 0:
            raise ValueError
        return _Array(element, int(length)), at
    fields: List[Tuple[str, Layout]] = []
    while True:
        name = _NAME.match(text, at)
        if name is None or text[name.end()] != ":":
            raise ValueError
        layout, at = _parse(text, name.end() + 1, depth + 1)
        fields.append((json.loads(name.group()), layout))
        at += 1
        if text[at - 1] == "}":
            return _Struct(fields), at
        if text[at - 1] != ",":
            raise ValueError


def fingerprint(text: str) -> int:
    """FNV-1a, 64 bits, of the text; 1 in the place of 0."""
    found = 0xCBF29CE484222325
    for byte in text.encode():
        found = ((found ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return found or 1


def is_scalar(layout: Layout) -> bool:
    """Whether values are one number, which is written by one store."""
    return isinstance(layout, _Scalar)
