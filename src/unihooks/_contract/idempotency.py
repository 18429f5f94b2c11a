"""The part of a store that remembers answers, so that a request that is repeated is not done twice."""

from __future__ import annotations

from abc import ABC, abstractmethod

from attrs import frozen

from unihooks._base.times import SECOND

ANSWERS_PER_TENANT = 1_000
ANSWER_KEPT_US = 24 * 3600 * SECOND
ANSWER_AWAITED_US = 300 * SECOND


@frozen
class IdempotencyRecord:
    """Be what is known of a request: its digest, and its answer; None while it is being done."""

    digest: bytes
    status: int | None
    content: bytes | None


class StoreAnswers(ABC):
    """Remember answers by tenant and key: the newest 1,000 of a tenant, each for a day."""

    @abstractmethod
    def reserve_answer(
        self, tenant: str, key: str, digest: bytes, *, at_most: int = ANSWERS_PER_TENANT
    ) -> IdempotencyRecord | None:
        """Return what is known of the request with this key, or None: then the caller does it, and says how it went.

        A request that nobody has answered after 5 minutes is forgotten, and
        so are the oldest of a tenant with more than `at_most`.
        """

    @abstractmethod
    def keep_answer(self, tenant: str, key: str, status: int, content: bytes) -> None:
        """Keep the answer to a request that was reserved."""

    @abstractmethod
    def drop_answer(self, tenant: str, key: str) -> None:
        """Forget a request: whoever repeats it does it."""
