"""Whose files are used: what is mapped, or listened to, can harm this process."""

from __future__ import annotations

import os
from typing import Iterable, Union

from .errors import Permission

#: ``"user"``: this user's and root's. ``"anyone"``: everybody's. Or the numbers of other users to trust as well.
Trust = Union[str, Iterable[int]]


class Trusted:
    """Who is trusted, from the options of a call."""

    def __init__(self, trust: Trust, mode: int) -> None:
        if not isinstance(mode, int) or not 0 <= mode <= 0o777:
            raise TypeError(f"Cannot use the mode {mode!r}: permission bits are a number from 0 to 0o777")
        self.mode = mode
        self.anyone = trust == "anyone"
        if isinstance(trust, str):
            if trust not in ("user", "anyone"):
                raise TypeError(f'Cannot trust {trust!r}: give "user", "anyone", or the numbers of users')
            self.users = frozenset({os.geteuid(), 0})
        else:
            self.users = frozenset(trust) | {os.geteuid(), 0}

    @property
    def is_user_alone(self) -> bool:
        """Whether nobody is trusted but this user and root."""
        return not self.anyone and self.users == {os.geteuid(), 0}

    def check(self, status: os.stat_result, what: str, path: str) -> None:
        """Refuses a file of somebody else's, and one that others may write to."""
        if self.anyone:
            return
        if status.st_uid not in self.users:
            raise Permission(
                f'{what}: "{path}" belongs to user {status.st_uid}, and this program runs as user {os.geteuid()}; use '
                'another name, or say whom you trust by the option "trust"'
            )
        if status.st_mode & 0o022 & ~self.mode:
            raise Permission(
                f'{what}: "{path}" may be written to by others (mode 0o{status.st_mode & 0o777:o}); if that is meant, '
                'give the same mode, or say whom you trust by the option "trust"'
            )
