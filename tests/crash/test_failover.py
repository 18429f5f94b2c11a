"""A short run of the failover script."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("failover.py")


@pytest.mark.slow
@pytest.mark.postgres
def test_confirmed_events_are_delivered_when_the_primary_is_killed_and_its_standby_promoted():
    command = [sys.executable, str(SCRIPT), "--rounds", "1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    sys.stdout.write(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr[-4_000:]
    rounds = re.findall(r"(\w+): (\d+) confirmed.* (\d+) lost, (\d+) not in the log", run.stdout)
    assert [one[0] for one in rounds] == ["synchronous", "asynchronous"]
    assert all(int(confirmed) > 200 for _, confirmed, *_ in rounds)
    assert rounds[0][2:] == ("0", "0")
    # The count counts: what the standby had not received is gone.
    assert int(rounds[1][3]) > 0
