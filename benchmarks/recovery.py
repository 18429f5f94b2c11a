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
from durable import dispatching
from receiver import Receiver, wait_for
from tables import Row, Table, percentile
from tasks import SECRET, Task, run

from unihooks import Dispatcher, EventSubscription, Job, Secret, Webhook

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
    report = receiver.report(task.body, SECRET)
    expected = task.count + task.endpoints + len(alone) + len(beside)
    good = report.count == expected == len(report.arrivals) and report.wrong == 0
    table.check(f"recovery: received {report.count} of {expected}, wrong {report.wrong}", good=good)
    first, second = ([(report.arrivals[id_] - at) * 1e3 for id_, at in one.items()] for one in (alone, beside))
    return first, second, rate


def _show(table: Table, kind: str, size: Size, waits: Sequence[Waits]) -> None:
    rate = median(one[2] for one in waits)
    for part in (0.5, 0.99):
        without, mine = ([percentile(one[which], part) for one in waits] for which in (0, 1))
        ratios = [one / other for one, other in zip(mine, without, strict=True)]
        table.add(
            Row(
                what=f"live events beside a job that recovers {size.events:,} of another tenant, p{part * 100:.0f}",
                where=NAMES[kind],
                value=median(mine),
                reference=median(without),
                ratio=median(ratios),
                runs=ratios,
                limit=1.5 if part == 0.99 else None,
                note=f"emit to receipt at {size.rate:.0f}/s; the job makes {rate:.0f}/s",
            )
        )


def deliver(task: Task, count: Any) -> tuple[dict[str, float], dict[str, float], float]:
    """Emit live events alone, then until a job has ended; return when they began, and what the job made per second."""
    with place(task.kind, task.dsn) as one, dispatching(task, one) as dispatcher:
        missed = _missed(dispatcher, task)
        for number, url in enumerate(task.urls):
            _subscribe(dispatcher, "live", url, f"type.{number}")
        with dispatcher.running():
            for number in range(task.endpoints):
                _emit(dispatcher, task, number)
            wait_for(count, task.endpoints)
            alone = {
                _emit(dispatcher, task, number): at for number, at in _beats(task, int(task.rates[0] * task.seconds))
            }
            job, beside, began = (
                dispatcher.jobs.recover(missed.id, tenant="missed", since=_LONG_AGO),
                {},
                time.monotonic(),
            )
            for number, at in _beats(task):
                beside[_emit(dispatcher, task, number)] = at
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
    webhook = _subscribe(dispatcher, "missed", task.urls[0], "*", active=False)
    for start in range(0, task.count, _BATCH):
        batch = range(start, min(task.count, start + _BATCH))
        dispatcher.emit_many([("bench", "type", task.payload) for _ in batch], tenant="missed")
    dispatcher.drain(timeout=600)
    return dispatcher.webhooks.activate(webhook.id, tenant="missed")


def _subscribe(dispatcher: Dispatcher, tenant: str, url: str, event_type: str, *, active: bool = True) -> Webhook:
    wanted = [EventSubscription("bench", event_type)]
    webhook = Webhook(name=url, endpoints=[url], subscriptions=wanted, secrets=[Secret(SECRET)])
    added = dispatcher.webhooks.add(webhook, tenant=tenant)
    return dispatcher.webhooks.activate(added.id, tenant=tenant) if active else added


def _emit(dispatcher: Dispatcher, task: Task, number: int) -> str:
    return dispatcher.emit("bench", f"type.{number % task.endpoints}", task.payload, tenant="live").id
