"""Decide what a webhook gets of events that it missed, alike for every SQL store."""

from __future__ import annotations

from attrs import define, field

from unihooks._base.ids import new_id
from unihooks._contract.planning import NewEvent, PlannedBody, Subscriber, recover_event
from unihooks._model.webhooks import ActiveInterval, Webhook
from unihooks.abc import HELD_TOO_LONG
from unihooks.stores.sql.rows import Row, delivery_row

# Of one delivery: id, state, reason, body_of.
Newest = tuple[str, str, str | None, str]

_ALWAYS = ActiveInterval(activated_at=0, activated_mark="")


@define
class Recovery:
    """Gather the new deliveries of one webhook."""

    webhook: Webhook
    now: int
    rows: list[Row] = field(factory=list)
    bodies: list[tuple[str, str, bytes, tuple[str, ...]]] = field(factory=list)

    def look_at(self, event: NewEvent, newest: dict[str, Newest]) -> None:
        """Add what the event lacks; `newest` is each endpoint's newest delivery of it."""
        missed = [item.id for item in self.webhook.endpoints if item.enabled and _missed(newest.get(item.id))]
        stored = {item: newest[item][3] for item in missed if item in newest and newest[item][3] != "none"}
        for endpoint_id, body_of in stored.items():
            body = PlannedBody(self.webhook.id, (endpoint_id,), b"" if body_of == "webhook" else None)
            self._add(event, body, endpoint_id, newest[endpoint_id][0])
        self._render(event, [item for item in missed if item not in stored], newest)

    def _render(self, event: NewEvent, endpoint_ids: list[str], newest: dict[str, Newest]) -> None:
        if not endpoint_ids:
            return
        body = recover_event(event, Subscriber(self.webhook.id, _ALWAYS, self.webhook.mapping, ()), endpoint_ids)
        if body.body is not None:
            self.bodies.append((event.id, body.webhook_id, body.body, body.warnings))
        for endpoint_id in endpoint_ids:
            earlier = newest.get(endpoint_id)
            # A mapping that fails as it did before adds nothing to the log.
            if earlier is None or body.failure is None:
                self._add(event, body, endpoint_id, earlier and earlier[0])

    def _add(self, event: NewEvent, body: PlannedBody, endpoint_id: str, replay_of: str | None) -> None:
        id_ = new_id("dlv_", self.now)
        self.rows.append(delivery_row(event, body, endpoint_id, id_, self.now, replay_of=replay_of))


def _missed(newest: Newest | None) -> bool:
    if newest is None:
        return True
    _, state, reason, _ = newest
    return state == "failed" or (state == "cancelled" and reason == HELD_TOO_LONG)
