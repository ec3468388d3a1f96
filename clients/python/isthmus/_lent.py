"""Messages that a receiver has lent to its program, and how they come back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ._process import own_identity

if TYPE_CHECKING:
    from ._consumer import Consumer


class Lent:
    """One of them: where it begins."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.returned = False


class GiveBack:
    """What is called when a borrowed message is let go."""

    def __init__(self, consumer: "Consumer", lent: Lent) -> None:
        self._consumer, self._lent = consumer, lent

    def __call__(self) -> None:
        self._lent.returned = True
        if os.getpid() == own_identity().tid:
            self._consumer.sweep()
