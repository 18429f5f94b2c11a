"""Put the figures of a JSON file into the pages of the docs, with plots: `python benchmarks/render.py [--check]`.

Figures that were kept with the label `before` stand beside the others.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import capacity
import plots
from attrs import fields
from deliveries import NAMES
from plots import Bar, shown
from tables import Row

FILE = Path(__file__).with_name("results.json")
DOCS = Path(__file__).parents[1] / "docs" / "explanation"
PAGES = [DOCS / "benchmarks.md", DOCS / "budget.md", DOCS.parent / "how-to" / "scale.md"]
_PLACE = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_EXPONENT = re.compile(r"\d(?:\.\d+)?e\+\d+")
# The goals of these stand first.
FIRST = ["light", "versions", "latency", "hanging", "deliveries"]
_BEFORE = "-before"
_SECTIONS = ["when", "context", "of", "calls", "round", "statements", "transactions", "WAL"]
_FEW = 0.05
_COLUMNS = ["", "measured", "before", "reference", "ratio", "goal", "CPU µs", "database µs", ""]

Rows = list[Row]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and its plots; with --check only say whether they are up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(arguments)
    files = render(json.loads(given.file.read_text()), {page: page.read_text() for page in PAGES})
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if given.check:
        print("\n".join(f"{path} is not what the figures say" for path in stale))
        return 1 if stale else 0
    for path in stale:
        path.write_text(files[path])
    return 0


def render(figures: dict[str, Any], pages: dict[Path, str]) -> dict[Path, str]:
    """Return the pages with their figures, and the plots beside them."""
    tables = {table["title"]: table for table in figures["tables"]}
    every = {title: [_row(row) for row in table["rows"]] for title, table in tables.items()}
    before = {title.removesuffix(_BEFORE): rows for title, rows in every.items() if title.endswith(_BEFORE)}
    rows = {title: mine for title, mine in every.items() if not title.endswith(_BEFORE)}
    parts = {title: _table(tables[title], mine, before.get(title, [])) for title, mine in rows.items()}
    parts["machine"] = _machine(figures["machine"])
    order = sorted(rows, key=lambda title: FIRST.index(title) if title in FIRST else len(FIRST))
    parts["goals"] = _goals([row for title in order for row in rows[title]])
    costs = capacity.costs_of(figures)
    parts["costs"] = f"\n{capacity.described(costs)}\n\n"
    parts["capacity"] = f"\n{capacity.table(capacity.EXAMPLES, costs)}\n\n"
    parts["trace"] = _steps(rows.get("trace", []), before.get("trace", []))
    texts = {
        page: _PLACE.sub(lambda match: match[1] + parts.get(match[2], "") + match[3], pages[page]) for page in pages
    }
    drawn = {f"benchmarks-{name}.svg": draw(rows) for name, draw in PLOTS.items()}
    return {**texts, **{DOCS / name: svg for name, svg in drawn.items()}}


def _row(given: dict[str, Any]) -> Row:
    names = {field.name for field in fields(Row)}
    mine = {name: value for name, value in given.items() if name in names}
    return Row(**{**mine, "where": NAMES.get(given["where"], given["where"])})


# Tables.


def _machine(machine: dict[str, Any]) -> str:
    lines = [f"| {name.replace('_', ' ')} | {value} |" for name, value in machine.items()]
    return "\n".join(["", "| | |", "|---|---|", *lines, "", ""])


def _goals(rows: Rows) -> str:
    lines = [
        f"| {row.what} | {_short(row.where)} | {_tight(_judged(row))} | {_tight(_goal(row))} | {_verdict(row)} |"
        for row in rows
        if row.limit is not None
    ]
    return "\n".join(["", "| | store | measured | goal | |", "|---|---|---|---|---|", *lines, "", ""])


def _verdict(row: Row) -> str:
    return "reached" if row.is_good else "**missed**"


def _tight(text: str) -> str:
    return text.replace(" ", "\u00a0")


def _table(table: dict[str, Any], rows: Rows, before: Rows) -> str:
    load = table["load"]
    when = f"{table['began']} UTC, load average {min(load):.1f} to {max(load):.1f} while it ran."
    if table["problems"]:
        when += f" Not all went well: {'; '.join(table['problems'])}."
    parts = ["", when, ""]
    known = {(row.what, row.where): row for row in before}
    for where in dict.fromkeys(row.where for row in rows):
        lines = [_cells(row, known.get((row.what, where))) for row in rows if row.where == where]
        used = [number for number, _ in enumerate(_COLUMNS) if any(line[number] for line in lines)]
        heading = [where, *_COLUMNS[1:]]
        parts += [_line(heading, used), _line(["---"] * len(_COLUMNS), used)]
        parts += [_line(line, used) for line in lines]
        parts.append("")
    return "\n".join([*parts, ""])


def _steps(rows: Rows, before: Rows) -> str:
    """Return a table with a column for each place, and in each cell what was before beside what is."""
    known = [{(row.what, row.where): row.value for row in mine} for mine in (before, rows) if mine]
    places = list(dict.fromkeys(row.where for row in [*rows, *before]))
    lines = [f"| {' | '.join(['', *map(_short_place, places)])} |", f"|{'---|' * (len(places) + 1)}"]
    for what in sorted(dict.fromkeys(row.what for row in [*rows, *before]), key=_section):
        values = [[one.get((what, place), 0.0) for one in known] for place in places]
        if any(value >= _FEW for pair in values for value in pair):
            cells = [_tight(" → ".join(map(shown, pair))) if any(pair) else "" for pair in values]
            lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(["", *lines, "", ""])


def _section(what: str) -> int:
    return _SECTIONS.index(what.removeprefix("- ").split(" ")[0].rstrip(":"))


def _short_place(where: str) -> str:
    store, _, how = where.rpartition(", ")
    return f"{_short(store)}, {how}"


def _cells(row: Row, before: Row | None) -> list[str]:
    has_ratio = row.ratio is not None or row.reference
    return [
        row.what,
        _measured(row),
        "" if before is None else _measured(before),
        "" if row.reference is None else shown(row.reference),
        f"{row.judged:.2f}" if has_ratio else "",
        "" if row.limit is None else _tight(f"{_goal(row)} {'✓' if row.is_good else '✗'}"),
        "" if row.cpu is None else shown(row.cpu),
        "" if not row.db else shown(row.db),
        _EXPONENT.sub(lambda match: f"{float(match[0]):,.0f}", row.note),
    ]


def _measured(row: Row) -> str:
    return _tight(f"{shown(row.value)} {row.unit}".strip())


def _line(cells: Sequence[str], used: Iterable[int]) -> str:
    return f"| {' | '.join(cells[number] for number in used)} |"


def _goal(row: Row) -> str:
    assert row.limit is not None
    return f"{'≥' if row.at_least else '≤'} {row.limit:,.3g}" if row.limit < 1_000 else f"≥ {row.limit:,.0f}"


def _judged(row: Row) -> str:
    is_ratio = row.ratio is not None or row.reference
    return f"{row.judged:.2f}" if is_ratio else _measured(row)


# Plots.


def _cost(rows: dict[str, Rows]) -> str:
    chosen = [
        row
        for row in rows.get("deliveries", [])
        if row.what.startswith(("post with aiohttp", "post with wrk", "delivery, fan-out")) and row.value < 1_000
    ]
    return plots.bars("CPU of one delivery, connections kept", "µs", [_bar(row) for row in chosen if _is_main(row)])


def _fresh(rows: dict[str, Rows]) -> str:
    words = ("fresh connections", "resumed sessions")
    chosen = [row for row in rows.get("deliveries", []) if any(word in row.what for word in words)]
    return plots.bars("CPU of one delivery over a new TLS connection", "µs", [_bar(row) for row in chosen])


def _emits(rows: dict[str, Rows]) -> str:
    chosen = [row for row in rows.get("emits", []) if row.what.startswith("aemit, own") or "emit_many" in row.what]
    return plots.bars("Durable events per second", "events", [_bar(row, place=True) for row in chosen])


def _latency(rows: dict[str, Rows]) -> str:
    drawn: list[Bar] = []
    for row in rows.get("latency", []):
        if " at 100/s" in row.what:
            what = row.what.removeprefix("emit to receipt at 100/s, ")
            drawn.append(Bar(f"{_short(row.where)}, {what}", row.value))
            by_hand = float(row.note.split()[2])
            drawn.append(Bar("insert and aiohttp post by hand", by_hand, ours=False))
    return plots.bars("Emit to receipt at 100 events per second", "ms", drawn)


def _memory(rows: dict[str, Rows]) -> str:
    chosen = [row for row in rows.get("memory", []) if len(row.runs) > 1]
    values = chosen[0].runs if chosen else [0.0, 0.0]
    below = chosen[0].what.partition(" after ")[2].partition(",")[0] if chosen else ""
    step = max(1, len(values) // 20)
    smooth = [median(values[at : at + step]) for at in range(0, len(values), step)]
    return plots.line("Memory of host and worker", "MiB", smooth, below or "deliveries")


def _is_main(row: Row) -> bool:
    return not any(word in row.what for word in ("fresh", "resumed", "endpoint", "100 KB", "connections kept"))


def _bar(row: Row, *, place: bool = False) -> Bar:
    label = re.sub(r"^post with |; reference / value$", "", row.what).strip()
    ours = not row.what.startswith("post with")
    place = place or row.what.startswith("delivery")
    return Bar(f"{label}, {_short(row.where)}" if place and row.where else label, row.value, ours=ours)


def _short(where: str) -> str:
    return where.partition(",")[0]


PLOTS: dict[str, Callable[[dict[str, Rows]], str]] = {
    "cost": _cost,
    "fresh": _fresh,
    "emits": _emits,
    "latency": _latency,
    "memory": _memory,
}


if __name__ == "__main__":
    sys.exit(main())
