"""Remember answers to requests that may be repeated."""

from __future__ import annotations

import sqlite3

from unihooks._contract.idempotency import ANSWER_AWAITED_US, ANSWER_KEPT_US, IdempotencyRecord

_FORGET = """
DELETE FROM main.unihooks_answers
WHERE tenant = :tenant AND (created_at < :kept_since OR (status IS NULL AND created_at < :awaited_since))
"""
_FIND = "SELECT digest, status, content FROM main.unihooks_answers WHERE tenant = :tenant AND key = :key"
_RESERVE = """
INSERT INTO main.unihooks_answers (tenant, key, digest, created_at) VALUES (:tenant, :key, :digest, :now)
"""
_TRIM = """
DELETE FROM main.unihooks_answers WHERE rowid IN (
    SELECT rowid FROM main.unihooks_answers WHERE tenant = :tenant
    ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET :most
)
"""
_KEEP = "UPDATE main.unihooks_answers SET status = ?, content = ? WHERE tenant = ? AND key = ?"
_DROP = "DELETE FROM main.unihooks_answers WHERE tenant = ? AND key = ?"


def reserve(
    connection: sqlite3.Connection, tenant: str, key: str, digest: bytes, *, at_most: int, now: int
) -> IdempotencyRecord | None:
    """Return what is known of the request, or note that it is being done."""
    parameters = {
        "tenant": tenant,
        "key": key,
        "digest": digest,
        "now": now,
        "kept_since": now - ANSWER_KEPT_US,
        "awaited_since": now - ANSWER_AWAITED_US,
        "most": at_most,
    }
    connection.execute(_FORGET, parameters)
    found = connection.execute(_FIND, parameters).fetchone()
    if found is not None:
        return IdempotencyRecord(*found)
    connection.execute(_RESERVE, parameters)
    connection.execute(_TRIM, parameters)
    return None


def keep(connection: sqlite3.Connection, tenant: str, key: str, status: int, content: bytes) -> None:
    """Keep the answer."""
    connection.execute(_KEEP, (status, content, tenant, key))


def drop(connection: sqlite3.Connection, tenant: str, key: str) -> None:
    """Forget the request."""
    connection.execute(_DROP, (tenant, key))
