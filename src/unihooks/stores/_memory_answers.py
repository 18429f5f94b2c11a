"""Remember answers to requests that may be repeated, in memory."""

from __future__ import annotations

import threading

from unihooks._contract.idempotency import ANSWERS_PER_TENANT, IdempotencyRecord
from unihooks.abc import Store
from unihooks.stores._memory_rows import AnswerRow
from unihooks.stores._memory_tables import Tables


class MemoryAnswers(Store):
    """Be the part of the memory store that remembers answers."""

    _lock: threading.RLock
    _tables: Tables

    def reserve_answer(
        self, tenant: str, key: str, digest: bytes, *, at_most: int = ANSWERS_PER_TENANT
    ) -> IdempotencyRecord | None:
        """Return what is known of the request, or note that it is being done."""
        with self._lock:
            now = self.now()
            mine = self._tables.answers.setdefault(tenant, {})
            for old in [one for one, row in mine.items() if row.is_over(now)]:
                del mine[old]
            if key in mine:
                return mine[key].kept
            mine[key] = AnswerRow(now, IdempotencyRecord(digest, None, None))
            if len(mine) > at_most:
                del mine[next(iter(mine))]
            return None

    def keep_answer(self, tenant: str, key: str, status: int, content: bytes) -> None:
        """Keep the answer."""
        with self._lock:
            row = self._tables.answers.get(tenant, {}).get(key)
            if row is not None:
                row.kept = IdempotencyRecord(row.kept.digest, status, content)

    def drop_answer(self, tenant: str, key: str) -> None:
        """Forget the request."""
        with self._lock:
            self._tables.answers.get(tenant, {}).pop(key, None)
