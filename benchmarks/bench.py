"""Run the benchmarks: `python benchmarks/bench.py [scale] [pipeline] [--small] [--json FILE]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from databases import server
from tables import Table, write_json

KINDS = ["sqlite", "postgresql"]
SUITES = ["scale", "pipeline"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return 1 if a limit is missed or a run was not correct."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", help="scale, pipeline; both by default")
    parser.add_argument("--store", choices=KINDS, help="only this one; the pipeline always runs on SQLite")
    parser.add_argument("--small", action="store_true", help="see in seconds whether it works; the figures mean little")
    parser.add_argument("--json", metavar="FILE", help="write all figures here as well")
    given = parser.parse_args(arguments)
    if unknown := set(given.suites) - set(SUITES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    kinds = [given.store] if given.store else KINDS
    tables = [_run(suite, kinds, small=given.small) for suite in given.suites or SUITES]
    for table in tables:
        table.show()
    if given.json:
        write_json(given.json, tables)
    missed = [row for table in tables for row in table.rows if not row.is_good]
    wrong = any(table.problems for table in tables)
    return 1 if wrong or (missed and not given.small) else 0


def _run(suite: str, kinds: list[str], *, small: bool) -> Table:
    table = Table(suite)
    if suite == "scale":
        import scale
        import sizes

        with server(kinds) as dsn:
            scale.measure(table, kinds, dsn, sizes.SMALL if small else sizes.Size())
    else:
        import pipeline

        pipeline.measure(table, pipeline.SMALL if small else pipeline.Size())
    return table


if __name__ == "__main__":
    sys.exit(main())
