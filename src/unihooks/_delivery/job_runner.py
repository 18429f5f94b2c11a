"""Do jobs alongside live events: one slice after another, as long as there are unfinished jobs."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

from attrs import define

from unihooks._base.times import SECOND
from unihooks._delivery.maintenance import Maintenance
from unihooks._delivery.shared_reads import OffLoad
from unihooks._delivery.work_state import WorkState
from unihooks._management.settings import Settings
from unihooks.abc import Advanced
from unihooks.exceptions import StoreError

# At this number of deliveries per second, a worker keeps most of its time for live events. These have to wait for the
# slice that is under way, so each slice makes only a few.
_PACE = 300.0
_INTERVAL_SECONDS = 0.01
_INTERVAL_PER_SLICE = 3
_MOST_PER_SLICE = 500
_LONGEST_WAIT = 1.0
_LONGEST_BREAK = 30.0
_logger = logging.getLogger("unihooks.worker")


@define(eq=False)
class JobRunner:
    """The jobs of one worker, done in the background from `start` to `stop`; its verbs belong to the event loop.

    `_is_unfinished` says whether the store had unfinished jobs at the last look.
    """

    _settings: Settings
    _offload: OffLoad
    _state: WorkState
    _maintenance: Maintenance
    _is_started: bool = False
    _is_unfinished: bool = False
    _most: int = 1
    _failures: int = 0
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Do jobs from now on, once `saw` reports them."""
        self._is_started = True

    def saw(self, *, unfinished: bool) -> None:
        """Note whether there are unfinished jobs."""
        self._is_unfinished = unfinished
        if unfinished and self._is_started and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Start no other slice; one that has begun ends by itself."""
        self._is_started = False
        if self._task is not None:
            self._task.cancel()

    async def drain(self, seconds: float) -> bool:
        """Do one slice, if there is one, without a pace but within the rate; return whether there may be another."""
        if not self._is_unfinished:
            return False
        advanced = await self._advance(_MOST_PER_SLICE, patient=False)
        if advanced.wait_us:
            await self._state.wait(max(0.0, min(advanced.wait_us / SECOND, seconds)))
        return advanced.more

    async def _run(self) -> None:
        while True:
            began = time.monotonic()
            try:
                advanced = await self._advance(self._most, patient=True)
            except Exception as error:  # noqa: BLE001 - the worker, and the jobs of others, must go on
                await self._rest_after(error)
                continue
            self._failures = 0
            if not advanced.more:
                return
            await asyncio.sleep(self._pause(time.monotonic() - began, advanced))

    async def _advance(self, most: int, *, patient: bool) -> Advanced:
        store, rate = self._settings.store, self._settings.limits.job_deliveries_per_second
        advanced: Advanced = await self._offload(partial(store.advance_jobs, most=most, rate=rate, patient=patient))
        if advanced.made:
            self._state.due_by(store.now())
            self._state.moved()
            if self._maintenance.share.of > 1:
                # The deliveries may be in lanes of other workers.
                store.wake(here=False)
        return advanced

    def _pause(self, took: float, advanced: Advanced) -> float:
        """Return how long to leave the store to others; after a slow slice, wait longer and make more next time."""
        pace = self._settings.limits.job_deliveries_per_second or _PACE
        interval = max(_INTERVAL_SECONDS, took * _INTERVAL_PER_SLICE)
        self._most = max(1, min(_MOST_PER_SLICE, round(pace * interval)))
        return max(interval - took, min(advanced.wait_us / SECOND, _LONGEST_WAIT))

    async def _rest_after(self, error: Exception) -> None:
        self._failures += 1
        seconds = min(_LONGEST_BREAK, 2.0 ** min(self._failures, 10))
        if isinstance(error, StoreError):
            _logger.error("a slice of a job failed and is tried again in %g s: %s", seconds, error)
        else:
            _logger.error("a slice of a job failed and is tried again in %g s", seconds, exc_info=error)
        await asyncio.sleep(seconds)
