"""Read the log, and cancel deliveries.

SQLite keeps no statistics, so the code chooses the statement whose index fits the filter. A listing finds its ids
first, by that index alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import asdict, evolve

from unihooks._base.ids import derived_span, first_id
from unihooks._base.sentences import said
from unihooks._base.times import DAY
from unihooks._model.checks import not_found
from unihooks._model.log import Attempt, Delivery, DeliveryState, Event
from unihooks.abc import DeliveryFilter, EventFilter, Window
from unihooks.exceptions import Conflict
from unihooks.stores.sql import ordering
from unihooks.stores.sql.rows import to_attempt, to_delivery, to_event
from unihooks.stores.sql.searching import Way, ways
from unihooks.stores.sql.statements import Selection
from unihooks.stores.sql.transaction import Transaction, page

# Not a parameter, so that the database can use the partial index for such rows.
_IN_STATE = {state: f"d.state = '{state}'" for state in DeliveryState}
_UNDELIVERED = (DeliveryState.FAILED, DeliveryState.CANCELLED)
_HELD = {
    True: "d.state = 'pending' AND EXISTS ({closed_lane})",
    False: "(d.state <> 'pending' OR NOT EXISTS ({closed_lane}))",
}
_REFUSED = "d.status_code BETWEEN :lowest_code AND :highest_code"
_DELIVERED = f"(d.state = 'delivered' OR {_REFUSED})"
_DELIVERED_WITH = f"(d.state = 'delivered' AND EXISTS ({{was_accepted_with}}) OR {_REFUSED})"
_EVERY = Way()
_FEW_ENTRIES = 10_000
_FEW = 5_000
_SUCCESS = 2
# A search combines several ways of matching, each of which is tried.
_MOST_SEARCHED = 500
# The conditions that a statement's own index fulfils, by statement, and those that every index fulfils.
_FROM_ID = "d.id >= :first_id"
_FOUND_BY_INDEX = {"d.webhook_id = :webhook_id", _FROM_ID, "d.id < :last_id"}
_FOUND_BY = {
    "delivery_ids_of_event": {"d.event_id = :event_id"},
    "delivery_ids_of_type": {"d.event_type = :event_type"},
    "delivery_ids_of_subject": {"d.subject = :subject"},
    "undelivered_ids": {_IN_STATE[one] for one in _UNDELIVERED},
    "undelivered_ids_of_webhook": {_IN_STATE[one] for one in _UNDELIVERED},
    "refused_delivery_ids": {_REFUSED},
}
_OWN_CONDITIONS = {"state", "held", "since", "until", "status_code", "search"}


def list_events(tx: Transaction, tenant: str, filters: EventFilter, window: Window) -> list[Event]:
    """Return events with payloads, newest first."""
    selection = _selection(tenant, filters, "e", "event_id", "evt_")
    head = "events_of_subject" if filters.subject and not filters.event_id else "events"
    return [to_event(row) for row in page(tx, head, selection, window, ["e.id"])]


def list_deliveries(tx: Transaction, tenant: str, filters: DeliveryFilter, window: Window) -> list[Delivery]:
    """Return deliveries, newest first."""
    return _deliveries(tx, tenant, list_delivery_ids(tx, tenant, filters, window))


def list_delivery_ids(tx: Transaction, tenant: str, filters: DeliveryFilter, window: Window) -> list[str]:
    """Return the ids of deliveries, newest first."""
    if filters.search is None:
        return _listed(tx, tenant, filters, window)
    found = _searched(tx, tenant, filters, window)
    return found[-window.limit :] if window.newer_than is not None else found[: window.limit]


def _searched(tx: Transaction, tenant: str, filters: DeliveryFilter, window: Window) -> list[str]:
    """Return the ids of deliveries in the window that match a search in any way, newest first."""
    found: set[str] = set()
    for way in ways(tx, tenant, filters.search or ""):
        if way.webhook_id is None:
            found.update(_listed(tx, tenant, filters, window, way))
        elif filters.webhook_id in {None, way.webhook_id}:
            found.update(_listed(tx, tenant, evolve(filters, webhook_id=way.webhook_id), window, way))
    return sorted(found, reverse=True)


def _listed(tx: Transaction, tenant: str, filters: DeliveryFilter, window: Window, way: Way = _EVERY) -> list[str]:
    head, selection = _narrowed(tx, tenant, filters)
    if way.head is not None and filters.event_id is None:
        head = way.head
    selection.conditions += way.conditions
    selection.values |= way.values
    if _waits(filters) and not tx.has_statistics:
        # Looking at all of a tenant would take longer.
        lanes = _lanes(tenant, filters)
        if _at_most(tx, "pending_deliveries", lanes, _FEW):
            selection.conditions.append(f"d.id IN ({' AND '.join(['{pending_deliveries}', *lanes.conditions])})")
            selection.values |= lanes.values
    return [row[0] for row in page(tx, head, selection, window, ["d.id"])]


def count_deliveries(tx: Transaction, tenant: str, filters: DeliveryFilter, most: int) -> int:
    """Count deliveries up to a limit."""
    if filters.search is not None:
        return min(most, len(_searched(tx, tenant, filters, Window(limit=most))))
    head, selection = _counted(tx, tenant, filters)
    return tx.count(head, evolve(selection, limit=most))


def tally_deliveries(tx: Transaction, tenant: str, filters: DeliveryFilter, most: int) -> tuple[int, bool]:
    """Count deliveries up to a limit, and say whether these are all."""
    if filters.search is not None:
        most = min(most, _MOST_SEARCHED)
        found = len(_searched(tx, tenant, filters, Window(limit=most + 1)))
        return min(found, most), found <= most
    head, selection = _counted(tx, tenant, filters)
    if _waits(filters):
        most, edge = min(most, _FEW), None
    else:
        edge = _edge(tx, head, selection, most)
    if edge is not None:
        # SQLite seeks by a single lower bound.
        selection.conditions = [one for one in selection.conditions if one != _FROM_ID]
        selection.where("d.id >= :edge", edge=edge)
    count = tx.count(head, evolve(selection, limit=most + 1))
    return min(count, most), edge is None and count <= most


def list_attempts(tx: Transaction, tenant: str, delivery_id: str, window: Window) -> list[Attempt]:
    """Return attempts of a delivery, newest first."""
    get_delivery(tx, tenant, delivery_id)
    selection = Selection(values={"delivery_id": delivery_id})
    rows = page(tx, "attempts", selection, window, ["a.number"], place=lambda edge: [int(edge or 0)])
    return [to_attempt(row) for row in rows]


def get_delivery(tx: Transaction, tenant: str, delivery_id: str) -> Delivery:
    """Return the delivery or raise NotFound."""
    found = _deliveries(tx, tenant, [delivery_id])
    if not found:
        raise not_found("delivery", delivery_id, tenant)
    return found[0]


def cancel(tx: Transaction, tenant: str, delivery_id: str, reason: str) -> Delivery:
    """Cancel a pending delivery."""
    chains = [tuple(row) for row in tx.fetch("chain_of_delivery", tenant=tenant, id=delivery_id)]
    tx.pipeline(ordering.locking(chains))
    cancelled = tx.run("cancel_delivery", tenant=tenant, id=delivery_id, reason=reason)
    delivery = get_delivery(tx, tenant, delivery_id)
    if not cancelled:
        template = "the delivery is {state}; only a pending one can be cancelled"
        raise Conflict(said("not-pending", template, state=delivery.state), name="delivery_id")
    ordering.free(tx, chains)
    return delivery


def ids_between(prefix: str, since: int | None, until: int | None) -> tuple[str | None, str | None]:
    """Return two ids between which those of rows made in [since, until) lie.

    An id begins with the time at which it was made, by the clock of its maker. An allowance of a day for differing
    clocks still saves reading everything older or newer.
    """
    first = None if since is None else first_id(prefix, since - DAY)
    last = None if until is None else first_id(prefix, until + DAY)
    return first, last


def _deliveries(tx: Transaction, tenant: str, ids: Sequence[str]) -> list[Delivery]:
    return [to_delivery(row, tx.now) for row in tx.fetch("deliveries", tenant=tenant, ids=ids)] if ids else []


def _counted(tx: Transaction, tenant: str, filters: DeliveryFilter) -> tuple[str, Selection]:
    head, selection = _narrowed(tx, tenant, filters)
    if _waits(filters):
        lanes = _lanes(tenant, filters)
        head = "pending_deliveries"
        selection.conditions += lanes.conditions
        selection.values |= lanes.values
    return head, selection


def _edge(tx: Transaction, head: str, selection: Selection, most: int) -> str | None:
    """Return the oldest id of the newest `most` deliveries that the index finds; None if these are all."""
    found_by = {*_FOUND_BY_INDEX, *_FOUND_BY.get(head, ())}
    indexed = [one for one in selection.conditions if one in found_by]
    if len(indexed) == len(selection.conditions):
        return None
    newest = evolve(selection, conditions=indexed, order="d.id DESC", limit=most + 1)
    ids = f"SELECT min(found.id), count(*) FROM ({tx.statements.selecting(head, newest)}) AS found"  # noqa: S608 - only names
    edge, count = tx.query(ids, newest)[0]
    return edge if count > most else None


def _narrowed(tx: Transaction, tenant: str, filters: DeliveryFilter) -> tuple[str, Selection]:
    """Return the statement that finds the ids of deliveries by the right index, and the selection for it."""
    selection = _selection(tenant, filters, "d", "delivery_id", "dlv_")
    webhook_id = filters.webhook_id
    if webhook_id is None and filters.endpoint_id is not None:
        row = tx.fetch_one("webhook_of_endpoint", id=filters.endpoint_id)
        webhook_id = row[0] if row else None
        selection.where("d.webhook_id = :webhook_id", webhook_id=webhook_id)
    if filters.state is not None:
        selection.conditions.append(_IN_STATE[filters.state])
    if filters.held is not None:
        selection.conditions.append(_HELD[filters.held])
    if filters.status_code is not None:
        lowest, highest = filters.status_code
        delivered = _DELIVERED if lowest < highest else _DELIVERED_WITH
        selection.conditions.append(delivered if _is_success(filters) else _REFUSED)
        selection.values |= {"lowest_code": lowest, "highest_code": highest}
    if filters.event_id is not None:
        first, last = derived_span("dlv_", filters.event_id)
        selection.values |= {"first_of_event": first, "last_of_event": last}
    return _head(tx, tenant, filters, webhook_id), selection


def _head(tx: Transaction, tenant: str, filters: DeliveryFilter, webhook_id: str | None) -> str:
    if filters.event_id is not None:
        return "delivery_ids_of_event"
    plain = "delivery_ids_by_key" if webhook_id else "delivery_ids"
    if filters.delivery_id:
        return plain
    if filters.subject is not None:
        return "delivery_ids_of_subject"
    if filters.state in _UNDELIVERED:
        return "undelivered_ids_of_webhook" if webhook_id else "undelivered_ids"
    return plain if _waits(filters) else _head_of_few(tx, tenant, filters, webhook_id, plain)


def _head_of_few(tx: Transaction, tenant: str, filters: DeliveryFilter, webhook_id: str | None, plain: str) -> str:
    """Return the statement for rows that may be few among many, otherwise the plain one."""
    by_code = filters.status_code is not None and not _is_success(filters)
    if filters.event_type is None and not by_code:
        return plain
    # If a webhook has many deliveries, those of a rare event type are found by the type, and failures by their state.
    values = {"tenant": tenant, "event_type": filters.event_type, "webhook_id": webhook_id}
    wanted = Selection(values=values)
    if webhook_id is not None and (tx.has_statistics or _at_most(tx, "deliveries_of_webhook", wanted, _FEW)):
        return plain
    if by_code:
        return "refused_delivery_ids"
    by_type = webhook_id is None or _at_most(tx, "delivery_ids_of_type", wanted, _FEW_ENTRIES)
    return "delivery_ids_of_type" if by_type else plain


def _is_success(filters: DeliveryFilter) -> bool:
    """Return whether the wanted status code means success."""
    return filters.status_code is not None and filters.status_code[0] // 100 == _SUCCESS


def _waits(filters: DeliveryFilter) -> bool:
    wanted = filters.held or filters.state is DeliveryState.PENDING
    return bool(wanted) and not (filters.event_id or filters.delivery_id)


def _lanes(tenant: str, filters: DeliveryFilter) -> Selection:
    """Return the condition for lanes that hold deliveries."""
    lanes = Selection(values={"tenant": tenant})
    if filters.held:
        lanes.conditions.append("NOT l.open")
    if filters.endpoint_id is not None:
        lanes.where("l.endpoint_id = :endpoint_id", endpoint_id=filters.endpoint_id)
    else:
        lanes.where("l.endpoint_id IN ({endpoints_of_webhook})", webhook_id=filters.webhook_id)
    return lanes


def _selection(tenant: str, filters: EventFilter | DeliveryFilter, row: str, own_id: str, prefix: str) -> Selection:
    """Return the selection of rows with the filter's values; `own_id` is the filter's name for the id of a `row`."""
    selection = Selection(values={"tenant": tenant})
    for name, value in asdict(filters).items():
        if name not in _OWN_CONDITIONS:
            selection.where(f"{row}.{'id' if name == own_id else name} = :{name}", **{name: value})
    selection.where(f"{row}.created_at >= :since", since=filters.since)
    if filters.until is not None and row == "d":
        # A delivery made more than a day after its event counts as made a day after it, for both bounds.
        day_before = first_id(prefix, filters.until - DAY)
        selection.where("(d.created_at < :until OR d.id < :day_before)", until=filters.until, day_before=day_before)
    else:
        selection.where(f"{row}.created_at < :until", until=filters.until)
    first, last = ids_between(prefix, filters.since, filters.until)
    selection.where(f"{row}.id >= :first_id", first_id=first)
    selection.where(f"{row}.id < :last_id", last_id=last)
    return selection


def _at_most(tx: Transaction, name: str, selection: Selection, count: int) -> bool:
    return tx.count(name, evolve(selection, limit=count + 1)) <= count
