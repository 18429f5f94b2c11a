"""A short run of the script that cuts hosts off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("hosts.py")


@pytest.mark.slow
@pytest.mark.postgres
def test_no_event_is_lost_when_a_worker_and_the_receiver_are_cut_off_and_the_worker_continues_alone():
    command = [sys.executable, str(SCRIPT), "--rounds", "1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    sys.stdout.write(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr[-4_000:]
    if skipped := [line for line in run.stdout.splitlines() if line.startswith("skipped: ")]:
        pytest.skip(skipped[0])
    assert "\nlost: 0\n" in run.stdout
    assert "\ncuts: 2\n" in run.stdout
