"""Measure a worker's memory over many deliveries, and the memory of an idle connection."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from attrs import evolve, frozen
from deliveries import NAMES
from durable import emit, log, opened
from receiver import Receiver, checked, wait_for
from tables import Row, Table, say
from tasks import IN_FLIGHT, SECRET, Running, Task, run_loop

_STEPS = 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


@frozen(kw_only=True)
class Size:
    """How many deliveries to make, and how many connections to keep."""

    deliveries: int = 1_000_000
    idle: int = 10_000


SMALL = Size(deliveries=50_000, idle=500)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    with Receiver() as receiver:
        task = Task(address=receiver.address, uvloop=True)
        _show_idle(table, receiver, evolve(task, count=size.idle))
        _show_growth(table, receiver, evolve(task, fan_out=10, count=size.deliveries, warm=size.deliveries // 10))


def _show_idle(table: Table, receiver: Receiver, task: Task) -> None:
    with Running(idle_connections, task, receiver.count) as running:
        kilobytes = running.result()
    checked(table, receiver, task.body, "idle", task.count)
    what = f"memory of an idle kept TLS connection, at {task.count:,}"
    table.add(Row(what=what, where="", value=kilobytes, unit="KiB", limit=100))


def _show_growth(table: Table, receiver: Receiver, task: Task) -> None:
    wrong = came = 0
    with Running(many, task, receiver.count) as running:
        working = True
        while working:
            # Otherwise the receiver would keep all bodies.
            working = running.is_working()
            part = receiver.glance(task.body, SECRET)
            wrong, came = wrong + part.wrong, came + part.count
        figures = running.result()
    rest = receiver.report(task.body, SECRET)
    counts = {came + rest.count, figures["delivered"], figures["attempts"], figures["events"] * task.fan_out}
    good = counts == {task.warm + task.count} and wrong + rest.wrong == 0
    table.check(f"memory: received {came}, wrong {wrong}; {figures}", good=good)
    sizes = figures["sizes"]
    say(f"MiB during the run: {' '.join(f'{size:.0f}' for size in sizes)}")
    early, late = median(sizes[: _STEPS // 4]), median(sizes[-_STEPS // 4 :])
    what = f"memory of host and worker after {task.count:,} deliveries, against a quarter of them"
    common: dict[str, Any] = {
        "unit": "MiB",
        "limit": 1.1,
        "runs": sizes,
        "note": f"{figures['rate']:,.0f}/s during the run",
    }
    table.add(Row(what=what, where=NAMES["sqlite"], value=late, reference=early, **common))


def many(task: Task, count: Any) -> dict[str, Any]:
    """Deliver; return the process's MiB at each step."""
    sizes = []
    with opened(task) as (dispatcher, one):
        with dispatcher.running(concurrency=IN_FLIGHT):
            emit(dispatcher, task, task.warm, 0, count)
            wait_for(count, task.warm)
            began = time.perf_counter()
            for step in range(_STEPS):
                done = task.warm + task.count // _STEPS * step
                emit(dispatcher, task, task.count // _STEPS, done, count)
                sizes.append(resident() / 2**20)
            wait_for(count, task.warm + task.count)
            seconds = time.perf_counter() - began
        return {"sizes": sizes, "rate": task.count / seconds, **log(one)}


def idle_connections(task: Task, count: Any) -> float:
    """Keep a connection to each of very many endpoints; return the KiB of each."""

    async def main() -> float:
        import httpx

        from unihooks import TargetPolicy
        from unihooks.transport import HTTPTransport

        transport = HTTPTransport(TargetPolicy(allow=["127.0.0.0/8"]), ssl_context=task.trust)
        body, url = task.body, task.urls[0]

        async def post(number: int) -> None:
            extensions = {"unihooks": {"endpoint_id": f"end_{number}"}}
            request = httpx.Request("POST", url, content=body, extensions=extensions)
            await transport.handle_async_request(request)

        await _some_at_once(range(100), post)
        before = resident()
        await _some_at_once(range(100, task.count), post)
        taken = resident() - before
        await transport.aclose()
        return taken / (task.count - 100) / 1024

    return run_loop(task, main)


async def _some_at_once(numbers: range, post: Any) -> None:
    left = iter(numbers)

    async def poster() -> None:
        for number in left:
            await post(number)

    await asyncio.gather(*(poster() for _ in range(IN_FLIGHT)))


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
