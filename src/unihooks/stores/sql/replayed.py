"""Decide what can be sent again, alike for every SQL store."""

from __future__ import annotations

from attrs import frozen

from unihooks._contract.planning import NewEvent, PlannedBody
from unihooks._model.log import DeliveryState
from unihooks.stores.sql.refusals import check_replayable


@frozen
class Replayed:
    """Be a delivery that is to be sent again, if it can be; `size` is that of its event's body."""

    id: str
    event_id: str
    webhook_id: str
    endpoint_id: str
    product: str
    event_type: str
    body_of: str
    state: str
    has_endpoint: bool
    size: int

    def check(self) -> None:
        """Raise Conflict if it cannot be sent again."""
        there = bool(self.has_endpoint)
        check_replayable(is_erased=self.size == 0, has_endpoint=there, has_body=self.body_of != "none")

    @property
    def worthwhile(self) -> bool:
        """Say whether it can be sent again, and will not be without."""
        possible = self.has_endpoint and self.size and self.body_of != "none"
        return bool(possible) and self.state != DeliveryState.PENDING

    def event(self, tenant: str, now: int) -> NewEvent:
        """Return its event, without the body."""
        return NewEvent(self.event_id, tenant, self.product, self.event_type, b"", now)

    def planned(self) -> PlannedBody:
        """Return whose bytes are sent, as planning would."""
        return PlannedBody(self.webhook_id, (self.endpoint_id,), b"" if self.body_of == "webhook" else None)
