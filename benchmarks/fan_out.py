"""Measure a tenant with very many webhooks: emitting, and planning in batches of bounded memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import scenes
from databases import Place
from scenes import Opens, Size
from tables import Row, Table, alternate, pair

from unihooks.abc import Store


def many_webhooks(table: Table, opens: Opens, size: Size) -> None:
    """Emit and plan for a tenant with very many webhooks."""
    one = opens()
    store, count = one.store, size.webhooks
    types = [
        ["all", *(["some"] if number < size.fan_out else []), *(["one"] if number == 0 else [])]
        for number in range(count)
    ]
    scenes.add(store, [scenes.webhook(store, "many", number, *mine) for number, mine in enumerate(types)])
    scenes.add(store, [scenes.webhook(store, "few", 0, "one")])
    one.settle()
    few, many = alternate(size.rounds * 5, *(_emitting(store, tenant) for tenant in ("few", "many")))
    table.add(pair(f"emit for a tenant with {count:,} webhooks, against 1", one.kind, few, many, 1.25))
    scenes.plan_all(store)
    few, many = alternate(size.rounds, *(_planning(store, tenant) for tenant in ("few", "many")))
    table.add(pair(f"plan an event for 1 webhook of {count:,}, against of 1", one.kind, few, many, 1.5))
    _wide(table, one, size)


def _emitting(store: Store, tenant: str) -> Callable[[], None]:
    def emit() -> None:
        scenes.emit(store, tenant, 1, "one")

    return emit


def _planning(store: Store, tenant: str) -> Callable[[], None]:
    def plan() -> None:
        scenes.emit(store, tenant, 16, "one")
        scenes.plan_all(store)

    return plan


def _wide(table: Table, one: Place, size: Size) -> None:
    store = one.store
    for event_type, fan_out in (("some", size.fan_out), ("all", size.webhooks)):
        events = max(1, size.wide_events * size.fan_out // fan_out)
        scenes.emit(store, "many", events, event_type)
        made, seconds = zip(*scenes.plan_all(store), strict=True)
        table.check(f"fan-out {fan_out}: {sum(made)} made", good=sum(made) == events * fan_out)
        table.check(f"fan-out {fan_out}: {max(made)} in one call", good=max(made) <= 1_000)
        note = f"{max(made):,} at most in one of {len(made)} calls, slowest {max(seconds) * 1e3:.0f} ms"
        cost = sum(seconds) * 1e6 / sum(made)
        table.add(Row(what=f"plan with fan-out {fan_out:,}", where=one.kind, value=cost, unit="us each", note=note))
    _memory(table, one, size)


def _memory(table: Table, one: Place, size: Size) -> None:
    peaks = [_peak(one.store, events) for events in (2, size.wide_events)]
    what = f"Python's peak memory, planning {size.wide_events} events of fan-out {size.fan_out:,}, against 2"
    table.add(Row(what=what, where=one.kind, value=peaks[1], reference=peaks[0], unit="MiB", limit=1.5))


def _peak(store: Store, events: int) -> float:
    scenes.emit(store, "many", events, "some")
    gc.collect()
    tracemalloc.start()
    scenes.plan_all(store)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return peak
