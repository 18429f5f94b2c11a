"""Remember what was answered to a request with an idempotency key, so that a repeated one is not done twice.

Kept in the memory of this process, within bounds, for a day. Secrets are not kept.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from attrs import define, field

from unihooks.console.api._problems import Problem

_MOST_PER_TENANT = 1_000
_MOST_BYTES = 32 * 2**20
_SECONDS = 24 * 3600
_MOST_KEY = 255

Key = tuple[str, str]


@define
class _Remembered:
    digest: bytes
    at: float
    status: int = 0
    content: dict[str, Any] | None = None
    size: int = 0


@define
class Once:
    """Tell new requests from repeated ones; the oldest are forgotten first."""

    clock: Callable[[], float] = time.monotonic
    _kept: OrderedDict[Key, _Remembered] = field(factory=OrderedDict, init=False)
    _tenants: dict[str, OrderedDict[str, None]] = field(factory=dict, init=False)
    _size: int = field(default=0, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def begin(self, key: Key, digest: bytes) -> tuple[int, dict[str, Any]] | None:
        """Return the answer that was given, or None if the request is to be done now; then end it.

        Raises a Problem if the key was used for another request, or the first one is not done yet.
        """
        with self._lock:
            self._forget_old()
            found = self._kept.get(key)
            if found is None:
                self._keep(key, _Remembered(digest, self.clock()))
                return None
            if found.digest != digest:
                raise _reused()
            if found.content is None:
                raise _under_way()
            return found.status, found.content

    def end(self, key: Key, status: int, content: dict[str, Any], size: int) -> None:
        """Keep what was answered, without the secret."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return
            found.status, found.size = status, size
            found.content = {name: value for name, value in content.items() if name != "secret"}
            self._size += size
            while self._size > _MOST_BYTES:
                self._drop(next(iter(self._kept)))

    def abandon(self, key: Key) -> None:
        """Forget a request that was refused: it may be sent again with the same key."""
        with self._lock:
            if key in self._kept:
                self._drop(key)

    def _keep(self, key: Key, new: _Remembered) -> None:
        self._kept[key] = new
        mine = self._tenants.setdefault(key[0], OrderedDict())
        mine[key[1]] = None
        if len(mine) > _MOST_PER_TENANT:
            self._drop((key[0], next(iter(mine))))

    def _forget_old(self) -> None:
        limit = self.clock() - _SECONDS
        while self._kept and next(iter(self._kept.values())).at < limit:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        self._size -= self._kept.pop(key).size
        mine = self._tenants[key[0]]
        del mine[key[1]]
        if not mine:
            del self._tenants[key[0]]


def checked_key(value: str) -> str:
    """Return an idempotency key, or raise a Problem."""
    if 1 <= len(value) <= _MOST_KEY and value.isascii() and value.isprintable():
        return value
    raise Problem(
        status=400,
        kind="invalid-idempotency-key",
        title="The idempotency key cannot be used",
        detail=f"send 1 to {_MOST_KEY} visible ASCII characters, such as a UUID",
        name="idempotency-key",
    )


def digest_of(method: str, path: str, body: bytes) -> bytes:
    """Return what two requests have in common exactly if they are the same."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()


def _reused() -> Problem:
    return Problem(
        status=422,
        kind="idempotency-key-reused",
        title="The idempotency key was used before",
        detail="it came with another request; use a new key for each",
        name="idempotency-key",
    )


def _under_way() -> Problem:
    return Problem(
        status=409,
        kind="idempotency-key-in-use",
        title="The first request is still being done",
        detail="wait for its answer, or repeat this in a moment",
        name="idempotency-key",
        headers={"retry-after": "1"},
    )
