"""Record attempts: fence them by token, move deliveries on, and keep each lane's health."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from attrs import define

from unihooks._base.times import SECOND
from unihooks._model.log import DeliveryState
from unihooks.abc import FAILING_TOO_LONG, Recorded, Result
from unihooks.stores.sql import rows as _rows
from unihooks.stores.sql.hours import COLUMNS, COUNTS, hour_rows
from unihooks.stores.sqlite.claims import lower_next_due
from unihooks.stores.sqlite.config import disable_endpoint
from unihooks.stores.sqlite.statements import as_json, fetch_json, with_values

FAILING_LIMIT = 5 * 24 * 3600 * SECOND

# Both move on only what the token still holds. Where only the ids differ, half the time does.
_DELIVERED = """
UPDATE main.unihooks_deliveries
SET state = 'delivered', token = NULL, attempt_count = :number, reason = NULL, finished_at = :now
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:ids)) AND token = :token AND +state = 'pending'
"""
_ALIKE = 4
_MOVE_ON_HEAD = "WITH news (tenant, id, token, endpoint_id, state, due_at, number, first_at, reason, finished_at) AS ("
_MOVE_ON = """)
UPDATE main.unihooks_deliveries AS d
SET state = news.state, due_at = coalesce(news.due_at, d.due_at), token = NULL, attempt_count = news.number,
    first_attempt_at = coalesce(d.first_attempt_at, news.first_at),
    held_base = coalesce(d.held_base, (
        SELECT held_total_us FROM main.unihooks_lanes AS l WHERE l.endpoint_id = news.endpoint_id), 0),
    reason = news.reason, finished_at = news.finished_at
FROM news WHERE d.tenant = news.tenant AND d.id = news.id AND d.token = news.token AND d.state = 'pending'
"""
# The attempts of what was moved on now are not stored yet; those of what was moved on before are.
_MOVED = """
SELECT json_group_array(k.key) FROM json_each(?) AS k
CROSS JOIN main.unihooks_deliveries AS d
    ON d.tenant = json_extract(k.value, '$[0]') AND d.id = json_extract(k.value, '$[1]')
WHERE d.attempt_count = json_extract(k.value, '$[2]') AND NOT EXISTS (
    SELECT 1 FROM main.unihooks_attempts AS a WHERE a.delivery_id = d.id AND a.number = d.attempt_count
)
"""
_CANCELLED = """
SELECT json_group_array(k.key) FROM json_each(?) AS k
CROSS JOIN main.unihooks_deliveries AS d
    ON d.tenant = json_extract(k.value, '$[0]') AND d.id = json_extract(k.value, '$[1]')
WHERE d.token = json_extract(k.value, '$[2]') AND d.state = 'cancelled'
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
_HEALTH_HEAD = "WITH news (endpoint_id, failing_since, failures, last_success_at, last_failure_at) AS ("
_SET_HEALTH = """)
UPDATE main.unihooks_lanes AS l
SET failing_since = news.failing_since, failures = news.failures, last_success_at = news.last_success_at,
    last_failure_at = news.last_failure_at
FROM news WHERE l.endpoint_id = news.endpoint_id
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
    accepted: set[str] = set()
    disabled: list[tuple[str, str, str]] = []
    for distinct in _rounds(results):
        done = _record_once(connection, distinct, now)
        accepted.update(item.claimed.id for item in done)
        disabled += _disable(connection, _note_health(connection, done, now), now) if done else []
    return Recorded(accepted=accepted, disabled=disabled)


def _rounds(results: Sequence[Result]) -> Iterator[list[Result]]:
    """Yield the results in rounds with one for each delivery at most; nearly always there is one round."""
    while results:
        first: dict[str, Result] = {}
        for item in results:
            first.setdefault(item.claimed.id, item)
        yield list(first.values())
        results = [it for it in results if first[it.claimed.id] is not it] if len(first) < len(results) else []


def _record_once(connection: sqlite3.Connection, results: list[Result], now: int) -> list[Result]:
    accepted = _move_on(connection, results, now)
    if len(accepted) < len(results):
        _keep_attempts(connection, _those(connection, _CANCELLED, [(it, it.claimed.token) for it in results]))
    with_values(connection, _ADD_ATTEMPTS, [_attempt_row(item) for item in accepted])
    with_values(connection, _COUNT, hour_rows(accepted, now), _COUNT_MORE)
    return accepted


def _move_on(connection: sqlite3.Connection, results: list[Result], now: int) -> list[Result]:
    """Return the results that were accepted; how many they are tells whether to look which."""
    before = connection.total_changes
    alike, others = _alike(results)
    for (tenant, token, number), ids in alike.items():
        known = {"tenant": tenant, "token": token, "number": number, "now": now}
        connection.execute(_DELIVERED, {**known, "ids": as_json(ids)})
    with_values(connection, _MOVE_ON_HEAD, [_news(item, now) for item in others], _MOVE_ON)
    moved = results
    if connection.total_changes - before < len(results):
        moved = _those(connection, _MOVED, [(it, it.sent.number) for it in results])
    lower_next_due(connection, _due(others, now))
    return moved


def _alike(results: list[Result]) -> tuple[dict[tuple[str, int, int], list[str]], list[Result]]:
    """Return the ids of what was delivered, by tenant, token and number, where they are several; and the rest."""
    alike: dict[tuple[str, int, int], list[Result]] = {}
    others: list[Result] = []
    for item in results:
        if item.state is DeliveryState.DELIVERED:
            claimed = item.claimed
            alike.setdefault((claimed.tenant, claimed.token, item.sent.number), []).append(item)
        else:
            others.append(item)
    for key in [key for key, items in alike.items() if len(items) < _ALIKE]:
        others += alike.pop(key)
    return {key: [item.claimed.id for item in items] for key, items in alike.items()}, others


def _news(item: Result, now: int) -> _rows.Row:
    claimed, attempt, pending = item.claimed, item.sent, item.state is DeliveryState.PENDING
    return (
        claimed.tenant,
        claimed.id,
        claimed.token,
        claimed.endpoint_id,
        item.state.value,
        _retry_at(item, now) if pending else None,
        attempt.number,
        attempt.started_at,
        item.reason,
        None if pending else now,
    )


def _due(results: list[Result], now: int) -> dict[str, int]:
    due: dict[str, int] = {}
    for item in results:
        if item.state is DeliveryState.PENDING:
            endpoint_id, at = item.claimed.endpoint_id, _retry_at(item, now)
            due[endpoint_id] = min(due.get(endpoint_id, at), at)
    return due


def _retry_at(item: Result, now: int) -> int:
    return now + (item.retry_in_us or 0)


def _those(connection: sqlite3.Connection, statement: str, asked: list[tuple[Result, int]]) -> list[Result]:
    keys = as_json([(item.claimed.tenant, item.claimed.id, number) for item, number in asked])
    return [asked[position][0] for position in sorted(fetch_json(connection, statement, (keys,)))]


def _keep_attempts(connection: sqlite3.Connection, cancelled: Sequence[Result]) -> None:
    """Let the log show the requests that were under way when their deliveries were cancelled."""
    if cancelled:
        with_values(connection, _ADD_ATTEMPTS, [_attempt_row(item) for item in cancelled])
        rows = [(it.sent.number, it.sent.started_at, it.claimed.tenant, it.claimed.id) for it in cancelled]
        connection.executemany(_NOTE_ATTEMPT, rows)


def _attempt_row(item: Result) -> _rows.Row:
    attempt = item.sent
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
    rows = [
        (endpoint_id, lane.failing_since, lane.failures, lane.last_success_at, lane.last_failure_at)
        for endpoint_id, lane in lanes.items()
    ]
    with_values(connection, _HEALTH_HEAD, rows, _SET_HEALTH)
    return reasons


def _disable(connection: sqlite3.Connection, reasons: list[tuple[Result, str]], now: int) -> list[tuple[str, str, str]]:
    disabled = []
    for item, reason in reasons:
        endpoint_id = item.claimed.endpoint_id
        row = connection.execute(_URL, (endpoint_id,)).fetchone()
        # What an old URL answered says nothing about the one that replaced it.
        if row and row[0] == item.sent.url:
            owner = disable_endpoint(connection, endpoint_id, reason, now)
            disabled += [(*owner, endpoint_id)] if owner else []
    return disabled
