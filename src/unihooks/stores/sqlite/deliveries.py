"""Make the deliveries of a plan, and insert their rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Any

from attrs import define, field

from unihooks._base.ids import new_ids
from unihooks._base.times import SECOND
from unihooks._contract.planning import NewEvent, PlannedBody
from unihooks.abc import Capacity, Claimed, Ended, Lease
from unihooks.stores.sql.rows import Row, delivery_row, failed_to_map, leased_as_planned
from unihooks.stores.sqlite.statements import with_values

_INSERT = """
INSERT INTO main.unihooks_deliveries (
    tenant, id, event_id, webhook_id, endpoint_id, product, event_type, body_of, state, due_at, token, reason,
    replay_of, created_at, finished_at
)
"""
# What is the same in all rows is bound once.
_INSERT_ALIKE = """
INSERT INTO main.unihooks_deliveries (
    state, due_at, token, created_at, tenant, id, event_id, webhook_id, endpoint_id, product, event_type, body_of
)
SELECT 'pending', ?, ?, ?, * FROM (
"""


@define
class Made:
    """Gather what planning makes, to be written in few statements.

    `most` is how many deliveries there can be, `open_lanes` are the endpoints
    whose deliveries may be leased, and `existing` holds what was planned
    before, by event and endpoint.
    """

    lease: Lease
    capacity: Capacity
    now: int
    most: int
    open_lanes: Collection[str] = ()
    existing: Collection[tuple[str, str]] = ()
    claimed: list[Claimed] = field(factory=list)
    failed: list[Ended] = field(factory=list)
    bodies: list[tuple[str, str, bytes, tuple[str, ...]]] = field(factory=list)
    _leased: list[Row] = field(factory=list)
    _waiting: list[Row] = field(factory=list)
    _unmapped: list[Row] = field(factory=list)
    _ids: list[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ids = new_ids("dlv_", self.now, self.most)[::-1]

    def add(self, event: NewEvent, body: PlannedBody, config_version: int) -> None:
        """Make the deliveries of one webhook, leased where the lane is open and has capacity."""
        if body.body is not None:
            self.bodies.append((event.id, body.webhook_id, body.body, body.warnings))
        for endpoint_id in body.endpoint_ids:
            if self.existing and (event.id, endpoint_id) in self.existing:
                continue
            id_ = self._ids.pop()
            if body.failure is not None:
                self._unmapped.append(delivery_row(event, body, endpoint_id, id_, self.now))
                self.failed.append(failed_to_map(event, body, endpoint_id, id_))
            elif endpoint_id in self.open_lanes and self.capacity.take(endpoint_id):
                self._leased.append(_row(event, body, endpoint_id, id_))
                self.claimed.append(
                    leased_as_planned(event, body, endpoint_id, id_, (self.lease.token, config_version))
                )
            else:
                self._waiting.append(_row(event, body, endpoint_id, id_))

    def write(self, connection: sqlite3.Connection) -> int:
        """Insert what was made; return how many deliveries that is."""
        with_values(connection, _INSERT_ALIKE, self._leased, ")", shared=(self.until, self.lease.token, self.now))
        with_values(connection, _INSERT_ALIKE, self._waiting, ")", shared=(self.now, None, self.now))
        insert_deliveries(connection, self._unmapped)
        return len(self._leased) + len(self._waiting) + len(self._unmapped)

    @property
    def until(self) -> int:
        """Return when a lease of now ends."""
        return self.now + round(self.lease.seconds * SECOND)

    @property
    def due(self) -> dict[str, int]:
        """Return when each endpoint's first delivery is due."""
        leased = dict.fromkeys([row[4] for row in self._leased], self.until)
        return leased | dict.fromkeys([row[4] for row in self._waiting], self.now)


def _row(event: NewEvent, body: PlannedBody, endpoint_id: str, id_: str) -> Row:
    body_of = "event" if body.body is None else "webhook"
    return (
        event.tenant,
        id_,
        event.id,
        body.webhook_id,
        endpoint_id,
        event.product,
        event.event_type,
        body_of,
    )


def insert_deliveries(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows made by `delivery_row`."""
    with_values(connection, _INSERT, rows)
