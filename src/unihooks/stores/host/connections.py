"""Recognise a host's connection, and run one statement on it in the way of its driver or library.

A library is imported only once the host has passed a connection of it, so it is installed.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from attrs import evolve, frozen

from unihooks.stores.sql.statements import NAMED

Row = tuple[Any, ...]
Parameters = Mapping[str, Any]

_NO_BIND = (
    "connection is a Session that leads to no database or to several; pass its connection to the right one: "
    "`session.connection(bind_arguments={'mapper': Order})`"
)


@frozen(kw_only=True)
class Kind:
    """A kind of connection: the database it speaks to, and how to fetch the rows of one statement.

    `fetch` is None for a kind that works only with `await`. `ask` finds out the database of a kind that speaks to
    several.
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


def database_error(error: BaseException) -> BaseException | None:
    """Return the driver's error that a library has wrapped, or the library's own database error; None for others."""
    seen: BaseException | None = error
    while seen is not None:
        if _is_of(seen, _ERRORS):
            return seen
        original = getattr(seen, "orig", None)
        seen = original if isinstance(original, BaseException) else seen.__cause__
    return error if _is_of(error, _LIBRARY_ERRORS) else None


def sqlstate(error: BaseException) -> str | None:
    """Return the five characters by which PostgreSQL tells errors apart."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def is_within_psycopg() -> bool:
    """Return whether this thread is inside a call of psycopg 3, whose connections would wait for themselves."""
    frame = sys._getframe() if "psycopg" in sys.modules else None  # noqa: SLF001 - inspect.currentframe does the same
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("psycopg."):
            return True
        frame = frame.f_back
    return False


def _is_of(error: BaseException, kinds: set[tuple[str, str]]) -> bool:
    names = {(base.__module__.partition(".")[0], base.__name__) for base in type(error).__mro__}
    return not names.isdisjoint(kinds)


def _fetch_sqlite3(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    cursor = connection.cursor()
    try:
        # Independent of the connection's factories.
        cursor.row_factory = None
        return list(cursor.execute(statement, parameters).fetchall())
    finally:
        cursor.close()


async def _afetch_aiosqlite(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    try:
        async with connection.cursor() as cursor:
            cursor.row_factory = None
            await cursor.execute(statement, parameters)
            return list(await cursor.fetchall())
    except ValueError as error:
        # aiosqlite's own error for a connection that is closed, or was never opened.
        raise sqlite3.ProgrammingError(str(error)) from error


def _fetch_psycopg(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    import psycopg
    from psycopg.rows import tuple_row

    # A plain cursor, whatever factories the connection has, and nothing prepared.
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        cursor.execute(with_percent(statement), parameters, prepare=False)
        return cursor.fetchall()


async def _afetch_psycopg(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    import psycopg
    from psycopg.rows import tuple_row

    async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
        await cursor.execute(with_percent(statement), parameters, prepare=False)
        return await cursor.fetchall()


def _fetch_psycopg2(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    with connection.cursor(cursor_factory=import_module("psycopg2.extensions").cursor) as cursor:
        cursor.execute(with_percent(statement), parameters)
        return list(cursor.fetchall())


async def _afetch_asyncpg(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    numbered, names = with_numbers(statement)
    return [tuple(row) for row in await connection.fetch(numbered, *[parameters[name] for name in names])]


def _fetch_sqlalchemy(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    text = import_module("sqlalchemy").text
    rows = connection.execute(text(statement), dict(parameters), **_bind_arguments(connection)).fetchall()
    return [tuple(row) for row in rows]


async def _afetch_sqlalchemy(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    text = import_module("sqlalchemy").text
    result = await connection.execute(text(statement), dict(parameters), **_bind_arguments(connection))
    return [tuple(row) for row in result.fetchall()]


def _database_of_sqlalchemy(connection: Any) -> str:
    if not hasattr(connection, "get_bind"):
        return str(connection.dialect.name)
    bind = _bind_arguments(connection).get("bind_arguments", {}).get("bind")
    return str((bind or connection.get_bind()).dialect.name)


def _bind_arguments(connection: Any) -> dict[str, Any]:
    """Return the arguments for a session that has engines only by model: `Session(binds={Order: engine})`."""
    if not hasattr(connection, "get_bind"):
        return {}
    try:
        connection.get_bind()
    except import_module("sqlalchemy.exc").UnboundExecutionError:
        session = connection.registry() if hasattr(connection, "registry") else connection
        # The first name is that of SQLAlchemy 2.1, the second that of 2.0.
        kept = vars(getattr(session, "sync_session", session))
        binds = {*(kept.get("binds") or kept.get("_Session__binds") or {}).values()}
        if len(binds) != 1:
            raise TypeError(_NO_BIND) from None
        return {"bind_arguments": {"bind": binds.pop()}}
    return {}


def _fetch_django(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(with_percent(statement), dict(parameters))
        return list(cursor.fetchall())


@lru_cache(maxsize=64)
def with_percent(statement: str) -> str:
    """Write :named parameters as %(named)s.

    >>> with_percent("SELECT CAST(:a AS text), 'b'::text")
    "SELECT CAST(%(a)s AS text), 'b'::text"
    """
    return NAMED.sub(r"%(\1)s", statement)


@lru_cache(maxsize=64)
def with_numbers(statement: str) -> tuple[str, tuple[str, ...]]:
    """Write :named parameters as $1, $2, and return their names in this order.

    >>> with_numbers("SELECT :a, :b, :a")
    ('SELECT $1, $2, $1', ('a', 'b'))
    """
    names = tuple(dict.fromkeys(NAMED.findall(statement)))
    return NAMED.sub(lambda found: f"${names.index(found[1]) + 1}", statement), names


_ERRORS = {
    ("sqlite3", "Error"),
    ("psycopg", "Error"),
    ("psycopg2", "Error"),
    ("asyncpg", "PostgresError"),
    ("asyncpg", "InterfaceError"),
}
# The errors that they raise themselves, for example for a closed connection.
_LIBRARY_ERRORS = {("sqlalchemy", "SQLAlchemyError"), ("django", "Error")}
_SQLALCHEMY = Kind(name="SQLAlchemy", ask=_database_of_sqlalchemy, fetch=_fetch_sqlalchemy)
_SQLALCHEMY_ASYNC = Kind(name="SQLAlchemy", ask=_database_of_sqlalchemy, afetch=_afetch_sqlalchemy)
_DJANGO = Kind(name="Django", ask=lambda connection: str(connection.vendor), fetch=_fetch_django)
_ASYNCPG = Kind(name="asyncpg", database="postgresql", afetch=_afetch_asyncpg)
_KINDS = {
    ("sqlite3", "Connection"): Kind(name="sqlite3", database="sqlite", fetch=_fetch_sqlite3),
    ("aiosqlite", "Connection"): Kind(name="aiosqlite", database="sqlite", afetch=_afetch_aiosqlite),
    ("psycopg", "Connection"): Kind(name="psycopg", database="postgresql", fetch=_fetch_psycopg),
    ("psycopg", "AsyncConnection"): Kind(name="psycopg", database="postgresql", afetch=_afetch_psycopg),
    ("psycopg2", "connection"): Kind(name="psycopg2", database="postgresql", fetch=_fetch_psycopg2),
    ("asyncpg", "Connection"): _ASYNCPG,
    ("asyncpg", "PoolConnectionProxy"): _ASYNCPG,
    ("sqlalchemy", "Connection"): _SQLALCHEMY,
    ("sqlalchemy", "PoolProxiedConnection"): Kind(
        name="SQLAlchemy",
        ask=lambda connection: recognise(connection.driver_connection).database,
        fetch=lambda connection, *given: fetch(connection.driver_connection, *given),
        afetch=lambda connection, *given: afetch(connection.driver_connection, *given),
    ),
    ("sqlalchemy", "Session"): _SQLALCHEMY,
    ("sqlalchemy", "scoped_session"): _SQLALCHEMY,
    ("sqlalchemy", "AsyncConnection"): _SQLALCHEMY_ASYNC,
    ("sqlalchemy", "AsyncSession"): _SQLALCHEMY_ASYNC,
    ("sqlalchemy", "async_scoped_session"): _SQLALCHEMY_ASYNC,
    ("django", "BaseDatabaseWrapper"): _DJANGO,
    ("django", "ConnectionProxy"): _DJANGO,
}
