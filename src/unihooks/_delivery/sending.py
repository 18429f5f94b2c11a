"""Send the deliveries that a worker has leased: render, sign, send, decide, record."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from random import uniform

import httpx
from attrs import define, field

from unihooks._base.times import SECOND
from unihooks._delivery.decisions import Decision, decide, granted, obeyed
from unihooks._delivery.destinations import Destinations
from unihooks._delivery.endpoint_queues import EndpointQueues
from unihooks._delivery.failures import FailuresInARow
from unihooks._delivery.pacing import pause_after_store_error
from unihooks._delivery.rendering import Renderer
from unihooks._delivery.results import Attempted, Unsent
from unihooks._delivery.waiting import Leased
from unihooks._delivery.work_state import WorkState
from unihooks._management.settings import Settings
from unihooks._message.rendering import RenderingFailed
from unihooks._message.requests import Message, PreparedDestination, RenderedRequest, build_request
from unihooks._model.log import DeliveryState
from unihooks._model.policy import DeliveryPolicy
from unihooks.abc import Claimed, Recorded, Result
from unihooks.exceptions import StoreError
from unihooks.transport import OWN_FAULT, Exchange, exchange

_STARTED_TOGETHER = 64
_CUT_OFF_SECONDS = 0.2
_DEAR_SECONDS = 1.0
_NOTHING_SENT = Exchange(error="the request could not be built", duration=0.0)
_LEAST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 60.0
_PAUSE_SPREAD = 0.2
_NO_WARNINGS: tuple[str, ...] = ()
_logger = logging.getLogger("unihooks.worker")


@define(eq=False, kw_only=True)
class Sender:
    """The deliveries of a worker, from claim to result.

    `record` takes each result. `want_more` is called when little is left to send. `unsent` has the deliveries to be
    given back to the store.
    """

    _settings: Settings
    _queues: EndpointQueues
    _state: WorkState
    _transport: httpx.AsyncBaseTransport
    _record: Callable[[Attempted | Unsent], None]
    _want_more: Callable[[], None]
    _destinations: Destinations
    _renderer: Renderer
    attempted: int = 0
    unsent: list[Claimed] = field(factory=list)
    _slots: set[asyncio.Task[None]] = field(factory=set)
    _timer: asyncio.TimerHandle | None = None
    _barred_since: float = 0.0
    _failures: FailuresInARow = field(factory=FailuresInARow)

    @property
    def in_flight(self) -> int:
        """The number of requests in flight."""
        return len(self._slots)

    # Starting: each slot sends one delivery after another.

    def start(self, claimed: Iterable[Claimed], start_by: float) -> None:
        """Queue deliveries whose requests may start until `start_by` (monotonic), and start those that have a place."""
        claimed = list(claimed)
        if not self._state.may_start:
            self.unsent += claimed
            return
        self._destinations.note(claimed)
        self._renderer.prepare(claimed)
        for one in claimed:
            self._queues.add(Leased(one, start_by))
        self.fill_slots()

    def fill_slots(self) -> None:
        """Start some of the waiting deliveries now, and the others in the next turns of the event loop."""
        for _ in range(_STARTED_TOGETHER):
            leased = self._queues.next()
            if leased is None:
                if self._queues.unreached.tenants or self._queues.expired:
                    self._await_first_contacts()
                return
            slot = asyncio.create_task(self._run_slot(leased))
            self._slots.add(slot)
            slot.add_done_callback(self._slots.discard)
        # Starting hundreds at once would hold up those that are under way.
        if self._state.schedule():
            asyncio.get_running_loop().call_soon(self._fill_more)

    def _fill_more(self) -> None:
        self._state.begin_turn()
        self.fill_slots()

    def _await_first_contacts(self) -> None:
        """Continue in time with endpoints that were never reached, and drop deliveries whose leases have ended."""
        if self._queues.expired:
            self.unsent += [leased.claimed for leased in self._queues.expired]
            self._queues.expired.clear()
            self._want_more()
        if self._timer is None and (pause := self._queues.pause) is not None:
            self._timer = asyncio.get_running_loop().call_later(pause, self._begin_first_contacts)

    def _begin_first_contacts(self) -> None:
        self._timer = None
        self.fill_slots()

    async def _run_slot(self, leased: Leased | None) -> None:
        while leased is not None:
            await self._deliver(leased)
            leased = self._queues.next()
            self.fill_slots()
        if self._queues.load == 0:
            self._renderer.forget_bodies()
        if self._queues.is_short:
            self._want_more()

    # One delivery.

    async def _deliver(self, leased: Leased) -> None:
        claimed = leased.claimed
        begun = time.monotonic()
        response: Exchange | None = None
        is_unsent = False
        try:
            response = await self._attempt(leased)
            is_unsent = response is None
        except RenderingFailed as failed:
            self._record(Unsent(claimed, failed.reason))
        except asyncio.CancelledError:
            is_unsent = True
            raise
        except StoreError:
            # The loop that takes work logs this. Wait, or the delivery is claimed again at once.
            is_unsent = True
            await pause_after_store_error()
        except Exception:
            # Let the lease end: trying again at once would only repeat the error.
            _logger.exception("delivery %s could not be attempted; it will be tried again", claimed.id)
        finally:
            if response is not None and response.dear:
                asyncio.get_running_loop().call_later(_DEAR_SECONDS, self._free_dear, claimed.endpoint_id)
            else:
                seconds = None if response is None or response.own_fault else time.monotonic() - begun
                succeeded = response is not None and response.error is None
                self._queues.done(claimed.endpoint_id, succeeded=succeeded, seconds=seconds)
            if self._failures.counts:
                self._narrow(claimed.endpoint_id)
            if is_unsent:
                self.unsent.append(claimed)

    def _narrow(self, endpoint_id: str) -> None:
        # Otherwise all requests in flight would fail before the breaker could begin a pause.
        self._queues.narrow(endpoint_id, self._failures.left(endpoint_id, self._settings.breaker))

    def _free_dear(self, endpoint_id: str) -> None:
        # Such responses take the event loop's time. As their places stay taken for a while, the endpoint gets as few of
        # them as one that hangs.
        self._queues.done(endpoint_id, succeeded=False, seconds=math.inf)
        self.fill_slots()
        self._want_more()

    async def _attempt(self, leased: Leased) -> Exchange | None:
        claimed = leased.claimed
        if claimed.rendering is None:
            body, warnings = claimed.body, _NO_WARNINGS
        else:
            body, warnings = self._renderer.at_once(claimed) or await self._renderer.render(claimed, claimed.rendering)
        prepared = self._destinations.known(claimed) or await self._destinations.find(claimed)
        # The clock is read last, because rendering and finding the destination take time. The deadline counts from this
        # very moment, so it never outlasts the lease, even if the process is frozen here.
        begun = time.monotonic()
        if prepared is None or not prepared.destination.open or begun > leased.start_by:
            return None
        policy: DeliveryPolicy | None = prepared.destination.policy
        seconds: float | None = self._settings.deadline
        if policy is not None or claimed.terms is not None:
            seconds = granted(claimed, policy, self._settings.deadline)
        if seconds is None:
            return None
        now, deadline = self._settings.store.now(), begun + seconds
        request = self._sign(claimed, body, prepared, now, deadline)
        response = _NOTHING_SENT
        if request is not None:
            response = await exchange(self._transport, request, deadline=deadline)
        if response.own_fault:
            self._record(Unsent(claimed, OWN_FAULT, self._pause_us()))
            return response
        self._barred_since = 0.0
        decision = self._decide(claimed, response, policy)
        self._record(Attempted(claimed, prepared, request, response, now, decision, warnings))
        return response

    def _pause_us(self) -> int:
        """Return how long a delivery waits that could not leave this machine; it grows while none can."""
        now = time.monotonic()
        self._barred_since = self._barred_since or now
        seconds = min(max(now - self._barred_since, _LEAST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        return round(seconds * uniform(1 - _PAUSE_SPREAD, 1 + _PAUSE_SPREAD) * SECOND)  # noqa: S311 - no secret

    def _sign(
        self, claimed: Claimed, body: bytes, prepared: PreparedDestination, now: int, deadline: float
    ) -> RenderedRequest | None:
        message = Message(claimed.event_id, claimed.product, claimed.event_type, body, claimed.subject)
        try:
            return build_request(prepared, message, now=now, deadline=deadline)
        except Exception:
            _logger.exception("the request of delivery %s cannot be built", claimed.id)
            return None

    def _decide(self, claimed: Claimed, response: Exchange, policy: DeliveryPolicy | None) -> Decision:
        self.attempted += 1
        retries = self._settings.retries
        if policy is not None and policy.retry_delays is not None:
            retries = retries.with_delays(policy.retry_delays)
        decision = decide(claimed, response, retries=retries, now=self._settings.store.now)
        if self._settings.receiver_control:
            decision = obeyed(decision, response)
        counts = decision.state is not DeliveryState.DELIVERED or self._failures.counts
        trips = counts and self._failures.trips(claimed, decision, self._settings.breaker)
        if decision.disable or decision.wait_us or trips:
            # Deliveries leased for this endpoint wait until the store knows.
            self._queues.close(claimed.endpoint_id)
        return decision

    def recorded(self, results: Iterable[Result], recorded: Recorded) -> None:
        """Resume endpoints that were about to be disabled or paused: the store now decides which are due.

        Their leased deliveries are given back.
        """
        closed = {one.claimed.endpoint_id for one in results if one.disable or one.wait_us}
        for endpoint_id in closed.union(recorded.paused, self._failures.recorded(results)):
            self._destinations.forget(endpoint_id)
            self.unsent += [leased.claimed for leased in self._queues.take_waiting_of(endpoint_id)]
            self._queues.open(endpoint_id)

    # Ending.

    async def finish(self, grace: float) -> None:
        """Start nothing more and let requests in flight end; after `grace` seconds, cancel those that have not."""
        self._state.end()
        if self._timer is not None:
            self._timer.cancel()
        self.unsent += [leased.claimed for leased in self._queues.take_waiting()]
        if self._slots:
            _, late = await asyncio.wait(set(self._slots), timeout=grace)
            for slot in late:
                slot.cancel()
            if late:
                # A transport of the host's may ignore cancellation.
                await asyncio.wait(late, timeout=_CUT_OFF_SECONDS)

    def close(self) -> None:
        """Free the threads that render."""
        self._renderer.close()
