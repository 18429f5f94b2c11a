"""What a worker has learnt about endpoints from the outcomes of their attempts."""

from __future__ import annotations

from attrs import define, field

SLOW = 1.0
"""A response that takes more seconds than this is a slow one."""

# The number of fast responses that make an endpoint trusted: if it is new, if it has failed slowly.
DOUBTS_OF_NEW = 1
_DOUBTS_OF_SLOW = 4
_FIRST_WIDTH = 2
_SLOW_WIDTH = 4
_KNOWN = 20_000


@define
class Experience:
    """The widths and doubts of up to so many endpoints: how many requests may be in flight, and how trusted it is.

    `slow` has the endpoints that have failed slowly and have not been trusted since.
    """

    per_endpoint: int
    slow: set[str] = field(factory=set)
    _known: dict[str, tuple[int, int]] = field(factory=dict)

    def of(self, endpoint_id: str) -> tuple[int, int, bool]:
        """Return the width and the doubts, and whether the endpoint was never reached."""
        known = self._known.get(endpoint_id)
        return (min(_FIRST_WIDTH, self.per_endpoint), DOUBTS_OF_NEW, True) if known is None else (*known, False)

    def keep(self, endpoint_id: str, width: int, doubts: int) -> None:
        """Remember what has been learnt, in place of the oldest entry if there are too many."""
        self._known.pop(endpoint_id, None)
        self._known[endpoint_id] = (width, doubts)
        if doubts > DOUBTS_OF_NEW:
            self.slow.add(endpoint_id)
        else:
            self.slow.discard(endpoint_id)
        if len(self._known) > _KNOWN:
            forgotten = next(iter(self._known))
            del self._known[forgotten]
            self.slow.discard(forgotten)

    def is_fast(self, width: int) -> bool:
        """Return whether an endpoint of this width may be leased ahead."""
        return width > _SLOW_WIDTH or width == self.per_endpoint


def next_width(width: int, most: int, *, succeeded: bool, seconds: float) -> int:
    """Return the width after an attempt: twice as many after a fast success, half after a slow failure."""
    if seconds > SLOW:
        return max(1, min(width, _SLOW_WIDTH) if succeeded else width // 2)
    return min(width * 2, most) if succeeded else width


def next_doubts(doubts: int, *, succeeded: bool, seconds: float) -> int:
    """Return how many fast responses the endpoint needs before it is trusted."""
    if seconds <= SLOW:
        return max(0, doubts - 1)
    return max(doubts, DOUBTS_OF_NEW) if succeeded else _DOUBTS_OF_SLOW
