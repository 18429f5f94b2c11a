"""Make the rows of new deliveries, and insert them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, field

from unihooks._base.ids import new_ids
from unihooks._base.times import SECOND
from unihooks._contract.planning import Match, NewEvent
from unihooks.abc import Capacity, Claimed, Lease
from unihooks.stores.sql.transaction import Call, Outcome, Row, Transaction


@define
class NewDeliveries:
    """What one call of planning makes: leased deliveries, and others that are due at once.

    A delivery is leased where its lane is open and has capacity. `most` is how many there can be.
    """

    lease: Lease
    capacity: Capacity
    now: int
    most: int
    leased: list[Row] = field(factory=list)
    waiting: list[Row] = field(factory=list)
    _events: list[NewEvent] = field(factory=list)
    _ids: list[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ids = new_ids("dlv_", self.now, self.most)[::-1]

    def add(self, event: NewEvent, match: Match, open_lanes: frozenset[str]) -> None:
        """Make a delivery for each endpoint of a match."""
        for endpoint_id in match.endpoint_ids:
            row = (
                event.tenant,
                self._ids.pop(),
                event.id,
                match.webhook_id,
                endpoint_id,
                event.product,
                event.event_type,
                match.rendering,
            )
            if endpoint_id in open_lanes and self.capacity.take(endpoint_id):
                self.leased.append(row)
                self._events.append(event)
            else:
                self.waiting.append(row)

    def __len__(self) -> int:
        return len(self.leased) + len(self.waiting)

    @property
    def due(self) -> dict[str, int]:
        """When the first new delivery of each endpoint is due; that of a leased one is the end of its lease."""
        return dict.fromkeys([row[4] for row in self.leased], self._until) | dict.fromkeys(
            [row[4] for row in self.waiting], self.now
        )

    def calls(self) -> list[Call]:
        """Return the calls that insert them; one that is there already, as `recover` may have made it, stays."""
        leased = {"due_at": self._until, "token": self.lease.token, "now": self.now}
        return [
            Call("add_planned_deliveries", self.leased, leased),
            Call("add_planned_deliveries", self.waiting, {**leased, "due_at": self.now, "token": None}),
        ]

    def without_bodies(self) -> list[tuple[str, str]]:
        """Return tenant and id of the events whose bodies have yet to be read for what is leased."""
        return list(dict.fromkeys((event.tenant, event.id) for event in self._events if not event.body))

    def claimed(self, bodies: dict[tuple[str, str], bytes], config_versions: dict[str, int]) -> list[Claimed]:
        """Return what is leased; `bodies` are those that were missing."""
        token = self.lease.token
        return [
            Claimed(
                tenant,
                id_,
                event_id,
                webhook_id,
                endpoint_id,
                product,
                event_type,
                event.body or bodies[tenant, event_id],
                0,
                0,
                token,
                config_versions[tenant],
                rendering,
            )
            for (tenant, id_, event_id, webhook_id, endpoint_id, product, event_type, rendering), event in zip(
                self.leased, self._events, strict=True
            )
        ]

    def kept(self, tx: Transaction, inserted: Iterable[Outcome]) -> set[str] | None:
        """Return the ids of those that were inserted, None if all were."""
        if sum(outcome.changed for outcome in inserted) == len(self):
            return None
        made = [(row[0], row[1]) for row in (*self.leased, *self.waiting)]
        return {row[0] for row in tx.fetch("existing_deliveries", made)}

    @property
    def _until(self) -> int:
        return self.now + round(self.lease.seconds * SECOND)


def insert(tx: Transaction, rows: Sequence[Row]) -> set[str]:
    """Insert deliveries, but no second original of an event for an endpoint; return the ids of those inserted.

    Rows hold tenant, id, event id, webhook id, endpoint id, product, event
    type, rendering, state, due_at, token, reason, replay_of and created_at.
    """
    return {row[0] for row in tx.fetch("add_deliveries", rows)}


def event_bodies(tx: Transaction, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Return the bodies of events, by tenant and id."""
    rows = tx.fetch("event_bodies", list(dict.fromkeys(keys)))
    return {(tenant, id_): bytes(body) for tenant, id_, body in rows}
