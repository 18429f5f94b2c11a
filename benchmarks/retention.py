"""Measure on PostgreSQL what it costs to remove old data: by whole days, and row by row."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from attrs import frozen
from databases import Place, place, server_cpu
from deliveries import NAMES
from tables import Row, Table, say

from unihooks._base.ids import derived_id, new_id
from unihooks._base.times import DAY
from unihooks.stores.postgres.days import _KINDS, _make_part

AGO = 40
_BATCH = 200
_BODY = b'{"order":17,"paid":true,"lines":[' + b'{"sku":"A-1","count":2},' * 40 + b"{}]}"
_HEADERS = '[["content-type","application/json"],["server","nginx"],["date","Mon, 02 Nov 2026 10:00:00 GMT"]]'
_COLUMNS = {
    "events": "tenant, id, product, event_type, body, created_at",
    "deliveries": "tenant, id, event_id, webhook_id, endpoint_id, product, event_type, state, due_at, attempt_count, "
    "created_at",
    "attempts": "delivery_id, number, url, started_at, duration_us, status_code, request_headers, response_headers, "
    "response_body, warnings",
}

_KIND = ("shop", "order.paid")
_ROWS: dict[str, Callable[[str, str, int], tuple[Any, ...]]] = {
    "events": lambda event, _, at: ("acme", event, *_KIND, _BODY, at),
    "deliveries": lambda event, id_, at: ("acme", id_, event, "whk_1", "end_1", *_KIND, "delivered", at, 1, at),
    "attempts": lambda _, id_, at: (id_, 1, "https://a.example.com/", at, 5_000, 200, _HEADERS, _HEADERS, b"ok", "[]"),
}


@frozen(kw_only=True)
class Size:
    """How many events there are to be removed."""

    events: int = 300_000
    rows: int = 100_000


SMALL = Size(events=2_000, rows=1_000)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    if "postgresql" not in kinds:
        return
    for by_days, count in ((False, size.rows), (True, size.events)):
        with place("postgresql", dsn) as one:
            figures = _removed(one, dsn, count, by_days=by_days)
        how = f"{count:,} events, {'by days' if by_days else 'row by row'}"
        table.check(f"{how}: {figures['left']:,.0f} left", good=not figures["left"])
        say(f"{how}: {figures}")
        common: dict[str, Any] = {"where": NAMES["postgresql"], "note": "each with one delivery and one attempt"}
        table.add(Row(what=f"time to remove {how}", value=figures["seconds"] * 1000, **common))
        table.add(Row(what=f"CPU of the database, {how}", value=figures["cpu"] * 1000, **common))
        table.add(Row(what=f"CPU of VACUUM afterwards, {how}", value=figures["vacuum"] * 1000, **common))
        table.add(Row(what=f"WAL, {how}", value=figures["log"] / 1e6, unit="MB", **common))


def _removed(one: Place, dsn: str, count: int, *, by_days: bool) -> dict[str, float]:
    """Fill a day of long ago, and remove it as a worker does."""
    store: Any = one.store
    first = (store.now() // DAY - AGO) * DAY
    if by_days:
        store._database.write(lambda tx: [_make_part(tx, kind, first // DAY) for kind in _KINDS])  # noqa: SLF001 - no store makes past days
    _fill(one, first, count)
    one.settle()
    older_than = store.now() - (AGO - 10) * DAY
    cpu, log, began = server_cpu(dsn), one.written(), time.monotonic()
    while store.prune(older_than, _BATCH, exact=False) >= _BATCH:
        pass
    seconds, spent, written = time.monotonic() - began, server_cpu(dsn) - cpu, one.written() - log
    cpu = server_cpu(dsn)
    one.settle()
    left = sum(one.fetch(f"SELECT count(*) FROM {one.prefix}{name}")[0] for name in _COLUMNS)
    return {"seconds": seconds, "cpu": spent, "log": written, "vacuum": server_cpu(dsn) - cpu, "left": left}


def _fill(one: Place, first: int, count: int) -> None:
    times = [first + DAY * number // count for number in range(count)]
    events = [(new_id("evt_", at), at) for at in times]
    with psycopg.connect(one.target, autocommit=True) as connection:
        for name, row_of in _ROWS.items():
            with connection.cursor().copy(f"COPY {one.prefix}{name} ({_COLUMNS[name]}) FROM STDIN") as copy:
                for id_, at in events:
                    copy.write_row(row_of(id_, derived_id("dlv_", id_, "end_1"), at))
