"""Match new events with subscribers, within bounds of rows and time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field

from unihooks._contract.planning import Match, NewEvent, Subscriber, is_wanted, plan_event
from unihooks._message.payload import decode
from unihooks._model.checks import storable
from unihooks.stores.sql.caches import Subscribers
from unihooks.stores.sql.deliveries import event_bodies
from unihooks.stores.sql.transaction import Transaction

MOST_TRIES = 5
RECOVERED = "!"
_DELIVERIES_PER_PLAN = 1_000
_DELIVERIES_PER_CHUNK = 250
_SECONDS_OF_MATCHING = 0.05
_MATCHED_BETWEEN_LOOKS = 8
_logger = logging.getLogger("unihooks.store")


@define
class Chosen:
    """A new event with its matches; `cursor` is where the next call continues with it.

    The event's body is empty until it has been read. `place` is where the database finds its row in the queue again.
    `made` is the number of deliveries so far. `failure` is why it could not be planned, at try number `tries`. `found`
    is what its row says about how far it is planned. If it `is_ordered`, some of its subscribers are; one that
    `is_deferred` waits for an earlier event of its subject.
    """

    event: NewEvent
    place: str
    after: str
    made: int
    tries: int
    found: str = ""
    matches: Sequence[Match] = ()
    open_lanes: frozenset[str] = frozenset()
    cursor: str | None = None
    failure: str | None = None
    is_ordered: bool = False
    is_deferred: bool = False

    @property
    def was_recovered(self) -> bool:
        """Whether `recover` may have made deliveries of it."""
        return self.found.startswith(RECOVERED)

    def defer(self) -> None:
        """Leave the event in the queue as it was found."""
        self.is_deferred, self.cursor, self.matches = True, self.after, ()


@define
class _Quota:
    """The remaining quota of one call: deliveries, at most `per_event` of one event over all calls, and time."""

    per_event: int
    deliveries: int = _DELIVERIES_PER_PLAN
    until: float = field(factory=lambda: time.monotonic() + _SECONDS_OF_MATCHING)

    def left_of(self, item: Chosen) -> int:
        """Return how many deliveries of an event this call may make."""
        return min(self.deliveries, _DELIVERIES_PER_CHUNK, self.per_event - item.made)

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more can be planned."""
        return self.deliveries <= 0 or time.monotonic() > self.until


@define
class _Kind:
    """The subscribers of a kind of event, the number of their endpoints, and their open lanes.

    If some of them have conditions, the result depends on the event.
    """

    subscribers: list[Subscriber]
    endpoints: int = field(init=False)
    open_lanes: frozenset[str] = field(init=False)
    has_conditions: bool = field(init=False)
    is_ordered: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.endpoints = sum(len(one.endpoints) for one in self.subscribers)
        self.has_conditions = any(one.where for one in self.subscribers)
        self.is_ordered = any(one.ordered for one in self.subscribers)
        self.open_lanes = open_lanes(self.subscribers)


@define
class Matcher:
    """A matcher for the events of one call; `versions` are the configuration versions of tenants.

    Some of the events `are_ordered`.
    """

    _tx: Transaction
    _subscribers: Subscribers
    _versions: Mapping[str, int]
    _most_per_event: int
    _quota: _Quota = field(init=False)
    _kinds: dict[tuple[str, ...], _Kind | None] = field(factory=dict)
    are_ordered: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._quota = _Quota(self._most_per_event)

    def match(self, chosen: list[Chosen]) -> list[Chosen]:
        """Match events with their subscribers; return those for which there was time."""
        quota = self._quota
        for position, item in enumerate(chosen):
            if (position and quota.deliveries <= 0) or (position % _MATCHED_BETWEEN_LOOKS == 1 and quota.is_used_up):
                return chosen[:position]
            try:
                self._match_one(item)
            except self._tx.errors:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not hold up the others
                item.failure = _described(error)
                _log_failure(item)
        return chosen

    def _match_one(self, item: Chosen) -> None:
        event, tx, quota, kinds = item.event, self._tx, self._quota, self._kinds
        key = (event.tenant, event.product, event.event_type, item.after)
        if key not in kinds:
            whole = None
            if " " not in item.after:
                whole = self._subscribers.whole(tx, event, self._versions[event.tenant], item.after)
            kinds[key] = None if whole is None else _Kind(whole)
        kind, left = kinds[key], quota.left_of(item)
        if kind is not None and kind.endpoints <= left and not kind.has_conditions:
            subscribers, item.open_lanes = kind.subscribers, kind.open_lanes
            quota.deliveries -= kind.endpoints
            is_ordered = kind.is_ordered
        else:
            subscribers = self._chunk(item)
            item.open_lanes = open_lanes(subscribers)
            is_ordered = any(one.ordered for one in subscribers)
        if is_ordered:
            item.is_ordered = self.are_ordered = True
        item.matches = plan_event(event, subscribers, now=tx.now)
        if item.cursor is not None:
            _limit(item, quota.per_event)

    def _chunk(self, item: Chosen) -> list[Subscriber]:
        """Return the matches that one call plans of the event, and note where the next one continues."""
        quota, config_version = self._quota, self._versions[item.event.tenant]
        after, partly, last = item.after.split(" ") if " " in item.after else (item.after, "", "")
        start, payload = after, _Payload(self._tx, item.event)
        subscribers: list[Subscriber] = []
        left = quota.left_of(item)
        for one in self._subscribers.matching(self._tx, item.event, config_version, after):
            # At least one subscriber, however long reading them took, or the event would never get any further.
            if (subscribers or after != start) and (left <= 0 or quota.is_used_up):
                item.cursor = after
                break
            if one.where and not payload.is_wanted_by(one):
                after = one.webhook_id
                continue
            endpoints = one.endpoints
            if one.webhook_id == partly:
                endpoints = tuple(endpoint for endpoint in endpoints if endpoint.id > last)
            chosen = endpoints[: max(left, 1)]
            subscribers.append(one if len(chosen) == len(one.endpoints) else evolve(one, endpoints=chosen))
            left -= len(chosen)
            quota.deliveries -= len(chosen)
            if len(chosen) < len(endpoints):
                item.cursor = f"{after} {one.webhook_id} {chosen[-1].id}"
                break
            after = one.webhook_id
        return subscribers


@define
class _Payload:
    """The payload of an event, read and decoded when a subscriber's conditions ask for it."""

    _tx: Transaction
    _event: NewEvent
    _decoded: Any = None
    _is_decoded: bool = False

    def is_wanted_by(self, one: Subscriber) -> bool:
        """Return whether the conditions of a subscriber hold."""
        if not self._is_decoded:
            event = self._event
            if not event.body:
                event.body = event_bodies(self._tx, [(event.tenant, event.id)])[event.tenant, event.id]
            self._decoded, self._is_decoded = decode(event.body), True
        return is_wanted(one.where, self._decoded)


def open_lanes(subscribers: Iterable[Subscriber]) -> frozenset[str]:
    """Return the lanes of subscribers that are open and without limits, according to their configuration."""
    return frozenset(
        endpoint.id
        for one in subscribers
        if one.interval.deactivated_at is None and not one.is_limited
        for endpoint in one.endpoints
        if endpoint.disabled_at is None
    )


def _limit(item: Chosen, most: int) -> None:
    """Count the deliveries of a chunk; cut it where the event has enough."""
    item.made += sum(len(match.endpoint_ids) for match in item.matches)
    if item.made >= most:
        item.cursor = None
        sentence = "event %s of tenant %s leads to more than %d deliveries; these are made, log.recover makes the rest"
        _logger.warning(sentence, item.event.id, item.event.tenant, most)


def _described(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"[:500]
    # A database must be able to keep it.
    return text if storable(text) else ascii(text)


def _log_failure(item: Chosen) -> None:
    event, last = item.event, item.tries + 1 >= MOST_TRIES
    _logger.error(
        "event %s of tenant %s could not be planned%s: %s",
        event.id,
        event.tenant,
        " and is set aside" if last else ", it is tried again",
        item.failure,
    )
