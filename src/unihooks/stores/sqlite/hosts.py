"""Emit inside a host's own transaction on the same SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unihooks._contract.planning import NewEvent
from unihooks._model.log import Event
from unihooks.exceptions import StoreError
from unihooks.stores.host import connections
from unihooks.stores.sqlite.errors import explained
from unihooks.stores.sqlite.events import INSERT_ON_HOST, parameters, stored

_OPEN = "pass one that is open, in the thread that made it"
_ELSEWHERE = "the connection leads to another database than the store's; pass one to the file at {path}"


def emit_on(connection: Any, event: NewEvent, store_id: str, path: str) -> Event:
    """Insert the event with one statement on a synchronous connection."""
    _check_database(connection, path)
    with _explaining(path):
        rows = connections.fetch(connection, INSERT_ON_HOST, {**parameters(event), "store_id": store_id})
    return _answer(event, rows, path)


async def aemit_on(connection: Any, event: NewEvent, store_id: str, path: str) -> Event:
    """Insert the event with one statement on a connection of either kind."""
    _check_database(connection, path)
    with _explaining(path):
        rows = await connections.afetch(connection, INSERT_ON_HOST, {**parameters(event), "store_id": store_id})
    return _answer(event, rows, path)


def _check_database(connection: Any, path: str) -> None:
    if connections.recognise(connection).database != "sqlite":
        raise StoreError(_ELSEWHERE.format(path=path), name="connection")


def _answer(event: NewEvent, rows: list[tuple[Any, ...]], path: str) -> Event:
    if not rows:
        raise StoreError(_ELSEWHERE.format(path=path), name="connection")
    return stored(event, rows[0])


@contextmanager
def _explaining(path: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # SQLAlchemy and Django wrap it in errors of their own.
        driver_error = connections.driver_error(error)
        if not isinstance(driver_error, sqlite3.Error):
            raise
        if "no such table" in str(driver_error):
            raise StoreError(_ELSEWHERE.format(path=path), name="connection") from error
        if isinstance(driver_error, sqlite3.ProgrammingError):
            reason = str(driver_error).rstrip(".")
            raise StoreError(f"the connection cannot be used: {reason}; {_OPEN}", name="connection") from error
        raise explained(driver_error, path) from error
