"""Follow single events at light load from emit to recorded: who waits for whom, and what the database is asked."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from attrs import evolve, frozen
from databases import Place, visit
from durable import dispatching, emit_one, opened
from latency import beats
from light import POOLED, WHERE, Bench
from light import opened as bench_opened
from light_senders import Light, LightTask, paced
from probes import Probes, Step
from receiver import wait_for
from tables import Row, Table
from tasks import SECRET, Running, run
from usage import switches_by_thread

from unihooks import Dispatcher, Worker

_SETTLE_SECONDS = 0.5
# A server process reports its statistics after it has been idle for this long.
_TOLD_SECONDS = 11.0
_SYNCED = "SELECT wal_sync FROM pg_stat_wal"
_SYNCED_18 = "SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"

_End = Callable[[], tuple[list[Step], dict[int, str]]]


@frozen(kw_only=True)
class Size:
    """The pace; and the folder of another version, if that is to be followed."""

    seconds: float = 4.0
    rate: float = 100.0
    before: str = ""


SMALL = Size(seconds=0.5)


@frozen(kw_only=True)
class Trace:
    """What was noted while so many events were emitted."""

    emits: dict[str, tuple[float, float]]
    steps: Sequence[Step]
    switches: Counter[str]
    synced: int


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    source = str(Path(size.before).resolve() / "src") if size.before else ""
    with bench_opened(table, kinds, dsn, size.seconds) as bench:
        for store, task in bench.tasks.items():
            if store == POOLED:
                continue
            for sender in (together, apart):
                _follow(bench, evolve(task, rates=(size.rate,), source=source), store, sender)


def _follow(bench: Bench, task: LightTask, store: str, sender: Any) -> None:
    trace: Trace = run(sender, task, bench.receiver.count)
    report = bench.receiver.report(task.body, SECRET)
    good = report.wrong == 0 and report.arrivals.keys() >= trace.emits.keys()
    bench.table.check(f"{store}: received {report.count}, wrong {report.wrong}", good=good)
    # Keeping the pace takes one context switch of the emitting thread.
    paces: Light = run(paced, task)
    trace.switches["main"] -= round(paces.each[task.rates[0]].switches * len(trace.emits))
    where = f"{WHERE[store]}, {'same process' if sender is together else 'separate worker'}"
    for row in [*_times(trace, report.arrivals), *_counts(trace, has_server=bool(task.postmaster))]:
        bench.table.add(evolve(row, where=where))


def _times(trace: Trace, arrivals: dict[str, float]) -> list[Row]:
    """Return the medians of when each step begins and ends after the call of emit, in milliseconds."""
    begun: dict[str, dict[str, Step]] = {"plan or claim": {}, "record": {}}
    for step in trace.steps:
        for event in step.events:
            begun["record" if step.name == "call: record" else "plan or claim"].setdefault(event, step)
    moments: dict[str, list[float]] = {}
    for id_, (called, returned) in trace.emits.items():
        taken, recorded = begun["plan or claim"].get(id_), begun["record"].get(id_)
        if taken and recorded:
            times = {
                "emit returns": returned,
                "planning or claiming begins": taken.began,
                "it is leased": taken.ended,
                "the receiver has it": arrivals[id_],
                "recording begins": recorded.began,
                "it is recorded": recorded.ended,
            }
            for what, at in times.items():
                moments.setdefault(what, []).append((at - called) * 1e3)
    return [_row(f"when {what}", median(values), "ms") for what, values in moments.items()]


def _counts(trace: Trace, *, has_server: bool) -> list[Row]:
    """Return how often something happened for each event."""
    each = len(trace.emits)
    steps = Counter(step.name for step in trace.steps)
    rows = [_row("context switches", sum(trace.switches.values()) / each)]
    rows += [_row(f"- of {name}", count / each) for name, count in trace.switches.most_common() if count >= each / 20]
    for whole in ("call", "round trip"):
        mine = [(name, count) for name, count in steps.most_common() if name.startswith(f"{whole}: ")]
        rows += [_row(f"{whole}s", sum(count for _, count in mine) / each)] if mine else []
        rows += [_row(f"- {whole}s: {name.partition(': ')[2]}", count / each) for name, count in mine]
    rows += [_row(f"{name}s", steps[name] / each) for name in ("statement", "transaction") if steps[name]]
    return rows + ([_row("WAL flushes", trace.synced / each)] if has_server else [])


def _row(what: str, value: float, unit: str = "") -> Row:
    return Row(what=what, where="", value=value, unit=unit)


# Senders.


def together(task: LightTask, count: Any) -> Trace:
    """Emit beside a worker in the same process."""
    with _probing() as probes, opened(task) as (dispatcher, one), dispatcher.running():
        return _emit_all(task, count, dispatcher, one, probes=probes, end=lambda: ([], {}))


def apart(task: LightTask, count: Any) -> Trace:
    """Emit beside a worker in another process."""
    with (
        _probing() as probes,
        opened(task) as (dispatcher, one),
        Running(work, evolve(task, store=one.name), count) as worker,
    ):

        def end() -> tuple[list[Step], dict[int, str]]:
            worker.stop()
            steps, threads = worker.result()
            return steps, {id_: f"worker's {name}" for id_, name in threads.items()}

        return _emit_all(task, count, dispatcher, one, worker.pid, probes=probes, end=end)


def work(task: LightTask, count: Any) -> tuple[list[Step], dict[int, str]]:
    """Run a worker until SIGTERM; return what was noted, and the kinds of its threads."""
    with _probing() as probes, dispatching(task, visit(task.kind, task.dsn, task.store)) as dispatcher:
        Worker(dispatcher).run()
        probes.learn_threads()
        return probes.steps, probes.threads


@contextmanager
def _probing() -> Iterator[Probes]:
    probes = Probes()
    probes.put_in()
    yield probes


def _emit_all(
    task: LightTask, count: Any, dispatcher: Dispatcher, one: Place, *others: int, probes: Probes, end: _End
) -> Trace:
    """Emit at the pace after a few for warming up; `end` ends the worker and returns what it noted."""
    for number in range(task.endpoints):
        emit_one(dispatcher, task, number)
    wait_for(count, task.endpoints)
    if task.postmaster:
        time.sleep(_TOLD_SECONDS)
    synced, switches, emits = _synced(task, one), _switches(others), {}
    for number in beats(task.rates[0], task.seconds):
        began = time.monotonic()
        id_ = emit_one(dispatcher, task, number)
        emits[id_] = (began, time.monotonic())
    wait_for(count, task.endpoints + len(emits))
    time.sleep(_SETTLE_SECONDS)
    ended, switches = time.monotonic(), _switches(others) - switches
    steps, threads = end()
    probes.learn_threads()
    if task.postmaster:
        time.sleep(_TOLD_SECONDS)
    first = min(began for began, _ in emits.values())
    within = [step for step in [*probes.steps, *steps] if first <= step.began <= ended]
    named = Counter[str]()
    for id_, switched in switches.items():
        named[({**threads, **probes.threads}).get(id_, "ended thread")] += switched
    return Trace(emits=emits, steps=within, switches=named, synced=_synced(task, one) - synced)


def _switches(others: Sequence[int]) -> Counter[int]:
    return Counter({id_: n for pid in (os.getpid(), *others) for id_, n in switches_by_thread(pid).items()})


def _synced(task: LightTask, one: Place) -> int:
    """Return how often a server has waited for its disk, so far as its processes have told."""
    if not task.postmaster:
        return 0
    [version] = one.fetch("SELECT CAST(current_setting('server_version_num') AS integer)")
    return int(one.fetch(_SYNCED if version < 180_000 else _SYNCED_18)[0])
