"""Emit at a steady rate or as fast as possible, and note how long each emit and each receipt takes."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from receiver import wait_for
from senders import BODY, ENDPOINTS, PAYLOAD, Meter, Task, opened, run_loop

CALLERS = 64


def paced_emits(task: Task, count: Any) -> list[float]:
    """Emit at `rate` from one thread; return the milliseconds of each call."""
    with (
        tempfile.TemporaryDirectory(prefix="unihooks-bench-") as folder,
        opened(task, Path(folder) / "db") as dispatcher,
    ):
        taken = []
        for number in _beats(task):
            began = time.perf_counter()
            dispatcher.emit("bench", f"type.{number % ENDPOINTS}", PAYLOAD)
            taken.append((time.perf_counter() - began) * 1e3)
        return taken


def saturated_emits(task: Task, count: Any) -> dict[str, Any]:
    """Emit from many asynchronous callers at once; return the rate, the CPU and the milliseconds of each call."""
    taken: list[float] = []
    numbers = iter(range(task.count))
    with (
        tempfile.TemporaryDirectory(prefix="unihooks-bench-") as folder,
        opened(task, Path(folder) / "db") as dispatcher,
    ):

        async def caller() -> None:
            for number in numbers:
                began = time.perf_counter()
                await dispatcher.aemit("bench", f"type.{number % ENDPOINTS}", PAYLOAD)
                taken.append((time.perf_counter() - began) * 1e3)

        async def main() -> dict[str, float]:
            meter = Meter()
            await asyncio.gather(*(caller() for _ in range(CALLERS)))
            return meter.read(task.count)

        return {**run_loop(task, main), "taken": taken}


def batched_emits(task: Task, count: Any) -> dict[str, float]:
    """Emit in batches of 100 from one thread."""
    with (
        tempfile.TemporaryDirectory(prefix="unihooks-bench-") as folder,
        opened(task, Path(folder) / "db") as dispatcher,
    ):
        meter = Meter()
        for _ in range(task.count // 100):
            dispatcher.emit_many([("bench", f"type.{number % ENDPOINTS}", PAYLOAD) for number in range(100)])
        return meter.read(task.count // 100 * 100)


def receipts(task: Task, count: Any) -> dict[str, float]:
    """Emit at `rate` beside a worker in the same process; return when each event began, by its id."""
    began: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="unihooks-bench-") as folder,
        opened(task, Path(folder) / "db") as dispatcher,
        dispatcher.running(),
    ):
        for number in _beats(task):
            now = time.monotonic()
            event = dispatcher.emit("bench", f"type.{number % ENDPOINTS}", PAYLOAD)
            began[event.id] = now
        wait_for(count, len(began))
    return began


def insert_and_post(task: Task, count: Any) -> dict[str, float]:
    """Insert a row durably, then post with aiohttp: the least that a host could do by hand."""
    began: dict[str, float] = {}

    async def main(path: str) -> None:
        import aiohttp

        connection = sqlite3.connect(path, isolation_level=None)
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (b BLOB)")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=task.trust)) as session:
            for number in range(task.count):
                await asyncio.sleep(max(0.0, start + number / task.rate - time.monotonic()))
                began[str(number)] = time.monotonic()
                connection.execute("INSERT INTO t VALUES (?)", (BODY,))
                headers = {"content-type": "application/json", "webhook-id": str(number)}
                async with session.post(task.urls[number % ENDPOINTS], data=BODY, headers=headers) as response:
                    await response.read()
        connection.close()

    with tempfile.TemporaryDirectory(prefix="unihooks-bench-") as folder:
        start = time.monotonic()
        run_loop(task, lambda: main(str(Path(folder) / "db")))
    return began


def _beats(task: Task) -> Iterator[int]:
    start = time.monotonic()
    for number in range(task.count):
        time.sleep(max(0.0, start + number / task.rate - time.monotonic()))
        yield number
