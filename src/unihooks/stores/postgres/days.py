"""Keep the log in partitions by day: create those of the next days, and drop those that are past the retention."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from unihooks._base.ids import first_id
from unihooks._base.times import DAY, from_us
from unihooks.exceptions import StoreError
from unihooks.stores.postgres.transaction import STATEMENTS, PostgresTransaction

_AHEAD = 3
# A transaction that holds a table, such as a host's, delays this work, and whoever queues behind it waits no longer.
_PATIENCE = "SET LOCAL lock_timeout = '200ms'"
_SECONDS_BETWEEN_LOOKS = 600.0
# If more rows than this are still needed of a day, its rows are deleted one by one.
_MOST_KEPT = 1_000
# What is kept by day: each with its partitioned table, its column of ids, and the prefix of these.
_KINDS = {
    "events": ("events", "id", "evt_"),
    "deliveries": ("deliveries_ended", "id", "dlv_"),
    "attempts": ("attempts", "delivery_id", "dlv_"),
}
# Attaching a day reads the whole default partition, which nobody else can use meanwhile.
_READ_AT_MOST = "SET LOCAL statement_timeout = '500ms'"
_BUSY = "55P03"
_SENTENCES = {
    "42501": "this user may not create tables, or does not own those of unihooks; let the worker connect as their "
    "owner, with CREATE on the schema",
    "57014": "too much is in the tables whose names end in _others; prune it, and let VACUUM FULL make them small",
}
_logger = logging.getLogger("unihooks.store")


class Days:
    """The partitions of a store; `write` runs a function in a transaction."""

    def __init__(self, write: Callable[[Callable[[Any], Any]], Any]) -> None:
        self._write = write
        self._gate = threading.Lock()
        self._next_look = 0.0
        self._rows_until = 0
        self._is_prevented = False
        self._told: set[str] = set()

    def prune(self, older_than: int, *, exact: bool) -> tuple[int, int]:
        """Create the next days and drop old ones; return how many events went, and until when rows must be deleted.

        Unless `exact`, a day stays until it can go as a whole, if only a part of it is past the retention or somebody
        holds it.
        """
        removed = 0
        if (exact or time.monotonic() >= self._next_look) and self._gate.acquire(blocking=False):
            try:
                self._next_look = time.monotonic() + _SECONDS_BETWEEN_LOOKS
                removed, self._rows_until = self._turn(older_than, exact=exact)
            finally:
                self._gate.release()
        return removed, older_than if exact or self._is_prevented else min(self._rows_until, older_than)

    def make(self) -> None:
        """Create the next days, as far as this user may and nobody holds the tables for long."""
        with self._trying():
            tomorrow, there = self._write(lambda tx: (tx.now // DAY + 1, _there(tx)))
            wanted = [(kind, day) for day in range(tomorrow, tomorrow + _AHEAD) for kind in _KINDS]
            for kind, day in wanted:
                if _name(day) not in there or kind not in there[_name(day)]:
                    self._write(partial(_make, kind=kind, day=day))
            self._is_prevented = False

    def _turn(self, older_than: int, *, exact: bool) -> tuple[int, int]:
        self.make()
        removed = 0
        for day, kinds in sorted(self._write(_there).items()):
            if (_number(day) + 1) * DAY > older_than:
                break
            is_busy = True
            with self._trying():
                if len(kinds) == len(_KINDS):
                    removed += self._write(partial(_empty, day=day, older_than=older_than, exact=exact))
                is_busy = False
                for kind in kinds:
                    self._write(partial(_drop, kind=kind, day=day))
            if is_busy:
                return removed, _number(day) * DAY
        return removed, older_than // DAY * DAY

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """Leave a busy table for another time; log once what else prevents days."""
        try:
            yield
        except StoreError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if state in _SENTENCES:
                self._is_prevented = True
                if state not in self._told:
                    self._told.add(state)
                    sentence = "the log is not kept by days, and old rows are deleted one by one: %s (%s)"
                    _logger.warning(sentence, _SENTENCES[state], error.__cause__)
            elif state != _BUSY:
                raise


def make_first_days(tx: PostgresTransaction) -> None:
    """Create today and the next days in the transaction that creates the tables, when nobody can see them yet."""
    today = tx.now // DAY
    for day in range(today, today + 1 + _AHEAD):
        for kind in _KINDS:
            _make_part(tx, kind, day)


def _there(tx: PostgresTransaction) -> dict[str, set[str]]:
    """Return the existing days by name, each with its kinds."""
    there: dict[str, set[str]] = {}
    for (name,) in tx.fetch("days"):
        kind, _, day = name.rpartition("_")
        there.setdefault(day, set()).add(kind)
    return there


def _alone(tx: PostgresTransaction) -> bool:
    """Return whether nobody else is at work on days; wait for no lock for long."""
    tx.execute(_PATIENCE)
    return bool(tx.fetch("lock_days")[0][0])


def _make(tx: PostgresTransaction, *, kind: str, day: int) -> None:
    if _alone(tx) and kind not in _there(tx).get(_name(day), ()):
        tx.execute(_READ_AT_MOST)
        _make_part(tx, kind, day)


def _make_part(tx: PostgresTransaction, kind: str, day: int) -> None:
    parent, column, prefix = _KINDS[kind]
    bounds = {"first": first_id(prefix, day * DAY), "last": first_id(prefix, (day + 1) * DAY)}
    tx.execute(_text("make_day", kind=kind, parent=parent, id=column, day=_name(day), **bounds))


def _empty(tx: PostgresTransaction, *, day: str, older_than: int, exact: bool) -> int:
    """Remove what is no longer needed of a day, unless that is little; if asked, count the removed events."""
    if not _alone(tx) or not any(_is_used(tx, kind, day) for kind in _KINDS):
        return 0
    bounds = {"first": first_id("", _number(day) * DAY), "last": first_id("", (_number(day) + 1) * DAY)}
    given = {"day": day, "most": str(_MOST_KEPT), "older_than": str(older_than), **bounds}
    # There is no index for this, since it is needed only rarely.
    tx.execute("SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on")
    tx.execute(_text("hold_day", **given))
    newest = tx.value(_text("newest_of_day", **given))
    if newest is not None and newest >= older_than:
        return 0
    for step in ("keep_pending", "keep_events"):
        tx.execute(_text(step, **given))
    if tx.value(_text("is_day_needed", **given)):
        return 0
    before = _count(tx, given) if exact else 0
    for step in ("keep_deliveries", "keep_attempts", "empty_day", "prune_replays_of_day"):
        tx.execute(_text(step, **given))
    return before - (_count(tx, given) if exact else 0)


def _drop(tx: PostgresTransaction, *, kind: str, day: str) -> None:
    """Drop a partition if it is empty."""
    if not _alone(tx) or _is_used(tx, kind, day):
        return
    given = {"kind": kind, "parent": _KINDS[kind][0], "day": day}
    tx.execute(_text("hold_part", **given))
    if not _is_used(tx, kind, day):
        tx.execute(_text("drop_part", **given))


def _count(tx: PostgresTransaction, given: dict[str, str]) -> int:
    return int(tx.value(_text("count_day", **given)))


def _is_used(tx: PostgresTransaction, kind: str, day: str) -> bool:
    return bool(tx.value(_text("is_part_used", kind=kind, day=day)))


def _text(name: str, **given: str) -> str:
    return STATEMENTS[name].text.format(**given)


def _name(day: int) -> str:
    return from_us(day * DAY).strftime("%Y%m%d")


def _number(name: str) -> int:
    """Return the number of days since 1970 of the day with this name."""
    return (datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC) - from_us(0)).days
