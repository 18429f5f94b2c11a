"""Record attempts: fence them by token, move deliveries on, and keep each lane's health."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from attrs import define

from unihooks._models import DeliveryState
from unihooks._times import SECOND
from unihooks.abc import FAILING_TOO_LONG, Recorded, Result
from unihooks.stores import _rows
from unihooks.stores._hours import COLUMNS, COUNTS, hour_rows
from unihooks.stores._sqlite_claims import lower_next_due
from unihooks.stores._sqlite_config import disable_endpoint
from unihooks.stores._sqlite_statements import as_json, fetch_json, with_values

FAILING_LIMIT = 5 * 24 * 3600 * SECOND

_HELD = """
SELECT json_group_array(json_extract(k.value, '$[3]')) FROM json_each(?) AS k
CROSS JOIN main.unihooks_deliveries AS d
    ON d.tenant = json_extract(k.value, '$[0]') AND d.id = json_extract(k.value, '$[1]')
WHERE d.token = json_extract(k.value, '$[2]') AND d.state = ?
"""
_MOVE_ON_HEAD = "WITH news (tenant, id, endpoint_id, state, due_at, number, first_at, reason, finished_at) AS ("
_MOVE_ON = """)
UPDATE main.unihooks_deliveries AS d
SET state = news.state, due_at = coalesce(news.due_at, d.due_at), token = NULL, attempt_count = news.number,
    first_attempt_at = coalesce(d.first_attempt_at, news.first_at),
    held_base = coalesce(d.held_base, (
        SELECT held_total_us FROM main.unihooks_lanes AS l WHERE l.endpoint_id = news.endpoint_id), 0),
    reason = news.reason, finished_at = news.finished_at
FROM news WHERE d.tenant = news.tenant AND d.id = news.id
"""
_NOTE_ATTEMPT = """
UPDATE main.unihooks_deliveries
SET token = NULL, attempt_count = ?, first_attempt_at = coalesce(first_attempt_at, ?) WHERE tenant = ? AND id = ?
"""
_ADD_ATTEMPTS = f"INSERT INTO main.unihooks_attempts ({_rows.ATTEMPT_COLUMNS})"
_HEALTH = """
SELECT json_group_array(json_array(l.endpoint_id, l.failing_since, l.failures, l.last_success_at, l.last_failure_at))
FROM json_each(?) AS k CROSS JOIN main.unihooks_lanes AS l ON l.endpoint_id = k.value
"""
_SET_HEALTH = """
UPDATE main.unihooks_lanes SET failing_since = ?, failures = ?, last_success_at = ?, last_failure_at = ?
WHERE endpoint_id = ?
"""
_COUNT = f"INSERT INTO main.unihooks_hours ({COLUMNS})"
_COUNT_MORE = "ON CONFLICT (endpoint_id, hour) DO UPDATE SET " + ", ".join(
    f"{name} = {name} + excluded.{name}" for name in COUNTS
)
_URL = "SELECT url FROM main.unihooks_endpoints WHERE id = ?"


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


def record(connection: sqlite3.Connection, results: Sequence[Result], now: int) -> Recorded:
    """Store the results whose token still holds the delivery."""
    accepted = _held(connection, results, DeliveryState.PENDING)
    if len(accepted) < len(results):
        _keep_attempts(connection, _held(connection, results, DeliveryState.CANCELLED))
    if not accepted:
        return Recorded(accepted=frozenset())
    _move_on(connection, accepted, now)
    with_values(connection, _ADD_ATTEMPTS, [_attempt_row(item) for item in accepted])
    with_values(connection, _COUNT, hour_rows(accepted, now), _COUNT_MORE)
    reasons = _note_health(connection, accepted, now)
    disabled = _disable(connection, reasons, now)
    return Recorded(accepted=frozenset(item.claimed.id for item in accepted), disabled=disabled)


def _held(connection: sqlite3.Connection, results: Sequence[Result], state: DeliveryState) -> list[Result]:
    keys = [
        (item.claimed.tenant, item.claimed.id, item.claimed.token, position) for position, item in enumerate(results)
    ]
    positions = sorted(fetch_json(connection, _HELD, (as_json(keys), state.value)))
    # Of two results with one token only the first can hold the delivery.
    first = {results[position].claimed.id: position for position in reversed(positions)}
    return [results[position] for position in sorted(first.values())]


def _keep_attempts(connection: sqlite3.Connection, cancelled: Sequence[Result]) -> None:
    """Let the log show the requests that were under way when their deliveries were cancelled."""
    if cancelled:
        with_values(connection, _ADD_ATTEMPTS, [_attempt_row(item) for item in cancelled])
        rows = [(it.attempt.number, it.attempt.started_at, it.claimed.tenant, it.claimed.id) for it in cancelled]
        connection.executemany(_NOTE_ATTEMPT, rows)


def _move_on(connection: sqlite3.Connection, accepted: Iterable[Result], now: int) -> None:
    rows: list[_rows.Row] = []
    due: dict[str, int] = {}
    for item in accepted:
        claimed, pending = item.claimed, item.state is DeliveryState.PENDING
        due_at = now + (item.retry_in_us or 0) if pending else None
        if due_at is not None:
            due[claimed.endpoint_id] = min(due.get(claimed.endpoint_id, due_at), due_at)
        rows.append(
            (
                claimed.tenant,
                claimed.id,
                claimed.endpoint_id,
                item.state.value,
                due_at,
                item.attempt.number,
                item.attempt.started_at,
                item.reason,
                None if pending else now,
            )
        )
    with_values(connection, _MOVE_ON_HEAD, rows, _MOVE_ON)
    lower_next_due(connection, due)


def _attempt_row(item: Result) -> _rows.Row:
    attempt = item.attempt
    return (
        item.claimed.id,
        attempt.number,
        attempt.url,
        attempt.started_at,
        attempt.duration_us,
        attempt.status_code,
        attempt.error,
        attempt.request_headers,
        attempt.response_headers,
        attempt.response_body,
        as_json(attempt.warnings) if attempt.warnings else "[]",
    )


def _note_health(connection: sqlite3.Connection, accepted: Iterable[Result], now: int) -> list[tuple[Result, str]]:
    endpoint_ids = as_json(list(dict.fromkeys(item.claimed.endpoint_id for item in accepted)))
    lanes = {row[0]: _Health(*row[1:]) for row in fetch_json(connection, _HEALTH, (endpoint_ids,))}
    reasons = []
    for item in accepted:
        health = lanes.get(item.claimed.endpoint_id)
        reason = health and health.note(item, now)
        if reason:
            reasons.append((item, reason))
    connection.executemany(
        _SET_HEALTH,
        [
            (lane.failing_since, lane.failures, lane.last_success_at, lane.last_failure_at, endpoint_id)
            for endpoint_id, lane in lanes.items()
        ],
    )
    return reasons


def _disable(connection: sqlite3.Connection, reasons: list[tuple[Result, str]], now: int) -> list[tuple[str, str, str]]:
    disabled = []
    for item, reason in reasons:
        endpoint_id = item.claimed.endpoint_id
        row = connection.execute(_URL, (endpoint_id,)).fetchone()
        # What an old URL answered says nothing about the one that replaced it.
        if row and row[0] == item.attempt.url:
            owner = disable_endpoint(connection, endpoint_id, reason, now)
            disabled += [(*owner, endpoint_id)] if owner else []
    return disabled
