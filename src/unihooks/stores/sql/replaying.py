"""Send events again: those of one delivery, of all that match a filter, or those that a webhook missed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any

from attrs import frozen

from unihooks._base.ids import new_ids
from unihooks._base.sentences import said
from unihooks._contract.planning import alternatives, is_wanted
from unihooks._message.conditions import Condition
from unihooks._message.payload import decode
from unihooks._message.rendering import Rendering
from unihooks._model.checks import not_found
from unihooks._model.log import Delivery, DeliveryState
from unihooks._model.products import EVERY_EVENT, covers
from unihooks._model.webhooks import EventSubscription, Webhook
from unihooks.abc import ERASED, HELD_TOO_LONG, DeliveryFilter, Window
from unihooks.exceptions import Conflict
from unihooks.stores.sql import deliveries, ordering
from unihooks.stores.sql.claiming import lower_next_due
from unihooks.stores.sql.configuration import read_webhook, share_configuration
from unihooks.stores.sql.log import get_delivery, ids_between, list_delivery_ids
from unihooks.stores.sql.transaction import Row, Transaction

_DELIVERIES_PER_CALL = 1_000
# A step of a job reads no more events than this, even if the webhook wants few of them.
_EVENTS_PER_STEP = 2_000
_LAST = "~"
_MILLISECOND = 1_000


@frozen
class Step:
    """The outcome of a step: deliveries made, how much it looked at, and where to continue (None at the end)."""

    made: int
    done: int
    after: str | None


@frozen
class _Original:
    """A delivery that is to be sent again if possible; `size` is that of its event's body.

    `was_replayed` says that a replay of the same event to the same endpoint is pending or delivered,
    `was_replayed_today` that one with `present` is, the current rendering of its webhook.
    """

    id: str
    event_id: str
    webhook_id: str
    endpoint_id: str
    product: str
    event_type: str
    subject: str | None
    rendering: str | None
    state: str
    attempt_count: int
    has_endpoint: bool
    was_replayed: bool
    was_replayed_today: bool
    ordered: bool
    size: int
    present: str | None

    def check(self) -> None:
        """Raise Conflict if its body or endpoint no longer exists, or never did."""
        if not self.size:
            raise Conflict(said("erased-before", f"{ERASED}; there is nothing to send"), name="event_id")
        if not self.has_endpoint:
            sentence = said("endpoint-gone", "the endpoint of this delivery is gone; there is nowhere to send it")
            raise Conflict(sentence, name="endpoint_id")
        if not self._was_rendered:
            template = "the payload mapping failed, so there is no body; correct it and recover"
            raise Conflict(said("never-rendered", template), name="delivery_id")

    def is_worthwhile(self, *, today: bool) -> bool:
        """Return whether it can be sent again, and is not being sent anyway."""
        # A rendering that failed would fail again.
        can_be_rendered = self._was_rendered or (today and self.rendering != self.present)
        can_be_sent = bool(self.has_endpoint and self.size and can_be_rendered)
        # An event replayed with another rendering has not been sent as it would be today.
        was_replayed = self.was_replayed_today if today else self.was_replayed
        return can_be_sent and not was_replayed and self.state != DeliveryState.PENDING

    @property
    def _was_rendered(self) -> bool:
        return not _failed_to_render(self.state, self.attempt_count)

    def again(self, *, today: bool = False) -> Row:
        """Return the row for `_insert_due` that sends the same bytes, or those that its webhook would send `today`."""
        event = (self.event_id, self.webhook_id, self.endpoint_id, self.product, self.event_type, self.subject)
        return (*event, self.present if today else self.rendering, self.id, self.ordered)


@frozen
class _Newest:
    """The newest delivery of an event to an endpoint."""

    id: str
    state: str
    reason: str | None
    rendering: str | None
    attempt_count: int

    @property
    def was_missed(self) -> bool:
        """Whether it failed or was held for too long."""
        held_too_long = self.state == DeliveryState.CANCELLED and self.reason == HELD_TOO_LONG
        return held_too_long or self.state == DeliveryState.FAILED


def delivery_source(tx: Transaction, tenant: str, delivery_id: str) -> tuple[bytes, Rendering | None]:
    """Return the body of the delivery's event, empty if it was erased, and the delivery's rendering."""
    found = tx.fetch_one("delivery_source", tenant=tenant, id=delivery_id)
    if found is None:
        raise not_found("delivery", delivery_id, tenant)
    rendering, definition, body = found
    return bytes(body), None if rendering is None else Rendering.from_definition(definition)


def replay(tx: Transaction, tenant: str, delivery_id: str) -> Delivery:
    """Make a new delivery with the rendering of this one."""
    _lock(tx, tenant)
    originals = _originals(tx, tenant, [delivery_id])
    if not originals:
        raise not_found("delivery", delivery_id, tenant)
    originals[0].check()
    [new] = _insert_due(tx, tenant, [originals[0].again()])
    return get_delivery(tx, tenant, new)


def replay_many(
    tx: Transaction, tenant: str, filters: DeliveryFilter, *, after: str, last: str, limit: int, most: int
) -> tuple[int, str | None]:
    """Replay up to `most` of `limit` deliveries between two ids; return how many, and where to continue."""
    step = replay_step(tx, tenant, filters, after=after, last=last, limit=limit, most=most)
    return step.made, step.after


def replay_step(
    tx: Transaction,
    tenant: str,
    filters: DeliveryFilter,
    *,
    after: str,
    last: str,
    limit: int,
    most: int,
    today: bool = False,
) -> Step:
    """Replay as `replay_many` does; with `today`, use the current renderings of the webhooks."""
    _lock(tx, tenant)
    newest_first = list_delivery_ids(tx, tenant, filters, Window(limit=limit, newer_than=after))
    ids = [id_ for id_ in reversed(newest_first) if id_ <= last]
    worthwhile = (one for one in _originals(tx, tenant, ids) if one.is_worthwhile(today=today))
    # Only the newest of each event and endpoint, since all of them would send the same bytes.
    chosen = sorted({(one.event_id, one.endpoint_id): one for one in worthwhile}.values(), key=attrgetter("id"))
    made = len(_insert_due(tx, tenant, [one.again(today=today) for one in chosen[:most]]))
    if len(chosen) > most:
        reached = chosen[most - 1].id if most else after
        return Step(made, bisect_right(ids, reached), reached)
    return Step(made, len(ids), ids[-1] if len(ids) == limit else None)


def recover(
    tx: Transaction, tenant: str, webhook_id: str, since: int, until: int, *, after: str, limit: int, most: int
) -> tuple[int, str | None]:
    """Plan what the webhook missed of the next `limit` events; return how many deliveries, and where to continue."""
    _lock(tx, tenant)
    webhook = read_webhook(tx, tenant, webhook_id)
    # However many endpoints there are, a call holds up others only as long as planning this many deliveries takes.
    most = min(most, _DELIVERIES_PER_CALL)
    limit = max(1, min(limit, _DELIVERIES_PER_CALL // len(webhook.endpoints)))
    events = _events_to_recover(tx, webhook, since, until, after=after, limit=limit)
    missed = list(islice(_missed(tx, webhook, _wanted(tx, webhook, events)), most + 1))
    made = len(_insert_due(tx, tenant, missed[:most]))
    if len(missed) > most:
        # The next call finds what this one has made of the first unfinished event.
        return made, max((event_id for event_id, *_ in events if event_id < missed[most][0]), default=after)
    return made, events[-1][0] if len(events) == limit else None


def recover_step(
    tx: Transaction, tenant: str, webhook_id: str, since: int, until: int, *, after: str, limit: int, most: int
) -> Step:
    """Recover whole events, as `recover` does, until `most` or more deliveries are made.

    A finished event is never looked at again, even if its new deliveries fail at once.
    """
    _lock(tx, tenant)
    webhook = read_webhook(tx, tenant, webhook_id)
    limit = max(1, min(limit, _DELIVERIES_PER_CALL // len(webhook.endpoints)))
    first, end = _ids_between(since, until)
    after = max(after, first)
    distant = tx.fetch_one("event_at_distance", tenant=tenant, after=after, last=end, distance=_EVENTS_PER_STEP)
    last = distant[0] if distant else None
    events = _events_to_recover(tx, webhook, since, until, after=after, last=last or end, limit=limit)
    reached = events[-1][0] if len(events) == limit else last
    missed = list(_missed(tx, webhook, _wanted(tx, webhook, events)))
    if len(missed) > most:
        cut = missed[most - 1][0]
        missed = [row for row in missed if row[0] <= cut]
        kept = [event for event in events if event[0] <= cut]
        if len(kept) < len(events):
            events, reached = kept, cut
    return Step(len(_insert_due(tx, tenant, missed)), len(events), reached)


def count_to_recover(tx: Transaction, tenant: str, webhook_id: str, since: int, until: int, *, limit: int) -> int:
    """Count the events that a recovery looks at, up to a limit."""
    wanted = _to_recover(read_webhook(tx, tenant, webhook_id), since, until)
    found = tx.fetch("count_events_to_recover", **wanted, limit=limit)
    return int(found[0][0]) if found else 0


def _to_recover(webhook: Webhook, since: int, until: int, *, after: str = "", last: str = _LAST) -> dict[str, Any]:
    """Return the parameters for the events after one id, and up to another, that a webhook may have missed."""
    first, end = _ids_between(since, until)
    bounds = {"after": max(after, first), "last": min(last, end), "since": since, "until": until}
    return {"rows": [(_beginning(one),) for one in webhook.subscriptions], "tenant": webhook.tenant, **bounds}


def _ids_between(since: int, until: int) -> tuple[str, str]:
    first, end = ids_between("evt_", since, until)
    return first or "", end or _LAST


def _events_to_recover(
    tx: Transaction, webhook: Webhook, since: int, until: int, *, after: str, limit: int, last: str = _LAST
) -> list[Row]:
    """Return the next events that a webhook may have missed; the caller then plans them."""
    wanted = _to_recover(webhook, since, until, after=after, last=last)
    events = tx.fetch("events_to_recover", **wanted, limit=limit)
    ids = [event_id for event_id, *_ in events]
    tx.run("note_recovered", tenant=webhook.tenant, events=ids)
    tx.run("note_recovered_again", tenant=webhook.tenant, events=ids)
    return events


def _insert_due(tx: Transaction, tenant: str, rows: Sequence[Row]) -> Collection[str]:
    """Insert deliveries that are due now, but never a second original of an event; return the ids of those inserted.

    Rows hold event id, webhook id, endpoint id, product, event type, subject, rendering, replay_of, and whether the
    webhook is ordered: then it goes to the end of its subject's chain.
    """
    # Even a replay in the same millisecond as its event sorts after the original.
    ids = iter(new_ids("dlv_", tx.now + _MILLISECOND, len(rows)))
    chains = [(tenant, row[2], row[5]) if row[-1] and row[5] is not None else None for row in rows]
    in_order = [chain for chain in chains if chain is not None]
    ends = ordering.locked_ends(tx, in_order)
    new: list[Row] = []
    for chain, (*event, replay_of, _) in zip(chains, rows, strict=True):
        id_ = deliveries.original_id(event[0], event[2]) if replay_of is None else next(ids)
        due_at, sequence = (tx.now, None) if chain is None else (ordering.NEVER, ends.add(chain))
        new.append((tenant, id_, *event, replay_of, "pending", due_at, None, sequence, tx.now))
    # Those that exist already are left out.
    inserted = {row[0] for row in tx.fetch("add_deliveries", new)}
    freed = tx.pipeline(ordering.freeing(in_order, tx.now))[0].rows
    due = [row[2] for chain, row in zip(chains, rows, strict=True) if chain is None]
    lower_next_due(tx, dict.fromkeys([*due, *(endpoint_id for (endpoint_id,) in freed)], tx.now))
    return inserted


def _failed_to_render(state: str, attempt_count: int) -> bool:
    """Return whether a delivery was never sent because its rendering failed."""
    return state == DeliveryState.FAILED and attempt_count == 0


def _lock(tx: Transaction, tenant: str) -> None:
    """Wait until nobody else replays or recovers for this tenant: two would not see each other, and send twice."""
    tx.fetch("lock_replays", tenant=tenant)
    share_configuration(tx, [tenant])


def _originals(tx: Transaction, tenant: str, ids: Sequence[str]) -> list[_Original]:
    """Return deliveries, oldest first; their events stay for as long as this transaction lasts."""
    return [_Original(*row) for row in tx.fetch("deliveries_to_replay", tenant=tenant, ids=ids)] if ids else []


def _beginning(one: EventSubscription) -> str:
    """Return the prefix of a subscription's events, as `events_to_recover` compares it."""
    wild = one.event_type.endswith(EVERY_EVENT)
    return f"{one.product} {one.event_type.removesuffix(EVERY_EVENT)}{'' if wild else '!'}"


def _wanted(tx: Transaction, webhook: Webhook, events: list[Row]) -> list[Row]:
    """Return the events for which the conditions of one of the webhook's subscriptions hold."""
    if not any(one.where for one in webhook.subscriptions):
        return events
    where = {(product, event_type): _where(webhook, product, event_type) for _, product, event_type, _ in events}
    asked = [(webhook.tenant, event_id) for event_id, *kind in events if where[kind[0], kind[1]]]
    bodies = deliveries.event_bodies(tx, asked)
    return [
        event
        for event in events
        if not (conditions := where[event[1], event[2]])
        or is_wanted(conditions, decode(bodies[webhook.tenant, event[0]]))
    ]


def _where(webhook: Webhook, product: str, event_type: str) -> tuple[tuple[Condition, ...], ...]:
    of_this_kind = (one for one in webhook.subscriptions if one.product == product)
    return alternatives(one.where for one in of_this_kind if covers(one.event_type, event_type))


def _missed(tx: Transaction, webhook: Webhook, events: list[Row]) -> Iterator[Row]:
    """Yield the row for `_insert_due` of each delivery that these events lack."""
    rendering = Rendering.of(webhook.mapping)
    today, ordered = rendering and rendering.id, webhook.ordered
    spans = deliveries.with_spans((webhook.tenant, event_id) for event_id, *_ in events)
    found = tx.fetch("deliveries_of_events", spans, webhook_id=webhook.id)
    # They come oldest first.
    newest = {(event_id, endpoint_id): _Newest(*delivery[:5]) for event_id, endpoint_id, *delivery in found}
    for event_id, *what in events:
        for endpoint_id in (item.id for item in webhook.endpoints if item.enabled):
            to = (event_id, webhook.id, endpoint_id, *what)
            last = newest.get((event_id, endpoint_id))
            if last is None:
                yield (*to, today, None, ordered)
            elif last.was_missed and not _failed_to_render(last.state, last.attempt_count):
                yield (*to, last.rendering, last.id, ordered)
            elif last.was_missed and last.rendering != today:
                # A rendering that failed would fail again, and add nothing to the log.
                yield (*to, today, last.id, ordered)
