"""Emit inside a host's own transaction: one insert on its connection, which is never committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import asdict, frozen

from unihooks._base.awaitable import in_own_thread
from unihooks._contract.planning import NewEvent
from unihooks._model.log import Event
from unihooks.exceptions import StoreError
from unihooks.stores.host.connections import afetch, database_error, fetch, is_within_psycopg, recognise
from unihooks.stores.sql.emitting import stored_event
from unihooks.stores.sql.quotas import MINUTE, limit_reached
from unihooks.stores.sql.store import SQLStore

# The statements that run on connections of the host's; those that count are for limited tenants.
ON_HOST = ("add_event_on_host", "add_event_on_host_once", "emitted_on_host", "count_on_host")
_ENCODING = "the connection's encoding cannot represent the event's texts; set its client_encoding to UTF8"


@frozen
class HostInsert:
    """The insert of an event on connections to one kind of database.

    `texts` are the statements `ON_HOST` by name. `elsewhere` is the sentence for a connection that leads to another
    database than the store's. `explain` turns a driver's error into ours; None says that the tables are missing, for
    example because it is another database.
    """

    database: str
    texts: Mapping[str, str]
    elsewhere: str
    explain: Callable[[BaseException], StoreError | None]

    def for_event(self, event: NewEvent) -> str:
        """Return the statement that inserts the event."""
        return self.texts["add_event_on_host" if event.idempotency_key is None else "add_event_on_host_once"]


class HostStore(SQLStore):
    """A store that also takes events on connections of the host's."""

    _host: HostInsert

    def emit_on(self, connection: Any, event: NewEvent, per_minute: int | None = None) -> Event:
        """Insert the event with one statement on a synchronous connection."""
        self._check(connection)
        given = self._values(event, self._database.id_for_host())
        if is_within_psycopg():
            sentence = "a finaliser or a signal handler found the connection in use by this very thread"
            raise StoreError(sentence, name="connection")
        with self._explaining():
            if per_minute is not None:
                told = fetch(connection, self._host.texts["emitted_on_host"], _counted(event))
                _check_limit(event, told, per_minute)
            rows = fetch(connection, self._host.for_event(event), given)
            stored = self._answer(event, rows)
            if per_minute is not None and stored.id == event.id:
                fetch(connection, self._host.texts["count_on_host"], _counted(event))
        return stored

    async def aemit_on(self, connection: Any, event: NewEvent, per_minute: int | None = None) -> Event:
        """Insert the event as `emit_on` does, on a synchronous or asynchronous connection."""
        self._check(connection)
        store_id = self._database.opened_id
        if store_id is None:
            # Opening a database, or creating its tables, takes longer than an event loop should be blocked.
            store_id = await in_own_thread(self._database.id_for_host)
        with self._explaining():
            if per_minute is not None:
                _check_limit(
                    event, await afetch(connection, self._host.texts["emitted_on_host"], _counted(event)), per_minute
                )
            rows = await afetch(connection, self._host.for_event(event), self._values(event, store_id))
            stored = self._answer(event, rows)
            if per_minute is not None and stored.id == event.id:
                await afetch(connection, self._host.texts["count_on_host"], _counted(event))
        return stored

    def _check(self, connection: Any) -> None:
        """Refuse a connection of an unknown kind, or to another kind of database."""
        if recognise(connection).database != self._host.database:
            raise self._is_elsewhere()

    def _values(self, event: NewEvent, store_id: str) -> dict[str, Any]:
        created_at = self._database.time.for_host(event.created_at)
        return asdict(event) | {"created_at": created_at, "store_id": store_id}

    def _answer(self, event: NewEvent, rows: list[tuple[Any, ...]]) -> Event:
        if not rows:
            raise self._is_elsewhere()
        self._database.expect()
        return stored_event(event, rows[0])

    def _is_elsewhere(self) -> StoreError:
        return StoreError(self._host.elsewhere, name="connection")

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise StoreError(_ENCODING, name="connection") from error
        except Exception as error:
            cause = database_error(error)
            if cause is None:
                raise
            raise self._host.explain(cause) or self._is_elsewhere() from error


def _counted(event: NewEvent) -> dict[str, Any]:
    """Return the parameters of the statements that count; numbers go as text, so that no driver narrows their type."""
    return {"tenant": event.tenant, "minute": str(event.created_at // MINUTE), "id": event.id}


def _check_limit(event: NewEvent, rows: list[tuple[Any, ...]], per_minute: int) -> None:
    if int(rows[0][0]) >= per_minute:
        raise limit_reached(event, per_minute)
