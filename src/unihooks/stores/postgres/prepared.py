"""Let the server parse and plan a statement once per connection: for one event that takes longer than to run it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from attrs import frozen

if TYPE_CHECKING:
    from psycopg import Connection

_direct: WeakSet[Connection[Any]] = WeakSet()
_PARAMETER = re.compile(r"%\((\w+)\)[sb]")


@frozen
class _Named:
    """A statement under a name: the text that prepares it, and the one that runs it."""

    name: str
    prepare: bytes
    execute: str


class Prepared:
    """Name statements, and know which connection has prepared which.

    The driver does not do it: it prepares nothing that is sent together with
    others, and forgets all that is prepared whenever a transaction is rolled back.
    """

    def __init__(self) -> None:
        self._named: dict[str, _Named] = {}
        self._done: WeakKeyDictionary[Connection[Any], set[str]] = WeakKeyDictionary()

    def called(self, connection: Connection[Any], text: str) -> str:
        """Return what runs the statement, with the same parameters; behind a pooler that is its own text."""
        if not is_direct(connection):
            return text
        named = self._named.get(text)
        if named is None:
            named = self._named[text] = _named(text, f"unihooks_{len(self._named)}")
        done = self._done.setdefault(connection, set())
        if named.name not in done:
            self._prepare(connection, named)
            done.add(named.name)
        return named.execute

    def _prepare(self, connection: Connection[Any], named: _Named) -> None:
        try:
            connection.execute(named.prepare)
        except BaseException:
            # Nobody knows now whether it is prepared there.
            connection.close()
            raise


def note_direct(connection: Connection[Any]) -> None:
    """Say that the connection leads to the server itself: what is prepared on it stays there."""
    _direct.add(connection)


def is_direct(connection: Connection[Any]) -> bool:
    """Say whether that is known of the connection."""
    return connection in _direct


def _named(text: str, name: str) -> _Named:
    places: dict[str, int] = {}
    body = _PARAMETER.sub(lambda found: f"${places.setdefault(found[1], len(places) + 1)}", text)
    given = f"({', '.join(f'%({place})s' for place in places)})" if places else ""
    return _Named(name, f"PREPARE {name} AS {body}".encode(), f"EXECUTE {name}{given}")
