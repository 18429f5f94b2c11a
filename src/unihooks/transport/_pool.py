"""The idle connections, kept for other requests within limits of number and time."""

from __future__ import annotations

import resource
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from unihooks.transport._connections import Connection

_MOST_IDLE: Final = 10_000
# A request sent just before the peer's idle time ends would meet a closed connection.
_SHARE_OF_THEIR_TIME: Final = 0.8


def idle_that_fit() -> int:
    """Return the number of idle connections that leave the host enough of the files that its process may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_IDLE if files == resource.RLIM_INFINITY else min(files // 4, _MOST_IDLE)


class Pool:
    """The idle connections: the newest of a key is used first, the oldest of all is closed first.

    At most `total` of them are kept, `per_endpoint` of one key, and each for `seconds`.
    A connection that closes while it is idle removes itself.
    """

    def __init__(self, *, total: int, per_endpoint: int, seconds: float) -> None:
        self._total = total
        self._per_endpoint = per_endpoint
        self._seconds = seconds
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        self._by_key: dict[Hashable, OrderedDict[Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, key: Hashable) -> Connection | None:
        """Take an idle connection with this key out of the pool."""
        own = self._by_key.get(key)
        if own:
            connection, _ = own.popitem()
            del self._idle[connection]
            connection.on_idle_close = None
            if not own:
                del self._by_key[key]
            return connection
        return None

    def put(self, connection: Connection, now: float, their_seconds: float | None = None) -> None:
        """Keep a connection after a response, for less time than its peer announces, unless it is too old."""
        if connection.ends_at <= now:
            connection.close()
            return
        seconds = self._seconds
        if their_seconds is not None:
            seconds = min(seconds, their_seconds * _SHARE_OF_THEIR_TIME)
        own = self._by_key.get(connection.key)
        if own is None:
            own = self._by_key[connection.key] = OrderedDict()
        connection.idle_until = min(now + seconds, connection.ends_at)
        connection.on_idle_close = self._forget
        own[connection] = self._idle[connection] = None
        if len(own) > self._per_endpoint:
            next(iter(own)).close()
        if len(self._idle) > self._total:
            next(iter(self._idle)).close()

    def sweep(self, now: float) -> None:
        """Close connections that have been idle for too long."""
        for connection in [one for one in self._idle if one.idle_until <= now]:
            connection.close()

    def close_of(self, key: Hashable) -> None:
        """Close the idle connections with this key."""
        for connection in list(self._by_key.get(key, ())):
            connection.close()

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            next(iter(self._idle)).close()

    def _forget(self, connection: Connection) -> None:
        connection.on_idle_close = None
        del self._idle[connection]
        own = self._by_key[connection.key]
        del own[connection]
        if not own:
            del self._by_key[connection.key]
