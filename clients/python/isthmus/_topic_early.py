"""Subscribers that came before their topic: each has a doorbell beside where it will be. See "Topics" in docs/protocol.md."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from typing import Optional

from . import _bell
from ._system import close_quietly

#: Bells that a publisher rings.
_MOST = 4096
_ATTEMPTS = 3


class EarlyBell:
    """The doorbell of one subscriber."""

    def __init__(self, path: str, fd: int) -> None:
        self._path, self.fd = path, fd

    @classmethod
    def make(cls, topic: str) -> "Optional[EarlyBell]":
        """Makes one. Look for the topic once more afterwards. ``None`` if it cannot be had."""
        for _ in range(_ATTEMPTS):  # somebody may remove it before it is opened, as nobody reads it then
            path = f"{topic}.early.{secrets.token_hex(4)}"
            try:
                os.mkfifo(path, 0o600)
            except FileExistsError:
                continue
            except OSError:
                return None
            fd = _bell.open_fifo(path)
            if fd is not None:
                return cls(path, fd)
        return None

    def close(self) -> None:
        """Gives it up."""
        try:
            os.unlink(self._path)
        except OSError:
            pass
        close_quietly(self.fd)


def ring_early(topic: str) -> None:
    """Rings all who wait for a topic that is there now; removes what dead ones have left."""
    folder, name = os.path.split(topic)
    form = re.compile(re.escape(name) + r"\.early\.[0-9a-f]{8}")
    try:
        found = [entry for entry in os.listdir(folder or ".") if form.fullmatch(entry)]
    except OSError:
        return  # they look by themselves
    for entry in found[:_MOST]:
        path = os.path.join(folder, entry)
        if not _bell.ring_by_name(path):
            _remove_if_abandoned(path)


def _remove_if_abandoned(path: str) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW))
    except OSError as error:
        try:
            if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(path, follow_symlinks=False).st_mode):
                os.unlink(path)
        except OSError:
            pass
