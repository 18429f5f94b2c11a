"""Compute what a number of deliveries per day needs, from the measured figures or from figures of your own.

`python benchmarks/capacity.py --deliveries 1e7 --peak 4 --fan-out 2 --kilobytes 3 --days 14`, and for example
`--set worker_us=400 --set wal_delivery=5000` in place of what was measured.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from math import exp, log
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

FILE = Path(__file__).with_name("results.json")
_BUSY = re.compile(r"deliveries per second(?: of a backlog)?, \d+ worker process(?:es)?")
_DAY = 86_400.0
_MEASURED_PAYLOAD = 1_000
_GROWTH = ("WAL per delivery", "tables and indexes per delivery", "tables and indexes per event")

Points = Sequence[tuple[float, float]]


@frozen(kw_only=True)
class Costs:
    """What was measured: CPU per delivery (microseconds) at rates per second, and bytes, those of payloads left out.

    CPU falls as the rate rises, because deliveries share wake-ups, statements and commits.
    """

    worker_us: Points
    database_us: Points
    wal_event: float
    wal_delivery: float
    disk_event: float
    disk_delivery: float


@frozen(kw_only=True)
class Load:
    """What is asked for; peak is how many times the mean the busiest time is."""

    deliveries: float
    peak: float = 3.0
    fan_out: float = 1.0
    kilobytes: float = 1.0
    days: float = 30.0

    def mean(self) -> float:
        """Return the deliveries per second."""
        return self.deliveries / _DAY


@frozen(kw_only=True)
class Need:
    """The resources for a load: processors at the mean and at the peak, bytes of WAL per second, bytes on the disk."""

    workers: tuple[float, float]
    database: tuple[float, float]
    wal: float
    disk: float


EXAMPLES = (Load(deliveries=1e6, peak=5.0), Load(deliveries=1e8), Load(deliveries=1e9))


def need(load: Load, costs: Costs) -> Need:
    """Return what a load needs. This is the whole model."""
    mean, peak = load.mean(), load.mean() * load.peak
    payload = load.kilobytes * 1_000
    wal = costs.wal_delivery + (costs.wal_event + payload) / load.fan_out
    disk = costs.disk_delivery + (costs.disk_event + payload) / load.fan_out
    return Need(
        workers=(mean * at(costs.worker_us, mean) / 1e6, peak * at(costs.worker_us, peak) / 1e6),
        database=(mean * at(costs.database_us, mean) / 1e6, peak * at(costs.database_us, peak) / 1e6),
        wal=mean * wal,
        disk=load.deliveries * load.days * disk,
    )


def at(points: Points, rate: float) -> float:
    """Return the cost at a rate: on the line between the nearest two that were measured, both axes logarithmic."""
    below = max((point for point in points if point[0] <= rate), default=min(points))
    above = min((point for point in points if point[0] >= rate), default=max(points))
    if below[0] == above[0]:
        return below[1]
    part = (log(rate) - log(below[0])) / (log(above[0]) - log(below[0]))
    return exp(log(below[1]) * (1 - part) + log(above[1]) * part)


def costs_of(figures: dict[str, Any]) -> Costs:
    """Read the costs from the file of the figures: of PostgreSQL, with workers in processes of their own."""
    rows = {
        (table["title"], row["what"]): row
        for table in figures["tables"]
        for row in table["rows"]
        if row["where"] == "PostgreSQL"
    }
    light = {rate: rows["light", f"event at {rate}/s, separate worker"] for rate in (25, 100, 400)}
    busy = [row for (title, what), row in rows.items() if title == "workers" and _BUSY.fullmatch(what)]
    alone = next(row["value"] for row in busy if "1 worker" in row["what"])
    # At fan-out 10 an event is spread over ten deliveries: the difference to fan-out 1 is nine tenths of an event.
    one, ten = (rows["growth", f"{_GROWTH[0]}, fan-out {fan_out}"]["value"] for fan_out in (1, 10))
    wal_event = (one - ten) / 0.9
    return Costs(
        worker_us=[*((rate, row["cpu"]) for rate, row in light.items()), (alone, max(row["cpu"] for row in busy))],
        database_us=[*((rate, row["db"]) for rate, row in light.items()), (alone, max(row["db"] for row in busy))],
        wal_event=wal_event - _MEASURED_PAYLOAD,
        wal_delivery=one - wal_event,
        disk_event=rows["growth", f"{_GROWTH[2]}, fan-out 1"]["value"] - _MEASURED_PAYLOAD,
        disk_delivery=rows["growth", f"{_GROWTH[1]}, fan-out 1"]["value"],
    )


def table(loads: Iterable[Load], costs: Costs) -> str:
    """Return what loads need as a table in Markdown."""
    lines = [
        "| deliveries per day | worker cores, mean / peak | database cores, mean / peak | WAL | disk |",
        "| --- | --- | --- | --- | --- |",
    ]
    for load in loads:
        what = need(load, costs)
        lines.append(
            f"| {load.deliveries:,.0f} ({load.mean():,.0f}/s, peak x{load.peak:g}) | {_pair(what.workers)} "
            f"| {_pair(what.database)} | {_short(what.wal / 1e6)} MB/s | {_bytes(what.disk)} for {load.days:g} days |"
        )
    return "\n".join(lines)


def described(costs: Costs) -> str:
    """Return the costs as a table in Markdown."""
    cpu = [
        f"| CPU per delivery at {rate:,.0f} per second, worker and database | {worker:,.0f} and {database:,.0f} µs |"
        for (rate, worker), (_, database) in zip(costs.worker_us, costs.database_us, strict=True)
    ]
    wal_bytes = f"{costs.wal_delivery:,.0f} bytes, and {costs.wal_event:,.0f} + its payload for the event"
    disk_bytes = f"{costs.disk_delivery:,.0f} bytes, and {costs.disk_event:,.0f} + its payload for the event"
    rest = [f"| WAL per delivery | {wal_bytes} |", f"| disk per delivery | {disk_bytes} |"]
    return "\n".join(["| measured | |", "| --- | --- |", *cpu, *rest])


def _pair(cores: tuple[float, float]) -> str:
    return " / ".join(map(_short, cores))


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 1 else f"{value:,.1f}"


def _bytes(count: float) -> str:
    return f"{count / 1e12:,.1f} TB" if count >= 1e12 else f"{count / 1e9:,.0f} GB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=FILE, help="where the figures are")
    parser.add_argument("--deliveries", type=float, required=True, help="per day")
    for name, default in (("peak", 3.0), ("fan-out", 1.0), ("kilobytes", 1.0), ("days", 30.0)):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a figure of your own")
    given = vars(parser.parse_args(arguments))
    costs = costs_of(json.loads(given.pop("file").read_text()))
    for change in given.pop("set"):
        name, _, value = change.partition("=")
        costs = evolve(costs, **{name: [(1.0, float(value))] if name.endswith("_us") else float(value)})
    print(table([Load(**given)], costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
