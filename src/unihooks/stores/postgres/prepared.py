"""Let the server parse and plan a statement once per connection: for one event that takes longer than running it."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from psycopg import Connection

# The statements that each connection has prepared, without connections to a pooler.
_prepared: WeakKeyDictionary[Connection[Any], set[str]] = WeakKeyDictionary()
_PARAMETER = re.compile(r"%\((\w+)\)[sb]")


def called(connection: Connection[Any], text: str) -> str:
    """Return the text that runs a statement with the same parameters; behind a pooler that is the statement itself.

    The driver does not prepare statements in a pipeline, and forgets all prepared ones whenever a transaction is rolled
    back.
    """
    prepared = _prepared.get(connection)
    if prepared is None:
        return text
    prepare, execute = _named(text)
    if execute not in prepared:
        try:
            connection.execute(prepare)
        except BaseException:
            # Whether it is prepared there is unknown now.
            connection.close()
            raise
        prepared.add(execute)
    return execute


def note_direct(connection: Connection[Any]) -> None:
    """Note that the connection leads to the server itself, so that statements prepared on it stay there."""
    _prepared[connection] = set()


def is_direct(connection: Connection[Any]) -> bool:
    """Return whether the connection is known to lead to the server itself."""
    return connection in _prepared


@lru_cache(maxsize=1_000)
def _named(text: str) -> tuple[bytes, str]:
    """Return the texts that prepare a statement and that then run it."""
    name = f"unihooks_{sha256(text.encode()).hexdigest()[:16]}"
    places: dict[str, int] = {}
    body = _PARAMETER.sub(lambda found: f"${places.setdefault(found[1], len(places) + 1)}", text)
    given = f"({', '.join(f'%({place})s' for place in places)})" if places else ""
    return f"PREPARE {name} AS {body}".encode(), f"EXECUTE {name}{given}"
