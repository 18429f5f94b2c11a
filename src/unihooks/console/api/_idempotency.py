"""Carry out a request with an idempotency key once, and answer repetitions from the store.

The store keeps the answers, without secrets, so a repetition may reach any process.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

from unihooks._base.awaitable import in_own_thread
from unihooks.abc import Configuration, IdempotencyRecord
from unihooks.console._rendering import off_the_loop
from unihooks.console.api._problems import Problem
from unihooks.exceptions import StoreError

_MOST_KEY = 255
_MOST_BYTES = 64 * 1024
_logger = logging.getLogger("unihooks.console")


@frozen(kw_only=True)
class IdempotentRequest:
    """A request with an idempotency key, which may be repeated."""

    store: Configuration
    tenant: str
    key: str
    digest: bytes

    async def answer(
        self, status: int, do: Callable[[], Awaitable[dict[str, Any]]]
    ) -> tuple[int, dict[str, Any], bool]:
        """Carry it out, or return the earlier answer; the last value says whether it was a repetition."""
        before = await in_own_thread(self.store.reserve_answer, self.tenant, self.key, self.digest)
        if before is not None:
            return *self._repeated(before), True
        try:
            content = await do()
        except Exception:
            # A refused request may be sent again. A cancelled one goes on in its thread, so its key stays reserved:
            # CancelledError is no Exception.
            await in_own_thread(self.store.drop_answer, self.tenant, self.key)
            raise
        await self._keep(status, content)
        return status, content, False

    def _repeated(self, before: IdempotencyRecord) -> tuple[int, dict[str, Any]]:
        if before.digest != self.digest:
            raise _reused()
        if before.status is None or before.content is None:
            raise _under_way()
        return before.status, json.loads(before.content)

    async def _keep(self, status: int, content: dict[str, Any]) -> None:
        kept = await off_the_loop(_without_secret, content)
        try:
            if len(kept) > _MOST_BYTES:
                await in_own_thread(self.store.drop_answer, self.tenant, self.key)
            else:
                await in_own_thread(self.store.keep_answer, self.tenant, self.key, status, kept)
        except StoreError as error:
            # The request was carried out, so the caller gets its answer.
            _logger.error("could not store the answer for repeated requests: %s", error)  # noqa: TRY400


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


def _reused() -> Problem:
    return Problem(
        422,
        "idempotency-key-reused",
        "The idempotency key was used before",
        "it came with another request; use a new key for each",
        name="idempotency-key",
    )


def _under_way() -> Problem:
    return Problem(
        409,
        "idempotency-key-in-use",
        "The first request is still running",
        "wait for its answer, or repeat this in a moment",
        name="idempotency-key",
        headers={"retry-after": "1"},
    )
