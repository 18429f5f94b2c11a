"""Erase a tenant for good, in short transactions; measure the usage of a tenant."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from unihooks._base.ids import first_id, made_at
from unihooks._base.times import DAY
from unihooks._contract.statistics import Usage
from unihooks.stores.sql.configuration import delete_rows, lock_configuration
from unihooks.stores.sql.maintenance import forget_new
from unihooks.stores.sql.statements import Selection
from unihooks.stores.sql.transaction import Row, Transaction

# A webhook may have many endpoints, and an endpoint hundreds of rows of counts.
_WEBHOOKS_AT_ONCE = 5
_ENDPOINTS_AT_ONCE = 10
_LAST = "~"
_WEBHOOKS, _DELIVERIES, _EVENTS, _KEYS, _COUNTS, _REST = "", "dlv_", "evt_", "key_", "sum_", "end_"

# Sizes are estimated from the newest rows, and larger numbers from the time in which this many were made.
_SAMPLED = 200
_COUNTED = 1_000_000
_Step = Callable[[Transaction, str, str, int], tuple[int, str | None]]
# The bytes that a row takes besides its texts, including index entries.
_EVENT_BYTES, _DELIVERY_BYTES, _ATTEMPT_BYTES = 300, 600, 150


def erase_tenant(tx: Transaction, tenant: str, *, after: str = "", limit: int) -> tuple[int, str | None]:
    """Remove the next part of what a tenant has; return how many events were removed, and where to continue."""
    kind = after[: len(_DELIVERIES)]
    count, last = _STEPS[kind](tx, tenant, after, limit)
    return count, _FOLLOWING[kind] if last is None else last


def unused_renderings(tx: Transaction) -> list[Row]:
    """Return the renderings that no webhook or delivery uses, each with the time when it was stored."""
    tx.fetch("allow_whole_tables")
    return tx.fetch("unused_renderings")


def usage(tx: Transaction, tenant: str) -> Usage:
    """Return how much the tenant has."""
    day_ago = tx.now - DAY
    events = _estimated(tx, "span_of_events", tenant)
    deliveries = _estimated(tx, "span_of_deliveries", tenant)
    [(sampled_events, of_events)] = tx.fetch("size_of_newest_events", tenant=tenant, most=_SAMPLED)
    [(sampled, attempts, of_attempts)] = tx.fetch("size_of_newest_attempts", tenant=tenant, most=_SAMPLED)
    per_event = _EVENT_BYTES + of_events / max(sampled_events, 1)
    per_delivery = _DELIVERY_BYTES + (attempts * _ATTEMPT_BYTES + of_attempts) / max(sampled, 1)
    return Usage(
        webhooks=tx.count("webhook_ids", Selection(values={"tenant": tenant})),
        endpoints=_number(tx.fetch("count_endpoints", tenant=tenant)),
        events_24h=_since(tx, "events", "e.id", tenant, first_id("evt_", day_ago)),
        deliveries_24h=_since(tx, "delivery_ids", "d.id", tenant, first_id("dlv_", day_ago)),
        pending=_number(tx.fetch("count_pending", tenant=tenant)),
        stored_bytes=round(events * per_event + deliveries * per_delivery),
    )


def _erase_webhooks(tx: Transaction, tenant: str, _after: str, _limit: int) -> tuple[int, str | None]:
    """Remove jobs, webhooks, secrets and lanes: from here on nothing is planned or claimed for them."""
    # A worker that does a job holds the job's row and then waits for the configuration.
    tx.run("erase_jobs", tenant=tenant)
    lock_configuration(tx, [tenant])
    first = Selection(values={"tenant": tenant}, order="w.id", limit=_WEBHOOKS_AT_ONCE)
    webhooks = [id_ for (id_,) in tx.select("webhook_ids", first)]
    if not webhooks:
        return 0, None
    endpoints = [id_ for _, _, id_, *_ in tx.fetch("endpoints_of_webhooks", webhooks=webhooks)]
    tx.run("remember_urls", endpoints=endpoints, now=tx.now)
    tx.fetch("lock_lanes", endpoints=endpoints)
    tx.run("delete_lanes", endpoints=endpoints)
    for webhook_id in webhooks:
        delete_rows(tx, webhook_id)
    tx.run("raise_config_version", tenant=tenant)
    return 0, _WEBHOOKS


def _erase_deliveries(tx: Transaction, tenant: str, after: str, limit: int) -> tuple[int, str | None]:
    ids = [id_ for (id_,) in tx.fetch("next_deliveries_of_tenant", tenant=tenant, after=after, limit=limit)]
    if not ids:
        return 0, None
    rows, bounds = [(id_,) for id_ in ids], {"lowest": ids[0], "highest": ids[-1]}
    tx.run("erase_attempts_of_deliveries", rows, **bounds)
    tx.run("erase_deliveries_of_tenant", rows, tenant=tenant, **bounds)
    return 0, ids[-1]


def _erase_events(tx: Transaction, tenant: str, after: str, limit: int) -> tuple[int, str | None]:
    found = tx.fetch("next_events_to_erase", tenant=tenant, after=after, end=_LAST, limit=limit)
    if not found:
        return 0, None
    ids = [id_ for id_, _, _ in found]
    forget_new(tx, tenant, {id_: created_at for id_, created_at, _ in found})
    tx.run("prune_events", [(tenant, id_) for id_ in ids], lowest=ids[0], highest=ids[-1])
    return len(ids), ids[-1]


def _erase_keys(tx: Transaction, tenant: str, _after: str, limit: int) -> tuple[int, str | None]:
    return 0, _KEYS if tx.run("erase_keys", tenant=tenant, limit=limit) else None


def _erase_counts(tx: Transaction, tenant: str, _after: str, _limit: int) -> tuple[int, str | None]:
    """Remove the counts of endpoints, which no longer exist by now."""
    found = tx.fetch("former_endpoints_of_tenant", tenant=tenant, limit=_ENDPOINTS_AT_ONCE)
    endpoints = [id_ for (id_,) in found]
    tx.run("erase_hours", endpoints=endpoints)
    tx.run("erase_former_endpoints", endpoints=endpoints)
    return 0, _COUNTS if endpoints else None


def _erase_rest(tx: Transaction, tenant: str, _after: str, _limit: int) -> tuple[int, str | None]:
    lock_configuration(tx, [tenant])
    for name in ("erase_answers", "erase_state", "erase_emitted", "erase_totals", "pass_versions", "forget_tenant"):
        tx.run(name, tenant=tenant)
    return 0, None


# In this order, each by the prefix of its places.
_STEPS: dict[str, _Step] = {
    _WEBHOOKS: _erase_webhooks,
    _DELIVERIES: _erase_deliveries,
    _EVENTS: _erase_events,
    _KEYS: _erase_keys,
    _COUNTS: _erase_counts,
    _REST: _erase_rest,
}
_FOLLOWING = dict(pairwise([*_STEPS, None]))


def _number(rows: list[Row]) -> int:
    return int(rows[0][0])


def _since(tx: Transaction, name: str, column: str, tenant: str, first: str) -> int:
    return tx.count(name, Selection([f"{column} >= :first"], {"tenant": tenant, "first": first}))


def _estimated(tx: Transaction, name: str, tenant: str) -> int:
    """Return how many rows there are; of more than a million, about how many."""
    [(counted, edge, newest, oldest)] = tx.fetch(name, tenant=tenant, most=_COUNTED)
    if counted < _COUNTED:
        return int(counted)
    spans = [max(1, made_at(newest) - made_at(since)) for since in (oldest, edge)]
    return round(int(counted) * spans[0] / spans[1])
