"""Recognise a host's connection and run one statement on it, importing nothing that is not installed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import evolve, frozen

from unihooks.stores.host import drivers
from unihooks.stores.host.drivers import Parameters, Row


@frozen(kw_only=True)
class Kind:
    """A kind of connection: the database it speaks to, and how to fetch the rows of one statement.

    `fetch` is None for a kind that works with `await` only. `ask` finds out
    the database of a kind that speaks to several.
    """

    name: str
    database: str = ""
    ask: Callable[[Any], str] | None = None
    fetch: Callable[[Any, str, Parameters], list[Row]] | None = None
    afetch: Callable[[Any, str, Parameters], Awaitable[list[Row]]] | None = None


def recognise(connection: object) -> Kind:
    """Return the kind of a host's connection, by the modules of its classes; TypeError if it is not known."""
    for base in type(connection).__mro__:
        kind = _KINDS.get((base.__module__.partition(".")[0], base.__name__))
        if kind is not None:
            return kind if kind.ask is None else evolve(kind, database=kind.ask(connection))
    known = ", ".join(sorted({kind.name for kind in _KINDS.values()}))
    raise TypeError(f"connection is a {type(connection).__qualname__}; pass an open connection of one of: {known}")


def fetch(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Run a statement with :named parameters on a synchronous connection."""
    kind = recognise(connection)
    if kind.fetch is None:
        raise TypeError(f"{kind.name} connections are asynchronous; use `await dispatcher.aemit(...)`")
    return kind.fetch(connection, statement, parameters)


async def afetch(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Run a statement on a connection of either kind; a synchronous one is used in this thread, as its owner does."""
    kind = recognise(connection)
    if kind.afetch is not None:
        return await kind.afetch(connection, statement, parameters)
    return fetch(connection, statement, parameters)


def driver_error(error: BaseException) -> BaseException | None:
    """Return the error of the database's driver that a library has wrapped, or None if it is of another kind."""
    seen: BaseException | None = error
    while seen is not None:
        if _is_drivers(seen):
            return seen
        original = getattr(seen, "orig", None)
        seen = original if isinstance(original, BaseException) else seen.__cause__
    return None


def sqlstate(error: BaseException) -> str | None:
    """Return the five characters by which PostgreSQL tells errors apart."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _is_drivers(error: BaseException) -> bool:
    names = {(base.__module__.partition(".")[0], base.__name__) for base in type(error).__mro__}
    return not names.isdisjoint(_ERRORS)


_ERRORS = {
    ("sqlite3", "Error"),
    ("psycopg", "Error"),
    ("psycopg2", "Error"),
    ("asyncpg", "PostgresError"),
    ("asyncpg", "InterfaceError"),
}
_SQLALCHEMY = Kind(name="SQLAlchemy", ask=drivers.database_of_sqlalchemy, fetch=drivers.fetch_sqlalchemy)
_SQLALCHEMY_ASYNC = Kind(name="SQLAlchemy", ask=drivers.database_of_sqlalchemy, afetch=drivers.afetch_sqlalchemy)
_DJANGO = Kind(name="Django", ask=drivers.database_of_django, fetch=drivers.fetch_django)
_ASYNCPG = Kind(name="asyncpg", database="postgresql", afetch=drivers.afetch_asyncpg)
_KINDS = {
    ("sqlite3", "Connection"): Kind(name="sqlite3", database="sqlite", fetch=drivers.fetch_sqlite3),
    ("aiosqlite", "Connection"): Kind(name="aiosqlite", database="sqlite", afetch=drivers.afetch_aiosqlite),
    ("psycopg", "Connection"): Kind(name="psycopg", database="postgresql", fetch=drivers.fetch_psycopg),
    ("psycopg", "AsyncConnection"): Kind(name="psycopg", database="postgresql", afetch=drivers.afetch_psycopg),
    ("psycopg2", "connection"): Kind(name="psycopg2", database="postgresql", fetch=drivers.fetch_psycopg2),
    ("asyncpg", "Connection"): _ASYNCPG,
    ("asyncpg", "PoolConnectionProxy"): _ASYNCPG,
    ("sqlalchemy", "Connection"): _SQLALCHEMY,
    ("sqlalchemy", "Session"): _SQLALCHEMY,
    ("sqlalchemy", "scoped_session"): _SQLALCHEMY,
    ("sqlalchemy", "AsyncConnection"): _SQLALCHEMY_ASYNC,
    ("sqlalchemy", "AsyncSession"): _SQLALCHEMY_ASYNC,
    ("sqlalchemy", "async_scoped_session"): _SQLALCHEMY_ASYNC,
    ("django", "BaseDatabaseWrapper"): _DJANGO,
    ("django", "ConnectionProxy"): _DJANGO,
}
