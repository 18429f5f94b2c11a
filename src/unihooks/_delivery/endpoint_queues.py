"""Hold what a worker has leased and hand it out fairly: endpoint by endpoint, each within its width."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterator, Mapping

from attrs import define, field

from unihooks.abc import Capacity, Claimed

_FIRST_WIDTH = 2
_SLOW = 1.0
_SLOW_WIDTH = 4
_PLANNED_TOGETHER = 1024
_MOST_AHEAD = 16
_KNOWN = 20_000

# How many fast answers make an endpoint trusted: of one that is new, of one that failed slowly.
_DOUBTS_OF_NEW = 1
_DOUBTS_OF_SLOW = 4
# A tenant's share of the places for doubtful endpoints: so many times what it leaves to others.
_TIMES_WHAT_IS_LEFT = 3


@define
class Leased:
    """Be a claimed delivery and the last moment (monotonic seconds) at which its request may start."""

    claimed: Claimed
    start_by: float


@define(eq=False)
class RoundRobin:
    """Be endpoints that wait for a place, tenants in turn."""

    tenants: OrderedDict[str, deque[str]] = field(factory=OrderedDict)

    def add(self, tenant: str, endpoint_id: str) -> None:
        """Put an endpoint behind the others of its tenant."""
        self.tenants.setdefault(tenant, deque()).append(endpoint_id)

    def take(self) -> str:
        """Take the first endpoint of the first tenant, who then is the last."""
        tenant, endpoints = next(iter(self.tenants.items()))
        endpoint_id = endpoints.popleft()
        if endpoints:
            self.tenants.move_to_end(tenant)
        else:
            del self.tenants[tenant]
        return endpoint_id


@define
class _Queue:
    """Be the waiting deliveries of one endpoint, how many of it may be in flight, and where it queues for a place."""

    tenant: str
    width: int
    doubts: int
    waiting: deque[Leased] = field(factory=deque)
    running: int = 0
    line: RoundRobin | None = None


@define
class _Doubtful:
    """Count what endpoints that are not trusted have waiting and in flight."""

    new_waiting: int = 0
    slow_waiting: int = 0
    running: int = 0
    slow_running: int = 0
    by_tenant: Counter[str] = field(factory=Counter)

    @property
    def waiting(self) -> int:
        return self.new_waiting + self.slow_waiting

    def count(self, lane: _Queue, sign: int) -> None:
        """Add a lane as it is, or take it off before it changes."""
        if lane.doubts == 0:
            return
        running, waiting = sign * lane.running, sign * len(lane.waiting)
        self.running += running
        self.by_tenant[lane.tenant] += running
        if self.by_tenant[lane.tenant] == 0:
            del self.by_tenant[lane.tenant]
        if lane.doubts > _DOUBTS_OF_NEW:
            self.slow_running += running
            self.slow_waiting += waiting
        else:
            self.new_waiting += waiting


@define
class EndpointQueues:
    """Queue leased deliveries per endpoint.

    At most `concurrency` are in flight. An endpoint earns its width, up to
    `per_endpoint`, by answering well and fast, and loses it by failing slowly:
    so an endpoint that hangs holds one place, however much is due for it.

    Thousands that hang hold a quarter of the places, however many they are, and an
    eighth is for those alone that have answered fast. Tenants take turns.

    `ahead` is how many times what may be in flight is leased.
    """

    concurrency: int
    per_endpoint: int
    ahead: int = field()
    running: int = 0
    waiting: int = 0
    _lanes: dict[str, _Queue] = field(factory=dict)
    _trusted: RoundRobin = field(factory=RoundRobin)
    _new: RoundRobin = field(factory=RoundRobin)
    _slow: RoundRobin = field(factory=RoundRobin)
    _lines: deque[RoundRobin] = field(init=False)
    _doubtful: _Doubtful = field(factory=_Doubtful)
    _known: dict[str, tuple[int, int]] = field(factory=dict)
    _known_slow: set[str] = field(factory=set)
    _closed: set[str] = field(factory=set)
    _tenants: set[str] = field(factory=set)

    @ahead.default
    def _enough_ahead(self) -> int:
        # Capacity for what is planned together, or much of it would have to be claimed in a second step;
        # yet no more than endpoints that take half a second each use before it ends.
        return min(_MOST_AHEAD, max(4, _PLANNED_TOGETHER // self.concurrency))

    def __attrs_post_init__(self) -> None:
        self._lines = deque((self._trusted, self._new, self._slow))

    @property
    def load(self) -> int:
        """Return how many deliveries are waiting or in flight."""
        return self.running + self.waiting

    @property
    def is_short(self) -> bool:
        """Say whether little is waiting that may start soon."""
        return self.waiting - self._doubtful.waiting <= self.running

    def capacity(self) -> Capacity:
        """Return how much more can be leased, ahead of what is in flight."""
        # However much of doubtful endpoints is waiting, the others have capacity.
        hidden = max(0, self._doubtful.waiting - self.concurrency * self.ahead // 2)
        left = max(0, self.concurrency * self.ahead - self.load + hidden)
        return Capacity(left, self.per_endpoint * self.ahead, _Taken(self))

    def in_use(self, endpoint_id: str) -> int:
        """Return how much of the depth of one endpoint, `per_endpoint * ahead`, is not to be had."""
        lane = self._lanes.get(endpoint_id)
        width, doubts = (lane.width, lane.doubts) if lane is not None else self._knowledge(endpoint_id)
        if endpoint_id in self._closed or (doubts and self._is_full(slow=doubts > _DOUBTS_OF_NEW)):
            return self.per_endpoint * self.ahead
        held = 0 if lane is None else lane.running + len(lane.waiting)
        return held + self._closed_depth(width)

    def add(self, leased: Leased) -> None:
        """Queue a delivery behind the others of its endpoint."""
        endpoint_id, tenant = leased.claimed.endpoint_id, leased.claimed.tenant
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            lane = self._lanes[endpoint_id] = _Queue(tenant, *self._knowledge(endpoint_id))
            if len(self._tenants) <= 1:
                self._tenants.add(tenant)
        if lane.doubts:
            self._doubtful.count(lane, -1)
        lane.waiting.append(leased)
        self.waiting += 1
        if lane.doubts:
            self._doubtful.count(lane, +1)
        if lane.line is None:
            self._line_up(endpoint_id, lane)

    def next(self) -> Leased | None:
        """Take the next delivery whose endpoint has a free place, tenants and endpoints in turn."""
        while self.running < self.concurrency and (line := self._next_line()) is not None:
            endpoint_id = line.take()
            lane = self._lanes.get(endpoint_id)
            if lane is None or lane.line is not line:
                continue
            lane.line = None
            if endpoint_id in self._closed or not lane.waiting or lane.running >= lane.width:
                continue
            if lane.doubts:
                self._doubtful.count(lane, -1)
            lane.running += 1
            self.running += 1
            self.waiting -= 1
            leased = lane.waiting.popleft()
            if lane.doubts:
                self._doubtful.count(lane, +1)
            self._line_up(endpoint_id, lane)
            return leased
        return None

    def done(self, endpoint_id: str, *, succeeded: bool, seconds: float | None) -> None:
        """Free the place of one delivery and learn from how it went; `seconds` is None if no request was made."""
        lane = self._lanes[endpoint_id]
        if lane.doubts:
            self._doubtful.count(lane, -1)
        lane.running -= 1
        self.running -= 1
        if seconds is not None:
            self._learn(endpoint_id, lane, succeeded=succeeded, seconds=seconds)
        if lane.doubts:
            self._doubtful.count(lane, +1)
        self._line_up(endpoint_id, lane)
        if not lane.waiting and lane.running == 0:
            del self._lanes[endpoint_id]

    def without_room(self) -> Collection[str]:
        """Return the slow endpoints if none of them can be leased: however many are due, a claim looks beyond them."""
        return self._known_slow if self._is_full(slow=True) else ()

    def close(self, endpoint_id: str) -> None:
        """Let nothing more of an endpoint start, and none be leased, until `open`."""
        self._closed.add(endpoint_id)

    def open(self, endpoint_id: str) -> None:
        """Undo `close`."""
        self._closed.discard(endpoint_id)
        lane = self._lanes.get(endpoint_id)
        if lane is not None:
            self._line_up(endpoint_id, lane)

    def take_waiting(self) -> list[Leased]:
        """Take out all deliveries that have not started."""
        left = [leased for lane in self._lanes.values() for leased in lane.waiting]
        for lane in self._lanes.values():
            lane.waiting.clear()
            lane.line = None
        self._lanes = {endpoint_id: lane for endpoint_id, lane in self._lanes.items() if lane.running}
        for line in self._lines:
            line.tenants.clear()
        self.waiting = self._doubtful.new_waiting = self._doubtful.slow_waiting = 0
        return left

    @property
    def _first_width(self) -> int:
        return min(_FIRST_WIDTH, self.per_endpoint)

    @property
    def _most_doubtful(self) -> int:
        return self.concurrency - self.concurrency // 8

    @property
    def _most_slow(self) -> int:
        return max(1, self.concurrency // 4)

    def _is_full(self, *, slow: bool) -> bool:
        if slow:
            # Whatever more is leased would only wait until it may not start any more.
            return self._doubtful.slow_waiting >= self._most_slow
        # In a tenant of its own, a new endpoint is not kept waiting by another's.
        return self._doubtful.new_waiting >= self.concurrency * self.ahead * (1 if len(self._tenants) <= 1 else 2)

    def _knowledge(self, endpoint_id: str) -> tuple[int, int]:
        return self._known.get(endpoint_id) or (self._first_width, _DOUBTS_OF_NEW)

    def _line_up(self, endpoint_id: str, lane: _Queue) -> None:
        if lane.waiting and lane.running < lane.width:
            line = self._trusted if lane.doubts == 0 else self._new if lane.doubts == _DOUBTS_OF_NEW else self._slow
            if lane.line is not line:
                lane.line = line
                line.add(lane.tenant, endpoint_id)

    def _next_line(self) -> RoundRobin | None:
        if not (self._new.tenants or self._slow.tenants):
            return self._trusted if self._trusted.tenants else None
        for _ in range(len(self._lines)):
            line = self._lines[0]
            self._lines.rotate(-1)
            if line.tenants and (line is self._trusted or self._may_doubtful_start(line)):
                return line
        return None

    def _may_doubtful_start(self, line: RoundRobin) -> bool:
        left = self._most_doubtful - self._doubtful.running
        if left <= 0 or (line is self._slow and self._doubtful.slow_running >= self._most_slow):
            return False
        if len(self._tenants) <= 1:
            # Another tenant may come.
            return left > self.concurrency // 16
        for tenant in line.tenants:
            if self._doubtful.by_tenant[tenant] <= _TIMES_WHAT_IS_LEFT * left:
                line.tenants.move_to_end(tenant, last=False)
                return True
        return False

    def _closed_depth(self, width: int) -> int:
        # Only what answers fast gets leases ahead of its width: others would end unused.
        fast = width > _SLOW_WIDTH or width == self.per_endpoint
        return self.per_endpoint * self.ahead - (width * self.ahead if fast else width)

    def _learn(self, endpoint_id: str, lane: _Queue, *, succeeded: bool, seconds: float) -> None:
        if succeeded and seconds <= _SLOW and lane.width == self.per_endpoint and lane.doubts == 0:
            return  # as nearly always: there is nothing left to learn
        width = _next_width(lane.width, self.per_endpoint, succeeded=succeeded, seconds=seconds)
        doubts = _next_doubts(lane.doubts, succeeded=succeeded, seconds=seconds)
        if (width, doubts) != (lane.width, lane.doubts):
            lane.width, lane.doubts = width, doubts
            self._remember(endpoint_id, lane)

    def _remember(self, endpoint_id: str, lane: _Queue) -> None:
        self._known.pop(endpoint_id, None)
        self._known[endpoint_id] = (lane.width, lane.doubts)
        if lane.doubts > _DOUBTS_OF_NEW:
            self._known_slow.add(endpoint_id)
        else:
            self._known_slow.discard(endpoint_id)
        if len(self._known) > _KNOWN:
            forgotten = next(iter(self._known))
            del self._known[forgotten]
            self._known_slow.discard(forgotten)


class _Taken(Mapping[str, int]):
    """Show `EndpointQueues.in_use` as a mapping; of every endpoint ever seen it lists no more than must be."""

    def __init__(self, lanes: EndpointQueues) -> None:
        self._lanes = lanes

    def __getitem__(self, endpoint_id: str) -> int:
        return self._lanes.in_use(endpoint_id)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._lanes.without_room()))

    def __len__(self) -> int:
        return len(self._lanes.without_room())


def _next_width(width: int, most: int, *, succeeded: bool, seconds: float) -> int:
    if seconds > _SLOW:
        return max(1, min(width, _SLOW_WIDTH) if succeeded else width // 2)
    return min(width * 2, most) if succeeded else width


def _next_doubts(doubts: int, *, succeeded: bool, seconds: float) -> int:
    if seconds <= _SLOW:
        return max(0, doubts - 1)
    return max(doubts, _DOUBTS_OF_NEW) if succeeded else _DOUBTS_OF_SLOW
