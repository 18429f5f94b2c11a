"""Measure how deliveries per second grow with worker processes on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

from attrs import evolve, frozen
from databases import server_cpu
from deliveries import NAMES, middle
from durable import log, opened
from latency import work
from receiver import Receiver, wait_for
from tables import Row, Table, say
from tasks import SECRET, Running, Task, run

PROCESSES = (1, 2, 4)
_BATCH = 500


@frozen(kw_only=True)
class Size:
    """Say how much is sent."""

    rounds: int = 3
    events: int = 12_000


SMALL = Size(rounds=1, events=500)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table; SQLite has one writer at a time and is not for this."""
    if "postgresql" not in kinds:
        return
    runs: dict[int, list[dict[str, float]]] = {processes: [] for processes in PROCESSES}
    with Receiver() as receiver:
        task = Task(address=receiver.address, kind="postgresql", dsn=dsn, endpoints=50, count=size.events, uvloop=True)
        for _ in range(size.rounds):
            for processes in PROCESSES:
                figures = run(with_workers, evolve(task, processes=processes), receiver.count)
                report = receiver.report(task.body, SECRET)
                counts = {report.count, figures["delivered"], figures["attempts"], figures["events"]}
                good = counts == {size.events} and report.wrong == 0
                table.check(f"{processes} processes: {report.count}, wrong {report.wrong}; {figures}", good=good)
                say(f"{processes} processes: {figures['rate']:,.0f}/s")
                runs[processes].append(figures)
    for processes in PROCESSES:
        _show(table, processes, runs)


def _show(table: Table, processes: int, runs: dict[int, list[dict[str, float]]]) -> None:
    mine, single = runs[processes], runs[1]
    ratios = [one["rate"] / other["rate"] for one, other in zip(mine, single, strict=True)]
    table.add(
        Row(
            what=f"deliveries per second, {processes} worker process{'es' if processes > 1 else ''}",
            where=NAMES["postgresql"],
            value=middle(mine, "rate"),
            reference=middle(single, "rate"),
            ratio=median(ratios),
            unit="/s",
            cpu=middle(mine, "cpu"),
            db=middle(mine, "db"),
            runs=[one["rate"] for one in mine],
            note="receiver, workers and database share the machine",
        )
    )


def with_workers(task: Task, count: Any) -> dict[str, float]:
    """Emit, and let worker processes deliver."""
    with opened(task) as (dispatcher, one), ExitStack() as stack:
        visitor = evolve(task, store=one.name)
        workers = [stack.enter_context(Running(work, visitor, count)) for _ in range(task.processes)]
        while len(dispatcher.stats().workers) < task.processes:
            time.sleep(0.05)
        database, began = server_cpu(task.dsn), time.perf_counter()
        for start in range(0, task.count, _BATCH):
            batch = range(start, min(task.count, start + _BATCH))
            dispatcher.emit_many([("bench", f"type.{number % task.endpoints}", task.payload) for number in batch])
        wait_for(count, task.count)
        seconds, used = time.perf_counter() - began, server_cpu(task.dsn) - database
        for worker in workers:
            worker.stop()
        cpu = sum(worker.result() for worker in workers)
        per = {"cpu": cpu / task.count * 1e6, "db": used / task.count * 1e6}
        return {"rate": task.count / seconds, **per, **log(one)}
