"""Measure what deliveries leave behind on PostgreSQL: bytes of WAL, and of tables and indexes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen
from databases import Place, visit
from deliveries import NAMES, middle
from durable import dispatching, emit, log, opened
from receiver import Receiver, checked, wait_for
from tables import Row, Table, say
from tasks import IN_FLIGHT, SECRET, Running, Task, run

from unihooks import Worker

FAN_OUTS = (1, 10)
TABLES = ("events", "deliveries", "attempts")
LOG, DISK = "WAL per delivery", "tables and indexes per delivery"
EVENT_DISK = "tables and indexes per event"
# A table may have partitions, whose names begin with its own. The one of pending deliveries does not grow.
_BYTES = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = '{schema}' AND c.relkind = 'r' AND c.relname <> 'deliveries_pending'
    AND (c.relname = '{table}' OR c.relname LIKE '{table}\\_%')
"""


@frozen(kw_only=True)
class Size:
    """How much to send."""

    rounds: int = 3
    warm: int = 2_000
    count: int = 30_000


SMALL = Size(rounds=1, warm=100, count=400)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    if "postgresql" not in kinds:
        return
    with Receiver() as receiver:
        task = Task(address=receiver.address, kind="postgresql", dsn=dsn, uvloop=True)
        for fan_out in FAN_OUTS:
            mine = evolve(task, fan_out=fan_out, warm=size.warm, count=size.count)
            runs = []
            for _ in range(size.rounds):
                figures = run(grown, mine, receiver.count)
                counts = (figures["delivered"], figures["attempts"], figures["events"] * fan_out)
                expected = size.warm + size.count
                checked(table, receiver, task.body, f"fan-out {fan_out}", expected, *counts, secret=SECRET)
                say(f"fan-out {fan_out}: {figures['bytes of log']:,.0f} bytes of log")
                runs.append(figures)
            _show(table, fan_out, runs)


def _show(table: Table, fan_out: int, runs: Sequence[dict[str, float]]) -> None:
    values = {name: middle(runs, f"bytes of {name}") for name in (*TABLES, "log")}
    common: dict[str, Any] = {"where": NAMES["postgresql"], "unit": "bytes"}
    of = f", fan-out {fan_out}"
    logged = [one["bytes of log"] for one in runs]
    table.add(Row(what=LOG + of, value=values["log"], runs=logged, note="payloads of 1 KB", **common))
    note = f"deliveries {values['deliveries']:,.0f}, attempts {values['attempts']:,.0f}"
    table.add(Row(what=DISK + of, value=values["deliveries"] + values["attempts"], note=note, **common))
    table.add(Row(what=EVENT_DISK + of, value=values["events"] * fan_out, note="payloads of 1 KB", **common))


def grown(task: Task, count: Any) -> dict[str, float]:
    """Emit, and let one worker process deliver; return what a delivery has left behind."""
    with opened(task) as (dispatcher, one), Running(deliver, evolve(task, store=one.name), count) as worker:
        emit(dispatcher, task, task.warm, 0, count)
        wait_for(count, task.warm)
        before = _left(one)
        emit(dispatcher, task, task.count, task.warm, count)
        wait_for(count, task.warm + task.count)
        worker.stop()
        worker.result()
        after = _left(one)
        return {**{name: (after[name] - before[name]) / task.count for name in after}, **log(one)}


def _left(one: Place) -> dict[str, float]:
    sizes = {f"bytes of {table}": one.fetch(_BYTES.format(schema=one.name, table=table))[0] for table in TABLES}
    return {"bytes of log": one.written(), **sizes}


def deliver(task: Task, count: Any) -> None:
    """Run a worker until SIGTERM."""
    with dispatching(task, visit(task.kind, task.dsn, task.store)) as dispatcher:
        Worker(dispatcher, concurrency=IN_FLIGHT, per_endpoint=IN_FLIGHT).run()
