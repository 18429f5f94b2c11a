"""Run the benchmarks: `python benchmarks/bench.py [suite ...] [--small] [--set NAME=VALUE ...] [--json FILE]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from attrs import evolve
from databases import server
from tables import Table, write_json

KINDS = ["sqlite", "postgresql"]
SUITES = ["emits", "deliveries", "latency", "light", "workers", "hanging", "scale", "memory"]
# These only run when they are named.
MORE = ["console", "growth", "profile", "recovery", "retention", "trace", "versions"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen suites; return 1 if a limit is missed or a run was incorrect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", help=f"by default {', '.join(SUITES)}; more: {', '.join(MORE)}")
    parser.add_argument("--store", choices=KINDS, help="only this one; what compares clients stays on SQLite")
    parser.add_argument("--small", action="store_true", help="see in minutes whether it works; the figures mean little")
    parser.add_argument("--json", metavar="FILE", help="write all figures here as well, beside those of other suites")
    parser.add_argument("--label", default="", help="keep the figures under this name, beside others: before")
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="change a size of the suites")
    given = parser.parse_args(arguments)
    if unknown := set(given.suites) - {*SUITES, *MORE}:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    tables = _run_all(given.suites or SUITES, [given.store] if given.store else KINDS, given)
    missed = [row for table in tables for row in table.rows if not row.is_good]
    wrong = any(table.problems for table in tables)
    return 1 if wrong or (missed and not given.small) else 0


def _run_all(suites: Sequence[str], kinds: list[str], given: argparse.Namespace) -> list[Table]:
    tables = []
    with server(kinds) as dsn:
        for suite in suites:
            module = import_module(suite)
            table = Table(f"{suite}-{given.label}" if given.label else suite)
            tables.append(table)
            try:
                module.measure(table, kinds, dsn, _size(module, given))
            except BaseException as error:
                table.check(f"ended early by {type(error).__name__}", good=False)
                raise
            finally:
                # What has been measured is saved even if a later suite fails.
                table.show()
                if given.json:
                    write_json(given.json, [table])
    return tables


def _size(module: Any, given: argparse.Namespace) -> Any:
    size = module.SMALL if given.small else module.Size()
    changes = dict(change.split("=", 1) for change in given.set)
    mine = {name: value for name, value in changes.items() if hasattr(size, name)}
    return evolve(size, **{name: type(getattr(size, name))(value) for name, value in mine.items()})


if __name__ == "__main__":
    sys.exit(main())
