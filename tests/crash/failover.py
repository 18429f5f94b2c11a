"""Kill a PostgreSQL primary under load, promote its standby, and count the confirmed events that were lost.

Run `python tests/crash/failover.py --rounds 5`: each round has servers of its own, with synchronous and with
asynchronous replication in turn. With synchronous replication nothing may be lost. With asynchronous replication the
standby falls behind before the primary dies: what it has not received is not in the log afterwards, and is lost if it
had not been delivered yet, which no sender of webhooks can help.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from attrs import frozen

from unihooks.testing import Receiver

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))

import postgres_server
from postgres_load import Load
from waiting import wait_for

SECONDS = 60


@frozen
class Figures:
    """The figures of a run."""

    confirmed: int = 0
    refused: int = 0
    delivered: int = 0
    sent_again: int = 0
    lost: int = 0
    forgotten: int = 0


def fail_over(*, synchronous: bool) -> Figures:
    """Run one round."""
    with (
        postgres_server.serving(fsync="on") as primary,
        postgres_server.serving(primary=primary, fsync="on") as standby,
        Receiver() as receiver,
    ):
        _replicate(primary, synchronous=synchronous)
        load = Load(receiver, _both(primary, standby))
        with load.running():
            load.goes_on()
            if not synchronous:
                _fall_behind(standby)
                load.goes_on()
            primary.kill()
            wait_for(lambda: load.refused or load.is_waiting(), SECONDS)
            standby.promote()
            load.goes_on()
            load.end_emitting()
            wait_for(load.is_idle, SECONDS)
            wait_for(load.is_listening, SECONDS)
            return _figures(load, receiver)


def _replicate(primary: postgres_server.Server, *, synchronous: bool) -> None:
    with psycopg.connect(primary.dsn, autocommit=True) as admin:
        if synchronous:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            admin.execute("SELECT pg_reload_conf()")
        wanted = "sync" if synchronous else "async"
        look = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = %s"
        wait_for(lambda: admin.execute(look, [wanted]).fetchone(), SECONDS)


def _fall_behind(standby: postgres_server.Server) -> None:
    """Stop the standby from receiving anything more, as over a bad network."""
    with psycopg.connect(standby.dsn, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET primary_conninfo = ''")
        admin.execute("SELECT pg_reload_conf()")
        wait_for(lambda: not admin.execute("SELECT 1 FROM pg_stat_wal_receiver").fetchone(), SECONDS)


def _both(*servers: postgres_server.Server) -> str:
    given = [psycopg.conninfo.conninfo_to_dict(server.dsn) for server in servers]
    hosts: dict[str, Any] = {name: ",".join(str(one[name]) for one in given) for name in ("host", "port")}
    return psycopg.conninfo.make_conninfo(servers[0].dsn, **hosts, target_session_attrs="read-write")


def _figures(load: Load, receiver: Receiver) -> Figures:
    sent = Counter(one.headers["webhook-id"] for one in receiver.requests)
    return Figures(
        confirmed=len(load.stored),
        refused=len(load.refused),
        delivered=len(sent),
        sent_again=sum(sent.values()) - len(sent),
        lost=len(set(load.stored) - set(sent)),
        forgotten=len(set(load.stored) - load.kept()),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; return 1 if anything was lost that must not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    broken = 0
    for number in range(given.rounds):
        for kind in ("synchronous", "asynchronous"):
            began = time.monotonic()
            figures = fail_over(synchronous=kind == "synchronous")
            broken += kind == "synchronous" and figures.lost + figures.forgotten
            sys.stdout.write(
                f"round {number + 1}, {kind}: {figures.confirmed} confirmed, {figures.refused} refused, "
                f"{figures.delivered} delivered, {figures.sent_again} sent again, {figures.lost} lost, "
                f"{figures.forgotten} not in the log ({time.monotonic() - began:.0f} s)\n"
            )
            sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
