"""The chores of a worker: heartbeats, and removing what was held too long or is past its retention."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from attrs import define, field

from unihooks._base.times import DAY, SECOND
from unihooks._contract.leasing import ALONE, HELD_LIMIT_US, Share
from unihooks._delivery.shared_reads import OffLoad
from unihooks._management.settings import Settings
from unihooks.exceptions import StoreError

_EVERY_US = 30 * SECOND
_WEEK_US = 7 * DAY
_BATCH = 200
# By then everything sent in an hour has been counted, and health no longer depends on it.
_HOURS_END_US = 3_900 * SECOND
_PAUSE_SECONDS = 0.02
_logger = logging.getLogger("unihooks.worker")

# `chore(older_than, limit)` handles up to `limit` things that are older than a time, and returns how many.
_Chore = Callable[[int, int], int]


@define(eq=False)
class Maintenance:
    """The heartbeats, and the chores every 30 s by the store's clock, in small batches alongside deliveries.

    `share` is this worker's part of the work, according to the last heartbeat.
    """

    settings: Settings
    offload: OffLoad
    worker_id: str = field(factory=lambda: f"{os.getpid()}-{secrets.token_hex(4)}")
    share: Share = ALONE
    _next: int = 0
    _next_heartbeat: int = 0
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Make the chores due at once, and send a first heartbeat."""
        self._next = self._next_heartbeat = 0

    def is_due(self) -> bool:
        """Return whether it is time for a heartbeat, which precedes any chores."""
        return self._is_over(self._next_heartbeat) and (self._task is None or self._task.done())

    async def when_due(self) -> None:
        """Start a heartbeat, and then the chores, in the background if it is time."""
        if not self.is_due():
            return
        now, chores = self.settings.store.now(), self._is_over(self._next)
        self._next_heartbeat = now + round(self.settings.store.heartbeat_seconds() * SECOND)
        if chores:
            self._next = now + _EVERY_US
        self._task = asyncio.create_task(self._run(chores=chores))

    def _is_over(self, until: int) -> bool:
        # If the clock was set back, everything is due at once, not only when the clock has caught up.
        return not until - 2 * _EVERY_US <= self.settings.store.now() < until

    async def once(self) -> None:
        """Do one small batch of each chore now, without a heartbeat."""
        # In a thread: the store may have to ask its server for the time.
        now = await self.offload(self.settings.store.now)
        for chore, age_us in self._chores():
            await self.offload(chore, now - age_us, _BATCH)

    async def finish(self) -> None:
        """Stop the chores, and tell the store that this worker has ended if it has sent a heartbeat."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        # An error raised here would keep requests in flight from being finished and recorded.
        with _logging_errors("the store was not told that this worker has ended"):
            await self.offload(partial(self.settings.store.heartbeat, self.worker_id, gone=True))

    async def _run(self, *, chores: bool) -> None:
        with _logging_errors("maintenance failed and will be tried again"):
            self.share = await self.offload(self.settings.store.heartbeat, self.worker_id)
            for chore, age_us in self._chores() if chores else ():
                await self._in_batches(chore, age_us)

    def _chores(self) -> list[tuple[_Chore, int]]:
        settings, store = self.settings, self.settings.store
        # Events that are kept for weeks may be kept for a day more, so that whole days can be removed.
        exact = settings.retention_us is None or settings.retention_us < _WEEK_US
        chores: list[tuple[_Chore, int | None]] = [
            (store.expire_held, HELD_LIMIT_US),
            (partial(store.prune, exact=exact), settings.retention_us),
            (store.forget_keys, settings.keys_us),
            (store.fold_hours, _HOURS_END_US),
            (store.expire_state, 0),
        ]
        return [(chore, age_us) for chore, age_us in chores if age_us is not None]

    async def _in_batches(self, chore: _Chore, age_us: int) -> None:
        while await self.offload(chore, self.settings.store.now() - age_us, _BATCH) >= _BATCH:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE_SECONDS)


@contextmanager
def _logging_errors(what_failed: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        _logger.error("%s: %s", what_failed, error)  # noqa: TRY400
    except Exception:
        _logger.exception(what_failed)
