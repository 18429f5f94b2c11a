"""Hold what a worker has leased and hand it out fairly: endpoint by endpoint, each within its width."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from attrs import define, field

from unihooks.abc import Claimed, Room

_FIRST_WIDTH = 2
_SLOW = 1.0
_SLOW_WIDTH = 4
_WIDTHS_KEPT = 20_000


@define
class Leased:
    """Be a claimed delivery and the last moment (monotonic seconds) at which its request may start."""

    claimed: Claimed
    start_by: float


@define
class _Lane:
    """Be the waiting deliveries of one endpoint and how many of it may be in flight."""

    width: int
    waiting: deque[Leased] = field(factory=deque)
    running: int = 0


@define
class Lanes:
    """Queue leased deliveries per endpoint.

    At most `concurrency` are in flight. An endpoint earns its width, up to
    `per_endpoint`, by answering well and fast, and loses it by failing slowly:
    so an endpoint that hangs holds one place, however much is due for it.
    """

    concurrency: int
    per_endpoint: int
    ahead: int = 4
    running: int = 0
    waiting: int = 0
    _lanes: dict[str, _Lane] = field(factory=dict)
    _ready: deque[str] = field(factory=deque)
    _widths: dict[str, int] = field(factory=dict)
    _closed: set[str] = field(factory=set)

    @property
    def load(self) -> int:
        """Return how many deliveries are waiting or in flight."""
        return self.running + self.waiting

    def room(self) -> Room:
        """Return how much more can be leased, ahead of what is in flight."""
        left = max(0, self.concurrency * self.ahead - self.load)
        return Room(left, self.per_endpoint * self.ahead, _Taken(self))

    def taken(self, endpoint_id: str) -> int:
        """Return how much of the depth of one endpoint, `per_endpoint * ahead`, is not to be had."""
        if endpoint_id in self._closed:
            return self.per_endpoint * self.ahead
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            return lane.running + len(lane.waiting) + self._closed_depth(lane.width)
        return self._closed_depth(self._widths.get(endpoint_id, self._first_width))

    def add(self, leased: Leased) -> None:
        """Queue a delivery behind the others of its endpoint."""
        endpoint_id = leased.claimed.endpoint_id
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            lane = self._lanes[endpoint_id] = _Lane(self._widths.get(endpoint_id, self._first_width))
        lane.waiting.append(leased)
        self.waiting += 1
        if len(lane.waiting) == 1 and lane.running < lane.width:
            self._ready.append(endpoint_id)

    def next(self) -> Leased | None:
        """Take the next delivery whose endpoint has a free place, endpoints in turn."""
        while self._ready and self.running < self.concurrency:
            endpoint_id = self._ready.popleft()
            lane = None if endpoint_id in self._closed else self._lanes.get(endpoint_id)
            if lane is None or not lane.waiting or lane.running >= lane.width:
                continue
            lane.running += 1
            self.running += 1
            self.waiting -= 1
            leased = lane.waiting.popleft()
            if lane.waiting and lane.running < lane.width:
                self._ready.append(endpoint_id)
            return leased
        return None

    def done(self, endpoint_id: str, *, succeeded: bool, seconds: float) -> None:
        """Free the place of one delivery and learn from how it went."""
        lane = self._lanes[endpoint_id]
        lane.running -= 1
        self.running -= 1
        width = _next_width(lane.width, self.per_endpoint, succeeded=succeeded, seconds=seconds)
        if width != lane.width:
            lane.width = width
            self._remember(endpoint_id, width)
        if lane.waiting and lane.running < width:
            self._ready.append(endpoint_id)
        elif not lane.waiting and lane.running == 0:
            del self._lanes[endpoint_id]

    def close(self, endpoint_id: str) -> None:
        """Let nothing more of an endpoint start, and none be leased, until `open`."""
        self._closed.add(endpoint_id)

    def open(self, endpoint_id: str) -> None:
        """Undo `close`."""
        self._closed.discard(endpoint_id)
        lane = self._lanes.get(endpoint_id)
        if lane is not None and lane.waiting and lane.running < lane.width:
            self._ready.append(endpoint_id)

    def take_waiting(self) -> list[Leased]:
        """Take out all deliveries that have not started."""
        left = [leased for lane in self._lanes.values() for leased in lane.waiting]
        for lane in self._lanes.values():
            lane.waiting.clear()
        self._lanes = {endpoint_id: lane for endpoint_id, lane in self._lanes.items() if lane.running}
        self._ready.clear()
        self.waiting = 0
        return left

    @property
    def _first_width(self) -> int:
        return min(_FIRST_WIDTH, self.per_endpoint)

    def _closed_depth(self, width: int) -> int:
        # Only what answers fast gets leases ahead of its width: others would end unused.
        fast = width > _SLOW_WIDTH or width == self.per_endpoint
        return self.per_endpoint * self.ahead - (width * self.ahead if fast else width)

    def _remember(self, endpoint_id: str, width: int) -> None:
        self._widths.pop(endpoint_id, None)
        self._widths[endpoint_id] = width
        if len(self._widths) > _WIDTHS_KEPT:
            del self._widths[next(iter(self._widths))]


class _Taken(Mapping[str, int]):
    """Show `Lanes.taken` as a mapping, without listing every endpoint ever seen."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    def __getitem__(self, endpoint_id: str) -> int:
        return self._lanes.taken(endpoint_id)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _next_width(width: int, most: int, *, succeeded: bool, seconds: float) -> int:
    if seconds > _SLOW:
        return max(1, min(width, _SLOW_WIDTH) if succeeded else width // 2)
    return min(width * 2, most) if succeeded else width
