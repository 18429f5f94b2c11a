"""What a worker has leased, handed out fairly: endpoint by endpoint, each within its width."""

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
    """A claimed delivery and the last moment (monotonic seconds) at which its request may start."""

    claimed: Claimed
    start_by: float


@define(eq=False)
class RoundRobin:
    """Endpoints that wait for a place, tenants in turn."""

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
    """The waiting deliveries of one endpoint.

    Up to `width` of them may be in flight. While one could start, the endpoint
    waits for a place in `waits_in`.
    """

    tenant: str
    width: int
    doubts: int
    waiting: deque[Leased] = field(factory=deque)
    running: int = 0
    waits_in: RoundRobin | None = None


@define
class _Doubtful:
    """What endpoints that are not trusted have waiting and in flight."""

    new_waiting: int = 0
    slow_waiting: int = 0
    running: int = 0
    slow_running: int = 0
    by_tenant: Counter[str] = field(factory=Counter)

    @property
    def waiting(self) -> int:
        return self.new_waiting + self.slow_waiting

    def count(self, queue: _Queue, sign: int) -> None:
        """Add a doubtful queue as it is (sign +1), or take it off before it changes (-1)."""
        running, waiting = sign * queue.running, sign * len(queue.waiting)
        self.running += running
        self.by_tenant[queue.tenant] += running
        if self.by_tenant[queue.tenant] == 0:
            del self.by_tenant[queue.tenant]
        if queue.doubts > _DOUBTS_OF_NEW:
            self.slow_running += running
            self.slow_waiting += waiting
        else:
            self.new_waiting += waiting


@define
class EndpointQueues:
    """The queues of leased deliveries, one for each endpoint.

    At most `concurrency` are in flight. An endpoint earns its width, up to
    `per_endpoint`, by answering well and fast, and loses it by failing slowly:
    so an endpoint that hangs holds one place, however much is due for it.

    All endpoints that hang hold a quarter of the places together, however many they
    are, and only endpoints that have answered fast get the last eighth. Tenants take turns.

    A worker leases up to `ahead` times what may be in flight.
    """

    concurrency: int
    per_endpoint: int
    ahead: int = field()
    running: int = 0
    waiting: int = 0
    _queues: dict[str, _Queue] = field(factory=dict)
    _trusted: RoundRobin = field(factory=RoundRobin)
    _new: RoundRobin = field(factory=RoundRobin)
    _slow: RoundRobin = field(factory=RoundRobin)
    _round_robins: deque[RoundRobin] = field(init=False)
    _doubtful: _Doubtful = field(factory=_Doubtful)
    _known: dict[str, tuple[int, int]] = field(factory=dict)
    _known_slow: set[str] = field(factory=set)
    _closed: set[str] = field(factory=set)
    _tenants: set[str] = field(factory=set)

    @ahead.default
    def _enough_ahead(self) -> int:
        # Enough for what is planned in one call, or much of it would have to be claimed in a second step. Yet no
        # more than endpoints that take half a second each can use before the leases end.
        return min(_MOST_AHEAD, max(4, _PLANNED_TOGETHER // self.concurrency))

    def __attrs_post_init__(self) -> None:
        self._round_robins = deque((self._trusted, self._new, self._slow))

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
        # Deliveries for doubtful endpoints leave capacity to the others, however many of them are waiting.
        hidden = max(0, self._doubtful.waiting - self.concurrency * self.ahead // 2)
        left = max(0, self.concurrency * self.ahead - self.load + hidden)
        return Capacity(left, self.per_endpoint * self.ahead, _InUse(self))

    def in_use(self, endpoint_id: str) -> int:
        """Return how much of one endpoint's capacity, `per_endpoint * ahead`, cannot be leased."""
        queue = self._queues.get(endpoint_id)
        width, doubts = (queue.width, queue.doubts) if queue is not None else self._knowledge(endpoint_id)
        if endpoint_id in self._closed or (doubts and self._is_full(slow=doubts > _DOUBTS_OF_NEW)):
            return self.per_endpoint * self.ahead
        held = 0 if queue is None else queue.running + len(queue.waiting)
        return held + self._reserved(width)

    def add(self, leased: Leased) -> None:
        """Queue a delivery behind the others of its endpoint."""
        endpoint_id, tenant = leased.claimed.endpoint_id, leased.claimed.tenant
        queue = self._queues.get(endpoint_id)
        if queue is None:
            queue = self._queues[endpoint_id] = _Queue(tenant, *self._knowledge(endpoint_id))
            if len(self._tenants) <= 1:
                self._tenants.add(tenant)
        if queue.doubts:
            self._doubtful.count(queue, -1)
        queue.waiting.append(leased)
        self.waiting += 1
        if queue.doubts:
            self._doubtful.count(queue, +1)
        if queue.waits_in is None:
            self._enter(endpoint_id, queue)

    def next(self) -> Leased | None:
        """Take the next delivery whose endpoint may have one more in flight, tenants and endpoints in turn."""
        while self.running < self.concurrency and (round_robin := self._next_round_robin()) is not None:
            endpoint_id = round_robin.take()
            queue = self._queues.get(endpoint_id)
            if queue is None or queue.waits_in is not round_robin:
                continue
            queue.waits_in = None
            if endpoint_id in self._closed or not queue.waiting or queue.running >= queue.width:
                continue
            if queue.doubts:
                self._doubtful.count(queue, -1)
            queue.running += 1
            self.running += 1
            self.waiting -= 1
            leased = queue.waiting.popleft()
            if queue.doubts:
                self._doubtful.count(queue, +1)
            self._enter(endpoint_id, queue)
            return leased
        return None

    def done(self, endpoint_id: str, *, succeeded: bool, seconds: float | None) -> None:
        """Free the place of one delivery and learn from how it went; `seconds` is None if no request was made."""
        queue = self._queues[endpoint_id]
        if queue.doubts:
            self._doubtful.count(queue, -1)
        queue.running -= 1
        self.running -= 1
        if seconds is not None:
            self._learn(endpoint_id, queue, succeeded=succeeded, seconds=seconds)
        if queue.doubts:
            self._doubtful.count(queue, +1)
        self._enter(endpoint_id, queue)
        if not queue.waiting and queue.running == 0:
            del self._queues[endpoint_id]

    def without_capacity(self) -> Collection[str]:
        """Return the slow endpoints if none of them can be leased: a claim looks beyond them, however many are due."""
        return self._known_slow if self._is_full(slow=True) else ()

    def close(self, endpoint_id: str) -> None:
        """Let nothing more of an endpoint start, and none be leased, until `open`."""
        self._closed.add(endpoint_id)

    def open(self, endpoint_id: str) -> None:
        """Undo `close`."""
        self._closed.discard(endpoint_id)
        queue = self._queues.get(endpoint_id)
        if queue is not None:
            self._enter(endpoint_id, queue)

    def take_waiting_of(self, endpoint_id: str) -> list[Leased]:
        """Take out the deliveries of an endpoint that have not started."""
        queue = self._queues.get(endpoint_id)
        if queue is None:
            return []
        if queue.doubts:
            self._doubtful.count(queue, -1)
        left = list(queue.waiting)
        queue.waiting.clear()
        self.waiting -= len(left)
        if queue.doubts:
            self._doubtful.count(queue, +1)
        if queue.running == 0:
            del self._queues[endpoint_id]
        return left

    def take_waiting(self) -> list[Leased]:
        """Take out all deliveries that have not started."""
        left = [leased for queue in self._queues.values() for leased in queue.waiting]
        for queue in self._queues.values():
            queue.waiting.clear()
            queue.waits_in = None
        self._queues = {endpoint_id: queue for endpoint_id, queue in self._queues.items() if queue.running}
        for round_robin in self._round_robins:
            round_robin.tenants.clear()
        self.waiting = self._doubtful.new_waiting = self._doubtful.slow_waiting = 0
        return left

    @property
    def _most_slow(self) -> int:
        return max(1, self.concurrency // 4)

    def _is_full(self, *, slow: bool) -> bool:
        if slow:
            # More leases would only end before their requests could start.
            return self._doubtful.slow_waiting >= self._most_slow
        # Beside other tenants the bound is twice as high: a tenant's new endpoints keep no other's from being leased.
        return self._doubtful.new_waiting >= self.concurrency * self.ahead * (1 if len(self._tenants) <= 1 else 2)

    def _knowledge(self, endpoint_id: str) -> tuple[int, int]:
        return self._known.get(endpoint_id) or (min(_FIRST_WIDTH, self.per_endpoint), _DOUBTS_OF_NEW)

    def _enter(self, endpoint_id: str, queue: _Queue) -> None:
        if queue.waiting and queue.running < queue.width:
            doubtful = self._new if queue.doubts == _DOUBTS_OF_NEW else self._slow
            round_robin = doubtful if queue.doubts else self._trusted
            if queue.waits_in is not round_robin:
                queue.waits_in = round_robin
                round_robin.add(queue.tenant, endpoint_id)

    def _next_round_robin(self) -> RoundRobin | None:
        if not (self._new.tenants or self._slow.tenants):
            return self._trusted if self._trusted.tenants else None
        for _ in range(len(self._round_robins)):
            round_robin = self._round_robins[0]
            self._round_robins.rotate(-1)
            if round_robin.tenants and (round_robin is self._trusted or self._may_doubtful_start(round_robin)):
                return round_robin
        return None

    def _may_doubtful_start(self, round_robin: RoundRobin) -> bool:
        left = self.concurrency - self.concurrency // 8 - self._doubtful.running
        if left <= 0 or (round_robin is self._slow and self._doubtful.slow_running >= self._most_slow):
            return False
        if len(self._tenants) <= 1:
            # Some places are kept for another tenant, who may come at any time.
            return left > self.concurrency // 16
        for tenant in round_robin.tenants:
            if self._doubtful.by_tenant[tenant] <= _TIMES_WHAT_IS_LEFT * left:
                round_robin.tenants.move_to_end(tenant, last=False)
                return True
        return False

    def _reserved(self, width: int) -> int:
        # Only endpoints that answer fast get leases ahead of their width: those of others would end unused.
        fast = width > _SLOW_WIDTH or width == self.per_endpoint
        return self.per_endpoint * self.ahead - (width * self.ahead if fast else width)

    def _learn(self, endpoint_id: str, queue: _Queue, *, succeeded: bool, seconds: float) -> None:
        if succeeded and seconds <= _SLOW and queue.width == self.per_endpoint and queue.doubts == 0:
            return  # nearly always: there is nothing left to learn
        width = _next_width(queue.width, self.per_endpoint, succeeded=succeeded, seconds=seconds)
        doubts = _next_doubts(queue.doubts, succeeded=succeeded, seconds=seconds)
        if (width, doubts) != (queue.width, queue.doubts):
            queue.width, queue.doubts = width, doubts
            self._remember(endpoint_id, queue)

    def _remember(self, endpoint_id: str, queue: _Queue) -> None:
        self._known.pop(endpoint_id, None)
        self._known[endpoint_id] = (queue.width, queue.doubts)
        if queue.doubts > _DOUBTS_OF_NEW:
            self._known_slow.add(endpoint_id)
        else:
            self._known_slow.discard(endpoint_id)
        if len(self._known) > _KNOWN:
            forgotten = next(iter(self._known))
            del self._known[forgotten]
            self._known_slow.discard(forgotten)


class _InUse(Mapping[str, int]):
    """`EndpointQueues.in_use` as a mapping; it lists only endpoints that a claim has to be told of."""

    def __init__(self, queues: EndpointQueues) -> None:
        self._queues = queues

    def __getitem__(self, endpoint_id: str) -> int:
        return self._queues.in_use(endpoint_id)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._queues.without_capacity()))

    def __len__(self) -> int:
        return len(self._queues.without_capacity())


def _next_width(width: int, most: int, *, succeeded: bool, seconds: float) -> int:
    if seconds > _SLOW:
        return max(1, min(width, _SLOW_WIDTH) if succeeded else width // 2)
    return min(width * 2, most) if succeeded else width


def _next_doubts(doubts: int, *, succeeded: bool, seconds: float) -> int:
    if seconds <= _SLOW:
        return max(0, doubts - 1)
    return max(doubts, _DOUBTS_OF_NEW) if succeeded else _DOUBTS_OF_SLOW
