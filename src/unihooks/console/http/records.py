"""The store's record of a request that is carried out once; a repetition of it may reach any process."""

from __future__ import annotations

import logging

from attrs import frozen

from unihooks._base.awaitable import in_own_thread
from unihooks.abc import Configuration, IdempotencyRecord
from unihooks.exceptions import StoreError

_MOST_BYTES = 64 * 1024
_logger = logging.getLogger("unihooks.console")


@frozen(kw_only=True)
class RequestRecord:
    """The store's record of a request, by its tenant and key."""

    store: Configuration
    tenant: str
    key: str
    digest: bytes

    async def begin(self) -> IdempotencyRecord | None:
        """Return the record of an earlier request, or None if this one is to be carried out."""
        return await in_own_thread(self.store.reserve_answer, self.tenant, self.key, self.digest)

    async def keep(self, status: int, content: bytes) -> None:
        """Keep the response for repetitions."""
        try:
            if len(content) > _MOST_BYTES:
                await self.drop()
            else:
                await in_own_thread(self.store.keep_answer, self.tenant, self.key, status, content)
        except StoreError as error:
            # The request was carried out, so its caller gets the response although it could not be kept.
            _logger.error("could not store the response for repeated requests: %s", error)  # noqa: TRY400

    async def drop(self) -> None:
        """Forget the request: it may be sent again."""
        await in_own_thread(self.store.drop_answer, self.tenant, self.key)
