"""How fast a worker turns to endpoints that it has never reached."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import define, field

_LEAST_AT_ONCE = 4
# A first answer that comes fast lets another begin, and so many more while most places are left.
_MORE = 3
# A place that is left is used within so many seconds, if nothing but silence comes back.
_SECONDS_PER_PLACE = 8.0


@define(eq=False)
class FirstContacts:
    """The pace of the first requests to endpoints.

    Thousands of them may hang, each for a whole deadline, and nothing tells them from the healthy ones among them
    but an answer. So a seventh of the `places` is taken at once, each fast answer lets more begin, and beside that a
    share of the places that are left begins in each second: they never run out, and who comes next does not wait for
    a deadline.
    """

    places: int
    clock: Callable[[], float] = time.monotonic
    _at_once: int = field(init=False)
    _allowed: float = field(init=False)
    _seen: float = field(init=False)
    _begun: int = 0

    def __attrs_post_init__(self) -> None:
        self._at_once = max(_LEAST_AT_ONCE, self.places // 7)
        self._allowed, self._seen = float(self._at_once), self.clock()

    @property
    def is_scarce(self) -> bool:
        """Say whether only few more may begin."""
        return self._allowed < self._at_once / 2

    def may_begin(self, left: int) -> bool:
        """Say whether one may begin now, with so many places left."""
        now = self.clock()
        if self._allowed < self._at_once:
            self._allowed = min(self._at_once, self._allowed + (now - self._seen) * left / _SECONDS_PER_PLACE)
        self._seen = now
        return self._allowed >= 1

    def seconds(self, left: int) -> float:
        """Return after how long the next one may begin."""
        return max(0.0, 1 - self._allowed) * _SECONDS_PER_PLACE / left

    def begin(self) -> None:
        """Note that one begins."""
        self._begun += 1
        self._allowed = max(0.0, self._allowed - 1)

    def is_newest_next(self, tenants: int) -> bool:
        """Say whether the newest of those that wait is next, for once, and not the oldest.

        The newest belongs to what has just been emitted, and the oldest perhaps to thousands that hang.
        """
        return self.is_scarce and self._begun // max(1, tenants) % 2 == 1

    def answered(self, left: int) -> None:
        """Note a first answer that came fast, while so many places are left."""
        self._allow(1 + _MORE * max(0, left) / self.places)

    def gave_up(self) -> None:
        """Note that one that began has sent nothing."""
        self._allow(1)

    def _allow(self, more: float) -> None:
        self._allowed = min(max(self.places, self._at_once), self._allowed + more)
