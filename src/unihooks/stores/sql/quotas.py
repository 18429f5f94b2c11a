"""Enforce how many events a tenant may emit in a minute, by counting them as they come, without reading any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from unihooks._base.times import SECOND
from unihooks._contract.planning import NewEvent
from unihooks.abc import EmitOutcome
from unihooks.exceptions import LimitReached
from unihooks.stores.sql.emitting import Insert
from unihooks.stores.sql.transaction import Transaction

MINUTE = 60 * SECOND


def insert_within(
    tx: Transaction, events: Sequence[NewEvent], limits: Sequence[int | None], insert: Insert
) -> list[EmitOutcome]:
    """Insert the events that are within their limits; each of the others is refused by itself."""
    refusals = _refusals(tx, events, limits)
    allowed = [event for event, refusal in zip(events, refusals, strict=True) if refusal is None]
    outcomes = iter(insert(allowed) if allowed else ())
    return [next(outcomes) if refusal is None else refusal for refusal in refusals]


def refuse_any(tx: Transaction, events: Sequence[NewEvent], limit: int | None) -> None:
    """Count events; raise LimitReached, which must roll the transaction back, if they do not all fit into the limit."""
    if limit is not None and len(events) > limit:
        sentence = f"{len(events)} events at once exceed the limit of {limit} per minute; emit fewer"
        raise LimitReached(sentence, name="events_per_minute")
    for refusal in _refusals(tx, events, [limit] * len(events)):
        if refusal is not None:
            raise refusal


def limit_reached(event: NewEvent, limit: int) -> LimitReached:
    """Return the error that refuses an event."""
    seconds = (MINUTE - event.created_at % MINUTE + SECOND - 1) // SECOND
    return LimitReached(
        f"the tenant may emit {limit} events per minute, which is the limit; try again in {seconds} s",
        name="events_per_minute",
    )


def _refusals(tx: Transaction, events: Sequence[NewEvent], limits: Sequence[int | None]) -> list[LimitReached | None]:
    """Count each event that has a limit; return the error for each one beyond it, which is then not counted.

    A key that was used before leads to no new event, so it is neither counted nor refused.
    """
    limits = _without_known(tx, events, limits)
    asked = Counter(_key(event) for event, limit in zip(events, limits, strict=True) if limit is not None)
    if not asked:
        return [None] * len(events)
    rows = [(*key, count) for key, count in sorted(asked.items())]
    tx.run("count_emitted", rows)
    counted = {(tenant, minute): total for tenant, minute, total in tx.fetch("emitted", rows)}
    counted = {key: counted[key] - asked[key] for key in asked}
    refusals: list[LimitReached | None] = []
    refused: Counter[tuple[str, int]] = Counter()
    for event, limit in zip(events, limits, strict=True):
        key = _key(event)
        if limit is None or counted[key] < limit:
            counted[key] = counted.get(key, 0) + 1
            refusals.append(None)
        else:
            refused[key] += 1
            refusals.append(limit_reached(event, limit))
    tx.run("count_emitted", [(*key, -count) for key, count in sorted(refused.items())])
    return refusals


def _without_known(tx: Transaction, events: Sequence[NewEvent], limits: Sequence[int | None]) -> list[int | None]:
    keys = [
        (event.tenant, event.idempotency_key)
        for event, limit in zip(events, limits, strict=True)
        if limit is not None and event.idempotency_key is not None
    ]
    known = set(map(tuple, tx.fetch("known_keys", keys))) if keys else set()
    return [
        None if (event.tenant, event.idempotency_key) in known else limit
        for event, limit in zip(events, limits, strict=True)
    ]


def _key(event: NewEvent) -> tuple[str, int]:
    return event.tenant, event.created_at // MINUTE
