from __future__ import annotations

import threading

import pytest

from unihooks._base.event_loops import run_in_new_loop


async def test_run_in_new_loop_inside_a_loop_passes_results_and_errors_on():
    async def answer():
        return threading.current_thread().name

    async def fail():
        raise KeyError("here")

    assert run_in_new_loop(answer) == "unihooks-call"
    with pytest.raises(KeyError, match="here"):
        run_in_new_loop(fail)
