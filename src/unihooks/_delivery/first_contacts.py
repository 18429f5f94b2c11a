"""The pace at which a worker sends first requests to endpoints."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import define, field

_LEAST_AT_ONCE = 4
# A fast first response lets another one begin, and this many more while most places are free.
_MORE = 3
# A free place is used within this many seconds, even if no response comes back.
_SECONDS_PER_PLACE = 8.0


@define(eq=False)
class FirstContacts:
    """The pace of the first requests to endpoints.

    Thousands of endpoints may hang, each for a whole deadline, and only a response tells the healthy ones among them
    apart. So a seventh of the `places` is used at once, each fast response lets more begin, and each second a share of
    the free places is used besides. So places never run out, and nobody has to wait for a deadline.
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
        """Return whether only few more may begin."""
        return self._allowed < self._at_once / 2

    def may_begin(self, left: int) -> bool:
        """Return whether one may begin now, with this many places left."""
        now = self.clock()
        if self._allowed < self._at_once:
            self._allowed = min(self._at_once, self._allowed + (now - self._seen) * left / _SECONDS_PER_PLACE)
        self._seen = now
        return self._allowed >= 1

    def seconds(self, left: int) -> float:
        """Return the seconds until the next one may begin."""
        return max(0.0, 1 - self._allowed) * _SECONDS_PER_PLACE / left

    def begin(self) -> None:
        """Note that one begins."""
        self._begun += 1
        self._allowed = max(0.0, self._allowed - 1)

    def is_newest_next(self, tenants: int) -> bool:
        """Return whether the newest of those that wait is next, for once, rather than the oldest.

        The newest belongs to an event that was just emitted, the oldest perhaps to thousands that hang.
        """
        return self.is_scarce and self._begun // max(1, tenants) % 2 == 1

    def answered(self, left: int) -> None:
        """Note a fast first response, while this many places are left."""
        self._allow(1 + _MORE * max(0, left) / self.places)

    def gave_up(self) -> None:
        """Note that one that had begun sent nothing after all."""
        self._allow(1)

    def _allow(self, more: float) -> None:
        self._allowed = min(max(self.places, self._at_once), self._allowed + more)
