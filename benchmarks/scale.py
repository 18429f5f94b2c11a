"""Measure what a claim costs in a large store: with future retries, closed lanes, full lanes, chains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import scenes
import sizes
from burst import burst
from databases import Place, place
from fan_out import many_webhooks
from sizes import Opens, Size
from tables import Table, alternate, pair

from unihooks import DeliveryPolicy
from unihooks.abc import Capacity, Store
from unihooks.stores.sql.ordering import NEVER

HEALTHY_LANES = 64
HEALTHY_DUE = 2_048
CLAIM = 256
PER_ENDPOINT = 32
HOUR = 3_600_000_000
LANES = 200
SMALL = sizes.SMALL


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    for kind in kinds:
        for question in QUESTIONS:
            with ExitStack() as stack:
                question(table, partial(_open, stack, kind, dsn), size)


def _open(stack: ExitStack, kind: str, dsn: str) -> Place:
    return stack.enter_context(place(kind, dsn))


def _retries(table: Table, opens: Opens, size: Size) -> None:
    few, many = opens(), opens()
    for one, rows in ((few, size.few_rows), (many, size.rows)):
        _add_lanes(one.store, "retry")
        one.load("retry", rows=rows, lanes=LANES, due=one.store.now() + HOUR, attempts=1)
    what = f"claim {CLAIM} beside {size.rows:,} future retries, against {size.few_rows:,}"
    _compare_claims(table, what, few, many, size, limit=1.5)


def _closed_lanes(table: Table, opens: Opens, size: Size) -> None:
    none, many = opens(), opens()
    for one, rows in ((none, 0), (many, size.rows)):
        _add_lanes(one.store, "closed", is_open=False)
        one.load("closed", rows=rows, lanes=LANES, due=one.store.now() - HOUR)
    what = f"claim {CLAIM} beside {size.rows:,} due in {LANES} closed lanes, against none"
    _compare_claims(table, what, none, many, size, limit=2)


def _full_lanes(table: Table, opens: Opens, size: Size) -> None:
    none, many = opens(), opens()
    for one, rows in ((none, 0), (many, size.rows)):
        _add_lanes(one.store, "full")
        one.load("full", rows=rows, lanes=LANES, due=one.store.now() - HOUR)
    taken = {f"end_full_{number}": PER_ENDPOINT for number in range(LANES)}
    what = f"claim {CLAIM} beside {size.rows:,} due in {LANES} full lanes, against none"
    _compare_claims(table, what, none, many, size, limit=2, taken=taken)


def _limited_lanes(table: Table, opens: Opens, size: Size) -> None:
    none, many = opens(), opens()
    for one, rows in ((none, 0), (many, size.rows)):
        _add_lanes(one.store, "limited", policy=DeliveryPolicy(in_flight=1))
        one.load("limited", rows=rows, lanes=LANES, due=one.store.now() - HOUR)
        until = one.store.now() + HOUR
        one.run(f"UPDATE {one.prefix}lanes SET ready_at = {until}, next_due_at = {until} WHERE tenant = 'limited'")
    what = f"claim {CLAIM} beside {size.rows:,} due in {LANES} lanes that are at their limits, against none"
    _compare_claims(table, what, none, many, size, limit=2)


def _paused_lanes(table: Table, opens: Opens, size: Size) -> None:
    none, many = opens(), opens()
    for one, rows in ((none, 0), (many, size.rows)):
        _add_lanes(one.store, "paused")
        one.load("paused", rows=rows, lanes=LANES, due=one.store.now() - HOUR)
        until = one.store.now() + HOUR
        pause = f"pause_us = {HOUR}, probe_at = {until}, not_before = {until}, next_due_at = {until}, failures = 5"
        one.run(f"UPDATE {one.prefix}lanes SET {pause} WHERE tenant = 'paused'")
    what = f"claim {CLAIM} beside {size.rows:,} due in {LANES} lanes whose endpoints failed, against none"
    _compare_claims(table, what, none, many, size, limit=2)


def _chains(table: Table, opens: Opens, size: Size) -> None:
    none, many = opens(), opens()
    for one, rows in ((none, 0), (many, size.rows)):
        _add_lanes(one.store, "ordered")
        one.load("ordered", rows=rows, lanes=LANES, due=1)
        waiting = f"subject = 'order/7', sequence = due_at + 1, due_at = {NEVER}"
        one.run(
            f"UPDATE {one.prefix}deliveries SET {waiting} WHERE tenant = 'ordered' AND state = 'pending'",
            f"UPDATE {one.prefix}lanes SET next_due_at = {one.store.now() + HOUR} WHERE tenant = 'ordered'",
        )
    what = f"claim {CLAIM} beside {size.rows:,} in {LANES} lanes that wait for an earlier one, against none"
    _compare_claims(table, what, none, many, size, limit=2)


def _add_lanes(store: Store, tenant: str, *, is_open: bool = True, policy: DeliveryPolicy | None = None) -> None:
    lanes = [scenes.webhook(store, tenant, number, is_open=is_open, policy=policy) for number in range(LANES)]
    scenes.add(store, lanes)


def _compare_claims(
    table: Table,
    what: str,
    few: Place,
    many: Place,
    size: Size,
    *,
    limit: float,
    taken: Mapping[str, int] | None = None,
) -> None:
    def claiming(store: Store) -> Callable[[], Callable[[], None]]:
        def claim() -> Callable[[], None]:
            claimed = store.claim(scenes.lease(), Capacity(CLAIM, PER_ENDPOINT, taken or {}))
            good = len(claimed) == CLAIM and {one.tenant for one in claimed} == {"healthy"}
            table.check(f"{what}: {len(claimed)} claimed", good=good)
            return lambda: store.release(claimed)

        return claim

    for one in (few, many):
        _add_healthy(one.store)
        one.settle()
    base, loaded = alternate(size.rounds, claiming(few.store), claiming(many.store))
    table.add(pair(what, few.kind, base, loaded, limit))


def _add_healthy(store: Store) -> None:
    types = [f"type.{number}" for number in range(HEALTHY_LANES)]
    scenes.add(store, [scenes.webhook(store, "healthy", number, one) for number, one in enumerate(types)])
    for one in types:
        scenes.emit(store, "healthy", HEALTHY_DUE // HEALTHY_LANES, one)
    scenes.plan_all(store)


QUESTIONS = (
    _retries,
    _closed_lanes,
    _full_lanes,
    _limited_lanes,
    _paused_lanes,
    _chains,
    many_webhooks,
    burst,
)
