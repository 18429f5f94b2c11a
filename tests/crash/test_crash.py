"""A run of the crash script that is short enough for every day."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("crash.py")


@pytest.mark.slow
def test_no_event_is_lost_and_only_what_was_under_way_is_sent_again_when_processes_are_killed_or_frozen():
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--rounds", "50"], capture_output=True, text=True, timeout=180, check=False
    )
    sys.stdout.write(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\nlost: 0\n" in run.stdout
    assert "\nfreezes: 0\n" not in run.stdout
