"""The commands for the whole store: migrate, worker, status."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from unihooks._contract.statistics import Stats
from unihooks._delivery.worker import CONCURRENCY, PER_ENDPOINT, Worker
from unihooks._dispatcher import Dispatcher
from unihooks.cli._apps import with_app, with_dispatcher
from unihooks.cli._options import json_option
from unihooks.cli._tables import Column, console, show_fields, show_rows
from unihooks.cli._values import short_time, stats_value, write_json
from unihooks.stores import migration_sql


def _or_print_sql(command: Callable[..., Any]) -> Callable[..., Any]:
    @click.option("--sql", is_flag=True, help="Print the SQL for PostgreSQL and run nothing; works without --app.")
    @click.option("--schema", default="unihooks", show_default=True, help="With --sql: the name of the schema.")
    @click.option(
        "--since", type=click.IntRange(min=0), default=0, help="With --sql: the current version, or 0 for none."
    )
    @click.option(
        "--until", type=click.IntRange(min=1), help="With --sql: the version to migrate to, by default the newest."
    )
    @wraps(command)
    def run(*, sql: bool, schema: str, since: int, until: int | None, **rest: Any) -> Any:
        if not sql:
            return command(**rest)
        versions = {"since": since} if until is None else {"since": since, "until": until}
        return click.echo(migration_sql(schema, **versions), nl=False)

    return run


@click.command()
@_or_print_sql
@with_dispatcher
@json_option
def migrate(dispatcher: Dispatcher, *, as_json: bool) -> None:
    """Create the store's tables, or bring them up to date."""
    steps = dispatcher.migrate()
    if as_json:
        write_json({"steps": steps})
    else:
        click.echo("\n".join(f"applied {step}" for step in steps) or "the schema is up to date")


@click.command()
@with_app
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=CONCURRENCY,
    show_default=True,
    help="The maximum number of requests in flight.",
)
@click.option(
    "--per-endpoint",
    type=click.IntRange(min=1),
    default=PER_ENDPOINT,
    show_default=True,
    help="The maximum number of requests in flight to one endpoint.",
)
def worker(dispatcher: Dispatcher, *, concurrency: int, per_endpoint: int) -> None:
    """Run a worker until SIGTERM or Ctrl-C.

    It then finishes and records the requests in flight, and exits with 0.
    """
    made = Worker(dispatcher, concurrency=concurrency, per_endpoint=per_endpoint)
    # Nothing is in flight yet, and the check below may wait for a database that hangs.
    _on_signals(lambda *_: sys.exit(0))
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    dispatcher.stats()  # If the store cannot be used, this fails at once, with one sentence.
    # The worker handles signals only once it runs; one that comes before must stop it too.
    _on_signals(lambda *_: made.stop())
    # What the application has loaded stays for good. A full garbage collection that includes it stops all deliveries
    # for 35 ms and more; one without it, for 5 ms.
    gc.collect()
    gc.freeze()
    click.echo(f"worker {os.getpid()} is running; stop it with SIGTERM or Ctrl-C", err=True)
    made.run()
    click.echo(f"worker {os.getpid()} has stopped", err=True)


def _on_signals(handler: Callable[..., object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


@click.command()
@with_dispatcher
@json_option
def status(dispatcher: Dispatcher, *, as_json: bool) -> None:
    """Show the queue and its workers.

    Counts are of all tenants; workers are those seen in the last minute.
    """
    stats = dispatcher.stats()
    if as_json:
        write_json(stats_value(stats))
    else:
        _show_status(stats)


def _show_status(stats: Stats) -> None:
    out = console()
    fields = [
        ("oldest unplanned event", short_time(stats.oldest_unplanned) or "none"),
        ("due deliveries", stats.due),
        ("held deliveries", stats.held),
        ("in flight", stats.in_flight),
        ("failing endpoints", stats.failing_endpoints),
        ("ordered, but without a subject", stats.without_subject),
        ("workers", len(stats.workers) or "none seen in the last minute; start one with: unihooks worker"),
    ]
    show_fields(fields, out=out)
    if stats.workers:
        columns = [Column("worker"), Column("host", flexible=True), Column("pid"), Column("seen")]
        rows = [[one.id, one.host, one.pid, short_time(one.seen_at)] for one in stats.workers]
        click.echo()
        show_rows(columns, rows, out=out)
