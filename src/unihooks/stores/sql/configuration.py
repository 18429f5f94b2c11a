"""Store webhooks: their rows, their tenant's config_version, the lane of each endpoint; and responses to requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from unihooks._base.sentences import said
from unihooks._base.times import SECOND
from unihooks._contract.configuration import ANSWER_AWAITED_US, ANSWER_KEPT_US, ANSWERS_PER_TENANT, IdempotencyRecord
from unihooks._contract.leasing import HealthChange, slot_of
from unihooks._message.rendering import Rendering
from unihooks._model.checks import not_found
from unihooks._model.health import HealthState
from unihooks._model.policy import DeliveryPolicy
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.abc import ENDPOINT_REMOVED, WEBHOOK_DELETED, Destination
from unihooks.exceptions import LimitReached
from unihooks.stores.sql import rows as _rows
from unihooks.stores.sql.health import forget, with_health
from unihooks.stores.sql.limited import LONGEST_LEASE_US
from unihooks.stores.sql.statements import Selection
from unihooks.stores.sql.transaction import Call, Row, Transaction


def lock_configuration(tx: Transaction, tenants: Collection[str]) -> None:
    """Lock these tenants' configuration until the transaction ends: nobody else changes it, or plans for them."""
    tx.fetch("lock_configuration", tenants=list(tenants))


def share_configuration(tx: Transaction, tenants: Collection[str]) -> dict[str, int]:
    """Lock these tenants' configuration against changes until the transaction ends; return its versions."""
    values = {"tenants": list(tenants)}
    _, found = tx.pipeline(Call("share_configuration", values=values), Call("config_versions", values=values))
    return _versions(tenants, found.rows)


def config_versions(tx: Transaction, tenants: Collection[str]) -> dict[str, int]:
    """Return each tenant's config_version; 0 for an unknown one."""
    return _versions(tenants, tx.fetch("config_versions", tenants=list(tenants)))


def add_webhook(tx: Transaction, webhook: Webhook, *, at_most: int, endpoints: int | None = None) -> None:
    """Store a new webhook with its lanes."""
    lock_configuration(tx, [webhook.tenant])
    if tx.count("webhooks", Selection(values={"tenant": webhook.tenant}, limit=at_most)) >= at_most:
        template = "the tenant has {most} webhooks, which is the limit; delete one first"
        raise LimitReached(said("too-many-webhooks", template, most=at_most), name="webhooks")
    _check_endpoints(tx, webhook.tenant, len(webhook.endpoints), endpoints)
    _insert(tx, webhook)
    _add_lanes(tx, webhook, webhook.endpoints, tx.now)
    _finish_change(tx, webhook.tenant, webhook)


def get_webhook(tx: Transaction, tenant: str, webhook_id: str) -> Webhook:
    """Return the webhook, with the health of its endpoints, or raise NotFound."""
    return with_health(tx, [read_webhook(tx, tenant, webhook_id)])[0]


def revise_webhook(
    tx: Transaction,
    tenant: str,
    webhook_id: str,
    revise: Callable[[Webhook], Webhook],
    *,
    now: int,
    endpoints: int | None = None,
) -> tuple[Webhook, Webhook]:
    """Replace the webhook's rows and adapt its lanes; return the webhook before and after.

    The tenant is locked by `lock_configuration`.
    """
    old = read_webhook(tx, tenant, webhook_id)
    new = revise(old)
    _check_endpoints(tx, tenant, len(new.endpoints) - len(old.endpoints), endpoints)
    kept = {endpoint.id for endpoint in new.endpoints}
    _remove_endpoints(tx, [item.id for item in old.endpoints if item.id not in kept], ENDPOINT_REMOVED, now)
    delete_rows(tx, webhook_id)
    _insert(tx, new)
    _fit_lanes(tx, old, new, now)
    _finish_change(tx, tenant, old, new)
    return old, with_health(tx, [new])[0]


def clear_health(tx: Transaction, endpoint_ids: Collection[str]) -> list[HealthChange]:
    """Clear the failures of these endpoints; those that were not healthy start with fresh health.

    Return the changes of those that had been reported as failing.
    """
    values = {"endpoints": list(endpoint_ids)}
    forget(tx, [row[0] for row in tx.fetch("lanes_not_healthy", **values)])
    names = ("lock_lanes", "lanes_told_to_fail", "forget_failing", "forget_outcomes")
    _, told, *_ = tx.pipeline(*(Call(name, values=values) for name in names))
    change = HealthState.FAILING, HealthState.HEALTHY
    return [HealthChange(tenant, webhook_id, id_, *change) for tenant, webhook_id, id_ in told.rows]


def delete_webhook(tx: Transaction, tenant: str, webhook_id: str, version: int | None = None) -> Webhook:
    """Remove the webhook's rows and lanes, and cancel what is pending; return the webhook as it was."""
    lock_configuration(tx, [tenant])
    old = read_webhook(tx, tenant, webhook_id)
    old.check_version(version)
    _remove_endpoints(tx, [item.id for item in old.endpoints], WEBHOOK_DELETED, tx.now)
    delete_rows(tx, webhook_id)
    _finish_change(tx, tenant, old)
    return old


def delete_rows(tx: Transaction, webhook_id: str) -> None:
    """Delete the rows of a webhook and of its parts, but not its lanes."""
    for statement in ("delete_webhook_row", "delete_endpoints", "delete_secrets", "delete_subscriptions"):
        tx.run(statement, webhook=webhook_id)


def disable_endpoint(tx: Transaction, endpoint_id: str, url: str, reason: str) -> tuple[str, str] | None:
    """Disable an enabled endpoint with this URL and hold its deliveries; return its tenant and webhook, if any.

    The tenant is locked by `lock_configuration`.
    """
    owner = tx.fetch_one("disable_endpoint", endpoint=endpoint_id, url=url, reason=reason, now=tx.now)
    if owner is None:
        return None
    tenant, webhook_id = owner
    tx.run("close_lanes", endpoints=[endpoint_id], now=tx.now)
    tx.run("raise_webhook_version", webhook=webhook_id)
    _finish_change(tx, tenant)
    return tenant, webhook_id


def destinations(tx: Transaction, endpoint_ids: Collection[str]) -> dict[str, Destination]:
    """Return the current destination of each endpoint that exists."""
    rows = tx.fetch("destinations", endpoints=list(endpoint_ids))
    secrets = _parts(tx, "secrets_of_webhooks", {webhook_id for _, webhook_id, *_ in rows})
    return {
        endpoint: _rows.to_destination((endpoint, owner, *row), secrets.get(owner, ()))
        for endpoint, owner, *row in rows
    }


def renderings(tx: Transaction, ids: Collection[str]) -> dict[str, Rendering]:
    """Return the stored renderings by id."""
    return {id_: Rendering.from_definition(text) for id_, text in tx.fetch("renderings", ids=list(ids))}


def reserve_answer(
    tx: Transaction, tenant: str, key: str, digest: bytes, *, at_most: int = ANSWERS_PER_TENANT
) -> IdempotencyRecord | None:
    """Return the record of the request, or note that it is being carried out."""
    kept_since, awaited_since = tx.now - ANSWER_KEPT_US, tx.now - ANSWER_AWAITED_US
    tx.run("forget_answers", tenant=tenant, kept_since=kept_since, awaited_since=awaited_since)
    if not tx.run("reserve_answer", tenant=tenant, key=key, digest=digest, now=tx.now):
        found = tx.fetch_one("find_answer", tenant=tenant, key=key)
        # Dropped between the two statements: tell the caller that it is still being carried out.
        return IdempotencyRecord(*found) if found else IdempotencyRecord(digest, None, None)
    tx.run("trim_answers", tenant=tenant, at_most=at_most)
    return None


def keep_answer(tx: Transaction, tenant: str, key: str, status: int, content: bytes) -> None:
    """Keep the response."""
    tx.run("keep_answer", tenant=tenant, key=key, status=status, content=content)


def drop_answer(tx: Transaction, tenant: str, key: str) -> None:
    """Forget the request."""
    tx.run("drop_answer", tenant=tenant, key=key)


def read_webhook(tx: Transaction, tenant: str, webhook_id: str) -> Webhook:
    """Return the webhook without health, or raise NotFound."""
    rows = tx.select("webhooks", Selection(["w.id = :id"], {"tenant": tenant, "id": webhook_id}))
    if not rows:
        raise not_found("webhook", webhook_id, tenant)
    return complete(tx, rows)[0]


def complete(tx: Transaction, rows: list[Row]) -> list[Webhook]:
    """Return the webhooks of these rows, with their endpoints, secrets and subscriptions, but without health."""
    ids = [row[0] for row in rows]
    names = ("endpoints_of_webhooks", "secrets_of_webhooks", "subscriptions_of_webhooks")
    parts = [_parts(tx, name, ids) for name in names]
    return [_rows.to_webhook(row, *(part.get(row[0], ()) for part in parts)) for row in rows]


def _versions(tenants: Collection[str], rows: Iterable[Row]) -> dict[str, int]:
    return {**dict.fromkeys(tenants, 0), **{row[0]: row[1] for row in rows}}


def _insert(tx: Transaction, webhook: Webhook) -> None:
    rendering = Rendering.of(webhook.mapping)
    tx.run("add_webhook_row", rendering=rendering and rendering.id, **_rows.webhook_values(webhook))
    tx.run("add_endpoints", _rows.endpoint_rows(webhook))
    tx.run("add_secrets", _rows.secret_rows(webhook))
    tx.run("add_subscriptions", _rows.subscription_rows(webhook))


def _finish_change(tx: Transaction, tenant: str, *webhooks: Webhook) -> None:
    """Raise the config_version, and note when renderings came into use or fell out of it."""
    tx.run("raise_config_version", tenant=tenant)
    changed = {it.id: it.definition for webhook in webhooks if (it := Rendering.of(webhook.mapping)) is not None}
    # Tenants share renderings. They are locked last and in the order of ids, to avoid deadlocks.
    tx.run("keep_renderings", [(id_, definition, tx.now) for id_, definition in sorted(changed.items())])


def _check_endpoints(tx: Transaction, tenant: str, added: int, at_most: int | None) -> None:
    if at_most is None or added <= 0:
        return
    [(count,)] = tx.fetch("count_endpoints", tenant=tenant)
    if count + added > at_most:
        template = "the tenant would have more than {most} endpoints, which is the limit; remove some first"
        raise LimitReached(said("too-many-endpoints-in-all", template, most=at_most), name="endpoints")


def _remove_endpoints(tx: Transaction, endpoint_ids: list[str], reason: str, now: int) -> None:
    if not endpoint_ids:
        return
    tx.run("cancel_deliveries_of_endpoints", endpoints=endpoint_ids, reason=reason)
    tx.run("remember_urls", endpoints=endpoint_ids, now=now)
    tx.fetch("lock_lanes", endpoints=endpoint_ids)
    tx.run("delete_lanes", endpoints=endpoint_ids)


def _fit_lanes(tx: Transaction, old: Webhook, new: Webhook, now: int) -> None:
    before = {item.id: item for item in old.endpoints}
    kept = [item for item in new.endpoints if item.id in before]
    fresh = [item.id for item in kept if _starts_afresh(before[item.id], item)]
    # Before lanes are locked, as in recording.
    forget(tx, fresh)
    tx.fetch("lock_lanes", endpoints=[item.id for item in new.endpoints])
    _add_lanes(tx, new, (item for item in new.endpoints if item.id not in before), now)
    tx.run("reset_health", endpoints=fresh, now=now)
    tx.run("end_waits", endpoints=fresh, now=now)
    if _limits(new.policy) != _limits(old.policy):
        limits = dict(zip(("rate", "burst", "in_flight", "deadline_us"), _limits(new.policy), strict=True))
        values: dict[str, Any] = {**limits, "endpoints": [item.id for item in kept]}
        tx.run("fit_limits", now=now, leased_until=now + LONGEST_LEASE_US, **values)
    tx.run("open_lanes", endpoints=[item.id for item in kept if new.active and item.enabled], now=now)
    tx.run("close_lanes", endpoints=[item.id for item in kept if not (new.active and item.enabled)], now=now)


def _starts_afresh(old: Endpoint, new: Endpoint) -> bool:
    return (new.enabled and not old.enabled) or new.origin != old.origin


def _add_lanes(tx: Transaction, webhook: Webhook, endpoints: Iterable[Endpoint], now: int) -> None:
    rows: list[Row] = []
    for endpoint in endpoints:
        is_open = webhook.active and endpoint.enabled
        lane = (endpoint.id, webhook.tenant, webhook.id, slot_of(endpoint.id), is_open, None if is_open else now)
        rows.append((*lane, *_limits(webhook.policy)))
    tx.run("add_lanes", rows)


def _limits(policy: DeliveryPolicy) -> tuple[float | None, float | None, int | None, int | None]:
    """Return what a lane stores of a policy: rate, burst, requests in flight, and the deadline in microseconds."""
    deadline_us = None if policy.deadline is None else round(policy.deadline * SECOND)
    return policy.rate, policy.largest_burst, policy.in_flight, deadline_us


def _parts(tx: Transaction, name: str, webhook_ids: Collection[str]) -> dict[str, list[Row]]:
    """Return what belongs to each webhook, in the order of position."""
    return _rows.by_owner(tx.fetch(name, webhooks=list(webhook_ids)) if webhook_ids else ())
