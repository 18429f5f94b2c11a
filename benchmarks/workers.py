"""Measure the gain and cost of more worker processes on PostgreSQL: at light load, at high load, and far away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

from attrs import evolve, frozen
from databases import server_cpu, visit
from deliveries import NAMES, middle
from durable import dispatching, emit_one, log, opened
from far import far
from latency import beats
from receiver import Receiver, Report, checked, wait_for
from tables import Row, Table, against, percentile, say
from tasks import IN_FLIGHT, SECRET, Running, Task, run
from usage import cpu_of

from unihooks import Dispatcher, Worker
from unihooks._message import requests

LIGHT_RATE = 100.0
AWAY_SECONDS = 0.05
_WHERE = NAMES["postgresql"]
_BATCH = 500
# The limits of the cost of several workers relative to one, by their number, and of the longer latency.
_LIGHT_LIMITS = {4: 1.2, 16: 1.5}
_LIGHT_WAITS_LIMIT = 2.0
_MORE_LIMIT = 1.0
_FAR_LIMIT = 0.95
_SHARED_LIMIT = 0.9
_SETTLE_SECONDS = 0.3
# Share of the backlog; its last batches say little about the rate while there is one.
_MEASURED_PART = 0.9

Figures = dict[str, Any]
Runs = dict[Any, list[Figures]]


@frozen(kw_only=True)
class Size:
    """How much to send, with how many workers. The last two numbers of `saturated` are compared."""

    rounds: int = 3
    warm: int = 4_000
    events: int = 20_000
    far: int = 40_000
    light: float = 10.0
    settled: bool = True
    at_rate: Sequence[int] = (1, 4, 16)
    saturated: Sequence[int] = (1, 2, 4, 8)


SMALL = Size(rounds=1, warm=100, events=400, far=400, light=1.0, settled=False, at_rate=(1, 2), saturated=(1, 2))


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table; SQLite is left out, since it has one writer at a time."""
    if "postgresql" not in kinds:
        return
    with Receiver() as receiver, far(dsn, AWAY_SECONDS) as away:
        task = Task(address=receiver.address, kind="postgresql", dsn=dsn, endpoints=50, uvloop=True)
        task = evolve(task, settled=size.settled)
        _light(table, receiver, evolve(task, rates=(LIGHT_RATE,), seconds=size.light), size)
        task = evolve(task, warm=size.warm, count=size.events)
        _saturated(table, receiver, task, size)
        _near_and_far(table, receiver, evolve(task, count=size.far), away, size.rounds)


# At light load.


def _light(table: Table, receiver: Receiver, task: Task, size: Size) -> None:
    runs: Runs = {processes: [] for processes in size.at_rate}
    for _ in range(size.rounds):
        for processes in size.at_rate:
            figures = run(at_light_load, evolve(task, processes=processes), receiver.count)
            counts, what = (figures["events"], figures["delivered"]), f"{processes} processes"
            report = checked(table, receiver, task.body, what, *counts, secret=SECRET)
            waits = [(report.arrivals.get(id_, 0.0) - at) * 1e3 for id_, at in figures.pop("began").items()]
            runs[processes].append({**figures, "p99": percentile(waits, 0.99)})
            last = runs[processes][-1]
            say(f"{processes} processes at {LIGHT_RATE:.0f}/s: {last['cpu']:,.0f} us, p99 {last['p99']:.0f} ms")
    for processes in size.at_rate:
        for name, what, unit in (("cpu", "CPU of all workers for a delivery", "us"), ("p99", "emit to receipt", "ms")):
            table.add(_light_row(runs, processes, name, what, unit))


def _light_row(runs: Runs, processes: int, name: str, what: str, unit: str) -> Row:
    mine, single = ([one[name] for one in runs[number]] for number in (processes, 1))
    limits = _LIGHT_LIMITS if name == "cpu" else dict.fromkeys(_LIGHT_LIMITS, _LIGHT_WAITS_LIMIT)
    return against(
        f"{what} at {LIGHT_RATE:.0f}/s, {_count(processes)}{', p99' if name == 'p99' else ''}",
        _WHERE,
        mine,
        single,
        unit=unit,
        limit=limits.get(processes),
        runs=mine,
        db=middle(runs[processes], "db") if name == "cpu" else None,
    )


def at_light_load(task: Task, count: Any) -> Figures:
    """Emit at a steady pace beside worker processes; return what they took, and when each event began."""
    with opened(task) as (dispatcher, one), ExitStack() as stack:
        workers = _start(stack, dispatcher, [evolve(task, store=one.name)] * task.processes, count)
        emitted = {emit_one(dispatcher, task, number): 0.0 for number in range(task.endpoints)}
        wait_for(count, len(emitted))
        time.sleep(_SETTLE_SECONDS)
        began: dict[str, float] = {}
        database, used = server_cpu(task.dsn), sum(cpu_of(worker.pid) for worker in workers)
        for number in beats(task.rates[0], task.seconds):
            at = time.monotonic()
            began[emit_one(dispatcher, task, number)] = at
        wait_for(count, len(emitted) + len(began))
        time.sleep(_SETTLE_SECONDS)
        cpu, db = sum(cpu_of(worker.pid) for worker in workers) - used, server_cpu(task.dsn) - database
        _stop(workers)
        return {"cpu": cpu / len(began) * 1e6, "db": db / len(began) * 1e6, "began": began, **log(one)}


# Under full load.


def _saturated(table: Table, receiver: Receiver, task: Task, size: Size) -> None:
    compared = fewer, more = size.saturated[-2:]
    runs: Runs = {key: [] for key in (*size.saturated, *map(_apart, compared))}
    for _ in range(size.rounds):
        for processes in size.saturated:
            runs[processes].append(_measured(table, receiver, evolve(task, processes=processes), _count(processes)))
        for processes in compared:
            apart = evolve(task, processes=processes, stores=processes)
            runs[_apart(processes)].append(_measured(table, receiver, apart, _apart(processes)))
    for processes in size.saturated:
        _show(table, runs, processes, fewer if processes == more else None)
    table.add(_apart_row(runs, fewer, more))
    shares = [one["share"] for one in runs[fewer]]
    table.add(
        Row(
            what=f"requests to an endpoint that come from its main one of {_count(fewer)}, under load",
            where=_WHERE,
            value=median(shares),
            unit="",
            limit=_SHARED_LIMIT,
            at_least=True,
            runs=shares,
            note="over the last quarter of the requests; the other workers need no connection to the endpoint",
        )
    )


def _measured(table: Table, receiver: Receiver, task: Task, what: str) -> Figures:
    figures: Figures = run(with_workers, task, receiver.count)
    counts = (figures["delivered"], figures["attempts"], figures["events"])
    report = checked(table, receiver, task.body, what, task.warm + task.count, *counts, secret=SECRET)
    figures["share"] = _main_share(report)
    say(f"{what}: {figures['rate']:,.0f}/s, main share {figures['share']:.2f}")
    return figures


def _main_share(report: Report) -> float:
    """Return which share of the requests to each endpoint comes from the worker that sends it most."""
    return sum(max(one.values()) for one in report.senders.values()) / sum(
        sum(one.values()) for one in report.senders.values()
    )


def _show(table: Table, runs: Runs, processes: int, fewer: int | None) -> None:
    mine, others = ([one["rate"] for one in runs[number]] for number in (processes, fewer or 1))
    row = against(
        f"deliveries per second of a backlog, {_count(processes)}",
        _WHERE,
        mine,
        others,
        unit="/s",
        limit=_MORE_LIMIT if fewer else None,
        at_least=True,
        cpu=middle(runs[processes], "cpu"),
        db=middle(runs[processes], "db"),
        runs=mine,
        note=f"receiver, workers and database share the machine{f'; reference: {fewer}' if fewer else ''}",
    )
    table.add(row)


def _apart_row(runs: Runs, fewer: int, more: int) -> Row:
    """Return what the same step costs workers that share no more than the machine."""
    last = runs[_apart(more)]
    return against(
        f"deliveries per second of a backlog, {_apart(more)}",
        _WHERE,
        [one["rate"] for one in last],
        [one["rate"] for one in runs[_apart(fewer)]],
        unit="/s",
        cpu=middle(last, "cpu"),
        db=middle(last, "db"),
        runs=[one["rate"] for one in last],
        note=f"reference: {fewer}; what the machine alone costs, with no store shared",
    )


def _near_and_far(table: Table, receiver: Receiver, task: Task, away: str, rounds: int) -> None:
    alone, both = [], []
    for _ in range(rounds):
        alone.append(_measured(table, receiver, task, "a near worker")["rate"])
        beside = evolve(task, away=away, processes=2)
        both.append(_measured(table, receiver, beside, "a near and a far worker")["rate"])
    what = f"deliveries per second of a backlog, a near and a far worker ({AWAY_SECONDS * 1e3:.0f} ms away)"
    limit: dict[str, Any] = {"limit": _FAR_LIMIT, "at_least": True}
    table.add(against(what, _WHERE, both, alone, unit="/s", runs=both, note="reference: the near one alone", **limit))


def with_workers(task: Task, count: Any) -> Figures:
    """Let worker processes deliver a backlog; measure while there is one, once each of them has its connections.

    They are frozen until all is emitted: an emitter that has to share their cores would give them too little.
    """
    with ExitStack() as stack:
        opened_stores = [stack.enter_context(opened(task)) for _ in range(task.stores)]
        each = task.processes // task.stores
        workers: list[Running] = []
        for dispatcher, one in opened_stores:
            visitors = [evolve(task, store=one.name)] * each
            if task.away:
                visitors[-1] = evolve(visitors[-1], dsn=task.away)
            workers += _start(stack, dispatcher, visitors, count)
        dispatchers = [dispatcher for dispatcher, _ in opened_stores]
        _emit(dispatchers, task, task.warm)
        wait_for(count, task.warm)
        time.sleep(_SETTLE_SECONDS)
        with _frozen(workers):
            _emit(dispatchers, task, task.count)
            database, used = server_cpu(task.dsn), sum(cpu_of(worker.pid) for worker in workers)
        began = time.perf_counter()
        measured = int(task.count * _MEASURED_PART)
        wait_for(count, task.warm + measured)
        seconds = time.perf_counter() - began
        cpu = sum(cpu_of(worker.pid) for worker in workers) - used
        per = {"cpu": cpu / measured * 1e6, "db": (server_cpu(task.dsn) - database) / measured * 1e6}
        wait_for(count, task.warm + task.count)
        _stop(workers)
        logs = [log(one) for _, one in opened_stores]
        return {"rate": measured / seconds, **per, **{name: sum(one[name] for one in logs) for name in logs[0]}}


def _start(stack: ExitStack, dispatcher: Dispatcher, tasks: Sequence[Task], count: Any) -> list[Running]:
    """Start worker processes, and wait until each has sent a heartbeat that tells it of all others."""
    workers = [stack.enter_context(Running(deliver, task, count)) for task in tasks]
    while len(dispatcher.stats().workers) < len(tasks):
        time.sleep(0.05)
    last = max(one.seen_at for one in dispatcher.stats().workers)
    while tasks[0].settled and len(tasks) > 1 and min(one.seen_at for one in dispatcher.stats().workers) <= last:
        time.sleep(0.25)
    return workers


@contextmanager
def _frozen(workers: Sequence[Running]) -> Iterator[None]:
    for worker in workers:
        os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in workers:
            os.kill(worker.pid, signal.SIGCONT)


def _stop(workers: Sequence[Running]) -> None:
    for worker in workers:
        worker.stop()
    for worker in workers:
        worker.result()


def _emit(dispatchers: Sequence[Dispatcher], task: Task, events: int) -> None:
    """Emit so many events in all, an equal part of them by each dispatcher."""
    bounds = [events * number // len(dispatchers) for number in range(len(dispatchers) + 1)]
    for dispatcher, first, end in zip(dispatchers, bounds, bounds[1:], strict=False):
        for start in range(first, end, _BATCH):
            batch = range(start, min(end, start + _BATCH))
            dispatcher.emit_many([("bench", f"type.{number % task.endpoints}", task.payload) for number in batch])


def deliver(task: Task, count: Any) -> None:
    """Run a worker until SIGTERM, with as many requests in flight as in the other rows."""
    # The receiver tells workers apart by this.
    requests.USER_AGENT = f"worker-{os.getpid()}"
    with dispatching(task, visit(task.kind, task.dsn, task.store)) as dispatcher:
        Worker(dispatcher, concurrency=IN_FLIGHT, per_endpoint=IN_FLIGHT).run()


def _apart(processes: int) -> str:
    return f"{_count(processes)} with a store each"


def _count(processes: int) -> str:
    return f"{processes} worker process{'es' if processes > 1 else ''}"
