"""The model that computes what a number of deliveries per day needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "capacity.py"


def _row(where, what, value, **more):
    return {"where": where, "what": what, "value": value, "cpu": None, "db": None, **more}


@pytest.fixture
def figures(tmp_path):
    light = [
        _row("PostgreSQL", f"event at {rate}/s, separate worker", 0, cpu=cpu, db=cpu / 2)
        for rate, cpu in ((25, 4000), (100, 2000), (400, 1000))
    ]
    busy = [
        _row("PostgreSQL", "deliveries per second of a backlog, 1 worker process", 4000, cpu=100, db=80),
        _row("PostgreSQL", "deliveries per second of a backlog, 4 worker processes", 5000, cpu=200, db=90),
        _row("PostgreSQL", "deliveries per second of a backlog, a near and a far worker (50 ms away)", 3000),
    ]
    growth = [
        _row("PostgreSQL", "WAL per delivery, fan-out 1", 6000),
        _row("PostgreSQL", "WAL per delivery, fan-out 10", 4200),
        _row("PostgreSQL", "tables and indexes per delivery, fan-out 1", 1500),
        _row("PostgreSQL", "tables and indexes per event, fan-out 1", 1700),
    ]
    tables = {"light": [*light, _row("SQLite", light[0]["what"], 0, cpu=1, db=1)], "workers": busy, "growth": growth}
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"tables": [{"title": title, "rows": rows} for title, rows in tables.items()]}))
    return file


def _needs(figures, *options):
    command = [sys.executable, str(SCRIPT), "--file", str(figures), *options]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return [cell.strip() for cell in run.stdout.splitlines()[-1].strip("|").split("|")]


def test_cores_are_the_rate_times_the_cost_at_this_rate_and_bytes_those_of_deliveries_and_of_their_share_of_events(
    figures,
):
    # 100 and 400 per second, at 2,000 and 1,000 us in the worker, half of that in the database.
    needs = _needs(figures, "--deliveries", "8640000", "--peak", "4")
    assert needs == ["8,640,000 (100/s, peak x4)", "0.2 / 0.4", "0.1 / 0.2", "0.6 MB/s", "829 GB for 30 days"]
    # Above the rate of one worker, the most expensive number of workers counts; half an event of 3 KB per delivery.
    needs = _needs(figures, "--deliveries", "864e6", "--fan-out", "2", "--kilobytes", "3", "--days", "1")
    assert needs[1:] == ["2.0 / 6.0", "0.9 / 2.7", "60.0 MB/s", "2.9 TB for 1 days"]


def test_between_two_rates_the_cost_lies_between_theirs_and_own_figures_take_the_place_of_measured_ones(figures):
    half_way = _needs(figures, "--deliveries", str(200 * 86_400), "--peak", "1")
    assert half_way[1] == "0.28 / 0.28"
    own = _needs(figures, "--deliveries", str(200 * 86_400), "--peak", "2", "--set", "worker_us=500")
    assert own[1:3] == ["0.1 / 0.2", "0.14 / 0.2"]
