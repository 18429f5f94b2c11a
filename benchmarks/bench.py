"""Run the benchmarks: `python benchmarks/bench.py [suite ...] [--small] [--json FILE]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from databases import server
from tables import Table, write_json

KINDS = ["sqlite", "postgresql"]
SUITES = ["emits", "deliveries", "latency", "workers", "hanging", "scale", "memory"]
# These only run when they are named.
MORE = ["console", "profile"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen suites; return 1 if a limit is missed or a run was incorrect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", help=f"by default {', '.join(SUITES)}; more: {', '.join(MORE)}")
    parser.add_argument("--store", choices=KINDS, help="only this one; what compares clients stays on SQLite")
    parser.add_argument("--small", action="store_true", help="see in minutes whether it works; the figures mean little")
    parser.add_argument("--json", metavar="FILE", help="write all figures here as well, beside those of other suites")
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
            table = Table(suite)
            tables.append(table)
            try:
                module.measure(table, kinds, dsn, module.SMALL if given.small else module.Size())
            except BaseException as error:
                table.check(f"ended early by {type(error).__name__}", good=False)
                raise
            finally:
                # What has been measured is saved even if a later suite fails.
                table.show()
                if given.json:
                    write_json(given.json, [table])
    return tables


if __name__ == "__main__":
    sys.exit(main())
