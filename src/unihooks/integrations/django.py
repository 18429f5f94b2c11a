"""Emit in Django's transactions, and keep events in a database from Django's settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections, transaction

from unihooks._base.awaitable import awaitable
from unihooks._dispatcher import Dispatcher
from unihooks._model.log import Event
from unihooks.abc import Store
from unihooks.exceptions import StoreError


def emit(
    dispatcher: Dispatcher,
    product: str,
    event_type: str,
    payload: Any,
    *,
    tenant: str = "default",
    idempotency_key: str | None = None,
    using: str = "default",
) -> Event:
    """Emit on Django's connection `using`: inside `atomic()`, the event commits or rolls back with the rest.

    The commit wakes the workers of this process; those of other processes find
    the event when they next look. Outside `atomic()`, it is committed immediately.
    """
    event = dispatcher.emit(
        product, event_type, payload, tenant=tenant, connection=connections[using], idempotency_key=idempotency_key
    )
    transaction.on_commit(dispatcher.wake, using=using, robust=True)
    return event


def _in_the_thread_of_connections(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Awaitable[Any]:
    # A connection of Django belongs to one thread; this runs in the one that async views use connections in.
    call: Awaitable[Any] = sync_to_async(function)(*args, **kwargs)
    return call


aemit = awaitable(emit, _in_the_thread_of_connections)


def store(using: str = "default", **options: Any) -> Store:
    """Return a store in the database `using` of Django's settings, SQLite or PostgreSQL.

    `options` such as `schema` or `migrate` are passed to the store. Raises `StoreError` for any other database.
    """
    connection = connections[using]
    if connection.vendor == "sqlite":
        from unihooks.stores import SQLiteStore

        return SQLiteStore(connection.settings_dict["NAME"], **options)
    if connection.vendor == "postgresql":
        from psycopg.conninfo import make_conninfo

        from unihooks.stores import PostgresStore

        return PostgresStore(make_conninfo(**_conninfo(connection.settings_dict)), **options)
    raise StoreError(
        f"the database {using!r} is {connection.vendor}; use one that is SQLite or PostgreSQL", name="using"
    )


def _conninfo(settings: dict[str, Any]) -> dict[str, Any]:
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    given = {ours: settings[theirs] for theirs, ours in names.items() if settings.get(theirs)}
    passed_on = {"service", "sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "options", "passfile"}
    return given | {name: value for name, value in settings.get("OPTIONS", {}).items() if name in passed_on}
