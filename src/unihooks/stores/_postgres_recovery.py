"""Plan for one webhook what it missed."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from unihooks._ids import first_id, new_id
from unihooks._models import ActiveInterval, Webhook
from unihooks._planning import NewEvent, PlannedBody, Subscriber, recover_event
from unihooks._times import SECOND
from unihooks.abc import HELD_TOO_LONG
from unihooks.stores._postgres_bodies import keep_bodies
from unihooks.stores._postgres_claims import lower_next_due
from unihooks.stores._postgres_config import get_webhook, plan_along
from unihooks.stores._postgres_deliveries import delivery_row, insert_deliveries
from unihooks.stores._postgres_statements import Row, Statements, keyed

# The events stay for as long as this transaction lasts.
_EVENTS = """
SELECT id, tenant, product, event_type, body, created_at FROM unihooks.events AS e
WHERE tenant = %(tenant)s AND id > %(after)s AND created_at >= %(since)s AND created_at < %(until)s
  AND octet_length(body) > 0
  AND EXISTS (SELECT 1 FROM json_to_recordset(CAST(%(wanted)s AS json)) AS k (product text, event_type text)
              WHERE k.product = e.product AND k.event_type IN (e.event_type, '*'))
ORDER BY id LIMIT %(limit)s FOR KEY SHARE OF e
"""
_NEWEST = """
SELECT event_id, endpoint_id, id, state, reason, body_of FROM unihooks.deliveries
WHERE event_id = ANY(%(events)s) AND webhook_id = %(webhook)s ORDER BY id
"""
_DAY = 24 * 3600 * SECOND
_Delivery = tuple[Any, ...]  # id, state, reason, body_of
_ALWAYS = ActiveInterval(activated_at=0, activated_mark="")


@define
class _Recovery:
    """Gather the new deliveries of one webhook."""

    webhook: Webhook
    now: int
    rows: list[Row] = field(factory=list)
    bodies: list[tuple[str, str, bytes, tuple[str, ...]]] = field(factory=list)

    def look_at(self, event: NewEvent, newest: dict[str, _Delivery]) -> None:
        """Add what the event lacks; `newest` is each endpoint's newest delivery of it."""
        missed = [item.id for item in self.webhook.endpoints if item.enabled and _missed(newest.get(item.id))]
        stored = {item: newest[item][3] for item in missed if item in newest and newest[item][3] != "none"}
        for endpoint_id, body_of in stored.items():
            body = PlannedBody(self.webhook.id, (endpoint_id,), b"" if body_of == "webhook" else None)
            self._add(event, body, endpoint_id, newest[endpoint_id][0])
        self._render(event, [item for item in missed if item not in stored], newest)

    def _render(self, event: NewEvent, endpoint_ids: list[str], newest: dict[str, _Delivery]) -> None:
        if not endpoint_ids:
            return
        body = recover_event(event, Subscriber(self.webhook.id, _ALWAYS, self.webhook.mapping, ()), endpoint_ids)
        if body.body is not None:
            self.bodies.append((event.id, body.webhook_id, body.body, body.warnings))
        for endpoint_id in endpoint_ids:
            earlier = newest.get(endpoint_id)
            # A mapping that fails as it did before adds nothing to the log.
            if earlier is None or body.failure is None:
                self._add(event, body, endpoint_id, earlier[0] if earlier else None)

    def _add(self, event: NewEvent, body: PlannedBody, endpoint_id: str, replay_of: str | None) -> None:
        id_ = new_id("dlv_", self.now)
        self.rows.append(delivery_row(event, body, endpoint_id, id_, self.now, replay_of=replay_of))


def recover(
    it: Statements, tenant: str, webhook_id: str, made_in: tuple[int, int], *, after: str, limit: int
) -> tuple[int, str | None]:
    """Plan what the webhook missed of the next `limit` events; return how many deliveries and where to go on."""
    plan_along(it, [tenant])
    recovery = _Recovery(get_webhook(it, tenant, webhook_id), it.now)
    events = _events(it, recovery.webhook, made_in, after, limit)
    newest = _newest(it, [event.id for event in events], webhook_id)
    for event in events:
        recovery.look_at(event, newest[event.id])
    keep_bodies(it, recovery.bodies)
    made = insert_deliveries(it, recovery.rows)
    lower_next_due(it, dict.fromkeys((item.id for item in recovery.webhook.endpoints), it.now))
    return len(made), events[-1].id if len(events) == limit else None


def _events(it: Statements, webhook: Webhook, made_in: tuple[int, int], after: str, limit: int) -> list[NewEvent]:
    # Identifiers begin with their time; a day's allowance saves reading all that is older.
    rows = it.fetch(
        _EVENTS,
        tenant=webhook.tenant,
        after=max(after, first_id("evt_", made_in[0] - _DAY)),
        since=made_in[0],
        until=made_in[1],
        wanted=keyed("product, event_type", [(item.product, item.event_type) for item in webhook.subscriptions]),
        limit=limit,
    )
    return [NewEvent(*row) for row in rows]


def _newest(it: Statements, event_ids: list[str], webhook_id: str) -> dict[str, dict[str, _Delivery]]:
    newest: dict[str, dict[str, _Delivery]] = {event_id: {} for event_id in event_ids}
    for event_id, endpoint_id, *delivery in it.fetch(_NEWEST, events=event_ids, webhook=webhook_id):
        newest[event_id][endpoint_id] = tuple(delivery)
    return newest


def _missed(newest: _Delivery | None) -> bool:
    if newest is None:
        return True
    _, state, reason, _ = newest
    return bool(state == "failed" or (state == "cancelled" and reason == HELD_TOO_LONG))
