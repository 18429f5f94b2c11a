"""Measure what a claim costs in a large store: with future retries, closed lanes, full lanes, chains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import scenes
from attrs import field, frozen
from burst import burst
from databases import Place, place
from fan_out import many_webhooks
from scenes import Opens, Size
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
SMALL = scenes.SMALL


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    for kind in kinds:
        for question in QUESTIONS:
            with ExitStack() as stack:
                question(table, partial(_open, stack, kind, dsn), size)


def _open(stack: ExitStack, kind: str, dsn: str) -> Place:
    return stack.enter_context(place(kind, dsn))


@frozen(kw_only=True)
class Beside:
    """A claim of healthy deliveries beside many others in lanes of their own, against beside few or none.

    `due` is when the others are due, from now on (microseconds). `then` are statements that make their lanes what they
    are.
    """

    what: str
    tenant: str
    due: int = -HOUR
    attempts: int = 0
    is_open: bool = True
    policy: DeliveryPolicy | None = None
    taken: Mapping[str, int] = field(factory=dict)
    then: Sequence[str] = ()
    against_few: bool = False
    limit: float = 2

    def __call__(self, table: Table, opens: Opens, size: Size) -> None:
        """Add a row to the table."""
        few_rows = size.few_rows if self.against_few else 0
        few, many = self._filled(opens(), few_rows), self._filled(opens(), size.rows)
        what = self.what.format(rows=size.rows, lanes=LANES)
        what = f"claim {CLAIM} beside {what}, against {f'{few_rows:,}' if few_rows else 'none'}"

        def claiming(store: Store) -> Callable[[], None]:
            claimed = store.claim(scenes.lease(), Capacity(CLAIM, PER_ENDPOINT, self.taken))
            good = len(claimed) == CLAIM and {one.tenant for one in claimed} == {"healthy"}
            table.check(f"{what}: {len(claimed)} claimed", good=good)
            return lambda: store.release(claimed)

        base, loaded = alternate(size.rounds, partial(claiming, few.store), partial(claiming, many.store))
        table.add(pair(what, few.kind, base, loaded, self.limit))

    def _filled(self, one: Place, rows: int) -> Place:
        options: dict[str, Any] = {"is_open": self.is_open, "policy": self.policy}
        scenes.add(one.store, [scenes.webhook(one.store, self.tenant, number, **options) for number in range(LANES)])
        due = one.store.now() + self.due
        one.load(self.tenant, rows=rows, lanes=LANES, due=due, attempts=self.attempts)
        values = {"prefix": one.prefix, "tenant": self.tenant, "until": one.store.now() + HOUR}
        one.run(*(statement.format(**values) for statement in self.then))
        _add_healthy(one.store)
        one.settle()
        return one


def _add_healthy(store: Store) -> None:
    types = [f"type.{number}" for number in range(HEALTHY_LANES)]
    scenes.add(store, [scenes.webhook(store, "healthy", number, one) for number, one in enumerate(types)])
    for one in types:
        scenes.emit(store, "healthy", HEALTHY_DUE // HEALTHY_LANES, one)
    scenes.plan_all(store)


_LANES = "UPDATE {{prefix}}lanes SET {} WHERE tenant = '{{tenant}}'"
_AT_LIMITS = _LANES.format("ready_at = {until}, next_due_at = {until}")
_PAUSED = _LANES.format(
    f"pause_us = {HOUR}, probe_at = {{until}}, not_before = {{until}}, next_due_at = {{until}}, failures = 5"
)
_ORDERED = f"subject = 'order/7', sequence = due_at + 1, due_at = {NEVER}"
_WAITING = (
    f"UPDATE {{prefix}}deliveries SET {_ORDERED} WHERE tenant = '{{tenant}}' AND state = 'pending'",
    _LANES.format("next_due_at = {until}"),
)
_FULL = {f"end_full_{number}": PER_ENDPOINT for number in range(LANES)}
QUESTIONS = (
    Beside(what="{rows:,} future retries", tenant="retry", due=HOUR, attempts=1, against_few=True, limit=1.5),
    Beside(what="{rows:,} due in {lanes} closed lanes", tenant="closed", is_open=False),
    Beside(what="{rows:,} due in {lanes} full lanes", tenant="full", taken=_FULL),
    Beside(
        what="{rows:,} due in {lanes} lanes that are at their limits",
        tenant="limited",
        policy=DeliveryPolicy(in_flight=1),
        then=[_AT_LIMITS],
    ),
    Beside(what="{rows:,} due in {lanes} lanes whose endpoints failed", tenant="paused", then=[_PAUSED]),
    Beside(what="{rows:,} in {lanes} lanes that wait for an earlier one", tenant="ordered", then=_WAITING),
    many_webhooks,
    burst,
)
