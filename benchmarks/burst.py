"""Measure how long a tenant's single event waits behind another tenant's burst."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import scenes
from scenes import Opens, Size
from tables import Row, Table, percentile

from unihooks.abc import Capacity, Claimed, Store

_PER_ENDPOINT = 128


def burst(table: Table, opens: Opens, size: Size) -> None:
    """Emit one tenant's burst and other tenants' single events behind it."""
    one = opens()
    store = one.store
    scenes.add(store, [scenes.webhook(store, "burst", number, f"type.{number}") for number in range(10)])
    scenes.add(store, [scenes.webhook(store, "quiet", 0)])
    for number in range(10):
        scenes.emit(store, "burst", size.burst // 10, f"type.{number}")
    waits = []
    with _working(store) as arrivals:
        for _ in range(size.singles):
            time.sleep(random.uniform(0, 0.05))
            event = scenes.event(store, "quiet")
            began = time.perf_counter()
            store.submit_events([event]).result()
            waits.append((arrivals.wait_for(event.id) - began) * 1e3)
    left = store.oldest_unplanned() is not None
    table.check("the burst was planned before the last single event came", good=left or size.burst < 10_000)
    for part in (0.5, 0.9):
        what = f"emit to claim of another tenant's event behind a burst of {size.burst:,}, p{part * 100:.0f}"
        note = f"max {max(waits):.0f} ms"
        table.add(Row(what=what, where=one.kind, value=percentile(waits, part), limit=100, note=note))


class _Arrivals:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._times: dict[str, float] = {}

    def note(self, claimed: Sequence[Claimed]) -> None:
        with self._changed:
            now = time.perf_counter()
            self._times.update({one.event_id: now for one in claimed if one.tenant == "quiet"})
            self._changed.notify_all()

    def wait_for(self, event_id: str) -> float:
        with self._changed:
            if not self._changed.wait_for(lambda: event_id in self._times, timeout=60):
                raise TimeoutError(event_id)
            return self._times[event_id]


@contextmanager
def _working(store: Store) -> Iterator[_Arrivals]:
    """Plan, claim and record like a worker whose endpoints respond immediately."""
    arrivals = _Arrivals()
    ending = threading.Event()

    def work() -> None:
        while not ending.is_set():
            room = Capacity(512, _PER_ENDPOINT)
            claimed = list(store.plan(scenes.lease(), room, 256).claimed)
            arrivals.note(claimed)
            more = store.claim(scenes.lease(), room)
            arrivals.note(more)
            scenes.deliver(store, claimed + more)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield arrivals
    finally:
        ending.set()
        worker.join()
