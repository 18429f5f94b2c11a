from __future__ import annotations

import subprocess
import sys
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


def test_no_thread_of_ours_is_the_first_to_import_what_registers_hooks_of_forks():
    code = "import sys, unihooks; print('concurrent.futures.thread' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"
