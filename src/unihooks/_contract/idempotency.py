"""The part of a store that remembers answers, so that a repeated request is not carried out twice."""

from __future__ import annotations

from abc import ABC, abstractmethod

from attrs import frozen

from unihooks._base.times import SECOND

ANSWERS_PER_TENANT = 1_000
ANSWER_KEPT_US = 24 * 3600 * SECOND
ANSWER_AWAITED_US = 300 * SECOND


@frozen
class IdempotencyRecord:
    """The digest of a request and its answer, which is None until the request has been carried out."""

    digest: bytes
    status: int | None
    content: bytes | None


class StoreAnswers(ABC):
    """The answers to requests, by tenant and key: the newest 1,000 of a tenant, each for a day."""

    @abstractmethod
    def reserve_answer(
        self, tenant: str, key: str, digest: bytes, *, at_most: int = ANSWERS_PER_TENANT
    ) -> IdempotencyRecord | None:
        """Return the record of this key; or reserve the key and return None: then the caller carries out the request.

        A request without an answer is forgotten after 5 minutes. Of a tenant
        with more than `at_most`, the oldest are forgotten.
        """

    @abstractmethod
    def keep_answer(self, tenant: str, key: str, status: int, content: bytes) -> None:
        """Keep the answer to a request whose key was reserved."""

    @abstractmethod
    def drop_answer(self, tenant: str, key: str) -> None:
        """Forget a request, so that a repetition is carried out."""
