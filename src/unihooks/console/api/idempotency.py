"""Carry out a request with an idempotency key once, and respond to repetitions from the store.

The store keeps the responses, without secrets, so a repetition may reach any process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

from unihooks.abc import IdempotencyRecord
from unihooks.console.api.problems import Problem
from unihooks.console.http.records import RequestRecord
from unihooks.console.http.rendering import off_the_loop

_MOST_KEY = 255


@frozen(kw_only=True)
class IdempotentRequest(RequestRecord):
    """A request with an idempotency key, which may be repeated."""

    async def answer(
        self, status: int, do: Callable[[], Awaitable[dict[str, Any]]]
    ) -> tuple[int, dict[str, Any], bool]:
        """Carry it out, or return the earlier response; the last value says whether it was a repetition."""
        before = await self.begin()
        if before is not None:
            return *self._repeated(before), True
        try:
            content = await do()
        except Exception:
            # A refused request may be sent again. A cancelled one goes on in its thread, so its key stays reserved:
            # CancelledError is no Exception.
            await self.drop()
            raise
        await self.keep(status, await off_the_loop(_without_secret, content))
        return status, content, False

    def _repeated(self, before: IdempotencyRecord) -> tuple[int, dict[str, Any]]:
        if before.digest != self.digest:
            raise Problem(
                422,
                "idempotency-key-reused",
                "The idempotency key was used before",
                "it came with another request; use a new key for each",
                name="idempotency-key",
            )
        if before.status is None or before.content is None:
            raise Problem(
                409,
                "idempotency-key-in-use",
                "The first request is still running",
                "wait for its response, or repeat this in a moment",
                name="idempotency-key",
                headers={"retry-after": "1"},
            )
        return before.status, json.loads(before.content)


def _without_secret(content: dict[str, Any]) -> bytes:
    return json.dumps({name: value for name, value in content.items() if name != "secret"}).encode()


def checked_key(value: str) -> str:
    """Return an idempotency key, or raise a Problem."""
    if 1 <= len(value) <= _MOST_KEY and value.isascii() and value.isprintable():
        return value
    raise Problem(
        400,
        "invalid-idempotency-key",
        "The idempotency key cannot be used",
        f"send 1 to {_MOST_KEY} visible ASCII characters, such as a UUID",
        name="idempotency-key",
    )


def digest_of(method: str, path: str, body: bytes) -> bytes:
    """Return a digest that two requests share only if they are the same."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()
