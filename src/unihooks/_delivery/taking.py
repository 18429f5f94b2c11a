"""Take work from the store: plan new events, claim due deliveries, and rest while there are none."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from attrs import define, field

from unihooks._base.times import SECOND
from unihooks._contract.leasing import new_token
from unihooks._delivery.endpoint_queues import EndpointQueues
from unihooks._delivery.job_runner import JobRunner
from unihooks._delivery.maintenance import Maintenance
from unihooks._delivery.pacing import OVERDUE_US, Backlog, ClaimBackoff, Looks
from unihooks._delivery.sending import Sender
from unihooks._delivery.shared_reads import OffLoad
from unihooks._delivery.work_state import Next, WorkState
from unihooks._management.settings import Settings
from unihooks.abc import Claimed, Lease, Planned, Share, Work
from unihooks.exceptions import StoreError

_PLAN_EVENTS = 256
_MANY_EVENTS = 64
_LONGEST_REST = 0.25
# After this many looks that show nothing new, everything else is looked at, too.
_PEEKS = 3


@define(eq=False)
class _Leasing:
    """A call of the store that leases deliveries: its `answer`, and until when (monotonic) requests may start.

    A worker at rest offers one as an invitation: whoever inserts events in this process begins to plan them in its own
    thread. That saves the time in which the worker would wake up.
    """

    answer: Future[Any] = field(factory=Future)
    start_by: float = 0.0


@define(eq=False, kw_only=True)
class Taker:
    """The taking of work for one worker, by the hints of its store; its verbs belong to the worker's event loop.

    `begin(verb, *args)` begins a verb of the store that writes, in a thread, and `offload` runs one that reads there.
    `maintenance` does the worker's chores, and knows its share of the work. `planned` counts events. `_seen`
    is what the last look showed, and `_due` when there will be something to do even if the next look shows the same.
    `_under_way` is the call that the store has not answered yet.
    """

    _settings: Settings
    _queues: EndpointQueues
    _state: WorkState
    _sender: Sender
    _lease_seconds: float
    _begin: Callable[..., Future[Any]]
    _offload: OffLoad
    _maintenance: Maintenance
    _jobs: JobRunner
    planned: int = 0
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    _pid: int = field(factory=os.getpid)
    _backoff: ClaimBackoff = field(factory=ClaimBackoff)
    _plan_backoff: ClaimBackoff = field(factory=ClaimBackoff)
    _looks: Looks = field(factory=Looks)
    _backlog: Backlog = field(factory=Backlog)
    _invitations: deque[_Leasing] = field(factory=deque)
    _seen: Work | None = None
    _due: float = 0.0
    _peeks_left: int = 0
    _plans_what_others_emit: bool = False
    _under_way: _Leasing | None = None

    # Taking work.

    async def take(self) -> None:
        """Plan and claim once."""
        taken = self._state.take_next()
        if self._under_way is not None:
            # A thread that emits has accepted the invitation of the last rest.
            await self._plan()
        if taken is Next.PLAN:
            await self._plan()
        # A process that emits without pause must not hide the work of others.
        if taken is Next.LOOK or self._looks.is_due(time.monotonic()):
            await self._look()
        if self._is_plannable():
            await self._plan()
        if self._is_claimable():
            await self._claim()

    async def look_everywhere(self) -> None:
        """Plan and claim once, even if the last look found nothing."""
        self._backoff.end()
        self._plan_backoff.end()
        self._state.changed()
        await self.take()

    async def is_work_left(self) -> bool:
        """Ask the store whether there is something to plan or to claim."""
        self._note(await self._offload(self._settings.store.work))
        return self._state.new_events or self._is_claimable()

    def want_more(self) -> None:
        """Note that little is left to send."""
        self._backoff.shorten()
        if self._is_claimable():
            self._state.moved()

    def _is_plannable(self) -> bool:
        return self._state.new_events and self._plan_backoff.is_over(time.monotonic())

    def _is_claimable(self) -> bool:
        next_due = self._state.next_due
        is_due = next_due is not None and next_due <= self._settings.store.now()
        return is_due and self._backoff.is_over(time.monotonic())

    # Looking at what there is.

    async def _look(self) -> None:
        if self._peek() is None:
            # A drain knows of no other worker, and leaves nothing.
            patient = self._maintenance.share.of > 1
            self._note(await self._offload(partial(self._settings.store.work, self._share, patient=patient)))

    def _peek(self) -> Work | None:
        """Look without a thread, if the store can."""
        self._looks.looked(time.monotonic(), self._settings.store.look_seconds())
        work = self._seen = self._settings.store.peek()
        if work is not None:
            self._note(work)
        return work

    def _note(self, work: Work) -> None:
        self._state.new_events, self._state.next_due = work.new_events, work.next_due
        self._jobs.saw(unfinished=work.has_jobs)
        overdue = work.first_due is not None and work.first_due < self._settings.store.now() - OVERDUE_US
        self._backlog.note(time.monotonic(), is_waiting=overdue or work.is_late)
        if work.new_events:
            self._looks.expect(time.monotonic(), self._settings.store.look_seconds())

    # Planning and claiming.

    async def _plan(self) -> None:
        leasing = self._under_way
        if leasing is None:
            lease, start_by = self._new_lease()
            leasing = _Leasing(self._begin_plan(lease), start_by)
        planned: Planned = await self._answered(leasing)
        self.planned += planned.events
        self._sender.start(planned.claimed, leasing.start_by)
        self._learn(planned)

    def _begin_plan(self, lease: Lease) -> Future[Planned]:
        capacity, most = self._queues.capacity(planning=True), self._settings.limits.deliveries_per_event
        return self._begin(self._settings.store.plan, lease, capacity, _PLAN_EVENTS, most, self._share)

    def _learn(self, planned: Planned) -> None:
        """Note what is left to do after planning."""
        state, store = self._state, self._settings.store
        state.new_events = planned.more
        if planned.claimed:
            state.due_by(store.now() + round(self._lease_seconds * SECOND))
        if planned.deliveries > len(planned.claimed):
            state.due_by(store.now())
        if planned.more and planned.events >= _MANY_EVENTS:
            self._backlog.note(time.monotonic(), is_waiting=True)
        if planned.more or planned.deliveries > len(planned.claimed):
            # Other workers, which may be free, were not told of what this process has emitted.
            store.wake(here=False)
        self._plans_what_others_emit = bool(planned.events)
        if planned.events or planned.deliveries:
            self._plan_backoff.found()
        elif planned.more:
            # Another transaction holds these events, or their planning failed: they are tried again soon, then rarely.
            self._plan_backoff.found_nothing(time.monotonic())
            self._plan_backoff.shorten()
        else:
            # This worker was woken for something else, such as a replay.
            state.changed()

    async def _claim(self) -> None:
        capacity = self._queues.capacity()
        if capacity.total == 0:
            self._backoff.had_no_capacity(time.monotonic())
            return
        lease, start_by = self._new_lease()
        leasing = _Leasing(self._begin(self._settings.store.claim, lease, capacity, self._share), start_by)
        claimed: list[Claimed] = await self._answered(leasing)
        self._sender.start(claimed, start_by)
        if claimed:
            self._backoff.found()
            if len(claimed) < capacity.total:
                # Or there is more, which the next claim will show.
                self._state.changed()
        else:
            # There is no capacity for what is due, or another worker was faster.
            self._backoff.found_nothing(time.monotonic())

    def _new_lease(self) -> tuple[Lease, float]:
        # The clock is read before the store is called, so the lease ends here no later than there.
        start_by = time.monotonic() + self._lease_seconds - self._settings.deadline
        token, seconds = new_token(self._maintenance.worker_id), self._lease_seconds
        return Lease(token=token, seconds=seconds, deadline=self._settings.deadline), start_by

    @property
    def _share(self) -> Share:
        return self._backlog.share(self._maintenance.share)

    # Resting, until something happens or is due.

    async def rest(self) -> None:
        """Return when there is something to do; until then, let whoever inserts events start planning them."""
        invitation = _Leasing()
        self._invitations.append(invitation)
        try:
            while self._state.rests and self._invitations and not self._may_take():
                await self._state.wait(self._rest_seconds(), self._rest_on)
        finally:
            try:
                self._invitations.remove(invitation)
            except ValueError:
                self._under_way = invitation

    def _may_take(self) -> bool:
        """Return whether there is something to do, after a look if one is due."""
        if self._looks.is_due(time.monotonic()) and self._peek() is None:
            self._state.changed()
            return True
        has_other_work = self._sender.unsent or self._maintenance.is_due()
        return bool(self._is_plannable() or self._is_claimable() or has_other_work)

    def _rest_seconds(self) -> float:
        """Return how long there is nothing to do unless something happens, or until the next look."""
        now, state = time.monotonic(), self._state
        until = math.inf
        if state.new_events:
            until = min(until, self._plan_backoff.until)
        if state.next_due is not None:
            due_in = (state.next_due - self._settings.store.now()) / SECOND
            until = min(until, max(now + due_in, self._backoff.until))
        self._due, self._peeks_left = until, 0 if self._seen is None else _PEEKS
        # The host's clock may be advanced, which no timer notices.
        return max(0.0, min(until, self._looks.next, now + _LONGEST_REST) - now)

    def _rest_on(self) -> float | None:
        """Return how much longer to rest; None if there may be something to do, or it is time to look at everything."""
        now, store = time.monotonic(), self._settings.store
        if self._peeks_left <= 0 or now >= self._due or store.peek() is not self._seen:
            return None
        self._peeks_left -= 1
        self._looks.looked(now, store.look_seconds())
        return min(self._looks.next, self._due) - now

    # Hints of the store, in any thread; after a fork they concern only the parent.

    def emitted(self) -> None:
        """Let the worker plan what was inserted here."""
        if os.getpid() != self._pid:
            return
        try:
            invitation = self._invitations.pop()
        except IndexError:
            # Waking an event loop takes a system call, and many may emit before the loop has looked.
            if self._state.begin_waking():
                self._in_loop(self._state.emitted)
        else:
            self._accept(invitation)

    def changed(self) -> None:
        """Let the worker look for work from another process."""
        if os.getpid() == self._pid:
            self._in_loop(self._heard)

    def expected(self) -> None:
        """Let the worker look repeatedly for what a host is about to commit."""
        if os.getpid() == self._pid:
            self._in_loop(self._expect)

    def _accept(self, invitation: _Leasing) -> None:
        """Start planning in this thread, and leave the outcome to the worker."""

        def answer(planned: Future[Planned]) -> None:
            if planned.cancelled():
                invitation.answer.set_exception(StoreError("the worker has ended", name="store"))
            elif (error := planned.exception()) is not None:
                invitation.answer.set_exception(error)
            else:
                invitation.answer.set_result(planned.result())
            self._in_loop(self._state.moved)

        # From here on it cannot be cancelled by those who stop waiting for it.
        invitation.answer.set_running_or_notify_cancel()
        try:
            lease, invitation.start_by = self._new_lease()
            self._begin_plan(lease).add_done_callback(answer)
        except Exception:  # noqa: BLE001 - for example, the store is being closed; the worker then tries it itself
            invitation.answer.set_result(Planned(more=True))
            self._in_loop(self._state.moved)

    def _in_loop(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _heard(self) -> None:
        # If another worker is usually faster, asking first costs less.
        self._state.changed(Next.PLAN if self._plans_what_others_emit else Next.LOOK)

    def _expect(self) -> None:
        self._looks.expect(time.monotonic(), self._settings.store.look_seconds())
        self._state.moved()

    # Deliveries are released if their claim returns after the worker's end.

    async def _answered(self, leasing: _Leasing) -> Any:
        self._under_way = leasing
        try:
            answer = leasing.answer.result() if leasing.answer.done() else await asyncio.wrap_future(leasing.answer)
        except Exception:
            self._under_way = None
            raise
        # Not if this is cancelled: `take_late_answer` then handles what has been leased.
        self._under_way = None
        return answer

    async def take_late_answer(self) -> None:
        """Wait for a claim that was under way at the end, and give back what it leased."""
        if self._under_way is not None and not self._under_way.answer.cancelled():
            answer = await asyncio.shield(asyncio.wrap_future(self._under_way.answer))
            self._under_way = None
            self._sender.unsent += _leased_in(answer)

    def leave_late_answer(self) -> None:
        """Let the claiming thread release what it leases, if nobody waits for it any more."""
        if self._under_way is not None:
            self._under_way.answer.add_done_callback(self._release_late)

    def _release_late(self, leasing: Future[Any]) -> None:
        # If this fails, too, the lease ends by itself.
        with contextlib.suppress(Exception):
            if not leasing.cancelled():
                store, leased = self._settings.store, _leased_in(leasing.result())
                if store.submit(store.release, leased) is None:
                    store.release(leased)


def _leased_in(answer: Planned | list[Claimed]) -> list[Claimed]:
    return list(answer.claimed if isinstance(answer, Planned) else answer)
