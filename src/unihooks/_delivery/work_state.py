"""What a worker is bound by, and what it knows of its work: what it does next, whether more deliveries may start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from enum import Enum, auto

from attrs import define, field, frozen


@frozen(kw_only=True)
class WorkerLimits:
    """The bounds of a worker: requests in flight in all and per endpoint; lease and grace in seconds."""

    concurrency: int
    per_endpoint: int
    lease: float
    grace: float


class Next(Enum):
    """The next step of the loop that takes work."""

    REST = auto()
    """Wait until something happens or something is due."""
    LOOK = auto()
    """Ask the store what there is to do."""
    PLAN = auto()
    """Plan new events without asking first, since that would only delay them."""


class Starting(Enum):
    """The permission to start leased deliveries."""

    OPEN = auto()
    """They may."""
    SCHEDULED = auto()
    """They may, and the next ones will in the next turn of the event loop."""
    ENDED = auto()
    """None may: the worker is ending."""


@define(eq=False)
class WorkState:
    """The state of one worker. All of it belongs to the worker's event loop, except `begin_waking`.

    `new_events` and `next_due` (when an open lane may have a due delivery) are what the store said at the last look,
    updated by what this worker has done since.
    """

    next: Next = Next.REST
    starting: Starting = Starting.OPEN
    new_events: bool = False
    next_due: int | None = None
    _news: asyncio.Event = field(factory=asyncio.Event)
    _is_waking: bool = False

    # What happens.

    def begin_waking(self) -> bool:
        """Return whether the event loop has to be woken; False while a wake-up is on its way. For any thread."""
        if self._is_waking:
            return False
        self._is_waking = True
        return True

    def emitted(self) -> None:
        """Note that this process has emitted: the wake-up has arrived."""
        self._is_waking = False
        self.next = Next.PLAN
        self._news.set()

    def changed(self, then: Next = Next.LOOK) -> None:
        """Note that the store may have work that is not known here."""
        if self.next is not Next.PLAN:
            self.next = then
        self._news.set()

    def moved(self) -> None:
        """Note that known work may be done now: a place is free, or an attempt has ended."""
        self._news.set()

    def due_by(self, at: int) -> None:
        """Note that a delivery is due at a time."""
        self.next_due = at if self.next_due is None else min(self.next_due, at)

    # What to do.

    @property
    def rests(self) -> bool:
        """Whether nothing has happened since `take_next`."""
        return self.next is Next.REST

    def take_next(self) -> Next:
        """Return what to do now; later changes count for the next call."""
        taken, self.next = self.next, Next.REST
        self._news.clear()
        return taken

    async def wait(self, seconds: float, then: Callable[[], float | None] = lambda: None) -> None:
        """Wait until something new happens, at most this long.

        `then` is called after that time, and returns how much longer to wait; None ends the waiting. An idle worker
        does this all the time: not waking its task costs a third less.
        """
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def ring() -> None:
            nonlocal timer
            more = None
            with contextlib.suppress(Exception):  # the waiting task gets the exception
                more = then()
            if more is None:
                self._news.set()
            else:
                timer = loop.call_later(more, ring)

        timer = loop.call_later(seconds, ring)
        try:
            await self._news.wait()
        finally:
            timer.cancel()
            self._news.clear()

    # What may start.

    @property
    def may_start(self) -> bool:
        """Whether a delivery may start."""
        return self.starting is not Starting.ENDED

    def schedule(self) -> bool:
        """Return whether to schedule the next turn of the event loop; False if that has been done."""
        if self.starting is not Starting.OPEN:
            return False
        self.starting = Starting.SCHEDULED
        return True

    def begin_turn(self) -> None:
        """Note that the scheduled turn has come."""
        if self.starting is Starting.SCHEDULED:
            self.starting = Starting.OPEN

    def end(self) -> None:
        """Let nothing else start."""
        self.starting = Starting.ENDED
