"""Run one statement as each driver and library wants it; they are imported here once the host has brought them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

Row = tuple[Any, ...]
Parameters = Mapping[str, Any]

_NAMED = re.compile(r"(?<![:\w]):(\w+)")


def fetch_sqlite3(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Fetch on sqlite3, whatever factories the connection has."""
    cursor = connection.cursor()
    try:
        cursor.row_factory = None
        return list(cursor.execute(statement, parameters).fetchall())
    finally:
        cursor.close()


async def afetch_aiosqlite(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Fetch on aiosqlite."""
    try:
        async with connection.cursor() as cursor:
            cursor.row_factory = None
            await cursor.execute(statement, parameters)
            return list(await cursor.fetchall())
    except ValueError as error:
        # aiosqlite's own word for a connection that is closed, or was never opened.
        raise sqlite3.ProgrammingError(str(error)) from error


def fetch_psycopg(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Fetch on psycopg 3 with a plain cursor, whatever factories the connection has, and nothing prepared."""
    import psycopg
    from psycopg.rows import tuple_row

    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        cursor.execute(with_percent(statement), parameters, prepare=False)
        return cursor.fetchall()


async def afetch_psycopg(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Fetch on psycopg 3's asynchronous connection."""
    import psycopg
    from psycopg.rows import tuple_row

    async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
        await cursor.execute(with_percent(statement), parameters, prepare=False)
        return await cursor.fetchall()


def fetch_psycopg2(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Fetch on psycopg2 with a plain cursor."""
    with connection.cursor(cursor_factory=import_module("psycopg2.extensions").cursor) as cursor:
        cursor.execute(with_percent(statement), parameters)
        return list(cursor.fetchall())


async def afetch_asyncpg(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Fetch on asyncpg's connection, or a pool's."""
    numbered, names = with_numbers(statement)
    return [tuple(row) for row in await connection.fetch(numbered, *[parameters[name] for name in names])]


def fetch_sqlalchemy(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Fetch on a Connection or Session of SQLAlchemy."""
    text = import_module("sqlalchemy").text
    return [tuple(row) for row in connection.execute(text(statement), dict(parameters)).fetchall()]


async def afetch_sqlalchemy(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Fetch on an AsyncConnection or AsyncSession of SQLAlchemy."""
    text = import_module("sqlalchemy").text
    return [tuple(row) for row in (await connection.execute(text(statement), dict(parameters))).fetchall()]


def database_of_sqlalchemy(connection: Any) -> str:
    """Return the name of the dialect."""
    bound = connection.get_bind() if hasattr(connection, "get_bind") else connection
    return str(bound.dialect.name)


def fetch_django(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    """Fetch on one of Django's connections."""
    with connection.cursor() as cursor:
        cursor.execute(with_percent(statement), dict(parameters))
        return list(cursor.fetchall())


def database_of_django(connection: Any) -> str:
    """Return Django's name of the database's vendor."""
    return str(connection.vendor)


@lru_cache(maxsize=64)
def with_percent(statement: str) -> str:
    """Write :named parameters as %(named)s.

    >>> with_percent("SELECT CAST(:a AS text), 'b'::text")
    "SELECT CAST(%(a)s AS text), 'b'::text"
    """
    return _NAMED.sub(r"%(\1)s", statement)


@lru_cache(maxsize=64)
def with_numbers(statement: str) -> tuple[str, tuple[str, ...]]:
    """Write :named parameters as $1, $2, and return their names in this order.

    >>> with_numbers("SELECT :a, :b, :a")
    ('SELECT $1, $2, $1', ('a', 'b'))
    """
    names = tuple(dict.fromkeys(_NAMED.findall(statement)))
    return _NAMED.sub(lambda found: f"${names.index(found[1]) + 1}", statement), names
