"""Measure rest and light load: the cost of an idle worker, and of single events."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median

from attrs import evolve, field, frozen
from databases import postmaster, with_helpers
from deliveries import NAMES
from light_senders import PACERS, SENDERS, Idle, Light, LightTask, each_second, idle
from receiver import Receiver, checked
from tables import Row, Table, against, percentile, say
from tasks import SECRET, run
from usage import Used, Watched, children

RATES = (25.0, 100.0, 400.0)
POOLED = "pooled"
WHERE = {**NAMES, POOLED: "PostgreSQL behind PgBouncer"}
# In milliseconds of CPU per second.
IDLE_LIMITS = {"sqlite": 2.0, "postgresql": 1.0, POOLED: 4.0}
# Behind a pooler a worker is not notified, and looks every quarter of a second.
_FIRST_LIMITS = {"sqlite": 100.0, "postgresql": 100.0}
_SWITCHES_LIMIT = 16.0
_LIMITED_RATE = 100.0
_OURS = ("same process", "separate worker")
_WEBHOOKS = 5
_BASELINE_SECONDS = 10.0


@frozen(kw_only=True)
class Size:
    """How long to emit at each rate, and how long to watch an idle worker."""

    rounds: int = 2
    seconds: float = 3.0
    idle: float = 60.0
    rates: Sequence[float] = RATES


SMALL = Size(rounds=1, seconds=0.2, idle=0.5, rates=(25.0, 100.0))


@frozen(kw_only=True)
class Measured:
    """One run at one rate: what an event took beyond keeping the pace, and the milliseconds until each receipt."""

    used: Used
    waits: Sequence[float]

    def wait(self, part: float) -> float:
        """Return a percentile."""
        return percentile(self.waits, part) if self.waits else 0.0


@frozen
class Bench:
    """The receiver, the stores by name, and what has been measured so far, by store, sender and rate."""

    table: Table
    receiver: Receiver
    tasks: dict[str, LightTask]
    paces: dict[str, Light] = field(factory=dict)
    runs: dict[tuple[str, str, float], list[Measured]] = field(factory=dict)

    def measure(self, store: str, sender: str, rates: Sequence[float], source: str = "") -> None:
        """Let one sender emit at each rate; keep what was measured, apart from that of other sources."""
        task = evolve(self.tasks[store], rates=tuple(rates), source=source)
        light: Light = run(SENDERS[sender], task, self.receiver.count)
        arrivals = self._arrivals(store, sender, task, light)
        pace = self._pace(sender, task)
        for rate in rates:
            waits = [(arrivals[id_] - at) * 1e3 for id_, (kept, at) in light.began.items() if kept == rate]
            measured = Measured(used=light.each[rate] - pace.each[rate], waits=waits)
            self.runs.setdefault((store, source + sender, rate), []).append(measured)
            say(f"{store}, {source}{sender}, {rate:.0f}/s: {measured.used.total * 1e6:,.0f} us")

    def _pace(self, sender: str, task: LightTask) -> Light:
        known = self.paces.get(sender)
        if known is None or not set(task.rates) <= known.each.keys():
            known = self.paces[sender] = run(PACERS[sender], task)
        return known

    def _arrivals(self, store: str, sender: str, task: LightTask, light: Light) -> dict[str, float]:
        secret, what = None if sender == "by hand" else SECRET, f"{store}, {sender}"
        expected = len(light.began)
        report = checked(self.table, self.receiver, task.body, what, expected, secret=secret, ids=light.began)
        return dict.fromkeys(light.began, 0.0) | report.arrivals


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    with opened(table, kinds, dsn, size.seconds) as bench:
        for number in range(size.rounds):
            for store in bench.tasks:
                # A pooler changes what a step costs, not how that grows.
                rates = [rate for rate in size.rates if store != POOLED or rate == _LIMITED_RATE]
                for sender in list(SENDERS)[:: -1 if number % 2 else 1]:
                    bench.measure(store, sender, rates)
        for store in bench.tasks:
            _rest(bench, store, size)
            _show(bench, store)


@contextmanager
def opened(table: Table, kinds: Sequence[str], dsn: str, seconds: float) -> Iterator[Bench]:
    """Yield what measures on the stores of these kinds, and behind a pooler if one is installed."""
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        task = LightTask(address=receiver.address, seconds=seconds, uvloop=True)
        tasks = {}
        if "sqlite" in kinds:
            tasks["sqlite"] = task
        if "postgresql" in kinds:
            tasks["postgresql"] = evolve(task, kind="postgresql", dsn=dsn, postmaster=postmaster(dsn))
            with with_helpers():
                import pgbouncer
            if pgbouncer.binary():
                pooled = stack.enter_context(pgbouncer.pooling(dsn))
                [process] = children(os.getpid(), "pgbouncer")
                tasks[POOLED] = evolve(tasks["postgresql"], dsn=pooled, pooler=process)
        yield Bench(table, receiver, tasks)


def rest(bench: Bench, store: str, seconds: float, source: str = "") -> Idle:
    """Return what an idle worker takes in milliseconds of CPU per second, the database's own upkeep left out."""
    task = evolve(bench.tasks[store], endpoints=_WEBHOOKS, seconds=seconds, source=source)
    upkeep = each_second(Watched(ours=[], postmaster=task.postmaster), min(seconds, _BASELINE_SECONDS))
    found: Idle = run(idle, task, bench.receiver.count)
    bench.receiver.report(task.body, SECRET)
    return evolve(found, used=found.used - upkeep, upkeep=upkeep)


def _rest(bench: Bench, store: str, size: Size) -> None:
    found = rest(bench, store, size.idle)
    used = found.used
    parts = [f"worker {used.cpu * 1e3:.1f}"]
    if bench.tasks[store].postmaster:
        parts.append(f"database {used.db * 1e3:.1f} (beside {found.upkeep.db * 1e3:.1f} without a worker)")
    if bench.tasks[store].pooler:
        parts.append(f"pooler {used.pooler * 1e3:.1f}")
    switches = f"{used.switches:.0f} context switches per second"
    bench.table.add(
        Row(
            what=f"idle worker, CPU over {size.idle:.0f} s",
            where=WHERE[store],
            value=used.total * 1e3,
            unit="ms/s",
            limit=IDLE_LIMITS[store],
            note=f"{', '.join(parts)}; {switches}; {found.written:,.0f} bytes written per second",
        )
    )
    bench.table.add(
        Row(
            what="first event after this silence, emit to receipt, separate worker",
            where=WHERE[store],
            value=max(found.firsts) * 1e3,
            limit=_FIRST_LIMITS.get(store),
            runs=[one * 1e3 for one in found.firsts],
            note="the slowest of a few, each after seconds of silence",
        )
    )


def _show(bench: Bench, store: str) -> None:
    for kept, sender, rate in bench.runs:
        if kept == store and sender in _OURS:
            bench.table.add(_row(bench, store, sender, rate))
    for sender in _OURS:
        if (store, sender, _LIMITED_RATE) in bench.runs:
            bench.table.add(_switches(bench, store, sender))


def _switches(bench: Bench, store: str, sender: str) -> Row:
    mine, by_hand = (bench.runs[store, one, _LIMITED_RATE] for one in (sender, "by hand"))
    return Row(
        what=f"context switches per event at {_LIMITED_RATE:.0f}/s, {sender}",
        where=WHERE[store],
        value=middle(mine, "switches"),
        unit="",
        limit=_SWITCHES_LIMIT,
        runs=[one.used.switches for one in mine],
        note=f"{middle(mine, 'preempted'):.0f} involuntary; by hand {middle(by_hand, 'switches'):.0f}",
    )


def _row(bench: Bench, store: str, sender: str, rate: float) -> Row:
    mine, by_hand = bench.runs[store, sender, rate], bench.runs[store, "by hand", rate]
    totals = ([one.used.total * 1e6 for one in runs] for runs in (mine, by_hand))
    return against(
        f"event at {rate:,.0f}/s, {sender}",
        WHERE[store],
        *totals,
        unit="us CPU",
        cpu=middle(mine, "cpu") * 1e6,
        db=middle(mine, "db") * 1e6,
        note=_note(mine, by_hand, has_server=bool(bench.tasks[store].postmaster)),
    )


def _note(mine: Sequence[Measured], by_hand: Sequence[Measured], *, has_server: bool) -> str:
    switches = f"{middle(mine, 'switches'):.0f} ({middle(by_hand, 'switches'):.0f}) switches"
    if has_server:
        switches += f", database {middle(mine, 'db_switches'):.0f} ({middle(by_hand, 'db_switches'):.0f})"
    waits = [
        f"p{part * 100:.0f} {median(one.wait(part) for one in mine):.1f} "
        f"({median(one.wait(part) for one in by_hand):.1f})"
        for part in (0.5, 0.99)
    ]
    pooler = f"; pooler {middle(mine, 'pooler') * 1e6:.0f} us" if middle(mine, "pooler") else ""
    return f"{switches}; {', '.join(waits)} ms{pooler}"


def middle(runs: Sequence[Measured], name: str) -> float:
    """Return the median of one of the figures."""
    return median(getattr(one.used, name) for one in runs)
