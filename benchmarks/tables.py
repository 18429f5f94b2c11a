"""Measure in alternation, print one table, and save the figures as JSON."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from attrs import asdict, define, field, frozen


@frozen(kw_only=True)
class Row:
    """One line: a value beside the value of its reference, and the limit of their ratio or of the value.

    `cpu` and `db` are the CPU microseconds of each, in the processes and in the database; `runs` are the values or
    ratios whose median it is.
    """

    what: str
    where: str
    value: float
    reference: float | None = None
    unit: str = "ms"
    ratio: float | None = None
    limit: float | None = None
    at_least: bool = False
    note: str = ""
    cpu: float | None = None
    db: float | None = None
    runs: Sequence[float] = ()

    @property
    def judged(self) -> float:
        """Return the ratio or value that the limit applies to."""
        if self.ratio is not None:
            return self.ratio
        return self.value if not self.reference else self.value / self.reference

    @property
    def is_good(self) -> bool:
        """Say whether the value is within the limit."""
        if self.limit is None:
            return True
        return self.judged >= self.limit if self.at_least else self.judged <= self.limit


@define
class Table:
    """The rows, and what was wrong."""

    title: str
    began: str = field(factory=lambda: time.strftime("%Y-%m-%d %H:%M", time.gmtime()))
    load: list[float] = field(factory=list)
    rows: list[Row] = field(factory=list)
    problems: list[str] = field(factory=list)

    def add(self, row: Row) -> None:
        """Add a row and show it immediately."""
        self.rows.append(row)
        self.load.append(os.getloadavg()[0])
        say(f"{row.what}, {row.where}: {row.value:.3g} {row.unit}")

    def check(self, what: str, *, good: bool) -> None:
        """Note an incorrect run, whose figures mean nothing."""
        if not good:
            self.problems.append(what)

    def show(self) -> None:
        """Print the table in Markdown."""
        print(f"\n## {self.title}\n\n| {' | '.join(HEADINGS)} |")
        print("|---" * len(HEADINGS) + "|")
        for row in self.rows:
            print(f"| {' | '.join(cells(row))} |")
        for problem in self.problems:
            print(f"PROBLEM {problem}")


def say(line: str) -> None:
    """Show the progress, on stderr: only the table goes to stdout."""
    print(f"  {line}", file=sys.stderr, flush=True)


def write_json(path: str, tables: Sequence[Table]) -> None:
    """Write all figures, and what they were measured on; tables of other suites in the file stay."""
    file = Path(path)
    known = json.loads(file.read_text())["tables"] if file.exists() else []
    titles = {table.title for table in tables}
    kept = [table for table in known if table["title"] not in titles]
    content = {"machine": _machine(), "tables": [*kept, *map(asdict, tables)]}
    file.write_text(json.dumps(content, indent=1) + "\n")


def _machine() -> dict[str, Any]:
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    packages = {name: version(name) for name in ("unihooks", "aiohttp", "httpx", "psycopg")}
    return {
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        "system": platform.platform(),
        "cpu": names[0] if names else platform.processor(),
        "cpus": os.cpu_count(),
        "memory_gib": round(memory[0] / 2**20) if memory else None,
        **packages,
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def pair(what: str, where: str, base: tuple[float, float], loaded: tuple[float, float], limit: float) -> Row:
    """Return the row of a measurement beside the one that it must not exceed by much."""
    # The client's CPU excludes a server's work, but is nearly all of the work for a file.
    note = f"client CPU {loaded[1]:.2f} against {base[1]:.2f} ms"
    return Row(what=what, where=where, value=loaded[0], reference=base[0], limit=limit, note=note)


def against(what: str, where: str, mine: Sequence[float], others: Sequence[float], **more: Any) -> Row:
    """Return the row of the medians of runs in pairs, and of the median of their ratios."""
    ratios = [one / other for one, other in zip(mine, others, strict=True)]
    common: dict[str, Any] = {"value": median(mine), "reference": median(others), "ratio": median(ratios)}
    return Row(what=what, where=where, **{"runs": ratios, **common, **more})


def alternate(rounds: int, *tasks: Callable[[], Any]) -> list[tuple[float, float]]:
    """Run the tasks in turn; return for each the median wall and CPU time of a call, in milliseconds.

    A task may return a function that tidies up, whose time does not count.
    """
    times: list[list[tuple[float, float]]] = [[] for _ in tasks]
    for number in range(rounds):
        order = list(enumerate(tasks))
        for index, task in order if number % 2 else reversed(order):
            cpu, wall = time.process_time(), time.perf_counter()
            tidy = task()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            times[index].append((wall * 1e3, cpu * 1e3))
            if callable(tidy):
                tidy()
    return [(median(wall for wall, _ in mine), median(cpu for _, cpu in mine)) for mine in times]


def percentile(values: Sequence[float], part: float) -> float:
    """Return the percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


HEADINGS = ["what", "where", "value", "reference", "ratio", "limit", "CPU us", "database us", ""]


def cells(row: Row) -> list[str]:
    """Return the cells of one line of the table."""
    limit = "" if row.limit is None else f"{'>=' if row.at_least else '<='} {row.limit:g}"
    has_ratio = row.ratio is not None or row.reference
    return [
        row.what,
        row.where,
        f"{row.value:,.4g} {row.unit}",
        "" if row.reference is None else f"{row.reference:,.4g}",
        f"{row.judged:.2f}" if has_ratio else "",
        limit,
        "" if row.cpu is None else f"{row.cpu:,.0f}",
        "" if not row.db else f"{row.db:,.0f}",
        ("" if row.limit is None else "ok " if row.is_good else "MISSED ") + row.note,
    ]
