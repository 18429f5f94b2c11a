"""Drive a large store as a dispatcher and a worker would, without a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from attrs import evolve, frozen
from databases import Place

from unihooks import DeliveryPolicy, Endpoint, EventSubscription, Secret, Webhook
from unihooks._base.ids import new_id
from unihooks._base.times import from_us
from unihooks._contract.planning import NewEvent
from unihooks._model.log import DeliveryState
from unihooks._model.webhooks import ActiveInterval
from unihooks.abc import AttemptRow, Capacity, Claimed, Lease, Result, Store

LOTS = 1_000_000
BODY = b'{"text":"' + b"x" * 1000 + b'"}'
EVENTS_AT_ONCE = 1_000

_tokens = count(1)
_SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


@frozen(kw_only=True)
class Size:
    """The sizes of large stores."""

    rows: int = 1_000_000
    few_rows: int = 1_000
    rounds: int = 41
    webhooks: int = 10_000
    fan_out: int = 1_000
    wide_events: int = 20
    burst: int = 100_000
    singles: int = 30


SMALL = Size(rows=20_000, few_rows=200, rounds=5, webhooks=300, fan_out=200, wide_events=5, burst=2_000, singles=5)

Opens = Callable[[], Place]


def lease() -> Lease:
    """Return a lease of another worker that outlasts every run."""
    return Lease(token=next(_tokens), seconds=3_600)


def webhook(
    store: Store, tenant: str, number: int, *types: str, is_open: bool = True, policy: DeliveryPolicy | None = None
) -> Webhook:
    """Make a webhook with one endpoint, whose ids are known from its number."""
    now = store.now()
    interval = ActiveInterval(activated_at=now, activated_mark=new_id("mrk_", now))
    if not is_open:
        interval = evolve(interval, deactivated_at=now, deactivated_mark=new_id("mrk_", now))
    return Webhook(
        name=f"{tenant} {number}",
        endpoints=[Endpoint(f"https://example.com/{tenant}/{number}", id=f"end_{tenant}_{number}")],
        subscriptions=[EventSubscription("shop", one) for one in types or ("paid",)],
        status="active" if is_open else "inactive",
        id=f"whk_{tenant}_{number}",
        tenant=tenant,
        version=1,
        secrets=[_SECRET],
        created_at=from_us(now),
        updated_at=from_us(now),
        interval=interval,
        policy=policy,
    )


def add(store: Store, webhooks: Sequence[Webhook]) -> None:
    """Store webhooks, several at a time."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: store.add_webhook(one, at_most=LOTS), webhooks))


def emit(store: Store, tenant: str, how_many: int, event_type: str = "paid") -> None:
    """Emit events of 1 KB in large batches, and wait until they are durable."""
    left = how_many
    while left:
        batch = [event(store, tenant, event_type) for _ in range(min(left, EVENTS_AT_ONCE))]
        store.submit_events(batch).result()
        left -= len(batch)


def event(store: Store, tenant: str, event_type: str = "paid") -> NewEvent:
    """Make an event of 1 KB."""
    now = store.now()
    return NewEvent(new_id("evt_", now), tenant, "shop", event_type, BODY, now)


def plan_all(store: Store) -> list[tuple[int, float]]:
    """Plan new events without leasing; return the number of deliveries and the seconds of each call."""
    calls: list[tuple[int, float]] = []
    more = True
    while more:
        began = time.perf_counter()
        planned = store.plan(lease(), Capacity(0, 0), 256)
        calls.append((planned.deliveries, time.perf_counter() - began))
        more = planned.more
    return calls


def deliver(store: Store, claimed: Sequence[Claimed]) -> None:
    """Record a success for each."""
    now = store.now()
    attempts = [
        AttemptRow(one.attempt_count + 1, "https://example.com/", now, 900, 204, None, "[]", "[]", b"")
        for one in claimed
    ]
    store.record([Result(one, made, DeliveryState.DELIVERED) for one, made in zip(claimed, attempts, strict=True)])
