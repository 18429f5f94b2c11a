"""Emit inside a host's own transaction on the same PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unihooks._contract.planning import NewEvent
from unihooks._model.log import Event
from unihooks.exceptions import StoreError
from unihooks.stores.host import connections
from unihooks.stores.postgres.events import INSERT_ON_HOST, parameters_on_host, stored
from unihooks.stores.postgres.statements import Schema

_ELSEWHERE = "the connection leads to another database than the store's; pass one to the database of its dsn"
# No such table, schema or column.
_MISSING = ("42P01", "3F000", "42703")
_UNPREPARED = ("26000", "42P05")
_POOLED = "a pooler mixed up prepared statements; open the connection without them (asyncpg: statement_cache_size=0)"


def emit_on(connection: Any, event: NewEvent, store_id: str, schema: Schema, *, own_times: bool) -> Event:
    """Insert the event with one statement on a synchronous connection."""
    parameters = _parameters(connection, event, store_id, own_times=own_times)
    with _explaining():
        rows = connections.fetch(connection, schema.placed(INSERT_ON_HOST), parameters)
    return _answer(event, rows)


async def aemit_on(connection: Any, event: NewEvent, store_id: str, schema: Schema, *, own_times: bool) -> Event:
    """Insert the event with one statement on a connection of either kind."""
    parameters = _parameters(connection, event, store_id, own_times=own_times)
    with _explaining():
        rows = await connections.afetch(connection, schema.placed(INSERT_ON_HOST), parameters)
    return _answer(event, rows)


def check_database(connection: Any) -> None:
    """Refuse a connection of an unknown kind or to another kind of database."""
    if connections.recognise(connection).database != "postgresql":
        raise StoreError(_ELSEWHERE, name="connection")


def _parameters(connection: Any, event: NewEvent, store_id: str, *, own_times: bool) -> dict[str, Any]:
    check_database(connection)
    return parameters_on_host(event, store_id, own_times=own_times)


def _answer(event: NewEvent, rows: list[tuple[Any, ...]]) -> Event:
    if not rows:
        raise StoreError(_ELSEWHERE, name="connection")
    return stored(event, rows[0])


@contextmanager
def _explaining() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        driver_error = connections.driver_error(error)
        if driver_error is None:
            raise
        if connections.sqlstate(driver_error) in _MISSING:
            raise StoreError(_ELSEWHERE, name="connection") from error
        if connections.sqlstate(driver_error) in _UNPREPARED:
            raise StoreError(_POOLED, name="connection") from error
        sentence = f"the event could not be inserted on the connection: {driver_error}"
        raise StoreError(sentence, name="connection") from error
