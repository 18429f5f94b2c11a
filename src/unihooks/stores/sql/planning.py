"""Turn new events into deliveries, tenants in turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from unihooks._base.ids import new_ids
from unihooks._base.round_robin import round_robin
from unihooks._contract.planning import MOST_PER_EVENT, NewEvent, Subscriber, plan_event
from unihooks.abc import ALONE, Capacity, Lease, Planned, Share
from unihooks.stores.sql.caches import RecentEvents, Subscribers
from unihooks.stores.sql.claiming import lowering
from unihooks.stores.sql.deliveries import NewDeliveries, lanes_left_alone
from unihooks.stores.sql.matching import MOST_TRIES, RECOVERED, Chosen, Matcher, open_lanes
from unihooks.stores.sql.ordering import arrange
from unihooks.stores.sql.transaction import Call, Database, Row, Transaction

_TENANTS_PER_PLAN = 100
_BYTES_PER_PLAN = 8 * 1024 * 1024
_MOST_AT_ONCE = 16
_AT_ONCE_PER_EVENT = 16
# The columns found for an event whose content is looked up separately, if it is not in memory.
_BARE = 5
_TENANT = itemgetter(0)


class Planner:
    """A planner that takes tenants in turn; it remembers which is next, and caches subscribers and recent events."""

    def __init__(self) -> None:
        self._after = ""
        self._subscribers = Subscribers()
        self._recent_events = RecentEvents()
        self._most_per_event = MOST_PER_EVENT

    def keep(self, events: Iterable[NewEvent]) -> None:
        """Keep events that this process has inserted, which saves reading their payloads."""
        self._recent_events.keep(events)

    def forget(self) -> None:
        """Forget what was read or inserted in a transaction that did not last."""
        self._subscribers = Subscribers()
        self._recent_events.forget()

    def plan(
        self,
        database: Database,
        lease: Lease,
        capacity: Capacity,
        limit: int,
        most_per_event: int = MOST_PER_EVENT,
        *,
        share: Share = ALONE,
    ) -> Planned:
        """Plan up to `limit` new events; `capacity` itself is not changed."""
        self._recent_events.is_wanted = True
        self._most_per_event = most_per_event
        # A worker that keeps to a share has more to do than what was just emitted here.
        at_once = database.has_round_trips and share.of == 1
        if at_once and (planned := self._plan_recent(database, lease, capacity.copy())) is not None:
            return planned
        after = self._after
        # The sync of later results covers this, too. If the server crashes before, it loses only plans of deliveries
        # that were in flight or not yet recorded, and those are sent again in any case.
        plan = partial(self._plan, lease=lease, limit=limit, after=after, share=share)
        return database.write(lambda tx: plan(tx, capacity=capacity.copy()), _finding(after, limit), synced=False)

    def _plan_recent(self, database: Database, lease: Lease, capacity: Capacity) -> Planned | None:
        """Plan what this process has just emitted in one round trip, if everything needed is cached.

        Return None if it is not, or if anything has changed.
        """
        events = self._recent_events.few(_MOST_AT_ONCE)
        try:
            return self._plan_at_once(database, events, lease, capacity)
        except Exception:  # noqa: BLE001 - it will be raised again where each event's errors are its own
            return None
        finally:
            # What could not be planned is read again.
            for event in events:
                self._recent_events.take(event.tenant, event.id)

    def _plan_at_once(
        self, database: Database, events: list[NewEvent], lease: Lease, capacity: Capacity
    ) -> Planned | None:
        known = [one for event in events if (one := self._subscribers.known(event)) is not None]
        most = min(_AT_ONCE_PER_EVENT, self._most_per_event)
        if not known or len(known) < len(events) or max(map(_endpoints, known)) > most:
            return None
        if not all(one.is_plain for _, subscribers in known for one in subscribers):
            # The time for conditions depends on the payloads, and order on what others plan.
            return None
        now = database.time.now()
        # If there are two versions of one tenant, only one can be current, and nothing is planned here.
        versions = list({(event.tenant, version) for event, (version, _) in zip(events, known, strict=True)})
        made = NewDeliveries(lease, capacity, now)
        for event, (version, subscribers) in zip(events, known, strict=True):
            made.add(event, plan_event(event, subscribers, now=now), open_lanes(subscribers), version)
        keys = [(event.tenant, event.id) for event in events]
        outcomes = database.at_once(
            [
                Call("take_new_events", keys, {"count": len(keys)}),
                Call("share_configuration", values={"tenants": [tenant for tenant, _ in versions]}),
                Call("hold_configuration", versions, {"count": len(versions), "now": now}),
                *made.calls(),
                *lowering(made.due),
            ],
            synced=False,
        )
        if outcomes is None:
            return None
        inserted = outcomes[3:5]
        kept = database.ask(lambda tx: made.kept(tx, inserted)) if made.claimed else []
        # Other processes announce their own events.
        return made.planned(len(events), inserted, kept, more=False)

    def _plan(
        self, tx: Transaction, *, lease: Lease, capacity: Capacity, limit: int, after: str, share: Share
    ) -> Planned:
        found, _, versions = tx.opening
        if after and not found.rows:
            found, _, versions = tx.pipeline(*_finding("", limit))
        # A tenant that never had any configuration has version 0.
        config_versions = defaultdict(int, {row[0]: row[1] for row in versions.rows})
        matcher = Matcher(tx, self._subscribers, config_versions, self._most_per_event)
        chosen = matcher.match(self._choose(tx, found.rows, limit))
        self._take_turns(chosen, everyone=not after and len(chosen) == len(found.rows) < limit)
        if not chosen:
            return Planned(more=bool(found.rows))
        arranged = arrange(tx, chosen) if matcher.are_ordered else None
        made = NewDeliveries(lease, capacity, tx.now)
        _add(tx, made, chosen, versions.rows, share)
        some_are_there = any(item.was_recovered for item in chosen)
        inserting, counting, due = made.calls(some_are_there=some_are_there), [], made.due
        marking = [*_marking(chosen, tx.now), Call("more_new_events")]
        if arranged is not None:
            inserting.append(arranged.inserting(tx.now))
            marking.insert(0, arranged.freeing(tx.now))
            counting.append(arranged.counting())
            due |= arranged.due(tx.now)
        # The lanes come last, so that they are locked as briefly as possible.
        outcomes = tx.pipeline(*inserting, *marking, *lowering(due), *counting, commit=True)
        inserted, more = outcomes[: len(inserting)], outcomes[len(inserting) + len(marking) - 1]
        whole = sum(item.cursor is None and item.failure is None for item in chosen)
        return made.planned(whole, inserted, made.kept(tx, inserted), more=bool(more.rows))

    def _choose(self, tx: Transaction, found: Sequence[Row], limit: int) -> list[Chosen]:
        rows = list(round_robin(found, _TENANT))[:limit]
        chosen: list[Chosen] = []
        size = 0
        for row, event, length in zip(rows, *self._events(tx, rows), strict=True):
            size += length
            if chosen and size > _BYTES_PER_PLAN:
                break
            after, _, made = row[2].removeprefix(RECOVERED).partition("#")
            chosen.append(Chosen(event, row[4], after, int(made or 0), row[3], row[2]))
        return chosen

    def _events(self, tx: Transaction, rows: Sequence[Row]) -> tuple[list[NewEvent], list[int]]:
        """Return the found events, and the lengths of their bodies, which may still have to be read."""
        recent = [self._recent_events.take(row[0], row[1]) for row in rows]
        # An event of an older day also comes without its content.
        rows = [row if row[_BARE:] and row[_BARE] is not None else row[:_BARE] for row in rows]
        bare = [
            (row[0], row[1]) for row, event in zip(rows, recent, strict=True) if event is None and len(row) == _BARE
        ]
        contents = {(tenant, id_): content for tenant, id_, *content in tx.fetch("found_events", bare)}
        events, lengths = [], []
        for row, event in zip(rows, recent, strict=True):
            if event is not None:
                events.append(event)
                lengths.append(len(event.body))
                continue
            tenant, id_, _, _, _, *content = row
            product, event_type, created_at, subject, length, *body = content or contents[tenant, id_]
            found = bytes((body and body[0]) or b"")
            events.append(NewEvent(id_, tenant, product, event_type, found, created_at, subject=subject))
            lengths.append(length)
        return events, lengths

    def _take_turns(self, planned: Sequence[Chosen], *, everyone: bool) -> None:
        """Let the next call begin after the tenants that this one has planned for, unless that was `everyone`.

        So an event that uses up one call leaves the next call to others.
        """
        tenants = {item.event.tenant for item in planned}
        self._after = "" if everyone and len(tenants) < _TENANTS_PER_PLAN else max(tenants, default="")


def _finding(after: str, limit: int) -> list[Call]:
    """Return the calls that find new events beyond the tenant `after`, and the versions of their tenants.

    The events are claimed first, so that a change made before they were emitted is seen.
    """
    values: dict[str, Any] = {"after": after, "tenants": _TENANTS_PER_PLAN}
    return [
        Call("find_new_events", values={**values, "limit": limit}),
        Call("share_found_configuration"),
        Call("found_config_versions", values=values),
    ]


def _add(tx: Transaction, made: NewDeliveries, chosen: Sequence[Chosen], versions: Sequence[Row], share: Share) -> None:
    """Add the deliveries of events; for each tenant, `versions` also says until when one of its lanes waits."""
    config_versions = {row[0]: row[1] for row in versions}
    paused = {tenant for tenant, _, waits_until in versions if (waits_until or 0) > tx.now}
    matches = ((item.event.tenant, match) for item in chosen for match in item.matches)
    left_alone = lanes_left_alone(tx, matches, paused, share)
    for item in chosen:
        lanes = item.open_lanes - left_alone if left_alone else item.open_lanes
        made.add(item.event, item.matches, lanes, config_versions.get(item.event.tenant, 0))
    made.read_bodies(tx)


def _marking(chosen: Iterable[Chosen], now: int) -> list[Call]:
    """Return the calls that remove events from the queue, or move them to its end for another time."""
    done, later, aside = [], [], []
    for item in chosen:
        tenant, id_, has_failed = item.event.tenant, item.event.id, item.failure is not None
        tries, cursor = item.tries + has_failed, item.after if has_failed else item.cursor
        if cursor is None or tries >= MOST_TRIES:
            done.append((tenant, item.place))
        else:
            sign = RECOVERED if item.was_recovered else ""
            reached = item.found if item.is_deferred else f"{sign}{cursor}#{item.made}"
            later.append((tenant, item.place, id_, reached, tries, item.failure))
        if has_failed and tries >= MOST_TRIES:
            aside.append((tenant, id_, item.failure))
    places = new_ids("evt_", now, len(later))
    return [
        Call("remove_planned", done),
        Call("plan_later", [(*row, place) for row, place in zip(later, places, strict=True)]),
        Call("set_aside", aside),
        Call("note_clock_of_plan", values={"now": now}),
    ]


def _endpoints(known: tuple[int, list[Subscriber]]) -> int:
    return sum(len(one.endpoints) for one in known[1])
