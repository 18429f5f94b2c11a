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
from unihooks.integrations._django_store import DjangoStore, UnihooksTestMixin

__all__ = ["UnihooksTestMixin", "aemit", "emit", "store"]


def emit(
    dispatcher: Dispatcher,
    product: str,
    event_type: str,
    payload: Any,
    *,
    tenant: str = "default",
    idempotency_key: str | None = None,
    subject: str | None = None,
    using: str = "default",
) -> Event:
    """Emit on Django's connection `using`: inside `atomic()`, the event commits or rolls back with the rest.

    The commit wakes the workers of this process; those of other processes find
    the event when they next look. Outside `atomic()`, it is committed immediately.
    """
    event = dispatcher.emit(
        product,
        event_type,
        payload,
        tenant=tenant,
        connection=connections[using],
        idempotency_key=idempotency_key,
        subject=subject,
    )
    transaction.on_commit(dispatcher.wake, using=using, robust=True)
    return event


def _in_the_thread_of_connections(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Awaitable[Any]:
    # A connection of Django's belongs to one thread; this runs in the thread in which async views use connections.
    call: Awaitable[Any] = sync_to_async(function)(*args, **kwargs)
    return call


aemit = awaitable(emit, _in_the_thread_of_connections)


def store(using: str = "default", **options: Any) -> Store:
    """Return a store in the database `using` of Django's settings, SQLite or PostgreSQL.

    `options` such as `schema` or `migrate` are passed to the store. It follows the settings, so it is in the test
    runner's database while that is in place. Raises `StoreError` for any other database.
    """
    return DjangoStore(using, options)  # type: ignore[abstract] # its decorator adds the missing methods
