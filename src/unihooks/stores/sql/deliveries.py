"""Make the rows of new deliveries, and insert them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, field

from unihooks._base.ids import derived_id, derived_span
from unihooks._contract.planning import Match, NewEvent
from unihooks.abc import Capacity, Claimed, Lease, Planned, Share
from unihooks.stores.sql.transaction import Call, Outcome, Row, Transaction


@define
class NewDeliveries:
    """The deliveries that one call of planning makes: leased ones, and others that are due at once.

    A delivery is leased where its lane is open and has capacity.
    """

    lease: Lease
    capacity: Capacity
    now: int
    claimed: list[Claimed] = field(factory=list)
    leased: list[Row] = field(factory=list)
    waiting: list[Row] = field(factory=list)

    def add(self, event: NewEvent, matches: Iterable[Match], open_lanes: frozenset[str], config_version: int) -> None:
        """Make a delivery for each endpoint of an event's matches."""
        tenant, event_id, product, event_type = event.tenant, event.id, event.product, event.event_type
        subject = event.subject
        take, token = self.capacity.take, self.lease.token
        for match in matches:
            webhook_id, rendering = match.webhook_id, match.rendering
            for endpoint_id in match.endpoint_ids:
                id_ = original_id(event_id, endpoint_id)
                row = (tenant, id_, event_id, webhook_id, endpoint_id, product, event_type, subject, rendering)
                if not (endpoint_id in open_lanes and take(endpoint_id)):
                    self.waiting.append(row)
                    continue
                self.leased.append(row)
                self.claimed.append(Claimed(*row[:7], event.body, 0, 0, token, config_version, rendering, subject))

    @property
    def due(self) -> dict[str, int]:
        """When the first new delivery of each endpoint is due; that of a leased one is the end of its lease."""
        leased = dict.fromkeys([row[4] for row in self.leased], self._until)
        return leased | dict.fromkeys([row[4] for row in self.waiting], self.now)

    def read_bodies(self, tx: Transaction) -> None:
        """Read the bodies of leased deliveries that have not come with their events; planning itself reads none."""
        without = [one for one in self.claimed if not one.body]
        if without:
            bodies = event_bodies(tx, ((one.tenant, one.event_id) for one in without))
            for one in without:
                one.body = bodies[one.tenant, one.event_id]

    def calls(self, *, some_are_there: bool = False) -> list[Call]:
        """Return the calls that insert them; one that exists already, because `recover` has made it, stays."""
        leased = {"due_at": self._until, "token": self.lease.token, "now": self.now}
        name = "add_missing_deliveries" if some_are_there else "add_planned_deliveries"
        return [
            Call(name, self.leased, leased),
            Call(name, self.waiting, {**leased, "due_at": self.now, "token": None}),
        ]

    def kept(self, tx: Transaction, inserted: Sequence[Outcome]) -> list[Claimed]:
        """Return the leased deliveries; `inserted` has the outcomes of `calls`."""
        if not self.leased or inserted[0].changed == len(self.leased):
            return self.claimed
        made = [(row[0], row[1], self.lease.token) for row in self.leased]
        kept = {row[0] for row in tx.fetch("leased_deliveries", made)}
        return [one for one in self.claimed if one.id in kept]

    def planned(self, events: int, inserted: Iterable[Outcome], kept: list[Claimed], *, more: bool) -> Planned:
        """Return the outcome of planning this many events; `kept` is what `kept` returned."""
        made = sum(outcome.changed for outcome in inserted)
        return Planned(events=events, deliveries=made, claimed=kept, more=more)

    @property
    def _until(self) -> int:
        return self.lease.until(self.now)


def original_id(event_id: str, endpoint_id: str) -> str:
    """Return the id of the first delivery of an event to an endpoint, which makes sure that there is only one."""
    return derived_id("dlv_", event_id, endpoint_id)


def with_spans(keys: Iterable[tuple[str, str]]) -> list[Row]:
    """Return (tenant, event id, first, last) of events: the ids of their originals lie between `first` and `last`."""
    return [(tenant, event_id, *derived_span("dlv_", event_id)) for tenant, event_id in keys]


def lanes_left_alone(
    tx: Transaction, matches: Iterable[tuple[str, Match]], tenants: set[str], share: Share
) -> frozenset[str]:
    """Return the lanes of matches, each with its tenant, of which planning leases nothing.

    These are lanes of these tenants whose receivers want no request for now, and lanes of other workers with something
    due: whoever takes that also takes what is new there.
    """
    if not tenants and share.of == 1:
        return frozenset()
    lanes = {endpoint_id: tenant for tenant, match in matches for endpoint_id in match.endpoint_ids}
    waiting = [endpoint_id for endpoint_id, tenant in lanes.items() if tenant in tenants]
    others = list(share.of_others(lanes))
    calls = [Call("waiting_lanes", values={"endpoints": waiting, "now": tx.now})] if waiting else []
    calls += [Call("due_among", values={"endpoints": others, "now": tx.now})] if others else []
    return frozenset(row[0] for outcome in tx.pipeline(*calls) for row in outcome.rows) if calls else frozenset()


def event_bodies(tx: Transaction, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Return the bodies of events, by tenant and id."""
    wanted = list(dict.fromkeys(keys))
    return all_bodies(tx, wanted, tx.fetch("event_bodies", wanted))


def all_bodies(tx: Transaction, keys: Sequence[tuple[str, str]], found: Iterable[Row]) -> dict[tuple[str, str], bytes]:
    """Return the bodies of events, by tenant and id; `found` are those of `event_bodies`, perhaps only recent ones."""
    bodies = {(tenant, id_): bytes(body) for tenant, id_, body in found}
    older = [key for key in keys if key not in bodies] if len(bodies) < len(keys) else []
    bodies.update(((tenant, id_), bytes(body)) for tenant, id_, body in tx.fetch("older_event_bodies", older))
    return bodies
