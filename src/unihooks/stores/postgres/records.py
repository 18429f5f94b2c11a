"""Record attempts: fence them by token, move deliveries on, and keep each lane's health."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import define

from unihooks._base.times import SECOND
from unihooks._model.log import DeliveryState
from unihooks.abc import FAILING_TOO_LONG, Recorded, Result
from unihooks.stores.postgres.config import change_alone, disable_endpoint
from unihooks.stores.postgres.statements import Opening, Statements, as_json, keyed, packed
from unihooks.stores.sql import rows as _rows
from unihooks.stores.sql.hours import COLUMNS, COUNTS, hour_rows

FAILING_LIMIT = 5 * 24 * 3600 * SECOND

_FAILING = """
SELECT DISTINCT tenant FROM unihooks.lanes WHERE endpoint_id = ANY(%(endpoints)s) AND failing_since <= %(limit)s
"""
# Locked one by one in the order of the keys, which is that of ids: the same for everyone.
_HELD = """
SELECT k.position FROM json_to_recordset(CAST(%(keys)s AS json))
    AS k (tenant text, id text, token bigint, position integer)
CROSS JOIN LATERAL (
    SELECT 1 FROM unihooks.deliveries AS d
    WHERE d.tenant = k.tenant AND d.id = k.id AND d.token = k.token AND d.state = %(state)s FOR NO KEY UPDATE
) AS held
"""
_MOVE_ON = """
UPDATE unihooks.deliveries AS d
SET state = news.state, due_at = coalesce(news.due_at, d.due_at), token = NULL, attempt_count = news.number,
    first_attempt_at = coalesce(d.first_attempt_at, news.first_at),
    held_base = coalesce(d.held_base, (
        SELECT held_total_us FROM unihooks.lanes AS l WHERE l.endpoint_id = news.endpoint_id), 0),
    reason = news.reason, finished_at = news.finished_at
FROM json_to_recordset(CAST(%(news)s AS json)) AS news (tenant text, id text, endpoint_id text, state text,
    due_at bigint, number integer, first_at bigint, reason text, finished_at bigint)
WHERE d.tenant = news.tenant AND d.id = news.id
"""
_NEWS = "tenant, id, endpoint_id, state, due_at, number, first_at, reason, finished_at"
_NOTE_ATTEMPTS = """
UPDATE unihooks.deliveries AS d
SET token = NULL, attempt_count = news.number, first_attempt_at = coalesce(d.first_attempt_at, news.first_at)
FROM json_to_recordset(CAST(%(news)s AS json)) AS news (tenant text, id text, number integer, first_at bigint)
WHERE d.tenant = news.tenant AND d.id = news.id
"""
_ADD_ATTEMPTS = f"""
INSERT INTO unihooks.attempts ({_rows.ATTEMPT_COLUMNS})
SELECT delivery_id, number, url, started_at, duration_us, status_code, error, request_headers, response_headers,
    substr(CAST(%(bodies)s AS bytea), start, length), warnings
FROM json_to_recordset(CAST(%(rows)s AS json)) AS r (delivery_id text, number integer, url text,
    started_at bigint, duration_us bigint, status_code integer, error text, request_headers text,
    response_headers text, start integer, length integer, warnings text)
"""
_ATTEMPT = (
    "delivery_id, number, url, started_at, duration_us, status_code, error, request_headers, response_headers, "
    "start, length, warnings"
)
_LANES = """
SELECT endpoint_id, failing_since, failures, last_success_at, last_failure_at FROM unihooks.lanes
WHERE endpoint_id = ANY(CAST(%(endpoints)s AS text[])) ORDER BY endpoint_id FOR NO KEY UPDATE
"""
_SET_LANES = """
UPDATE unihooks.lanes AS l
SET failing_since = k.failing_since, failures = k.failures, last_success_at = k.last_success_at,
    last_failure_at = k.last_failure_at, next_due_at = least(l.next_due_at, k.due_at)
FROM json_to_recordset(CAST(%(rows)s AS json)) AS k (endpoint_id text, failing_since bigint, failures bigint,
    last_success_at bigint, last_failure_at bigint, due_at bigint)
WHERE l.endpoint_id = k.endpoint_id
"""
_LANE = "endpoint_id, failing_since, failures, last_success_at, last_failure_at, due_at"
_COUNT = f"""
INSERT INTO unihooks.hours AS h ({COLUMNS})
SELECT {COLUMNS} FROM json_to_recordset(CAST(%(counts)s AS json))
    AS r (endpoint_id text, hour bigint, {", ".join(f"{name} bigint" for name in COUNTS)})
ON CONFLICT (endpoint_id, hour) DO UPDATE SET {", ".join(f"{name} = h.{name} + excluded.{name}" for name in COUNTS)}
"""


@define
class _Health:
    """Follow an endpoint through the results of one batch, in order."""

    failing_since: int | None
    failures: int
    last_success_at: int | None
    last_failure_at: int | None

    def note(self, result: Result, now: int) -> str | None:
        """Count one result; return the reason to disable the endpoint, if there is one."""
        if result.state is DeliveryState.DELIVERED:
            self.failing_since, self.failures, self.last_success_at = None, 0, now
            return result.disable
        self.failing_since = now if self.failing_since is None else self.failing_since
        self.failures += 1
        self.last_failure_at = now
        too_long = now - self.failing_since >= FAILING_LIMIT
        return result.disable or (FAILING_TOO_LONG if too_long else None)


def opening(results: Sequence[Result]) -> Opening | None:
    """Return the statement that `record` may begin with, unless another has to come first."""
    if any(item.disable or item.state is not DeliveryState.DELIVERED for item in results):
        return None
    return (_HELD,), _keys(results, DeliveryState.PENDING)


def record(it: Statements, results: Sequence[Result]) -> Recorded:
    """Store the results whose token still holds the delivery; `opening` came along with the BEGIN."""
    alone = _may_disable(it, results)
    if alone:
        # Before any row is locked: whoever changes a configuration locks in this order.
        change_alone(it, alone)
    came_along = opening(results) is not None
    accepted = _chosen(results, it.opening[0]) if came_along else _held(it, results, DeliveryState.PENDING)
    if len(accepted) < len(results):
        _keep_attempts(it, _held(it, results, DeliveryState.CANCELLED))
    if not accepted:
        return Recorded(accepted=frozenset())
    news, due = _news(it, accepted)
    given = {
        **_attempts(accepted),
        "news": news,
        "counts": keyed(COLUMNS, hour_rows(accepted, it.now)),
        "endpoints": list({item.claimed.endpoint_id for item in accepted}),
    }
    lanes = it.fetch_last(_ADD_ATTEMPTS, _MOVE_ON, _COUNT, _LANES, **given)
    reasons = _note_health(it, accepted, lanes, due, commit=not alone)
    disabled = _disable(it, [pair for pair in reasons if pair[0].claimed.tenant in alone])
    return Recorded(accepted=frozenset(item.claimed.id for item in accepted), disabled=disabled)


def _may_disable(it: Statements, results: Sequence[Result]) -> set[str]:
    failing = {item.claimed.endpoint_id for item in results if item.state is not DeliveryState.DELIVERED}
    tenants = {item.claimed.tenant for item in results if item.disable}
    if failing:
        rows = it.fetch(_FAILING, endpoints=list(failing), limit=it.now - FAILING_LIMIT)
        tenants.update(row[0] for row in rows)
    return tenants


def _held(it: Statements, results: Sequence[Result], state: DeliveryState) -> list[Result]:
    return _chosen(results, it.fetch(_HELD, **_keys(results, state))) if results else []


def _keys(results: Sequence[Result], state: DeliveryState) -> dict[str, Any]:
    keys = sorted(
        (item.claimed.tenant, item.claimed.id, item.claimed.token, position) for position, item in enumerate(results)
    )
    return {"keys": keyed("tenant, id, token, position", keys), "state": state.value}


def _chosen(results: Sequence[Result], found: Iterable[_rows.Row]) -> list[Result]:
    positions = sorted(row[0] for row in found)
    # Of two results with one token only the first can hold the delivery.
    first = {results[position].claimed.id: position for position in reversed(positions)}
    return [results[position] for position in sorted(first.values())]


def _keep_attempts(it: Statements, cancelled: Sequence[Result]) -> None:
    """Let the log show the requests that were under way when their deliveries were cancelled."""
    if cancelled:
        it.run(_ADD_ATTEMPTS, **_attempts(cancelled))
        rows = [(one.claimed.tenant, one.claimed.id, one.sent.number, one.sent.started_at) for one in cancelled]
        it.run(_NOTE_ATTEMPTS, news=keyed("tenant, id, number, first_at", rows))


def _news(it: Statements, accepted: Iterable[Result]) -> tuple[str, dict[str, int]]:
    """Return what _MOVE_ON takes, and from when on each lane is due."""
    rows: list[_rows.Row] = []
    due: dict[str, int] = {}
    for item in accepted:
        claimed, pending = item.claimed, item.state is DeliveryState.PENDING
        due_at = it.now + (item.retry_in_us or 0) if pending else None
        if due_at is not None:
            due[claimed.endpoint_id] = min(due.get(claimed.endpoint_id, due_at), due_at)
        rows.append(
            (
                claimed.tenant,
                claimed.id,
                claimed.endpoint_id,
                item.state.value,
                due_at,
                item.sent.number,
                item.sent.started_at,
                item.reason,
                None if pending else it.now,
            )
        )
    return keyed(_NEWS, rows), due


def _attempts(accepted: Sequence[Result]) -> dict[str, Any]:
    """Return what _ADD_ATTEMPTS takes."""
    bodies, places = packed(item.sent.response_body for item in accepted)
    rows = [
        (
            item.claimed.id,
            item.sent.number,
            item.sent.url,
            item.sent.started_at,
            item.sent.duration_us,
            item.sent.status_code,
            item.sent.error,
            item.sent.request_headers,
            item.sent.response_headers,
            *place,
            as_json(item.sent.warnings),
        )
        for item, place in zip(accepted, places, strict=True)
    ]
    return {"rows": keyed(_ATTEMPT, rows), "bodies": bodies}


def _note_health(
    it: Statements, accepted: Iterable[Result], found: Iterable[_rows.Row], due: dict[str, int], *, commit: bool
) -> list[tuple[Result, str]]:
    lanes = {row[0]: _Health(*row[1:]) for row in found}
    reasons = []
    for item in accepted:
        health = lanes.get(item.claimed.endpoint_id)
        reason = health and health.note(item, it.now)
        if reason:
            reasons.append((item, reason))
    rows = [
        (id_, lane.failing_since, lane.failures, lane.last_success_at, lane.last_failure_at, due.get(id_))
        for id_, lane in lanes.items()
    ]
    it.fetch_last(_SET_LANES, commit=commit, rows=keyed(_LANE, rows))
    return reasons


def _disable(it: Statements, reasons: list[tuple[Result, str]]) -> list[tuple[str, str, str]]:
    disabled = []
    for item, reason in reasons:
        endpoint_id = item.claimed.endpoint_id
        # What an old URL answered says nothing about the one that replaced it.
        owner = disable_endpoint(it, endpoint_id, item.sent.url, reason)
        disabled += [(*owner, endpoint_id)] if owner else []
    return disabled
