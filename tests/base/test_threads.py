from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading

import pytest

from unihooks._base.threads import Threads

AFTER_THE_MAIN_THREAD = """
import asyncio, threading
from unihooks._base.awaitable import in_own_thread

def late():
    threading.main_thread().join()
    print(asyncio.run(in_own_thread(str, "still works")))

threading.Thread(target=late).start()
"""


@pytest.fixture
def threads() -> Threads:
    return Threads(2, "test")


async def test_calls_run_in_threads_of_ours_and_with_the_context_of_the_caller(threads):
    spoken: contextvars.ContextVar[str] = contextvars.ContextVar("spoken")
    spoken.set("ar")
    assert await threads.run(spoken.get) == "ar"
    assert (await threads.run(lambda: threading.current_thread().name)).startswith("test-")


async def test_calls_take_named_arguments(threads):
    assert await threads.run(int, "ff", base=16) == 255


async def test_result_and_error_come_back(threads):
    assert await threads.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 7, 0)


async def test_more_calls_than_threads_wait_for_each_other(threads):
    found = await asyncio.gather(*(threads.run(lambda: threading.current_thread().name) for _ in range(50)))
    assert len(found) == 50
    assert len(set(found)) <= 2


async def test_cancelled_call_that_still_waits_is_never_made(threads):
    go, made = threading.Event(), []
    busy = [asyncio.ensure_future(threads.run(go.wait)) for _ in range(2)]
    waiting = asyncio.ensure_future(threads.run(made.append, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*busy)
    assert await threads.run(list, made) == []


async def test_threads_are_started_anew_after_a_fork_that_python_did_not_see(threads, monkeypatch):
    await threads.run(int)
    before = threads._jobs
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    assert await threads.run(str, "child") == "child"
    assert threads._jobs is not before


def test_calls_are_made_after_the_main_thread_has_ended():
    done = subprocess.run(
        [sys.executable, "-c", AFTER_THE_MAIN_THREAD], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("still works\n", 0), done.stderr
