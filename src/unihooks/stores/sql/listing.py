"""List webhooks: filtered, by id or name, or with those that need attention first."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attrs import evolve

from unihooks._contract.filters import split_position
from unihooks._model.health import HealthState
from unihooks._model.webhooks import Webhook
from unihooks.abc import WebhookFilter, Window
from unihooks.stores.sql.configuration import complete
from unihooks.stores.sql.health import with_health
from unihooks.stores.sql.statements import Selection
from unihooks.stores.sql.transaction import Row, Transaction, page

_ENABLED = "EXISTS ({enabled_endpoint})"
_ATTEMPTED = "EXISTS ({attempted_endpoint})"
_FAILING = "{webhooks_not_healthy} AND l.health = 'failing'"
_IN_HEALTH = {
    HealthState.HEALTHY: f"(w.id NOT IN ({{webhooks_not_healthy}}) AND {_ENABLED})",
    HealthState.DISABLED: "w.id IN ({webhooks_with_disabled})",
}
_IN_OTHER_HEALTH = "w.id IN ({webhooks_not_healthy} AND l.health = ANY(:healths))"
# Each webhook is in one of these groups, which come in this order.
_GROUPS = (
    f"w.id IN ({_FAILING})",
    f"w.id IN ({{webhooks_not_healthy}} AND l.health = 'degraded') AND w.id NOT IN ({_FAILING})",
    f"w.id IN ({{webhooks_with_disabled}}) AND NOT {_ENABLED}",
    f"w.id NOT IN ({{webhooks_not_healthy}}) AND {_ATTEMPTED}",
    f"w.id NOT IN ({{webhooks_not_healthy}}) AND {_ENABLED} AND NOT {_ATTEMPTED}",
)
_FEW = 500


def list_webhooks(tx: Transaction, tenant: str, filters: WebhookFilter, window: Window) -> list[Webhook]:
    """Return webhooks, newest or last name first."""
    selection = _selection(tenant, filters)
    if window.by_name:
        rows = page(tx, "webhooks", selection, window, ["w.name_key", "w.id"], place=split_position)
    else:
        rows = page(tx, "webhooks", selection, window, ["w.id"])
    return with_health(tx, complete(tx, rows))


def webhooks_by_health(
    tx: Transaction, tenant: str, filters: WebhookFilter, window: Window
) -> list[tuple[str, Webhook]]:
    """Return webhooks with their positions (the number of a group, and the id), failing ones first."""
    rows: list[tuple[int, Row]] = []
    found_ids = _searched(tx, tenant, filters)
    groups = _groups(filters)
    for group, part in _parts(window):
        if group not in groups:
            continue
        left = evolve(part, limit=window.limit - len(rows))
        selection = _selection(tenant, filters if found_ids is None else evolve(filters, search=None))
        selection.where("w.id = ANY(:found)", found=found_ids)
        selection.conditions.append(_GROUPS[group])
        found = [(group, row) for row in page(tx, "webhooks", selection, left, ["w.id"])]
        rows = [*found, *rows] if window.newer_than is not None else [*rows, *found]
        if len(rows) == window.limit:
            break
    webhooks = with_health(tx, complete(tx, [row for _, row in rows]))
    return [(f"{group}{webhook.id}", webhook) for (group, _), webhook in zip(rows, webhooks, strict=True)]


def _searched(tx: Transaction, tenant: str, filters: WebhookFilter) -> list[str] | None:
    """Return the ids of webhooks that match the search if they are few, so that not every group has to be searched."""
    if not filters.search:
        return None
    selection = _selection(tenant, WebhookFilter(search=filters.search))
    rows = page(tx, "webhook_ids", selection, Window(limit=_FEW + 1), ["w.id"])
    return [id_ for (id_,) in rows] if len(rows) <= _FEW else None


def _groups(filters: WebhookFilter) -> Collection[int]:
    """Return the groups in which wanted webhooks may be; a disabled endpoint may be in any."""
    wanted = set(filters.health)
    if not wanted or HealthState.DISABLED in wanted:
        return range(len(_GROUPS))
    well = {True: {3}, False: {4}, None: {3, 4}}[filters.attempted]
    return {*({0, 1} if wanted - {HealthState.HEALTHY} else ()), *(well if HealthState.HEALTHY in wanted else ())}


def _parts(window: Window) -> Iterator[tuple[int, Window]]:
    """Yield the part of a window that lies in each group, in the order of reading: away from its edge."""
    edge = window.older_than or window.newer_than or ""
    at, id_ = (int(edge[0]), edge[1:]) if edge else (0, None)
    if window.newer_than is not None:
        yield at, Window(limit=window.limit, newer_than=id_)
        yield from ((group, Window(limit=window.limit, newer_than="")) for group in reversed(range(at)))
    else:
        yield at, Window(limit=window.limit, older_than=id_)
        yield from ((group, Window(limit=window.limit)) for group in range(at + 1, len(_GROUPS)))


def _selection(tenant: str, filters: WebhookFilter) -> Selection:
    selection = Selection(values={"tenant": tenant})
    selection.where("w.status = :status", status=filters.status and filters.status.value)
    selection.where("strpos(w.search_text, :search) > 0", search=filters.search.casefold() if filters.search else None)
    if filters.health:
        conditions = [_IN_HEALTH.get(one, _IN_OTHER_HEALTH) for one in filters.health]
        selection.conditions.append(f"({' OR '.join(dict.fromkeys(conditions))})")
        selection.values["healths"] = [one.value for one in filters.health]
    if filters.attempted is not None:
        selection.conditions.append(_ATTEMPTED if filters.attempted else f"NOT {_ATTEMPTED}")
    return selection
