"""Remember answers to requests that may be repeated."""

from __future__ import annotations

from unihooks._contract.idempotency import ANSWER_AWAITED_US, ANSWER_KEPT_US, IdempotencyRecord
from unihooks.stores.postgres.statements import Statements

# Whoever clears away at the same time is left to it: so nobody waits in a circle.
_FORGET = """
DELETE FROM unihooks.answers WHERE (tenant, key) IN (
    SELECT tenant, key FROM unihooks.answers
    WHERE tenant = %(tenant)s
      AND (created_at < %(kept_since)s OR (status IS NULL AND created_at < %(awaited_since)s))
    FOR UPDATE SKIP LOCKED
)
"""
_RESERVE = """
INSERT INTO unihooks.answers (tenant, key, digest, created_at)
VALUES (%(tenant)s, %(key)s, %(digest)s, %(now)s) ON CONFLICT (tenant, key) DO NOTHING RETURNING 1
"""
_FIND = "SELECT digest, status, content FROM unihooks.answers WHERE tenant = %(tenant)s AND key = %(key)s"
_TRIM = """
DELETE FROM unihooks.answers WHERE (tenant, key) IN (
    SELECT a.tenant, a.key FROM unihooks.answers AS a WHERE a.tenant = %(tenant)s AND a.created_at < (
        SELECT created_at FROM unihooks.answers WHERE tenant = %(tenant)s
        ORDER BY created_at DESC OFFSET %(last)s LIMIT 1
    )
    FOR UPDATE SKIP LOCKED
)
"""
_KEEP = """
UPDATE unihooks.answers SET status = %(status)s, content = %(content)b WHERE tenant = %(tenant)s AND key = %(key)s
"""
_DROP = "DELETE FROM unihooks.answers WHERE tenant = %(tenant)s AND key = %(key)s"


def reserve(it: Statements, tenant: str, key: str, digest: bytes, at_most: int) -> IdempotencyRecord | None:
    """Return what is known of the request, or note that it is being done."""
    it.run(_FORGET, tenant=tenant, kept_since=it.now - ANSWER_KEPT_US, awaited_since=it.now - ANSWER_AWAITED_US)
    if not it.fetch(_RESERVE, tenant=tenant, key=key, digest=digest, now=it.now):
        found = it.fetch_one(_FIND, tenant=tenant, key=key)
        # Dropped between the two statements: the caller is told that it is still being done.
        return IdempotencyRecord(*found) if found else IdempotencyRecord(digest, None, None)
    it.run(_TRIM, tenant=tenant, last=at_most - 1)
    return None


def keep(it: Statements, tenant: str, key: str, status: int, content: bytes) -> None:
    """Keep the answer."""
    it.run(_KEEP, tenant=tenant, key=key, status=status, content=content)


def drop(it: Statements, tenant: str, key: str) -> None:
    """Forget the request."""
    it.run(_DROP, tenant=tenant, key=key)
