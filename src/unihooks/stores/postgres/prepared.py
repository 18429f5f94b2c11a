"""Let the server parse and plan a statement once per connection: for one event that takes longer than to run it."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from psycopg import Connection

# The statements that each connection has prepared; what leads to a pooler is not among these.
_prepared: WeakKeyDictionary[Connection[Any], set[str]] = WeakKeyDictionary()
_PARAMETER = re.compile(r"%\((\w+)\)[sb]")


def called(connection: Connection[Any], text: str) -> str:
    """Return what runs a statement, with the same parameters; behind a pooler that is its own text.

    The driver does not prepare what is sent together with others, and forgets
    all that is prepared whenever a transaction is rolled back.
    """
    prepared = _prepared.get(connection)
    if prepared is None:
        return text
    prepare, execute = _named(text)
    if execute not in prepared:
        try:
            connection.execute(prepare)
        except BaseException:
            # Nobody knows now whether it is prepared there.
            connection.close()
            raise
        prepared.add(execute)
    return execute


def note_direct(connection: Connection[Any]) -> None:
    """Say that the connection leads to the server itself: what is prepared on it stays there."""
    _prepared[connection] = set()


def is_direct(connection: Connection[Any]) -> bool:
    """Say whether that is known of the connection."""
    return connection in _prepared


@lru_cache(maxsize=1_000)
def _named(text: str) -> tuple[bytes, str]:
    """Return what prepares a statement, and what runs it then."""
    name = f"unihooks_{sha256(text.encode()).hexdigest()[:16]}"
    places: dict[str, int] = {}
    body = _PARAMETER.sub(lambda found: f"${places.setdefault(found[1], len(places) + 1)}", text)
    given = f"({', '.join(f'%({place})s' for place in places)})" if places else ""
    return f"PREPARE {name} AS {body}".encode(), f"EXECUTE {name}{given}"
