"""Short runs of the benchmarks: their checks hold, whatever they measure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pgbouncer
import postgres_server
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench.py"
RENDER = SCRIPT.with_name("render.py")


def _run(folder, *arguments, dsn=""):
    """Run small benchmarks, on the tests' own server if they need one; return the rows by label."""
    figures = folder / f"{arguments[0]}.json"
    command = [sys.executable, str(SCRIPT), *arguments, "--small", "--json", str(figures)]
    environment = {**os.environ, postgres_server.VARIABLE: dsn}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=540, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    [table] = json.loads(figures.read_text())["tables"]
    return [row["what"] for row in table["rows"]]


@pytest.mark.slow
def test_claims_lease_the_healthy_and_planning_stays_in_batches_beside_much_else(tmp_path):
    rows = _run(tmp_path, "scale", "--store", "sqlite")
    assert sum(row.startswith("claim 256 beside") for row in rows) == 6
    assert sum(row.startswith("plan with fan-out") for row in rows) == 2


@pytest.mark.slow
@pytest.mark.postgres
def test_the_same_holds_on_postgresql(tmp_path, postgres_dsn):
    rows = _run(tmp_path, "scale", "--store", "postgresql", dsn=postgres_dsn)
    assert sum(row.startswith("claim 256 beside") for row in rows) == 6


@pytest.mark.slow
def test_receiver_and_log_agree_and_every_signature_is_valid(tmp_path):
    rows = _run(tmp_path, "deliveries", "--store", "sqlite")
    assert sum(row.startswith("delivery, ") for row in rows) >= 10


@pytest.mark.slow
def test_every_row_that_was_emitted_is_kept_and_every_event_arrives(tmp_path):
    assert any(row.startswith("aemit, host transaction") for row in _run(tmp_path, "emits", "--store", "sqlite"))
    assert sum(row.startswith("emit to receipt") for row in _run(tmp_path, "latency", "--store", "sqlite")) == 12


@pytest.mark.slow
def test_every_event_of_a_light_load_arrives_and_a_worker_is_watched_at_rest(tmp_path):
    rows = _run(tmp_path, "light", "--store", "sqlite")
    assert sum(row.startswith("event at ") for row in rows) == 4
    assert sum(row.startswith(("idle worker, CPU", "first event")) for row in rows) == 2


@pytest.mark.slow
@pytest.mark.postgres
def test_light_load_is_measured_on_postgresql_and_behind_a_pooler_where_there_is_one(tmp_path, postgres_dsn):
    rows = _run(tmp_path, "light", "--store", "postgresql", dsn=postgres_dsn)
    stores = 2 if pgbouncer.binary() else 1
    assert sum(row.startswith("idle worker, CPU") for row in rows) == stores


@pytest.mark.slow
def test_live_events_are_measured_beside_a_job(tmp_path):
    rows = _run(tmp_path, "recovery", "--store", "sqlite")
    assert sum(row.startswith("live events beside a job") for row in rows) == 2


@pytest.mark.slow
@pytest.mark.postgres
def test_one_event_is_followed_from_emit_to_recorded(tmp_path, postgres_dsn):
    rows = _run(tmp_path, "trace", dsn=postgres_dsn)
    assert {"when emit returns", "when it is leased", "when it is recorded", "context switches"} <= set(rows)
    assert {"transactions", "calls", "round trips", "WAL flushes"} <= set(rows)


@pytest.mark.slow
def test_a_version_is_compared_with_another_one(tmp_path):
    rows = _run(tmp_path, "versions", "--store", "sqlite")
    assert sum(row.endswith(", against before") for row in rows) == 4


@pytest.mark.slow
def test_ill_endpoints_take_nothing_from_the_healthy(tmp_path):
    assert len(_run(tmp_path, "hanging", "--store", "sqlite")) == 2


@pytest.mark.slow
@pytest.mark.postgres
def test_several_worker_processes_deliver_each_event_once(tmp_path, postgres_dsn):
    rows = _run(tmp_path, "workers", "--store", "postgresql", dsn=postgres_dsn)
    assert sum(row.startswith("deliveries per second") for row in rows) == 4
    assert sum("at 100/s" in row for row in rows) == 4
    assert sum(row.startswith("requests to an endpoint") for row in rows) == 1


@pytest.mark.slow
@pytest.mark.postgres
def test_bytes_that_deliveries_leave_behind_are_counted(tmp_path, postgres_dsn):
    rows = _run(tmp_path, "growth", dsn=postgres_dsn)
    assert {"WAL per delivery, fan-out 1", "tables and indexes per event, fan-out 10"} <= set(rows)


@pytest.mark.slow
@pytest.mark.postgres
def test_old_rows_are_removed_by_days_and_one_by_one(tmp_path, postgres_dsn):
    rows = _run(tmp_path, "retention", dsn=postgres_dsn)
    assert {f"time to remove {how}" for how in ("1,000 events, row by row", "2,000 events, by days")} <= set(rows)


@pytest.mark.slow
@pytest.mark.postgres
def test_the_consoles_pages_work_over_a_large_store(tmp_path, postgres_dsn):
    rows = _run(tmp_path, "console", dsn=postgres_dsn)
    assert sum("the operator's page" in row for row in rows) == 2


@pytest.mark.slow
def test_the_profile_names_what_each_thread_does(tmp_path):
    rows = _run(tmp_path, "profile", "--store", "sqlite")
    assert {"host thread", "store thread", "loop thread", "- sign", "- commit: write and sync pages"} <= set(rows)


def test_the_page_of_the_docs_shows_the_figures_that_were_kept():
    run = subprocess.run([sys.executable, str(RENDER), "--check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
