"""Plan for one webhook what it missed."""

from __future__ import annotations

from unihooks._base.ids import first_id
from unihooks._base.times import SECOND
from unihooks._contract.planning import NewEvent
from unihooks._model.webhooks import Webhook
from unihooks.stores.postgres.bodies import keep_bodies
from unihooks.stores.postgres.claims import lower_next_due
from unihooks.stores.postgres.config import get_webhook, plan_along
from unihooks.stores.postgres.deliveries import insert_deliveries
from unihooks.stores.postgres.statements import Statements, keyed
from unihooks.stores.sql.recovery import Newest, Recovery

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


def recover(
    it: Statements, tenant: str, webhook_id: str, made_in: tuple[int, int], *, after: str, limit: int
) -> tuple[int, str | None]:
    """Plan what the webhook missed of the next `limit` events; return how many deliveries and where to go on."""
    plan_along(it, [tenant])
    recovery = Recovery(get_webhook(it, tenant, webhook_id), it.now)
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


def _newest(it: Statements, event_ids: list[str], webhook_id: str) -> dict[str, dict[str, Newest]]:
    newest: dict[str, dict[str, Newest]] = {event_id: {} for event_id in event_ids}
    for event_id, endpoint_id, *delivery in it.fetch(_NEWEST, events=event_ids, webhook=webhook_id):
        newest[event_id][endpoint_id] = tuple(delivery)
    return newest
