"""Recognise a host's connection and run one statement on it, importing nothing that is not installed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen

Row = tuple[Any, ...]
Parameters = Mapping[str, Any]


@frozen(kw_only=True)
class Kind:
    """Be a kind of connection: the database it speaks to, and how to fetch the rows of one statement.

    `fetch` is None for a kind that works with `await` only.
    """

    name: str
    database: str
    fetch: Callable[[Any, str, Parameters], list[Row]] | None = None
    afetch: Callable[[Any, str, Parameters], Awaitable[list[Row]]] | None = None


def recognise(connection: object) -> Kind:
    """Return the kind of a host's connection, by the modules of its classes; TypeError if it is not known."""
    for base in type(connection).__mro__:
        kind = _KINDS.get(base.__module__.partition(".")[0])
        if kind is not None and base.__name__ in _CONNECTIONS:
            return kind
    known = ", ".join(sorted(_KINDS))
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


def _fetch_sqlite3(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    cursor = connection.cursor()
    try:
        cursor.row_factory = None
        return list(cursor.execute(statement, parameters).fetchall())
    finally:
        cursor.close()


async def _fetch_aiosqlite(connection: Any, statement: str, parameters: Parameters) -> list[Row]:
    async with connection.cursor() as cursor:
        cursor.row_factory = None
        await cursor.execute(statement, parameters)
        return list(await cursor.fetchall())


_CONNECTIONS = frozenset({"Connection"})
_KINDS = {
    "sqlite3": Kind(name="sqlite3", database="sqlite", fetch=_fetch_sqlite3),
    "aiosqlite": Kind(name="aiosqlite", database="sqlite", afetch=_fetch_aiosqlite),
}
