"""What a worker knows of its work: what it does next, and whether more deliveries may start."""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum, auto

from attrs import define, field

_LOOK_SECONDS = 0.01


class Next(Enum):
    """What the loop that takes work does next."""

    REST = auto()
    """Wait until something happens or something is due."""
    LOOK = auto()
    """Ask the store what there is to do."""
    PLAN = auto()
    """Plan new events without asking first, which would only delay them: this process has just emitted."""


class Starting(Enum):
    """Whether deliveries that are leased may start."""

    OPEN = auto()
    """They may."""
    SCHEDULED = auto()
    """They may, and the next ones will in the next turn of the event loop."""
    ENDED = auto()
    """None may: the worker is ending."""


@define(eq=False)
class WorkState:
    """The state of one worker. All of it belongs to the worker's event loop but `begin_waking`.

    `next_due` is when an open lane may have a due delivery, as the store said at the last look.
    """

    next: Next = Next.REST
    starting: Starting = Starting.OPEN
    next_due: int | None = None
    _news: asyncio.Event = field(factory=asyncio.Event)
    _is_waking: bool = False
    _look_by: float = 0.0
    _change_token: object = None

    # What happens.

    def begin_waking(self) -> bool:
        """Say whether the event loop has to be woken; False while a wake-up is on its way. For any thread."""
        if self._is_waking:
            return False
        self._is_waking = True
        return True

    def emitted(self) -> None:
        """Learn that this process has emitted: the wake-up has arrived."""
        self._is_waking = False
        self.next = Next.PLAN
        self._news.set()

    def changed(self) -> None:
        """Learn that there may be something to do."""
        if self.next is Next.REST:
            self.next = Next.LOOK
        self._news.set()

    def has_changed(self, change_token: object) -> bool:
        """Say whether other processes have committed since the last time this was asked."""
        changed = change_token != self._change_token
        self._change_token = change_token
        return changed

    # What to do.

    @property
    def rests(self) -> bool:
        """Whether nothing has happened since `take_next`."""
        return self.next is Next.REST

    def take_next(self) -> Next:
        """Return what to do now; what happens from here on is for the next time."""
        taken, self.next = self.next, Next.REST
        self._news.clear()
        return taken

    def is_look_overdue(self, now: float) -> bool:
        """Say whether to look now whatever else there is: who emits without end must not hide what is due."""
        return now >= self._look_by

    def begin_look(self, now: float) -> None:
        """Note that the store is asked now (monotonic seconds)."""
        self._look_by = now + _LOOK_SECONDS

    async def wait(self, seconds: float) -> None:
        """Wait until something happens, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    # What may start.

    @property
    def may_start(self) -> bool:
        """Whether a delivery may start."""
        return self.starting is not Starting.ENDED

    def schedule(self) -> bool:
        """Say whether to come back in the next turn of the event loop; False if that is arranged already."""
        if self.starting is not Starting.OPEN:
            return False
        self.starting = Starting.SCHEDULED
        return True

    def begin_turn(self) -> None:
        """Note that the turn has come that was scheduled."""
        if self.starting is Starting.SCHEDULED:
            self.starting = Starting.OPEN

    def end(self) -> None:
        """Let nothing more start."""
        self.starting = Starting.ENDED
