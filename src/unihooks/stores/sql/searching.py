"""Find deliveries by a text: each way in which it may be meant has an index of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import field, frozen

from unihooks._base.ids import derived_span
from unihooks.stores.sql.rows import by_owner
from unihooks.stores.sql.statements import Selection
from unihooks.stores.sql.transaction import Transaction

_LENGTH_OF_EVENT_ID = 30
_TIME_OF_ID = 10
# Up to this many webhooks are looked at one by one, each by its own index; more would be most of the tenant's.
_MOST_WEBHOOKS = 20
# Deliveries found by subject come in the order of subjects. If there are more than this, reading by time soon meets
# some.
_MOST_SORTED = 20_000
_OF_ENDPOINTS = ("d.endpoint_id = ANY(:endpoints)",)


@frozen(kw_only=True)
class Way:
    """A way in which deliveries may match a search.

    `head` is the statement whose index fits it, None for the one that fits the filters.
    """

    head: str | None = None
    webhook_id: str | None = None
    conditions: tuple[str, ...] = ()
    values: dict[str, Any] = field(factory=dict)


def ways(tx: Transaction, tenant: str, search: str) -> Iterator[Way]:
    """Yield the ways in which a tenant's deliveries may match a search."""
    id_ = _as_id(search)
    if _may_begin(id_, "dlv_"):
        yield Way(conditions=_between("d.id", "searched"), values=_span("searched", id_, f"{id_}~"))
    if _may_begin(id_, "evt_"):
        yield from _of_events(id_)
    if search.isascii() and search.isprintable():
        yield _of_subjects(tx, tenant, search)
    yield from _of_endpoints(tx, tenant, search.lower(), id_ if "_" in search or _may_begin(id_, "wh_") else "-")


def _as_id(search: str) -> str:
    """Return a text as it would stand in an id: the prefix in lower case, the rest in upper case."""
    kind, line, rest = search.partition("_")
    return f"{kind.lower()}{line}{rest.upper()}"


def _may_begin(id_: str, prefix: str) -> bool:
    """Return whether an id with this prefix may begin with the text; a part of the prefix counts, too."""
    return bool(id_) and (id_.startswith(prefix) or prefix.startswith(id_))


def _of_events(id_: str) -> Iterator[Way]:
    """Yield the ways to deliveries of events whose ids begin with the text: first deliveries, and replays."""
    if len(id_) == _LENGTH_OF_EVENT_ID:
        first, last = derived_span("dlv_", id_)
    else:
        # A delivery's id begins with the time of its event's id.
        first = f"dlv_{id_[4:][:_TIME_OF_ID]}"
        last = f"{first}~"
    events, values = _between("d.event_id", "event_searched"), _span("event_searched", id_, f"{id_}~")
    yield Way(conditions=(*_between("d.id", "searched"), *events), values=values | _span("searched", first, last))
    yield Way(head="replayed_delivery_ids", conditions=events, values=values)


def _of_subjects(tx: Transaction, tenant: str, search: str) -> Way:
    # Subjects are printable ASCII, after which DEL comes.
    values = _span("subject", search, f"{search}\x7f")
    found = tx.count("delivery_ids_of_subjects", Selection(values=values | {"tenant": tenant}, limit=_MOST_SORTED))
    if found < _MOST_SORTED:
        return Way(head="delivery_ids_of_subjects", values=values)
    # Most of them have such a subject, so they are not sorted.
    return Way(conditions=("d.tenant = :tenant", *_between("+d.subject", "subject")), values=values)


def _of_endpoints(tx: Transaction, tenant: str, url: str, webhook_id: str) -> Iterator[Way]:
    """Yield the ways to endpoints whose URLs, or webhooks' ids, begin with the text."""
    found = by_owner(tx.fetch("endpoints_searched", tenant=tenant, url=url, id=webhook_id))
    if len(found) > _MOST_WEBHOOKS:
        endpoints = [endpoint_id for rows in found.values() for (endpoint_id,) in rows]
        yield Way(conditions=_OF_ENDPOINTS, values={"endpoints": endpoints})
        return
    for owner, rows in found.items():
        endpoints = [endpoint_id for (endpoint_id,) in rows]
        yield Way(webhook_id=owner, conditions=_OF_ENDPOINTS, values={"endpoints": endpoints})


def _between(column: str, name: str) -> tuple[str, str]:
    return (f"{column} >= :{name}_first", f"{column} < :{name}_last")


def _span(name: str, first: str, last: str) -> dict[str, str]:
    return {f"{name}_first": first, f"{name}_last": last}
