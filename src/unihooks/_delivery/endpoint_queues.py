"""The deliveries that a worker has leased, handed out fairly: by endpoint, each within its width."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping

from attrs import define, field

from unihooks._delivery.experience import DOUBTS_OF_NEW, SLOW, Experience, next_doubts, next_width
from unihooks._delivery.first_contacts import FirstContacts
from unihooks._delivery.waiting import ByAge, Leased, Queue, RoundRobin
from unihooks.abc import Capacity

_PLANNED_TOGETHER = 1024
_MOST_AHEAD = 16
# A tenant's share of the places for doubtful endpoints: this many times what it leaves to others.
_TIMES_WHAT_IS_LEFT = 3


@define
class EndpointQueues:
    """The queues of leased deliveries, one for each endpoint; at most `concurrency` deliveries are in flight.

    Endpoints are of four kinds. Trusted ones have answered fast. The others are doubtful, since they may hang: to the
    unreached no request has ended yet, new ones lack one fast answer, and slow ones have failed slowly. Only trusted
    ones get the last eighth of the places, slow ones hold a quarter together, and of the unreached only a few begin at
    once. Within a kind, tenants take turns, and so do the endpoints of a tenant.

    An endpoint earns its width, up to `per_endpoint` or what its policy says, by answering well and fast, and loses it
    by failing slowly: so one that hangs holds one place, however much is due for it. A worker leases up to `ahead`
    times what may be in flight. `expired` is what waited too long for a request.
    """

    concurrency: int
    per_endpoint: int
    ahead: int = field()
    clock: Callable[[], float] = time.monotonic
    expired: list[Leased] = field(factory=list)
    running: int = 0
    waiting: int = 0
    unreached: ByAge = field(factory=ByAge)
    _queues: dict[str, Queue] = field(factory=dict)
    _trusted: RoundRobin = field(factory=RoundRobin)
    _new: RoundRobin = field(factory=RoundRobin)
    _slow: RoundRobin = field(factory=RoundRobin)
    _round_robins: deque[RoundRobin] = field(init=False)
    _most_doubtful: int = field(init=False)
    _most_slow: int = field(init=False)
    _first_contacts: FirstContacts = field(init=False)
    _doubtful_running: Counter[str] = field(factory=Counter)
    _experience: Experience = field(init=False)
    _closed: set[str] = field(factory=set)
    _tenants: set[str] = field(factory=set)

    @ahead.default
    def _enough_ahead(self) -> int:
        # Enough for one call of planning, or much of it would have to be claimed in a second step. But no more than
        # endpoints that take half a second per request can use before the leases end.
        return min(_MOST_AHEAD, max(4, _PLANNED_TOGETHER // self.concurrency))

    def __attrs_post_init__(self) -> None:
        self._round_robins = deque((self._trusted, self.unreached, self._new, self._slow))
        self._experience = Experience(self.per_endpoint)
        self._most_doubtful, self._most_slow = self.concurrency - self.concurrency // 8, max(1, self.concurrency // 4)
        self._first_contacts = FirstContacts(self._left_for_first_contacts, self.clock)

    # Queueing, and what came of it.

    @property
    def load(self) -> int:
        """Return how many deliveries are waiting or in flight."""
        return self.running + self.waiting

    def add(self, leased: Leased) -> None:
        """Queue a delivery behind the others of its endpoint."""
        endpoint_id, tenant, terms = leased.claimed.endpoint_id, leased.claimed.tenant, leased.claimed.terms
        most = self.per_endpoint
        if terms is not None and terms.in_flight is not None:
            most = min(terms.in_flight, self.concurrency)
        queue = self._queues.get(endpoint_id)
        if queue is None:
            width, doubts, is_unreached = self._experience.of(endpoint_id)
            # Its policy may have allowed more before.
            width = min(width, most)
            queue = self._queues[endpoint_id] = Queue(tenant, width, doubts, is_unreached, most)
            if len(self._tenants) <= 1:
                self._tenants.add(tenant)
        if queue.doubts:
            self._count(queue, -1)
        queue.waiting.append(leased)
        self.waiting += 1
        if queue.doubts:
            self._count(queue, +1)
        if queue.waits_in is None:
            self._enter(endpoint_id, queue)

    def done(self, endpoint_id: str, *, succeeded: bool, seconds: float | None) -> None:
        """Free the place of one delivery and learn from its outcome; `seconds` is None if no request was made."""
        queue = self._queues[endpoint_id]
        if queue.doubts:
            self._count(queue, -1)
        queue.running -= 1
        self.running -= 1
        if seconds is not None:
            self._learn(endpoint_id, queue, succeeded=succeeded, seconds=seconds)
        elif queue.is_unreached:
            self._first_contacts.gave_up()
        if queue.doubts:
            self._count(queue, +1)
        self._enter(endpoint_id, queue)
        if not queue.waiting and queue.running == 0:
            del self._queues[endpoint_id]

    def _learn(self, endpoint_id: str, queue: Queue, *, succeeded: bool, seconds: float) -> None:
        if succeeded and seconds <= SLOW and queue.width == queue.most and queue.doubts == 0:
            return  # the usual case: nothing to learn
        width = next_width(queue.width, queue.most, succeeded=succeeded, seconds=seconds)
        doubts = next_doubts(queue.doubts, succeeded=succeeded, seconds=seconds)
        if queue.is_unreached or (width, doubts) != (queue.width, queue.doubts):
            if queue.is_unreached and seconds <= SLOW:
                self._first_contacts.answered(self._left_for_first_contacts)
            queue.width, queue.doubts, queue.is_unreached = width, doubts, False
            self._experience.keep(endpoint_id, width, doubts)

    def narrow(self, endpoint_id: str, width: int | None) -> None:
        """Limit an endpoint to this width until it has succeeded again; None changes nothing."""
        known, doubts, is_unreached = self._experience.of(endpoint_id)
        if width is None or is_unreached or known <= width:
            return
        self._experience.keep(endpoint_id, width, doubts)
        queue = self._queues.get(endpoint_id)
        if queue is not None:
            queue.width = min(queue.width, width)

    def close(self, endpoint_id: str) -> None:
        """Start and lease nothing more of an endpoint until `open`."""
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
        self._count(queue, -1)
        left = list(queue.waiting)
        queue.waiting.clear()
        self.waiting -= len(left)
        self._count(queue, +1)
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
            round_robin.waiting = 0
        self.waiting = 0
        return left

    # What starts next: tenants, kinds of endpoints and endpoints in turn.

    def next(self) -> Leased | None:
        """Take the next delivery whose endpoint may have one more in flight, tenants and endpoints in turn."""
        while self.running < self.concurrency and (round_robin := self._next_round_robin()) is not None:
            endpoint_id = self._take_unreached() if round_robin is self.unreached else round_robin.take()
            queue = self._queues.get(endpoint_id)
            if queue is None or queue.waits_in is not round_robin:
                continue
            queue.waits_in = None
            if endpoint_id in self._closed or not queue.waiting or queue.running >= queue.width:
                continue
            if queue.doubts:
                leased = self._start_doubtful(queue)
            else:
                leased = queue.waiting.popleft()
                queue.running += 1
                self.running += 1
                self.waiting -= 1
            self._enter(endpoint_id, queue)
            if leased is not None:
                return leased
            if not queue.waiting and queue.running == 0:
                del self._queues[endpoint_id]
        return None

    @property
    def pause(self) -> float | None:
        """Return the seconds until an endpoint that was never reached may begin; None if time does not decide that."""
        left = self._left_for_first_contacts if self.unreached.tenants else 0
        is_paced = left > 0 and self.running < self.concurrency
        return (self._first_contacts.seconds(left) or None) if is_paced else None

    def _next_round_robin(self) -> RoundRobin | None:
        if not (self.unreached.tenants or self._new.tenants or self._slow.tenants):
            return self._trusted if self._trusted.tenants else None
        for _ in range(len(self._round_robins)):
            round_robin = self._round_robins[0]
            self._round_robins.rotate(-1)
            if round_robin.tenants and (round_robin is self._trusted or self._may_doubtful_start(round_robin)):
                return round_robin
        return None

    def _may_doubtful_start(self, round_robin: RoundRobin) -> bool:
        left = self._left_for_doubtful
        if round_robin is self.unreached and not self._may_unreached_start():
            return False
        if left <= 0 or (round_robin is self._slow and self._slow.running >= self._most_slow):
            return False
        if len(self._tenants) <= 1:
            # Some places are kept for another tenant, who may come at any time.
            return left > self.concurrency // 16
        for tenant in round_robin.tenants:
            if self._doubtful_running[tenant] <= _TIMES_WHAT_IS_LEFT * left:
                round_robin.tenants.move_to_end(tenant, last=False)
                return True
        return False

    def _may_unreached_start(self) -> bool:
        if self._first_contacts.may_begin(max(0, self._left_for_first_contacts)):
            return True
        # A tenant with hardly anything in flight does not wait for those of others.
        for tenant in self.unreached.tenants:
            if self._doubtful_running[tenant] < self.concurrency // 64:
                self.unreached.tenants.move_to_end(tenant, last=False)
                return True
        return False

    def _take_unreached(self) -> str:
        return self.unreached.take(newest=self._first_contacts.is_newest_next(len(self.unreached.tenants)))

    def _start_doubtful(self, queue: Queue) -> Leased | None:
        """Start the next delivery of a doubtful queue; None if its lease ended while it waited."""
        self._count(queue, -1)
        leased = queue.waiting.popleft()
        self.waiting -= 1
        if has_expired := queue.is_unreached and leased.start_by < self.clock():
            self.expired.append(leased)
        else:
            queue.running += 1
            self.running += 1
            if queue.is_unreached:
                self._first_contacts.begin()
        self._count(queue, +1)
        return None if has_expired else leased

    def _enter(self, endpoint_id: str, queue: Queue) -> None:
        # While many wait, each endpoint that was never reached holds a single place.
        width = 1 if queue.is_unreached and self._first_contacts.is_scarce else queue.width
        if queue.waiting and queue.running < width:
            round_robin = self._round_robin_of(queue) if queue.doubts else self._trusted
            if queue.waits_in is not round_robin:
                queue.waits_in = round_robin
                if round_robin is self.unreached:
                    self.unreached.add_in_order(queue.tenant, endpoint_id, queue.waiting[0].claimed.event_id)
                else:
                    round_robin.add(queue.tenant, endpoint_id)

    def _round_robin_of(self, queue: Queue) -> RoundRobin:
        if queue.is_unreached:
            return self.unreached
        return self._new if queue.doubts == DOUBTS_OF_NEW else self._slow

    # What may be leased, ahead of what is in flight.

    @property
    def is_short(self) -> bool:
        """Return whether little is waiting that may start soon."""
        return self.waiting - self._doubtful_waiting <= self.running

    def capacity(self, *, planning: bool = False) -> Capacity:
        """Return how much more can be leased ahead; with `planning`, of events that were emitted just now."""
        # However many deliveries for doubtful endpoints are waiting, they leave capacity to the others.
        hidden = max(0, self._doubtful_waiting - self.concurrency * self.ahead // 2)
        left = max(0, self.concurrency * self.ahead - self.load + hidden)
        return Capacity(left, self.per_endpoint * self.ahead, _InUse(self, self._left_for_unreached(planning=planning)))

    def in_use(self, endpoint_id: str) -> int:
        """Return how much of one endpoint's capacity, `per_endpoint * ahead`, cannot be leased."""
        queue = self._queues.get(endpoint_id)
        known = self._experience.of(endpoint_id) if queue is None else (queue.width, queue.doubts, queue.is_unreached)
        width, doubts, is_unreached = known
        is_full = doubts and not is_unreached and self._is_full(slow=doubts > DOUBTS_OF_NEW)
        if is_full or endpoint_id in self._closed:
            return self.per_endpoint * self.ahead
        held = 0 if queue is None else queue.running + len(queue.waiting)
        return held + self._reserved(width)

    def is_unreached(self, endpoint_id: str) -> bool:
        """Return whether no request to this endpoint has ended yet."""
        queue = self._queues.get(endpoint_id)
        return self._experience.of(endpoint_id)[2] if queue is None else queue.is_unreached

    def without_capacity(self) -> Collection[str]:
        """Return the endpoints of which nothing can be leased: a claim skips them, however much is due."""
        slow = self._experience.slow if self._is_full(slow=True) else ()
        unreached = self.unreached.endpoint_ids if self._first_contacts.is_scarce else ()
        return {*slow, *unreached} if slow and unreached else slow or unreached

    def _reserved(self, width: int) -> int:
        # Only endpoints that respond fast get leases beyond their width: those of others would end unused.
        is_fast = self._experience.is_fast(width)
        return self.per_endpoint * self.ahead - (width * self.ahead if is_fast else width)

    def _is_full(self, *, slow: bool) -> bool:
        if slow:
            # More leases would only end before their requests could start.
            return self._slow.waiting >= self._most_slow
        # With other tenants the bound is twice as high, so that one tenant's new endpoints cannot use up all of it.
        return self._new.waiting >= self.concurrency * self.ahead * (1 if len(self._tenants) <= 1 else 2)

    def _left_for_unreached(self, *, planning: bool) -> int:
        waiting, most = self.unreached.waiting, self.concurrency * self.ahead
        if not self._first_contacts.is_scarce:
            # With other tenants the bound is twice as high, as for new ones.
            return most * (1 if len(self._tenants) <= 1 else 2) - waiting
        # More leases would only end before their requests could start. Events that were emitted just now get a chance
        # anyway.
        return max(self.concurrency // 4 - waiting, min(self.concurrency // 2, 2 * most - waiting) if planning else 0)

    # How much of it all is for doubtful endpoints.

    def _count(self, queue: Queue, sign: int) -> None:
        """Add a queue, if it is doubtful, to its kind as it is (sign +1), or take it off before it changes (-1).

        Each delivery passes `add` and `done`: those spare the others this call.
        """
        if not queue.doubts:
            return
        kind, running = self._round_robin_of(queue), sign * queue.running
        kind.waiting += sign * len(queue.waiting)
        kind.running += running
        self._doubtful_running[queue.tenant] += running
        if self._doubtful_running[queue.tenant] == 0:
            del self._doubtful_running[queue.tenant]

    @property
    def _doubtful_waiting(self) -> int:
        return self.unreached.waiting + self._new.waiting + self._slow.waiting

    @property
    def _left_for_doubtful(self) -> int:
        return self._most_doubtful - self.unreached.running - self._new.running - self._slow.running

    @property
    def _left_for_first_contacts(self) -> int:
        # Some places are kept for another tenant, who may come at any time.
        return self._left_for_doubtful - self.concurrency // 16


class _InUse(Mapping[str, int]):
    """`EndpointQueues.in_use` as a mapping; it lists only endpoints that a claim has to know about.

    It admits at most `unreached` endpoints that were never reached.
    """

    def __init__(self, queues: EndpointQueues, unreached: int) -> None:
        self._queues = queues
        self._unreached = unreached
        self._full = frozenset(queues.without_capacity())

    def __getitem__(self, endpoint_id: str) -> int:
        if self._queues.is_unreached(endpoint_id):
            self._unreached -= endpoint_id not in self._full
            if endpoint_id in self._full or self._unreached < 0:
                return self._queues.per_endpoint * self._queues.ahead
        return self._queues.in_use(endpoint_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._full)

    def __len__(self) -> int:
        return len(self._full)
