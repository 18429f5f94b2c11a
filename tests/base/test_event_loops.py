from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from unihooks._base.event_loops import note_thread_end, run_in_new_loop


async def test_run_in_new_loop_inside_a_loop_passes_results_and_errors_on():
    async def answer():
        return threading.current_thread().name

    async def fail():
        raise KeyError("here")

    assert run_in_new_loop(answer) == "unihooks-call"
    with pytest.raises(KeyError, match="here"):
        run_in_new_loop(fail)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not tell when a thread has ended")
def test_a_fork_waits_until_threads_that_ran_a_loop_have_ended(monkeypatch):
    # Such a thread may hold a lock of OpenSSL while it ends; the child would wait for it forever.
    monkeypatch.setattr("unihooks._base.event_loops._FORK_PATIENCE_SECONDS", 30.0)
    has_noted = threading.Event()
    may_end = threading.Event()

    def end_late():
        note_thread_end()
        has_noted.set()
        may_end.wait(30)

    thread = threading.Thread(target=end_late)
    thread.start()
    has_noted.wait(30)
    threading.Timer(0.05, may_end.set).start()
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not thread.is_alive()


def test_no_thread_of_ours_is_the_first_to_import_what_registers_hooks_of_forks():
    code = "import sys, unihooks; print('concurrent.futures.thread' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"
