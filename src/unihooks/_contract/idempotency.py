"""Answers to requests that may be repeated: kept, so that a request is not carried out twice."""

from __future__ import annotations

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
