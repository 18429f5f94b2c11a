"""Compare with another version of the library, alternately: `bench.py versions --set before=ITS_FOLDER`.

The folder is a checkout of that version; these benchmarks drive both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from attrs import evolve, frozen
from deliveries import NAMES
from durable import durable
from light import POOLED, Bench, Measured, opened
from receiver import checked
from tables import Table, against, say
from tasks import SECRET, Task, run

RATE = 100.0
_LIMITS = {"sqlite": 0.6, "postgresql": 0.55}
_LIMIT_SATURATED = 1.02
_SENDERS = ("same process", "separate worker")
_FAN_OUTS = (1, 10)

Pairs = list[tuple[dict[str, float], dict[str, float]]]


@frozen(kw_only=True)
class Size:
    """The folder of the other version, and how much is sent."""

    before: str = ""
    rounds: int = 7
    seconds: float = 4.0
    deliveries: int = 4_000


SMALL = Size(rounds=1, seconds=0.3, deliveries=200)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    source = str(Path(size.before or Path(__file__).parents[1]).resolve() / "src")
    with opened(table, kinds, dsn, size.seconds) as bench:
        stores = [store for store in bench.tasks if store != POOLED]
        _at_light_load(bench, stores, source, size.rounds)
        for store in stores:
            for fan_out in _FAN_OUTS:
                task = evolve(bench.tasks[store], fan_out=fan_out, count=size.deliveries, warm=size.deliveries // 4)
                _show_saturated(bench, store, fan_out, [_pair(bench, task, n, source) for n in range(size.rounds)])


def _at_light_load(bench: Bench, stores: Sequence[str], source: str, rounds: int) -> None:
    ways = [(store, sender) for store in stores for sender in _SENDERS]
    for number in range(rounds):
        for store, sender in ways:
            for one in _in_turn(number, source):
                bench.measure(store, sender, [RATE], one)
    for store, sender in ways:
        _show_light(bench, store, sender, source)


def _in_turn(number: int, source: str) -> list[str]:
    return [source, ""] if number % 2 else ["", source]


def _show_light(bench: Bench, store: str, sender: str, source: str) -> None:
    now, before = bench.runs[store, sender, RATE], bench.runs[store, source + sender, RATE]
    totals = ([one.used.total * 1e6 for one in runs] for runs in (now, before))
    least = _least(now) / _least(before)
    switches = [median(one.used.switches for one in runs) for runs in (now, before)]
    row = against(
        f"event at {RATE:.0f}/s, {sender}, against before",
        NAMES[store],
        *totals,
        unit="us CPU",
        limit=_LIMITS[store],
        cpu=median(one.used.cpu for one in now) * 1e6,
        db=median(one.used.db for one in now) * 1e6,
        note=f"minima {least:.2f}; {switches[0]:.0f} ({switches[1]:.0f}) switches",
    )
    bench.table.add(row)


def _least(runs: Sequence[Measured]) -> float:
    return min(one.used.total for one in runs)


def _pair(bench: Bench, task: Task, number: int, source: str) -> tuple[dict[str, float], dict[str, float]]:
    """Return the figures of both versions, this one's first."""
    found = {}
    for one in _in_turn(number, source):
        found[one] = run(durable, evolve(task, source=one), bench.receiver.count)
        what = f"fan-out {task.fan_out}"
        checked(bench.table, bench.receiver, task.body, what, task.warm + task.count, secret=SECRET)
        say(f"{task.kind}, fan-out {task.fan_out}, {one}: {found[one]['rate']:,.0f}/s")
    return found[""], found[source]


def _show_saturated(bench: Bench, store: str, fan_out: int, pairs: Pairs) -> None:
    now, before = ([one["cpu"] + one["db"] for one in runs] for runs in zip(*pairs, strict=True))
    rates = median(now["rate"] / before["rate"] for now, before in pairs)
    row = against(
        f"delivery, fan-out {fan_out}, saturated, against before",
        NAMES[store],
        now,
        before,
        unit="us CPU",
        limit=_LIMIT_SATURATED,
        db=median(now["db"] for now, _ in pairs),
        note=f"minima {min(now) / min(before):.2f}; rate {rates:.2f} of before",
    )
    bench.table.add(row)
