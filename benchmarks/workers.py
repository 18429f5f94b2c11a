"""Measure how deliveries per second grow with worker processes on PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

from attrs import evolve, frozen
from databases import cpu_of, server_cpu, visit
from deliveries import NAMES, middle
from durable import dispatching, log, opened
from receiver import Receiver, wait_for
from tables import Row, Table, say
from tasks import IN_FLIGHT, SECRET, Running, Task, run

from unihooks import Dispatcher, Worker

PROCESSES = (1, 2, 4)
_BATCH = 500


@frozen(kw_only=True)
class Size:
    """How much to send."""

    rounds: int = 3
    warm: int = 4_000
    events: int = 12_000


SMALL = Size(rounds=1, warm=100, events=400)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table; SQLite is left out, since it has one writer at a time."""
    if "postgresql" not in kinds:
        return
    runs: dict[int, list[dict[str, float]]] = {processes: [] for processes in PROCESSES}
    with Receiver() as receiver:
        task = Task(address=receiver.address, kind="postgresql", dsn=dsn, endpoints=50, uvloop=True)
        task = evolve(task, warm=size.warm, count=size.events)
        for _ in range(size.rounds):
            for processes in PROCESSES:
                figures = run(with_workers, evolve(task, processes=processes), receiver.count)
                report = receiver.report(task.body, SECRET)
                counts = {report.count, figures["delivered"], figures["attempts"], figures["events"]}
                good = counts == {size.warm + size.events} and report.wrong == 0
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
    """Emit, and let worker processes deliver; measure once each of them has its connections."""
    with opened(task) as (dispatcher, one), ExitStack() as stack:
        visitor = evolve(task, store=one.name)
        workers = [stack.enter_context(Running(deliver, visitor, count)) for _ in range(task.processes)]
        while len(dispatcher.stats().workers) < task.processes:
            time.sleep(0.05)
        _emit(dispatcher, task, task.warm)
        wait_for(count, task.warm)
        database, used = server_cpu(task.dsn), sum(cpu_of(worker.pid) for worker in workers)
        began = time.perf_counter()
        _emit(dispatcher, task, task.count)
        wait_for(count, task.warm + task.count)
        seconds = time.perf_counter() - began
        cpu = sum(cpu_of(worker.pid) for worker in workers) - used
        per = {"cpu": cpu / task.count * 1e6, "db": (server_cpu(task.dsn) - database) / task.count * 1e6}
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.result()
        return {"rate": task.count / seconds, **per, **log(one)}


def _emit(dispatcher: Dispatcher, task: Task, events: int) -> None:
    for start in range(0, events, _BATCH):
        batch = range(start, min(events, start + _BATCH))
        dispatcher.emit_many([("bench", f"type.{number % task.endpoints}", task.payload) for number in batch])


def deliver(task: Task, count: Any) -> None:
    """Run a worker until SIGTERM, with as many requests in flight as in the other rows."""
    with dispatching(task, visit(task.kind, task.dsn, task.store)) as dispatcher:
        Worker(dispatcher, concurrency=IN_FLIGHT, per_endpoint=IN_FLIGHT).run()
