"""Record attempts: fence them by token, update deliveries, and note each lane's health."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter

from attrs import evolve

from unihooks._model.log import NO_RESPONSE, DeliveryState
from unihooks._model.operational_events import PRODUCT
from unihooks._model.policy import CircuitBreaker
from unihooks.abc import FAILING_LIMIT_US, AttemptRow, Recorded, Result
from unihooks.stores.sql import health, ordering
from unihooks.stores.sql.configuration import disable_endpoint, lock_configuration
from unihooks.stores.sql.limited import freeing
from unihooks.stores.sql.statistics import hour_rows
from unihooks.stores.sql.telling import failed_for_good, tell_results
from unihooks.stores.sql.transaction import Call, Outcome, Row, Transaction

_Sent = tuple[Result, AttemptRow]
_ATTEMPT = attrgetter(
    "number", "url", "started_at", "duration_us", "status_code", "error", "request_headers", "response_headers",
    "response_body",
)  # fmt: skip


def calls_if_delivered(results: Sequence[Result], now: int, part: int) -> list[Call]:
    """Return the calls that record results if all have delivered and are still held; none otherwise.

    `part` is the part of each hour in which this process counts.
    """
    delivered, others = _split(results)
    if others:
        return []
    calls = [evolve(_delivering(delivered), name="deliver_all"), *_succeeding(delivered, now, part)]
    calls[0].values = {"count": len(delivered)}
    return calls


def opening(results: Sequence[Result]) -> list[Call]:
    """Return the call that `record` begins with, unless a lock of the configuration has to come first."""
    delivered, others = _split(results)
    return [] if others else [_delivering(delivered)]


def record(
    tx: Transaction,
    results: Sequence[Result],
    part: int,
    breaker: CircuitBreaker | None = None,
    *,
    tells: bool = False,
) -> Recorded:
    """Store the results whose token still holds the delivery; `opening` was sent with the transaction's beginning.

    If the store `tells`, operational events report what failed.
    """
    delivered, others = _split(results)
    alone = _may_disable(tx, others)
    if alone:
        # Before any row is locked, since changes of a configuration lock in this order.
        lock_configuration(tx, alone)
    moved, *held = tx.opening or _begin(tx, delivered, others)
    kept = _held(others, held[0].rows) if held else []
    accepted = _in_order(results, [*_moved(tx, delivered, moved.changed), *kept])
    if len(accepted) < len(results):
        _keep_attempts(tx, results)
    if not accepted:
        return Recorded(accepted=frozenset())
    recorded = _store(tx, accepted, kept, alone=alone, part=part, breaker=breaker, tells=tells)
    return evolve(recorded, accepted=frozenset(item.claimed.id for item in accepted))


def _begin(tx: Transaction, delivered: Sequence[Result], others: Sequence[Result]) -> list[Outcome]:
    # Lock the chains in which a delivery ends, so that this and a transaction that adds to them see each other.
    locking = ordering.locking(ordering.ending(others))
    return tx.pipeline(locking, _delivering(delivered), _holding("held_by_token", others))[1:]


def _split(results: Sequence[Result]) -> tuple[Sequence[Result], Sequence[Result]]:
    """Return the results that a single statement can record, which are nearly all, and the others."""
    if len({item.claimed.id for item in results}) < len(results):
        # Of two results for one delivery, only their tokens tell which has been accepted.
        return [], results
    others = [
        item
        for item in results
        if item.state is not DeliveryState.DELIVERED
        or item.disable
        or item.attempt is None
        or item.claimed.sequence is not None
    ]
    if not others:
        return results, others
    apart = set(map(id, others))
    return [item for item in results if id(item) not in apart], others


def _delivering(delivered: Sequence[Result]) -> Call:
    """Return the call that updates what was delivered and is still held by its token."""
    rows = [
        (one.claimed.tenant, one.claimed.id, one.claimed.token, sent.number, one.claimed.webhook_id)
        for one, sent in _sent(delivered)
    ]
    # In the order of keys, in two steps: that takes half the time.
    rows.sort(key=itemgetter(1))
    rows.sort(key=itemgetter(0))
    return Call("deliver", rows)


def _moved(tx: Transaction, delivered: Sequence[Result], changed: int) -> Sequence[Result]:
    """Return the results that `_delivering` has accepted; only if their number differs, look which."""
    if changed == len(delivered):
        return delivered
    keys = [(one.claimed.tenant, one.claimed.id, sent.number) for one, sent in _sent(delivered)]
    found = {row[0] for row in tx.fetch("delivered_just_now", keys)}
    return [item for item in delivered if item.claimed.id in found]


def _in_order(results: Sequence[Result], accepted: Sequence[Result]) -> Sequence[Result]:
    if len(accepted) == len(results):
        return results
    chosen = set(map(id, accepted))
    return [item for item in results if id(item) in chosen]


def _store(
    tx: Transaction,
    accepted: Sequence[Result],
    kept: Sequence[Result],
    *,
    alone: set[str],
    part: int,
    breaker: CircuitBreaker | None,
    tells: bool,
) -> Recorded:
    if not kept:
        calls = _succeeding(accepted, tx.now, part)
        return judge_unwell(tx, health.noticed(calls, tx.pipeline(*calls)), accepted, tells=tells)
    endpoint_ids = list(dict.fromkeys(item.claimed.endpoint_id for item in accepted))
    *_, in_order, _, lanes, counted = tx.pipeline(
        Call("add_attempts", [_attempt_row(*pair) for pair in _sent(accepted)]),
        Call("move_on", _moving(kept, tx.now)),
        ordering.freeing(ordering.ending(kept), tx.now),
        Call("add_hours", hour_rows(_sent(accepted), tx.now, part)),
        *health.looking(endpoint_ids, tx.now),
    )
    healths, hours = health.followed(lanes, counted, breaker)
    disabling = [pair for pair in _note_health(healths, _sent(accepted), tx.now) if pair[0].claimed.tenant in alone]
    changed = health.changes(healths, hours)
    told = health.told(healths, _failing(kept, disabling, tells=tells), tx.now)
    rows = _lane_rows(healths, kept, in_order.rows, tx.now)
    freed = freeing((item.claimed for item in accepted), tx.now)
    failed = failed_for_good(kept) if tells else []
    tx.pipeline(Call("set_lanes", rows), *freed, commit=not (alone or failed or (tells and told)))
    disabled = _disable(tx, disabling)
    if tells and (failed or disabled or told):
        tell_results(tx, accepted, failed, [(item, reason) for item, reason, _ in disabled], told)
    return Recorded(
        accepted=(),
        disabled=[place for *_, place in disabled],
        paused=[id_ for id_, one in healths.items() if one.has_paused],
        changed_health=changed,
        told_health=told,
        freed=len(in_order.rows),
    )


def _lane_rows(
    healths: Mapping[str, health.LaneHealth], kept: Sequence[Result], freed: Iterable[Row], now: int
) -> list[Row]:
    """Return the rows of `set_lanes`; in the lanes of `freed`, a delivery that waited for its turn is due."""
    due, waits = _due(kept, now) | {endpoint_id: now for (endpoint_id,) in freed}, _waits(kept, now)
    return [(id_, *one.row(due.get(id_), waits.get(id_), now)) for id_, one in healths.items()]


def judge_unwell(tx: Transaction, unwell: Collection[str], delivered: Sequence[Result], *, tells: bool) -> Recorded:
    """Judge unhealthy endpoints after successes, and report those that are healthy again."""
    if not unwell:
        return Recorded(accepted=())
    lanes, counted = tx.pipeline(*health.looking(unwell, tx.now))
    healths, hours = health.followed(lanes, counted)
    changed, told = health.changes(healths, hours), health.told(healths, (), tx.now)
    rows = [(one.endpoint_id, one.after.value, healths[one.endpoint_id].told_health.value) for one in changed]
    tx.pipeline(Call("note_health", rows))
    if tells and told:
        tell_results(tx, delivered, (), (), told)
    return Recorded(accepted=(), changed_health=changed, told_health=told)


def _failing(kept: Iterable[Result], disabling: Iterable[tuple[Result, str]], *, tells: bool) -> set[str]:
    """Return the endpoints that may be reported as failing: not for operational events alone, nor once disabled.

    So a report about an endpoint never leads to another report.
    """
    blamed = {one.claimed.endpoint_id for one in kept if not (tells and one.claimed.product == PRODUCT)}
    return blamed - {one.claimed.endpoint_id for one, _ in disabling}


def _succeeding(delivered: Sequence[Result], now: int, part: int) -> list[Call]:
    """Return the calls that store successful attempts and their consequences."""
    counts = Counter([item.claimed.endpoint_id for item in delivered])
    freed = freeing([item.claimed for item in delivered], now)
    return [
        Call("add_attempts", [_attempt_row(*pair) for pair in _sent(delivered)]),
        Call("add_hours", hour_rows(_sent(delivered), now, part)),
        # All in one order, to avoid deadlocks with others who lock them.
        *([Call("lock_lanes", values={"endpoints": [*counts]})] if freed else []),
        Call("note_success", values={"endpoints": [*counts], "counts": [*counts.values()], "now": now}),
        *freed,
    ]


def _may_disable(tx: Transaction, results: Sequence[Result]) -> set[str]:
    """Return the tenants that may have an endpoint to be disabled."""
    failing = {item.claimed.endpoint_id for item in results if item.state is not DeliveryState.DELIVERED}
    tenants = {item.claimed.tenant for item in results if item.disable}
    if failing:
        rows = tx.fetch("tenants_failing_too_long", endpoints=list(failing), since=tx.now - FAILING_LIMIT_US)
        tenants.update(row[0] for row in rows)
    return tenants


def _holding(name: str, results: Sequence[Result]) -> Call:
    """Return the call that finds the positions of results whose token holds their delivery, and locks the delivery.

    `name` is `held_by_token`, or `cancelled_with_token`: a delivery that was cancelled while it was under way.
    """
    keys = sorted(
        (item.claimed.tenant, item.claimed.id, item.claimed.token, position, item.claimed.webhook_id)
        for position, item in enumerate(results)
    )
    return Call(name, keys)


def _held(results: Sequence[Result], found: Iterable[Row]) -> list[Result]:
    positions = sorted(row[0] for row in found)
    # Of two results with one token only the first can hold the delivery.
    first = {results[position].claimed.id: position for position in reversed(positions)}
    return [results[position] for position in sorted(first.values())]


def _keep_attempts(tx: Transaction, results: Sequence[Result]) -> None:
    """Store the requests that were under way when their deliveries were cancelled."""
    cancelled = _held(results, tx.pipeline(_holding("cancelled_with_token", results))[0].rows)
    tx.run("add_attempts", [_attempt_row(*pair) for pair in _sent(cancelled)])
    rows = [
        (item.claimed.tenant, item.claimed.id, made.number, made.started_at, _code(made))
        for item, made in _sent(cancelled)
    ]
    tx.run("note_attempts", rows)


def _moving(kept: Sequence[Result], now: int) -> list[Row]:
    rows: list[Row] = []
    for item in kept:
        claimed, made = item.claimed, item.attempt
        due_at = _retry_at(item, now) if item.state is DeliveryState.PENDING else None
        number, started_at = (claimed.attempt_count, None) if made is None else (made.number, made.started_at)
        status_code = None if made is None or item.state is DeliveryState.DELIVERED else _code(made)
        last = (number, started_at, status_code, item.reason)
        place = (claimed.tenant, claimed.id, claimed.endpoint_id)
        rows.append((*place, item.state.value, due_at, *last, claimed.webhook_id))
    return rows


def _code(made: AttemptRow) -> int:
    return NO_RESPONSE if made.status_code is None else made.status_code


def _due(accepted: Iterable[Result], now: int) -> dict[str, int]:
    """Return when the next retry of each endpoint is due."""
    due: dict[str, int] = {}
    for item in accepted:
        if item.state is DeliveryState.PENDING:
            endpoint_id, at = item.claimed.endpoint_id, _retry_at(item, now)
            due[endpoint_id] = min(due.get(endpoint_id, at), at)
    return due


def _waits(accepted: Iterable[Result], now: int) -> dict[str, int]:
    """Return until when each receiver wants no request."""
    waits: dict[str, int] = {}
    for item in accepted:
        if item.wait_us:
            endpoint_id, until = item.claimed.endpoint_id, now + item.wait_us
            waits[endpoint_id] = max(waits.get(endpoint_id, until), until)
    return waits


def _retry_at(item: Result, now: int) -> int:
    return now + (item.retry_in_us or 0)


def _sent(results: Iterable[Result]) -> Iterator[_Sent]:
    """Yield the results of requests, each with its attempt; nothing was sent if a rendering failed."""
    # A list of that many pairs would make the garbage collector run.
    for item in results:
        if item.attempt is not None:
            yield item, item.attempt


def _attempt_row(item: Result, made: AttemptRow) -> Row:
    return (item.claimed.id, *_ATTEMPT(made), json.dumps(made.warnings) if made.warnings else "[]")


def _note_health(healths: Mapping[str, health.LaneHealth], sent: Iterable[_Sent], now: int) -> list[tuple[Result, str]]:
    reasons = []
    for item, attempt in sent:
        lane = healths.get(item.claimed.endpoint_id)
        reason = lane and lane.note(item, attempt, now)
        if reason:
            reasons.append((item, reason))
    return reasons


def _disable(tx: Transaction, reasons: list[tuple[Result, str]]) -> list[tuple[Result, str, tuple[str, str, str]]]:
    """Disable endpoints; return for each that was enabled the result, the reason, and what `Recorded` says."""
    disabled = []
    for item, reason in reasons:
        endpoint_id = item.claimed.endpoint_id
        # A response of an old URL says nothing about the URL that replaced it.
        url = "" if item.attempt is None else item.attempt.url
        owner = disable_endpoint(tx, endpoint_id, url, reason)
        disabled += [(item, reason, (*owner, endpoint_id))] if owner else []
    return disabled
