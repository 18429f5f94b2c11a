"""Insert events: many in one statement, each with its own outcome; or one on a host's connection."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any

from unihooks._contract.planning import NewEvent
from unihooks._model.log import Event
from unihooks.abc import EmitOutcome
from unihooks.exceptions import IdempotencyConflict
from unihooks.stores.sql.refusals import cannot_be_stored
from unihooks.stores.sql.rows import events_of, stored_event

_COLUMNS = "tenant, id, product, event_type, body, created_at, idempotency_key, digest"
_INSERT = f"INSERT INTO main.unihooks_events ({_COLUMNS})"
_MANY, _SOME = 64, 16
_ROW = attrgetter(*_COLUMNS.split(", "))
_ROW_OF_PLACES = f"({', '.join('?' * len(_COLUMNS.split(', ')))})"
_PLACES = ":tenant, :id, :product, :event_type, :body, :created_at, :idempotency_key, :digest"
# A key that was used before answers with the first event; the update changes nothing.
_ONCE = """ ON CONFLICT (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL
    DO UPDATE SET idempotency_key = excluded.idempotency_key"""
# Bytes and casts come back the same whatever factories and converters the host's connection has.
_RETURNING = " RETURNING CAST(id AS BLOB), CAST(digest AS BLOB), CAST(created_at AS INTEGER)"

INSERT_ONCE = f"{_INSERT} VALUES ({_PLACES}){_ONCE}{_RETURNING}"
INSERT_ON_HOST = f"{_INSERT} SELECT {_PLACES} FROM main.unihooks_store WHERE store_id = :store_id{_ONCE}{_RETURNING}"


def parameters(event: NewEvent) -> dict[str, Any]:
    """Return the event's columns by name."""
    return {
        "tenant": event.tenant,
        "id": event.id,
        "product": event.product,
        "event_type": event.event_type,
        "body": event.body,
        "created_at": event.created_at,
        "idempotency_key": event.idempotency_key,
        "digest": event.digest,
    }


def stored(event: NewEvent, row: tuple[Any, ...]) -> Event:
    """Return the event that an INSERT answered for, which may be an earlier one of the same key."""
    event_id, digest, created_at = row
    return stored_event(event, event_id.decode(), digest, created_at)


def insert_events(connection: sqlite3.Connection, events: Sequence[NewEvent]) -> list[EmitOutcome]:
    """Insert within the open transaction; an event that cannot be stored fails alone."""
    plain = [event for event in events if event.idempotency_key is None]
    together = [outcome for piece in _pieces(plain) for outcome in _insert_together(connection, piece)]
    if len(plain) == len(events):
        return together
    outcomes = iter(together)
    return [next(outcomes) if event.idempotency_key is None else _insert_once(connection, event) for event in events]


def _pieces(events: Sequence[NewEvent]) -> Iterator[Sequence[NewEvent]]:
    """Cut events into few pieces of few sizes: each is a statement to be compiled once, and a step to be waited for."""
    start = 0
    while left := len(events) - start:
        size = _MANY if left >= _MANY else min(left, _SOME)
        yield events[start : start + size]
        start += size


@cache
def _insert_of(count: int) -> str:
    return f"{_INSERT} VALUES {', '.join([_ROW_OF_PLACES] * count)}"


def _insert_together(connection: sqlite3.Connection, piece: Sequence[NewEvent]) -> list[EmitOutcome]:
    try:
        connection.execute(_insert_of(len(piece)), tuple(chain.from_iterable(map(_ROW, piece))))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome of one event
        _raise_if_over(connection, error)
        if len(piece) == 1:
            return [cannot_be_stored(error)]
        return [outcome for event in piece for outcome in _insert_together(connection, [event])]
    return list[EmitOutcome](events_of(piece))


def _insert_once(connection: sqlite3.Connection, event: NewEvent) -> EmitOutcome:
    try:
        return stored(event, connection.execute(INSERT_ONCE, parameters(event)).fetchall()[0])
    except IdempotencyConflict as conflict:
        return conflict
    except Exception as error:  # noqa: BLE001 - likewise
        _raise_if_over(connection, error)
        return cannot_be_stored(error)


def _raise_if_over(connection: sqlite3.Connection, error: Exception) -> None:
    # A full disk concerns everyone, and SQLite may have rolled back already.
    lasting = not isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.ProgrammingError)
    if isinstance(error, sqlite3.Error) and (lasting or not connection.in_transaction):
        raise error
