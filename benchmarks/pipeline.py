"""Measure the whole pipeline beside a bare client: deliveries, emits, and the way from emit to receipt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import latencies
import senders
from attrs import evolve, frozen
from receiver import Receiver
from senders import BODY, SECRET, Task
from tables import Row, Table, percentile, say

SQLITE = "SQLite, synchronous=FULL"


@frozen(kw_only=True)
class Size:
    """Say how much is sent."""

    rounds: int = 5
    deliveries: int = 12_000
    warm: int = 2_000
    httpx: int = 500
    emits: int = 20_000
    seconds: float = 4.0


SMALL = Size(rounds=1, deliveries=600, warm=200, httpx=100, emits=500, seconds=0.3)


def measure(table: Table, size: Size) -> None:
    """Fill the table."""
    with Receiver() as receiver:
        task = Task(port=receiver.port, authority=receiver.authority)
        _deliveries(table, receiver, task, size)
        _emits(table, task, size)
        _receipts(table, receiver, task, size)


# Deliveries per second and CPU of each.

Runs = list[dict[str, float]]


def _deliveries(table: Table, receiver: Receiver, task: Task, size: Size) -> None:
    task = evolve(task, count=size.deliveries, warm=size.warm)
    lean = evolve(task, count=size.httpx, warm=size.httpx // 10)
    variants: dict[str, tuple[Callable[..., Any], Task]] = {
        "aiohttp": (senders.bare_aiohttp, task),
        "aiohttp, uvloop": (senders.bare_aiohttp, evolve(task, uvloop=True)),
        "httpx": (senders.shared_httpx, lean),
        "1": (senders.durable, task),
        "1, uvloop": (senders.durable, evolve(task, uvloop=True)),
        "10": (senders.durable, evolve(task, fan_out=10)),
        "10, uvloop": (senders.durable, evolve(task, fan_out=10, uvloop=True)),
    }
    runs: dict[str, Runs] = {name: [] for name in variants}
    for number in range(size.rounds):
        for name in list(variants) if number % 2 else reversed(variants):
            sender, mine = variants[name]
            figures = senders.run(sender, mine, receiver.count)
            _check(table, receiver, name, mine, figures)
            runs[name].append(figures)
            say(f"{name}: {figures['cpu']:.0f} us CPU, {figures['rate']:,.0f}/s")
    _show_deliveries(table, runs)


def _check(table: Table, receiver: Receiver, name: str, task: Task, figures: dict[str, float]) -> None:
    """See that the receiver's count, the log's and what was emitted agree, and that every signature is valid."""
    is_durable = "delivered" in figures
    report = receiver.report(BODY, SECRET if is_durable else None)
    expected = task.warm + task.count
    good = report.count == expected and report.wrong == 0 and len(set(report.paths.values())) == 1
    if is_durable:
        counts = {figures[key] for key in ("delivered", "deliveries", "attempts")}
        good = good and counts == {expected} and figures["events"] * task.fan_out == expected
    table.check(f"{name}: received {report.count}, wrong {report.wrong}, of {expected}; {figures}", good=good)


def _show_deliveries(table: Table, runs: dict[str, Runs]) -> None:
    plain, fast = runs["aiohttp"], runs["aiohttp, uvloop"]
    best = [min(one["cpu"], other["cpu"]) for one, other in zip(plain, fast, strict=True)]
    for name in ("aiohttp", "aiohttp, uvloop", "httpx"):
        note = f"{_middle(runs[name], 'rate'):,.0f}/s; not durable, not signed, not logged"
        table.add(
            Row(what=f"post with {name}", where="nothing", value=_middle(runs[name], "cpu"), unit="us CPU", note=note)
        )
    for name in ("1", "1, uvloop", "10", "10, uvloop"):
        mine = runs[name]
        ratios = [other / one["cpu"] for other, one in zip(best, mine, strict=True)]
        spread = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
        parts = ", ".join(f"{part} {_middle(mine, part):.0f}" for part in ("loop", "writer", "host"))
        note = f"{parts} us; {_middle(mine, 'rate'):,.0f}/s; {spread}; {_middle(mine, 'rss'):.0f} MiB"
        table.add(
            Row(
                what=f"delivery, fan-out {name}; reference / value",
                where=SQLITE,
                value=_middle(mine, "cpu"),
                reference=median(best),
                unit="us CPU",
                ratio=median(ratios),
                limit=1.0 if "uvloop" in name else 0.8,
                at_least=True,
                note=note,
            )
        )
    rates = [one["rate"] / other["rate"] for one, other in zip(runs["1"], runs["httpx"], strict=True)]
    table.add(
        Row(
            what="deliveries per second, fan-out 1, against one httpx.AsyncClient",
            where=SQLITE,
            value=_middle(runs["1"], "rate"),
            reference=_middle(runs["httpx"], "rate"),
            unit="/s",
            ratio=median(rates),
            limit=15,
            at_least=True,
        )
    )


# Emits.


def _emits(table: Table, task: Task, size: Size) -> None:
    paced = evolve(task, count=int(size.seconds * 1_000), rate=1_000.0)
    crowd = evolve(task, count=size.emits, uvloop=True)
    slow, busy, batches = [], [], []
    for _ in range(min(size.rounds, 3)):
        slow.append(senders.run(latencies.paced_emits, paced))
        busy.append(senders.run(latencies.saturated_emits, crowd))
        batches.append(senders.run(latencies.batched_emits, crowd))
    for part, limit in ((0.5, 1), (0.99, 5)):
        value = median(percentile(one, part) for one in slow)
        table.add(Row(what=f"emit at 1,000/s, p{part * 100:.0f}", where=SQLITE, value=value, limit=limit))
    _add_rate(table, f"{latencies.CALLERS} callers of aemit", busy)
    _add_rate(table, "emit_many of 100", batches)


def _add_rate(table: Table, what: str, runs: list[dict[str, Any]]) -> None:
    note = f"{_middle(runs, 'cpu'):.0f} us CPU"
    if "taken" in runs[0]:
        p50, p99 = (median(percentile(one["taken"], part) for one in runs) for part in (0.5, 0.99))
        note = f"p50 {p50:.1f}, p99 {p99:.1f} ms; {note}"
    value = _middle(runs, "rate")
    table.add(Row(what=f"emit, {what}", where=SQLITE, value=value, unit="/s", limit=20_000, at_least=True, note=note))


# From emit to receipt.


def _receipts(table: Table, receiver: Receiver, task: Task, size: Size) -> None:
    task = evolve(task, count=int(size.seconds * 100), rate=100.0, uvloop=True)
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    for _ in range(min(size.rounds, 3)):
        ours.append(_waits(table, receiver, task, latencies.receipts, SECRET))
        theirs.append(_waits(table, receiver, task, latencies.insert_and_post, None))
    note = "same process; reference: durable insert, then aiohttp"
    for part in (0.5, 0.99):
        mine, other = (median(percentile(one, part) for one in some) for some in (ours, theirs))
        what = f"emit to receipt at 100/s, p{part * 100:.0f}"
        if part == 0.5:
            table.add(Row(what=what, where=SQLITE, value=mine, limit=3, note=f"{note}: {other:.1f} ms"))
        else:
            table.add(Row(what=what, where=SQLITE, value=mine, reference=other, limit=3, note=note))


def _waits(table: Table, receiver: Receiver, task: Task, sender: Callable[..., Any], secret: str | None) -> list[float]:
    began: dict[str, float] = senders.run(sender, task, receiver.count)
    report = receiver.report(BODY, secret)
    good = report.count == task.count and report.wrong == 0 and report.arrivals.keys() == began.keys()
    table.check(f"{sender.__name__}: received {report.count} of {task.count}, wrong {report.wrong}", good=good)
    return [(report.arrivals[id_] - at) * 1e3 for id_, at in began.items()]


def _middle(runs: Sequence[dict[str, float]], key: str) -> float:
    return median(one[key] for one in runs)
