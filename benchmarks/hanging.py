"""Measure how much many hanging and unresolvable endpoints delay healthy ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from attrs import evolve, frozen
from databases import place
from deliveries import NAMES
from durable import add_webhook, dispatching
from latency import beats
from receiver import LET_GO, Receiver, checked, wait_for
from tables import Table, against, percentile
from tasks import SECRET, Task, run

from unihooks import Dispatcher, TargetPolicy

HEALTHY = 50
_EACH = 4
_ILL_EVERY = 3
_ILL_SECONDS = 1.0


@frozen(kw_only=True)
class Size:
    """How many endpoints of each kind fail, and how long to emit at which rate."""

    rounds: int = 3
    ill: int = 250
    seconds: float = 10.0
    rate: float = 200.0


SMALL = Size(rounds=1, ill=20, seconds=1.5)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    with Receiver() as receiver:
        for kind in kinds:
            task = Task(
                address=receiver.address,
                kind=kind,
                dsn=dsn,
                endpoints=HEALTHY,
                rates=(size.rate,),
                seconds=size.seconds,
                uvloop=True,
            )
            alone: list[list[float]] = []
            beside: list[list[float]] = []
            for _ in range(size.rounds):
                alone.append(_waits(table, receiver, task))
                beside.append(_waits(table, receiver, evolve(task, ill=size.ill)))
            _show(table, kind, size, alone, beside)


def _waits(table: Table, receiver: Receiver, task: Task) -> list[float]:
    began: dict[str, float] = run(deliver, task, receiver.count)
    report = checked(table, receiver, task.body, f"{task.ill} ill", len(began), secret=SECRET, ids=began)
    return [(report.arrivals[id_] - at) * 1e3 for id_, at in began.items() if at]


def _show(table: Table, kind: str, size: Size, alone: list[list[float]], beside: list[list[float]]) -> None:
    for part in (0.5, 0.99):
        mine, without = ([percentile(one, part) for one in waits] for waits in (beside, alone))
        what = f"{HEALTHY} healthy endpoints beside {size.ill} that hang and {size.ill} without address"
        note = f"emit to receipt at {size.rate:.0f}/s; max {max(map(max, beside)):.0f} ms"
        limit = 1.3 if part == 0.99 else None
        table.add(against(f"{what}, p{part * 100:.0f}", NAMES[kind], mine, without, limit=limit, note=note))


def deliver(task: Task, count: Any) -> dict[str, float]:
    """Emit to the healthy endpoints, and at times to the failing; return when the former began, from 0."""
    ended = Event()

    def resolver(host: str, port: int) -> list[str]:
        if host.startswith("nowhere"):
            ended.wait()
            raise OSError("no such name")
        return ["127.0.0.1"]

    targets = TargetPolicy(allow=["127.0.0.0/8"], resolver=resolver)
    with place(task.kind, task.dsn) as one, dispatching(task, one, targets=targets, deadline=20.0) as dispatcher:
        _subscribe(dispatcher, task)
        try:
            with dispatcher.running():
                began = _emit_all(dispatcher, task, count)
                # Otherwise the worker would shut down gracefully, which takes a deadline.
                count.value = LET_GO
                ended.set()
            return began
        finally:
            ended.set()


def _subscribe(dispatcher: Dispatcher, task: Task) -> None:
    def add(name: str, number: int) -> None:
        path = "hang" if name == "hang" else "keep"
        url = f"https://{name}-{number}.example.com:{task.address.port}/{path}/{number}"
        add_webhook(dispatcher, url, f"{name}.{number}")

    names = {"ok": task.endpoints, "hang": task.ill, "nowhere": task.ill}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, *zip(*((name, number) for name in names for number in range(names[name])), strict=True)))


def _emit_all(dispatcher: Dispatcher, task: Task, count: Any) -> dict[str, float]:
    # The worker is warm, as in practice when endpoints begin to fail.
    began = {_emit(dispatcher, task, "ok", number): 0.0 for number in range(task.endpoints)}
    wait_for(count, len(began))
    _fall_ill(dispatcher, task)
    for number in beats(task.rates[0], task.seconds):
        now = time.monotonic()
        began[_emit(dispatcher, task, "ok", number % task.endpoints)] = now
        if number % _ILL_EVERY == 0:
            # Without failing endpoints, nobody gets these events: the emits are the same, and only sending differs.
            name = ("hang", "nowhere")[number % 2] if task.ill else "unwanted"
            _emit(dispatcher, task, name, number // _ILL_EVERY % max(1, task.ill))
    wait_for(count, len(began))
    return began


def _fall_ill(dispatcher: Dispatcher, task: Task) -> None:
    """Emit more to each failing endpoint than may be in flight, and wait until its requests have begun."""
    for _ in range(_EACH):
        for name in ("hang", "nowhere"):
            dispatcher.emit_many([("bench", f"{name}.{number}", task.payload) for number in range(task.ill)])
    while dispatcher.stats().oldest_unplanned is not None:
        time.sleep(0.1)
    time.sleep(_ILL_SECONDS)


def _emit(dispatcher: Dispatcher, task: Task, name: str, number: int) -> str:
    return dispatcher.emit("bench", f"{name}.{number}", task.payload).id
