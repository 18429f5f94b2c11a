"""Ask a store in one call for what many deliveries need at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from attrs import define, field

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_TOGETHER = 16

OffLoad = Callable[..., Awaitable[Any]]
"""`await offload(function, *args)` runs a blocking call in a thread."""


@define(eq=False)
class SharedReads(Generic[K, V]):
    """The reads of one kind that are in progress.

    `load(keys)` returns what it finds, or an error, for each key. An exception that it raises concerns all of them.
    """

    load: Callable[[Sequence[K]], Awaitable[Mapping[K, V | Exception]]]
    _wanted: dict[K, asyncio.Future[V | None]] = field(factory=dict)
    _loading: asyncio.Task[None] | None = None

    async def find(self, key: K) -> V | None:
        """Return what `load` finds for the key, None if it finds nothing, or raise its error."""
        found = self._wanted.get(key)
        if found is None:
            found = self._wanted[key] = asyncio.get_running_loop().create_future()
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load_all())
        return await asyncio.shield(found)

    async def _load_all(self) -> None:
        # Keys that are requested during a call go into the next call together. A call takes only a few keys, since all
        # their waiters continue in the same turn of the event loop, and hundreds would block everything else.
        while self._wanted:
            taken = {key: self._wanted.pop(key) for key in list(self._wanted)[:_TOGETHER]}
            answers: Mapping[K, V | Exception]
            try:
                answers = await self.load(list(taken))
            except Exception as error:  # noqa: BLE001 - raised by each `find` that waits
                answers = dict.fromkeys(taken, error)
            for key, found in taken.items():
                answer = answers.get(key)
                if isinstance(answer, Exception):
                    found.set_exception(answer)
                else:
                    found.set_result(answer)
