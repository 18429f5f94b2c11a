"""What a worker has leased and not sent yet, by endpoint."""

from __future__ import annotations

from collections import Counter, deque

from attrs import define, field

from unihooks._delivery.experience import DOUBTS_OF_NEW
from unihooks._delivery.round_robins import RoundRobin
from unihooks.abc import Claimed


@define
class Leased:
    """A claimed delivery and the last moment (monotonic seconds) at which its request may start."""

    claimed: Claimed
    start_by: float


@define
class Queue:
    """The waiting deliveries of one endpoint.

    Up to `width` of them may be in flight, which may grow to `most`. While one could start, the endpoint
    waits for a place in `waits_in`.
    """

    tenant: str
    width: int
    doubts: int
    is_unreached: bool
    most: int
    waiting: deque[Leased] = field(factory=deque)
    running: int = 0
    waits_in: RoundRobin | None = None


@define
class Doubtful:
    """How much endpoints that are not trusted have waiting and in flight."""

    unreached_waiting: int = 0
    new_waiting: int = 0
    slow_waiting: int = 0
    running: int = 0
    slow_running: int = 0
    by_tenant: Counter[str] = field(factory=Counter)

    @property
    def waiting(self) -> int:
        return self.unreached_waiting + self.new_waiting + self.slow_waiting

    def count(self, queue: Queue, sign: int) -> None:
        """Add a doubtful queue as it is (sign +1), or take it off before it changes (-1)."""
        running, waiting = sign * queue.running, sign * len(queue.waiting)
        self.running += running
        self.by_tenant[queue.tenant] += running
        if self.by_tenant[queue.tenant] == 0:
            del self.by_tenant[queue.tenant]
        if queue.doubts > DOUBTS_OF_NEW:
            self.slow_running += running
            self.slow_waiting += waiting
        elif queue.is_unreached:
            self.unreached_waiting += waiting
        else:
            self.new_waiting += waiting
