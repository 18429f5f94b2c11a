"""Measure how much a job that recovers many events of one tenant delays another tenant's live ones."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count as numbers
from statistics import median
from typing import Any

from attrs import frozen
from databases import place
from deliveries import NAMES
from durable import add_webhook, dispatching, emit_one
from receiver import Receiver, checked, wait_for
from tables import Table, against, percentile
from tasks import SECRET, Task, run

from unihooks import Dispatcher, Job, Webhook

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_BATCH = 1_000
_LOOK_EVERY = 25


@frozen(kw_only=True)
class Size:
    """How many events are recovered, and how long the live ones are emitted alone, at which rate."""

    rounds: int = 1
    events: int = 100_000
    seconds: float = 30.0
    rate: float = 100.0


SMALL = Size(events=400, seconds=0.5)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    with Receiver() as receiver:
        for kind in kinds:
            task = Task(
                address=receiver.address,
                kind=kind,
                dsn=dsn,
                count=size.events,
                rates=(size.rate,),
                seconds=size.seconds,
                uvloop=True,
            )
            _show(table, kind, size, [_waits(table, receiver, task) for _ in range(size.rounds)])


Waits = tuple[list[float], list[float], float]


def _waits(table: Table, receiver: Receiver, task: Task) -> Waits:
    """Return the milliseconds from emit to receipt, alone and beside the job, and what that made per second."""
    alone, beside, rate = run(deliver, task, receiver.count)
    expected = task.count + task.endpoints + len(alone) + len(beside)
    report = checked(table, receiver, task.body, "recovery", expected, secret=SECRET)
    table.check("recovery: an event came twice", good=len(report.arrivals) == expected)
    first, second = ([(report.arrivals[id_] - at) * 1e3 for id_, at in one.items()] for one in (alone, beside))
    return first, second, rate


def _show(table: Table, kind: str, size: Size, waits: Sequence[Waits]) -> None:
    rate = median(one[2] for one in waits)
    for part in (0.5, 0.99):
        without, mine = ([percentile(one[which], part) for one in waits] for which in (0, 1))
        what = f"live events beside a job that recovers {size.events:,} of another tenant, p{part * 100:.0f}"
        note = f"emit to receipt at {size.rate:.0f}/s; the job makes {rate:.0f}/s"
        limit = 1.5 if part == 0.99 else None
        table.add(against(what, NAMES[kind], mine, without, limit=limit, note=note))


def deliver(task: Task, count: Any) -> tuple[dict[str, float], dict[str, float], float]:
    """Emit live events alone, then until a job has ended; return when they began, and what the job made per second."""
    with place(task.kind, task.dsn) as one, dispatching(task, one) as dispatcher:
        missed = _missed(dispatcher, task)
        for number, url in enumerate(task.urls):
            add_webhook(dispatcher, url, f"type.{number}", tenant="live")
        with dispatcher.running():
            for number in range(task.endpoints):
                emit_one(dispatcher, task, number, "live")
            wait_for(count, task.endpoints)
            for_so_long = _beats(task, int(task.rates[0] * task.seconds))
            alone = {emit_one(dispatcher, task, number, "live"): at for number, at in for_so_long}
            job = dispatcher.jobs.recover(missed.id, tenant="missed", since=_LONG_AGO)
            beside, began = {}, time.monotonic()
            for number, at in _beats(task):
                beside[emit_one(dispatcher, task, number, "live")] = at
                if number % _LOOK_EVERY == 0 and _is_over(dispatcher, job):
                    break
            rate = task.count / (time.monotonic() - began)
            wait_for(count, task.endpoints + len(alone) + len(beside) + task.count)
        return alone, beside, rate


def _is_over(dispatcher: Dispatcher, job: Job) -> bool:
    return dispatcher.jobs.get(job.id, tenant=job.tenant).ended_at is not None


def _beats(task: Task, most: int | None = None) -> Iterator[tuple[int, float]]:
    """Yield numbers at the task's rate, each with its moment."""
    start = time.monotonic()
    for number in numbers() if most is None else range(most):
        time.sleep(max(0.0, start + number / task.rates[0] - time.monotonic()))
        yield number, time.monotonic()


def _missed(dispatcher: Dispatcher, task: Task) -> Webhook:
    """Emit what a webhook of another tenant misses, and activate that."""
    webhook = add_webhook(dispatcher, task.urls[0], "*", tenant="missed", active=False)
    for start in range(0, task.count, _BATCH):
        batch = range(start, min(task.count, start + _BATCH))
        dispatcher.emit_many([("bench", "type", task.payload) for _ in batch], tenant="missed")
    dispatcher.drain(timeout=600)
    return dispatcher.webhooks.activate(webhook.id, tenant="missed")
