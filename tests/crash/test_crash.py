"""A short run of the crash script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("crash.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--rounds", "50"], id="sqlite"),
        pytest.param(["--rounds", "15", "--postgres"], id="postgres", marks=pytest.mark.postgres),
    ],
)
def test_no_event_is_lost_and_only_deliveries_in_flight_are_repeated_when_processes_are_killed_or_frozen(options):
    command = [sys.executable, str(SCRIPT), *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=540, check=False)
    sys.stdout.write(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr[-4_000:]
    assert "\nlost: 0\n" in run.stdout
    assert "\nout of order: 0\n" in run.stdout
    assert "\nfreezes: 0\n" not in run.stdout
    assert ("\nrestarts: 0\n" in run.stdout) == ("--postgres" not in options)
