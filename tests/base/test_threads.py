from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
from concurrent.futures import CancelledError

import pytest
from waiting import SECONDS, await_for

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
    assert (await threads.run(lambda: threading.current_thread().name)).startswith("test")


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
    before = threads._calls
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    assert await threads.run(str, "child") == "child"
    assert threads._calls is not before


def test_calls_are_made_after_the_main_thread_has_ended():
    done = subprocess.run(
        [sys.executable, "-c", AFTER_THE_MAIN_THREAD], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("still works\n", 0), done.stderr


async def test_threads_are_reused_bounded_and_end_when_idle():
    threads, seen, done = Threads(2, "test", idle_seconds=0.1), set(), []
    both_run = threading.Barrier(2)

    def job():
        both_run.wait(SECONDS)
        seen.add(threading.get_ident())
        done.append(1)

    for _ in range(20):
        threads.submit(job)
    await await_for(lambda: threads._started == 0)
    assert (len(done), len(seen)) == (20, 2)
    threads.submit(lambda: done.append(1))
    await await_for(lambda: len(done) == 21)
    threads.close()


async def test_threads_that_hang_leave_one_that_takes_the_next_job():
    idle = []

    class Watched(Threads):
        def _may_end(self):
            idle.append(self._started)
            return super()._may_end()

    threads, release, done = Watched(5, "test", idle_seconds=0.02), threading.Event(), asyncio.Event()
    for _ in range(4):
        threads.submit(release.wait)
    # The fifth thread has been idle long enough to end, twice.
    await await_for(lambda: idle.count(5) == 2)
    loop = asyncio.get_running_loop()
    threads.submit(lambda: loop.call_soon_threadsafe(done.set))
    await asyncio.wait_for(done.wait(), SECONDS)
    release.set()
    threads.close()


def test_calls_that_have_not_begun_when_threads_are_closed_are_cancelled():
    threads, begun, release = Threads(1, "test"), threading.Event(), threading.Event()
    running = threads.submit(lambda: (begun.set(), release.wait(SECONDS)))
    waiting = threads.submit(print)
    assert begun.wait(SECONDS)
    threads.close()
    release.set()
    assert running.result(SECONDS)[1]
    for late in (waiting, threads.submit(print)):
        with pytest.raises(CancelledError):
            late.result(SECONDS)


async def test_awaiting_can_be_cancelled_while_a_call_hangs():
    threads, begun, release = Threads(1, "test"), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hang():
        loop.call_soon_threadsafe(begun.set)
        release.wait(SECONDS)

    hanging = asyncio.create_task(threads.run(hang))
    await begun.wait()
    hanging.cancel()
    await asyncio.wait([hanging])
    assert hanging.cancelled()
    release.set()
    threads.close()
