"""The chores of a worker: its heartbeat, and removing what was held too long or is past its retention."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable
from functools import partial

from attrs import define, field

from unihooks._base.times import SECOND
from unihooks._delivery.lookups import OffLoad
from unihooks._management.settings import Settings
from unihooks.exceptions import StoreError

HELD_AT_MOST_US = 5 * 86_400 * SECOND
_EVERY_US = 30 * SECOND
_BATCH = 200
_PAUSE_SECONDS = 0.02
_logger = logging.getLogger("unihooks.worker")


def _new_worker_id() -> str:
    return f"{os.getpid()}-{secrets.token_hex(4)}"


@define(eq=False)
class Maintenance:
    """The chores, every 30 s by the store's clock, in small batches while deliveries go on."""

    settings: Settings
    offload: OffLoad
    worker_id: str = field(factory=_new_worker_id)
    _next: int = 0
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Make the chores due at once, with a first heartbeat."""
        self._next = 0

    def is_due(self) -> bool:
        """Say whether it is time again."""
        # If the clock was put back, the chores are due at once, not only when it has caught up.
        due = not self._next - 2 * _EVERY_US <= self.settings.store.now() < self._next
        return due and (self._task is None or self._task.done())

    async def when_due(self) -> None:
        """Start the chores in the background if it is time."""
        if self.is_due():
            self._next = self.settings.store.now() + _EVERY_US
            self._task = asyncio.create_task(self._run_chores())

    async def once(self) -> None:
        """Do one small batch of each chore now, without a heartbeat."""
        store = self.settings.store
        # In a thread: the store may have to ask its server for the time.
        now = await self.offload(store.now)
        await self.offload(store.expire_held, now - HELD_AT_MOST_US, _BATCH)
        if self.settings.retention_us is not None:
            await self.offload(store.prune, now - self.settings.retention_us, _BATCH)
        if self.settings.keys_us is not None:
            await self.offload(store.forget_keys, now - self.settings.keys_us, _BATCH)

    async def finish(self) -> None:
        """Stop the chores and note that this worker has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await self.offload(partial(self.settings.store.heartbeat, self.worker_id, gone=True))
        except StoreError as error:
            _logger.error("the store was not told that this worker has ended: %s", error)  # noqa: TRY400
        except Exception:
            # Raised here, it would keep what is in flight from being finished and recorded.
            _logger.exception("the store was not told that this worker has ended")

    async def _run_chores(self) -> None:
        try:
            await self.offload(self.settings.store.heartbeat, self.worker_id)
            await self._expire()
            await self._prune()
            await self._forget_keys()
        except StoreError as error:
            _logger.error("maintenance failed and will be tried again: %s", error)  # noqa: TRY400
        except Exception:
            _logger.exception("maintenance failed and will be tried again")

    async def _expire(self) -> None:
        await self._in_batches(self.settings.store.expire_held, HELD_AT_MOST_US)

    async def _prune(self) -> None:
        if self.settings.retention_us is not None:
            await self._in_batches(self.settings.store.prune, self.settings.retention_us)

    async def _forget_keys(self) -> None:
        if self.settings.keys_us is not None:
            await self._in_batches(self.settings.store.forget_keys, self.settings.keys_us)

    async def _in_batches(self, chore: Callable[[int, int], int], age_us: int) -> None:
        while await self.offload(chore, self.settings.store.now() - age_us, _BATCH) >= _BATCH:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE_SECONDS)
