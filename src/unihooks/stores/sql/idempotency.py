"""Remember answers to requests that may be repeated."""

from __future__ import annotations

from unihooks._contract.configuration import ANSWER_AWAITED_US, ANSWER_KEPT_US, IdempotencyRecord
from unihooks.stores.sql.transaction import Transaction


def reserve(tx: Transaction, tenant: str, key: str, digest: bytes, at_most: int) -> IdempotencyRecord | None:
    """Return what is known of the request, or note that it is being done."""
    kept_since, awaited_since = tx.now - ANSWER_KEPT_US, tx.now - ANSWER_AWAITED_US
    tx.run("forget_answers", tenant=tenant, kept_since=kept_since, awaited_since=awaited_since)
    if not tx.run("reserve_answer", tenant=tenant, key=key, digest=digest, now=tx.now):
        found = tx.fetch_one("find_answer", tenant=tenant, key=key)
        # Dropped between the two statements: the caller is told that it is still being done.
        return IdempotencyRecord(*found) if found else IdempotencyRecord(digest, None, None)
    tx.run("trim_answers", tenant=tenant, at_most=at_most)
    return None


def keep(tx: Transaction, tenant: str, key: str, status: int, content: bytes) -> None:
    """Keep the answer."""
    tx.run("keep_answer", tenant=tenant, key=key, status=status, content=content)


def drop(tx: Transaction, tenant: str, key: str) -> None:
    """Forget the request."""
    tx.run("drop_answer", tenant=tenant, key=key)
