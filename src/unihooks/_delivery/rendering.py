"""Render the bodies of deliveries when they are sent, once for all endpoints of a webhook."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from attrs import define, field

from unihooks._base.threads import Threads
from unihooks._delivery.shared_reads import OffLoad, SharedReads
from unihooks._message.rendering import Rendered, Rendering, RenderingFailed
from unihooks.abc import Claimed, Store
from unihooks.exceptions import StoreError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_SMALL = 4 * 1024
_SECONDS_AHEAD = 0.001
_LARGE = 16 * 1024
_SECONDS_AT_ONCE = 0.0003
_THREADS = 2
_MOST_BYTES = 4 * 1024 * 1024
_BYTES_OF_AN_ENTRY = 500
_MOST_PLACES = 100_000
_logger = logging.getLogger("unihooks.worker")

# An event's id and a rendering's.
_Key = tuple[str, str]
_Outcome = Rendered | RenderingFailed


@define
class _Known:
    """A rendering, and the size of body up to which it seems to be quick enough for the event loop."""

    rendering: Rendering
    most_at_once: int = _LARGE

    def render(self, body: bytes) -> _Outcome:
        """Return the rendered body; learn from the time that a large one takes."""
        if len(body) <= _LARGE:
            return _outcome(self.rendering, body)
        # By the clock of the thread, since others may get the processor or the interpreter in between.
        begun = time.thread_time()
        outcome = _outcome(self.rendering, body)
        quick = int(_SECONDS_AT_ONCE * len(body) / max(time.thread_time() - begun, 1e-9))
        # Bodies of other events may be slower, so the size falls at once and rises in steps.
        most = 2 * max(self.most_at_once, len(body)) if isinstance(outcome, Rendered) else self.most_at_once
        self.most_at_once = max(_LARGE, min(quick, most))
        return outcome


@define(eq=False)
class Renderer:
    """The rendered bodies of events, made in one event loop and kept while it has work.

    A large body that is not known to be quick is rendered in a thread, since a call of the JSON decoder takes as long
    as the body has values; meanwhile the event loop continues with other deliveries. Each tenant uses at most one
    thread at a time, so that the others find a free one, or wait for at most one rendering of each tenant.
    """

    store: Store
    offload: OffLoad
    _bodies: _Cache[_Key, _Outcome] = field(init=False)
    _known: _Cache[str, _Known] = field(init=False)
    _reads: SharedReads[str, _Known] = field(init=False)
    _pool: Threads = field(factory=lambda: Threads(_THREADS, "unihooks-rendering"))
    _threads: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(_THREADS))
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(factory=WeakValueDictionary)
    _under_way: dict[_Key, asyncio.Task[_Outcome]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._bodies = _Cache(_MOST_BYTES, _bytes)
        self._known = _Cache(_MOST_PLACES, lambda known: known.rendering.mapping.size)
        self._reads = SharedReads(self._load)

    def prepare(self, claimed: Iterable[Claimed]) -> None:
        """Render small bodies ahead of time, for a short while.

        In a row they take half as long as between other steps, which fill the processor's caches with other code.
        """
        until = time.monotonic() + _SECONDS_AHEAD
        for one in claimed:
            if one.rendering and len(one.body) <= _SMALL:
                self._quick_outcome(one)
                if time.monotonic() > until:
                    return

    def at_once(self, claimed: Claimed) -> Rendered | None:
        """Return what this delivery sends if that needs no waiting, otherwise None; or raise `RenderingFailed`."""
        outcome = self._quick_outcome(claimed)
        return None if outcome is None else _made(outcome)

    async def render(self, claimed: Claimed, rendering_id: str) -> Rendered:
        """Return what this delivery sends, or raise `RenderingFailed`; `StoreError` if that is not known for now."""
        known = self._known.get(rendering_id) or await self._find(rendering_id)
        return _made(self._quick_outcome(claimed) or await self._shared(claimed, known))

    def _quick_outcome(self, claimed: Claimed) -> _Outcome | None:
        key = _key(claimed)
        outcome = self._bodies.get(key)
        if outcome is None:
            known = self._known.get(key[1])
            if known is not None and len(claimed.body) <= known.most_at_once:
                outcome = known.render(claimed.body)
                self._bodies.add(key, outcome)
        return outcome

    def forget_bodies(self) -> None:
        """Drop bodies that nobody waits for, since their events may be erased."""
        self._bodies.clear()

    def close(self) -> None:
        """Cancel what is under way, and free the threads."""
        for task in self._under_way.values():
            task.cancel()
        self._pool.close()

    async def _find(self, rendering_id: str) -> _Known:
        known = await self._reads.find(rendering_id)
        if known is None:
            _logger.error("the store has no rendering %s; the deliveries that name it wait", rendering_id)
            raise StoreError("the store does not know how to render this delivery; it has to wait", name=rendering_id)
        return known

    async def _load(self, rendering_ids: Sequence[str]) -> dict[str, _Known | Exception]:
        renderings: dict[str, Rendering] = await self.offload(self.store.renderings, rendering_ids)
        found = {rendering_id: _Known(rendering) for rendering_id, rendering in renderings.items()}
        for rendering_id, known in found.items():
            self._known.add(rendering_id, known)
        return {**found}

    async def _shared(self, claimed: Claimed, known: _Known) -> _Outcome:
        key = _key(claimed)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._in_a_thread(key, claimed, known))
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(task)

    async def _in_a_thread(self, key: _Key, claimed: Claimed, known: _Known) -> _Outcome:
        # Both queues are first come, first served. Only one body of a tenant gets into the second one, so tenants take
        # turns.
        turn = self._turns.setdefault(claimed.tenant, asyncio.Lock())
        async with turn, self._threads:
            outcome = await self._pool.run(known.render, claimed.body)
        self._bodies.add(key, outcome)
        return outcome


@define(eq=False)
class _Cache(Generic[K, V]):
    """A cache of the newest values, up to a total weight."""

    most: int
    weight: Callable[[V], int]
    _kept: dict[K, V] = field(factory=dict)
    _total: int = 0

    def get(self, key: K) -> V | None:
        return self._kept.get(key)

    def add(self, key: K, value: V) -> None:
        if key not in self._kept:
            self._kept[key] = value
            self._total += self.weight(value)
        while self._total > self.most:
            self._total -= self.weight(self._kept.pop(next(iter(self._kept))))

    def clear(self) -> None:
        self._kept.clear()
        self._total = 0


def _outcome(rendering: Rendering, body: bytes) -> _Outcome:
    try:
        return rendering.render(body)
    except RenderingFailed as failed:
        return failed


def _key(claimed: Claimed) -> _Key:
    return claimed.event_id, claimed.rendering or ""


def _made(outcome: _Outcome) -> Rendered:
    if isinstance(outcome, RenderingFailed):
        raise RenderingFailed(outcome.reason)
    return outcome


def _bytes(outcome: _Outcome) -> int:
    body = outcome.body if isinstance(outcome, Rendered) else b""
    return _BYTES_OF_AN_ENTRY + len(body)
