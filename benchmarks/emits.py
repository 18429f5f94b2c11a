"""Measure emitting: the rate, and how long a caller waits, beside the same row inserted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from attrs import evolve, frozen
from deliveries import NAMES, middle
from emitting import CALLERS, Case, Figures, batched_emits, emit_all_ways, paced_emits
from receiver import Address
from tables import Row, Table, against, percentile
from tasks import Task, run

_NOBODY = Address(9999, 9999, "")
_LATENCY_LIMITS = ((0.5, 1.0), (0.99, 5.0))


@frozen(kw_only=True)
class Size:
    """How long to emit."""

    rounds: int = 3
    seconds: float = 0.4
    paced_seconds: float = 3.0


SMALL = Size(rounds=1, seconds=0.05, paced_seconds=0.3)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    for kind in kinds:
        task = Task(address=_NOBODY, kind=kind, dsn=dsn if kind == "postgresql" else "", seconds=size.seconds)
        ways = [run(emit_all_ways, task) for _ in range(size.rounds)]
        _show_ways(table, kind, ways)
        batches = [run(batched_emits, task) for _ in range(size.rounds)]
        _show_batches(table, kind, batches)
        paced = evolve(task, rates=(1_000.0,), seconds=size.paced_seconds)
        _show_paced(table, kind, [run(paced_emits, paced) for _ in range(size.rounds)])


def _show_ways(table: Table, kind: str, runs: Sequence[dict[Case, Figures]]) -> None:
    for way in ("own", "host"):
        for mode in ("sync", "async"):
            for callers in CALLERS:
                mine = [run[Case(callers, mode, way)] for run in runs]
                by_hand = [run[Case(callers, mode, "by hand")] for run in runs]
                table.add(_row(kind, Case(callers, mode, way), mine, by_hand))


def _row(kind: str, case: Case, mine: list[Figures], by_hand: list[Figures]) -> Row:
    rates = ([one["rate"] for one in runs] for runs in (mine, by_hand))
    times = ", ".join(f"{part} {middle(mine, part):.1f} ({middle(by_hand, part):.1f})" for part in ("p50", "p99"))
    common: dict[str, Any] = {"unit": "/s", "at_least": True, "note": f"{times} ms", **_cpu(mine)}
    callers = f"{case.callers} caller{'s' if case.callers > 1 else ''}"
    what = f"{'emit' if case.mode == 'sync' else 'aemit'}, {case.way} transaction, {callers}"
    row = against(what, NAMES[kind], *rates, **common)
    # This limit is on the rate, not on the ratio.
    saturated = kind == "sqlite" and case == Case(256, "async", "own")
    return evolve(row, reference=None, ratio=None, limit=20_000) if saturated else row


def _cpu(runs: list[Figures]) -> dict[str, float]:
    return {name: middle(runs, name) for name in ("cpu", "db")}


def _show_batches(table: Table, kind: str, runs: list[Figures]) -> None:
    rates = [run["rate"] for run in runs]
    common: dict[str, Any] = {"unit": "/s", "runs": rates, **_cpu(runs)}
    table.add(Row(what="emit_many of 100, 1 caller", where=NAMES[kind], value=median(rates), **common))


def _show_paced(table: Table, kind: str, runs: list[list[float]]) -> None:
    for part, limit in _LATENCY_LIMITS:
        values = [percentile(taken, part) for taken in runs]
        what, bound = f"emit at 1,000/s, p{part * 100:.0f}", limit if kind == "sqlite" else None
        table.add(Row(what=what, where=NAMES[kind], value=median(values), limit=bound, runs=values))
