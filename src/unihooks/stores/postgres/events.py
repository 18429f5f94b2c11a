"""Insert events: many in one statement, or one on a host's connection."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unihooks._base.times import from_us
from unihooks._contract.planning import NewEvent
from unihooks._model.log import Event
from unihooks.abc import EmitOutcome
from unihooks.exceptions import IdempotencyConflict
from unihooks.stores.postgres.statements import IDLE_AT_MOST, NOW, Statements, keyed, packed
from unihooks.stores.sql.rows import event_of, stored_event

# More are sent as they are: to write them as text takes longer than to parse and plan a statement.
_FEW_BYTES = 16 * 1024

_COLUMNS = "tenant, id, product, event_type, body, created_at, idempotency_key, digest"
# One moment for the whole statement; a time that is given is that of a clock of the host's.
_ROWS = f"""
SELECT r.tenant, r.id, r.product, r.event_type, substr(CAST(%(bodies)s AS bytea), r.start, r.length),
    coalesce(r.created_at, (SELECT {NOW})), r.idempotency_key, decode(r.digest, 'hex')
FROM json_to_recordset(CAST(%(rows)s AS json)) AS r (tenant text, id text, product text, event_type text,
    start integer, length integer, created_at bigint, idempotency_key text, digest text)
"""
_KEYS = "tenant, id, product, event_type, start, length, created_at, idempotency_key, digest"
_INSERT = f"INSERT INTO unihooks.events ({_COLUMNS}) {_ROWS}"
# They all have the same time, so one row tells it.
_INSERT_TELLING = f"WITH added AS ({_INSERT} RETURNING created_at) SELECT max(created_at) FROM added"
_INSERT_AGAIN = f"""
WITH added AS ({_INSERT} ON CONFLICT (tenant, id) DO NOTHING RETURNING tenant, id, created_at)
SELECT id, created_at FROM added
UNION ALL
SELECT e.id, e.created_at FROM json_to_recordset(CAST(%(rows)s AS json)) AS r (tenant text, id text)
JOIN unihooks.events AS e ON e.tenant = r.tenant AND e.id = r.id
"""
# A key that was used before answers with the first event; the update changes nothing.
_ONCE = """ ON CONFLICT (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL
    DO UPDATE SET idempotency_key = excluded.idempotency_key"""

_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; "
    f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_AT_MOST}'"
)

INSERT_ON_HOST = f"""
INSERT INTO unihooks.events ({_COLUMNS})
SELECT CAST(:tenant AS text), CAST(:id AS text), CAST(:product AS text), CAST(:event_type AS text),
    CAST(:body AS bytea), coalesce(CAST(CAST(:created_at AS text) AS bigint), {NOW}),
    CAST(:idempotency_key AS text), CAST(:digest AS bytea)
FROM unihooks.store WHERE store_id = CAST(:store_id AS text){_ONCE}
RETURNING id, digest, created_at
"""


def insert_plain(
    it: Statements, events: Sequence[NewEvent], *, own_times: bool, repeated: bool
) -> tuple[list[EmitOutcome], int | None]:
    """Insert events without keys in one statement that commits by itself; return the server's time, too.

    `own_times` keeps the times that the events have. `repeated` says that
    they may be there already, from a call whose answer was lost.
    """
    rows, bodies = _parameters(events, own_times=own_times)
    if repeated:
        times: dict[str, int] = dict(it.fetch(_INSERT_AGAIN, rows=rows, bodies=bodies))
        return [event_of(event, event.id, times[event.id]) for event in events], None
    if own_times:
        it.run(_INSERT, rows=rows, bodies=bodies)
        return [event_of(event, event.id, event.created_at) for event in events], None
    fetch = it.fetch_last if len(bodies) <= _FEW_BYTES else it.fetch
    told = fetch(_INSERT_TELLING, rows=rows, bodies=bodies)[0][0]
    moment = from_us(told)
    return [Event(event.id, event.tenant, event.product, event.event_type, None, moment) for event in events], told


def insert_once(
    it: Statements,
    events: Sequence[NewEvent],
    *,
    own_times: bool,
    repeated: bool,  # noqa: ARG001 - keys repeat well
) -> tuple[list[EmitOutcome], int | None]:
    """Insert events with keys in one transaction; the first of a key in the batch is inserted, or finds its like."""
    first = {(event.tenant, event.idempotency_key): event for event in reversed(events)}
    # In the order of keys, so that batches wait for one another in one direction only.
    rows, bodies = _parameters([first[key] for key in sorted(first)], own_times=own_times)
    it.run(_BEGIN)
    statement = f"{_INSERT}{_ONCE} RETURNING tenant, idempotency_key, id, digest, created_at"
    found = {(row[0], row[1]): row[2:] for row in it.fetch(statement, rows=rows, bodies=bodies)}
    it.run("COMMIT")
    return [_outcome(event, found[event.tenant, event.idempotency_key]) for event in events], None


def parameters_on_host(event: NewEvent, store_id: str, *, own_times: bool) -> dict[str, Any]:
    """Return what INSERT_ON_HOST takes; the time as text, which no driver takes for a smaller number."""
    return {
        "tenant": event.tenant,
        "id": event.id,
        "product": event.product,
        "event_type": event.event_type,
        "body": event.body,
        "created_at": str(event.created_at) if own_times else None,
        "idempotency_key": event.idempotency_key,
        "digest": event.digest,
        "store_id": store_id,
    }


def stored(event: NewEvent, row: Sequence[Any]) -> Event:
    """Return the event that an INSERT answered for (id, digest, created_at), which may be an earlier one."""
    id_, digest, created_at = row
    return stored_event(event, id_, digest, created_at)


def _outcome(event: NewEvent, row: Sequence[Any]) -> EmitOutcome:
    try:
        return stored(event, row)
    except IdempotencyConflict as conflict:
        return conflict


def _parameters(events: Sequence[NewEvent], *, own_times: bool) -> tuple[str, bytes]:
    bodies, places = packed(event.body for event in events)
    rows = [
        (
            event.tenant,
            event.id,
            event.product,
            event.event_type,
            *place,
            event.created_at if own_times else None,
            event.idempotency_key,
            None if event.digest is None else event.digest.hex(),
        )
        for event, place in zip(events, places, strict=True)
    ]
    return keyed(_KEYS, rows), bodies
