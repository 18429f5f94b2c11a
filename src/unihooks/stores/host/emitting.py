"""Emit inside a host's own transaction: one insert on its connection, which is never committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import asdict, frozen

from unihooks._base.awaitable import in_own_thread
from unihooks._contract.planning import NewEvent
from unihooks._model.log import Event
from unihooks.exceptions import StoreError
from unihooks.stores.host.connections import (
    afetch,
    driver_error,
    fetch,
    is_within_psycopg,
    library_error,
    recognise,
)
from unihooks.stores.sql.emitting import stored_event
from unihooks.stores.sql.store import SQLStore

_ENCODING = "the connection's encoding has no place for the event's texts; set its client_encoding to UTF8"


@frozen
class HostEmitter:
    """The insert of an event on connections to one kind of database.

    `elsewhere` is the sentence for a connection that leads to another database than the store's. `explain` turns a
    driver's error into ours; None says that the tables are not there, as in another database.
    """

    database: str
    statement: str
    elsewhere: str
    explain: Callable[[BaseException], StoreError | None]

    def check(self, connection: Any) -> None:
        """Refuse a connection of an unknown kind, or to another kind of database."""
        if recognise(connection).database != self.database:
            raise self._is_elsewhere()

    def emit(self, connection: Any, event: NewEvent, **more: Any) -> Event:
        """Insert the event with one statement on a synchronous connection; `more` are created_at and store_id."""
        if is_within_psycopg():
            sentence = "a finaliser or a signal handler found the connection in use by this very thread"
            raise StoreError(sentence, name="connection")
        with self._explaining():
            rows = fetch(connection, self.statement, asdict(event) | more)
        return self._answer(event, rows)

    async def aemit(self, connection: Any, event: NewEvent, **more: Any) -> Event:
        """Do what `emit` does on a connection of either kind."""
        with self._explaining():
            rows = await afetch(connection, self.statement, asdict(event) | more)
        return self._answer(event, rows)

    def _answer(self, event: NewEvent, rows: list[tuple[Any, ...]]) -> Event:
        if not rows:
            raise self._is_elsewhere()
        return stored_event(event, rows[0])

    def _is_elsewhere(self) -> StoreError:
        return StoreError(self.elsewhere, name="connection")

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise StoreError(_ENCODING, name="connection") from error
        except Exception as error:
            # SQLAlchemy and Django wrap it in errors of their own.
            cause = driver_error(error) or library_error(error)
            if cause is None:
                raise
            raise self.explain(cause) or self._is_elsewhere() from error


class HostStore(SQLStore):
    """A store that takes events on connections of the host's, too."""

    _host: HostEmitter

    def emit_on(self, connection: Any, event: NewEvent) -> Event:
        """Insert the event on a synchronous connection."""
        self._host.check(connection)
        created_at, store_id = self._database.time.for_host(event.created_at), self._database.id_for_host()
        return self._host.emit(connection, event, created_at=created_at, store_id=store_id)

    async def aemit_on(self, connection: Any, event: NewEvent) -> Event:
        """Insert the event on a connection of either kind."""
        self._host.check(connection)
        created_at, store_id = self._database.time.for_host(event.created_at), self._database.opened_id
        if store_id is None:
            # To open a database, or to make its tables, takes longer than an event loop should stand still.
            store_id = await in_own_thread(self._database.id_for_host)
        return await self._host.aemit(connection, event, created_at=created_at, store_id=store_id)
