"""Measure whole deliveries beside bare clients: the cost of each, and the rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import references
from attrs import evolve, frozen
from durable import durable
from outbound import outbound, why_not
from receiver import Receiver
from references import bare_aiohttp, own_transport, shared_httpx, wrk
from tables import Row, Table, against, say
from tasks import SECRET, Task, run

NAMES = {"sqlite": "SQLite, synchronous=FULL", "postgresql": "PostgreSQL"}

_LIMITS = {"100 KB": 0.4}


@frozen(kw_only=True)
class Size:
    """How much is sent."""

    rounds: int = 5
    rounds_of_others: int = 3
    deliveries: int = 8_000
    of_others: int = 4_000
    fresh: int = 1_000
    slow: int = 500
    many: int = 1_000


SMALL = Size(rounds=1, rounds_of_others=1, deliveries=600, of_others=600, fresh=200, slow=100, many=100)


@frozen(kw_only=True)
class Variant:
    """One way to send. It is compared with the cheapest of `against` in each round."""

    sender: Callable[..., Any]
    task: Task
    against: Sequence[str] = ()
    limit: float | None = None
    note: str = ""


Variants = dict[str, Variant]
Runs = dict[str, list[dict[str, float]]]


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    with Receiver() as receiver:
        task = Task(address=receiver.address, dsn=dsn)
        main = _main_variants(task, size)
        runs = _rounds(table, receiver, main, size.rounds)
        _show(table, main, runs)
        _show_rates(table, runs)
        for others in (_shapes(task, size), _connections(task, size), _stores(task, size, kinds)):
            _show(table, others, _rounds(table, receiver, others, size.rounds_of_others))
    if reason := why_not():
        say(f"django-outbound-webhooks is left out: {reason}")


def _main_variants(task: Task, size: Size) -> Variants:
    task = evolve(task, count=size.deliveries, warm=1_000 if size.deliveries > 1_000 else 200)
    slow = evolve(task, count=size.slow, warm=size.slow // 10)
    fast = evolve(task, uvloop=True)
    both = ("aiohttp", "aiohttp, uvloop")
    variants = {
        "aiohttp": Variant(sender=bare_aiohttp, task=task),
        "aiohttp, uvloop": Variant(sender=bare_aiohttp, task=fast),
        "one httpx.AsyncClient": Variant(sender=shared_httpx, task=slow),
        "fan-out 1": Variant(sender=durable, task=task, against=both, limit=0.8),
        "fan-out 1, uvloop": Variant(sender=durable, task=fast, against=both, limit=0.85),
        "fan-out 10": Variant(sender=durable, task=evolve(task, fan_out=10), against=both, limit=0.8),
        "fan-out 10, uvloop": Variant(sender=durable, task=evolve(fast, fan_out=10), against=both, limit=1.0),
    }
    if references.has_wrk():
        variants["wrk"] = Variant(sender=wrk, task=evolve(task, count=0, warm=0), note="C, no Python")
    else:
        say("wrk is left out: it is not installed")
    if not why_not():
        few = evolve(task, count=size.slow // 5, warm=size.slow // 25 // 10 * 10)
        note = "durable, signed, logged; its own relay, on SQLite"
        variants["django-outbound-webhooks"] = Variant(sender=outbound, task=few, note=note)
    return variants


def _shapes(task: Task, size: Size) -> Variants:
    task = evolve(task, count=size.of_others, warm=size.many * 2, uvloop=True)
    variants: Variants = {}
    for name, mine in {
        "10 endpoints": task,
        "1 endpoint": evolve(task, endpoints=1),
        "100 endpoints": evolve(task, endpoints=100),
        f"{size.many:,} endpoints": evolve(task, endpoints=size.many),
        "100 KB": evolve(task, kilobytes=100, count=size.of_others // 4, warm=200),
    }.items():
        reference = f"aiohttp, {name}"
        variants[reference] = Variant(sender=bare_aiohttp, task=mine)
        variants[name] = Variant(sender=durable, task=mine, against=(reference,), limit=_LIMITS.get(name))
    with_mapping = evolve(task, mapped=True)
    variants["10 endpoints, with mapping"] = Variant(
        sender=durable, task=with_mapping, against=("aiohttp, 10 endpoints",)
    )
    return variants


def _connections(task: Task, size: Size) -> Variants:
    task = evolve(task, count=size.fresh, warm=size.fresh // 5, uvloop=True)
    keep = evolve(task, count=size.of_others, warm=size.many)
    fresh, resume = evolve(task, mode="fresh"), evolve(task, mode="resume")
    kept, new = ("aiohttp, connections kept",), ("aiohttp, fresh connections",)
    return {
        kept[0]: Variant(sender=bare_aiohttp, task=keep),
        new[0]: Variant(sender=bare_aiohttp, task=resume),
        "transport alone, connections kept": Variant(sender=own_transport, task=keep, against=kept),
        "transport alone, fresh connections": Variant(sender=own_transport, task=fresh, against=new, limit=1.0),
        "transport alone, resumed sessions": Variant(sender=own_transport, task=resume, against=new, limit=1 / 0.75),
        "fan-out 1, fresh connections": Variant(sender=durable, task=fresh, against=new),
        "fan-out 1, resumed sessions": Variant(sender=durable, task=resume, against=new),
    }


def _stores(task: Task, size: Size, kinds: Sequence[str]) -> Variants:
    if "postgresql" not in kinds:
        return {}
    task = evolve(task, count=size.of_others, warm=size.many, uvloop=True)
    variants: Variants = {"aiohttp beside PostgreSQL": Variant(sender=bare_aiohttp, task=task)}
    for fan_out in (1, 10):
        mine = evolve(task, kind="postgresql", fan_out=fan_out)
        variants[f"fan-out {fan_out}, uvloop "] = Variant(
            sender=durable, task=mine, against=("aiohttp beside PostgreSQL",)
        )
    return variants


# Running.


def _rounds(table: Table, receiver: Receiver, variants: Variants, rounds: int) -> Runs:
    runs: Runs = {name: [] for name in variants}
    for number in range(rounds):
        for name in list(variants) if number % 2 else reversed(variants):
            one = variants[name]
            figures = run(one.sender, one.task, receiver.count)
            _check(table, receiver, name, one, figures)
            runs[name].append(figures)
            say(f"{name}: {figures['cpu']:.0f} us CPU, {figures['rate']:,.0f}/s")
    return runs


def _check(table: Table, receiver: Receiver, name: str, one: Variant, figures: dict[str, float]) -> None:
    """Check that the counts of the receiver, the log and the emitter agree, and that every signature is valid."""
    task, is_durable = one.task, "delivered" in figures
    report = receiver.report(figures.pop("body", None) or task.body, SECRET if is_durable else None)
    expected = task.warm + task.count
    good = report.wrong == 0
    if one.sender is not wrk:
        good = good and report.count == expected and len(set(report.paths.values())) == 1
    if is_durable:
        counts = {figures[key] for key in ("delivered", "deliveries", "attempts")}
        good = good and counts == {expected} and figures["events"] * task.fan_out == expected
    table.check(f"{name}: received {report.count}, wrong {report.wrong}, of {expected}; {figures}", good=good)


# Showing.


def _show(table: Table, variants: Variants, runs: Runs) -> None:
    for name, one in variants.items():
        table.add(_row(name, one, runs))


def _row(name: str, one: Variant, runs: Runs) -> Row:
    mine = runs[name]
    rate = f"{middle(mine, 'rate'):,.0f}/s"
    db = middle(mine, "db") if one.task.kind == "postgresql" else None
    common: dict[str, Any] = {"value": middle(mine, "cpu"), "unit": "us CPU", "db": db}
    if not one.against:
        what = f"post with {name}" if one.sender is not outbound else f"delivery with {name}"
        note = one.note or "not durable, not signed, not logged"
        return Row(what=what, where="", note=f"{rate}; {note}", **common)
    best = [min(costs) for costs in zip(*([run["cpu"] for run in runs[other]] for other in one.against), strict=True)]
    ratios = [other / run["cpu"] for other, run in zip(best, mine, strict=True)]
    parts = ", ".join(f"{part} {middle(mine, part):.0f}" for part in ("loop", "store", "host") if part in mine[0])
    note = "; ".join([*([parts] if parts else []), rate, f"{middle(mine, 'rss'):.0f} MiB"])
    return Row(
        what=f"{'delivery' if parts else 'post'}, {name.strip()}; reference / value",
        where=NAMES[one.task.kind] if parts else "",
        reference=median(best),
        ratio=median(ratios),
        runs=ratios,
        limit=one.limit,
        at_least=True,
        note=note,
        **common,
    )


def _show_rates(table: Table, runs: Runs) -> None:
    for name, limit in (("one httpx.AsyncClient", 15), ("django-outbound-webhooks", None)):
        if name not in runs:
            continue
        mine, others = ([run["rate"] for run in runs[which]] for which in ("fan-out 1", name))
        what = f"deliveries per second, fan-out 1, against {name}"
        table.add(against(what, NAMES["sqlite"], mine, others, unit="/s", limit=limit, at_least=True))


def middle(runs: Sequence[dict[str, float]], key: str) -> float:
    """Return the median of one figure."""
    return median(one[key] for one in runs)
