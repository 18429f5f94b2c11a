"""Emit from many callers at the same time, in the library's own transaction or the host's, or insert a row by hand."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from typing import Any

from attrs import frozen
from databases import Place
from durable import opened
from tables import percentile
from tasks import Meter, Task

from unihooks import Dispatcher

CALLERS = (1, 16, 256)
# SQLite has one writer at a time, and others sleep meanwhile: more connections would only measure the sleep.
HOST_CONNECTIONS = {"sqlite": 1, "postgresql": 16}
WAYS = ("own", "host", "by hand")

Figures = dict[str, float]
Call = Callable[[int], None]
ACall = Callable[[int], Awaitable[None]]


@frozen
class Case:
    """What is measured: how many callers, as threads or tasks, and how they emit."""

    callers: int
    mode: str
    way: str


def emit_all_ways(task: Task, count: Any) -> dict[Case, Figures]:
    """Run every case for `task.seconds`; return rate, latencies and CPU of each."""
    figures: dict[Case, Figures] = {}
    with opened(task) as (dispatcher, one):
        one.run(
            "CREATE TABLE by_hand (body TEXT)" if one.kind == "sqlite" else f"CREATE TABLE {_by_hand(one)} (body TEXT)"
        )
        for mode in ("sync", "async"):
            for callers in CALLERS:
                for way in WAYS:
                    measure = _from_threads if mode == "sync" else _from_tasks
                    figures[Case(callers, mode, way)] = measure(task, dispatcher, one, callers, way)
        kept = sum(one.fetch(f"SELECT count(*) FROM {table}")[0] for table in (f"{one.prefix}events", _by_hand(one)))
        asked = sum(mine["count"] for mine in figures.values())
        if kept != asked:
            raise RuntimeError(f"{kept} rows are kept of {asked}")
    return figures


def paced_emits(task: Task, count: Any) -> list[float]:
    """Emit at a rate from one thread; return the milliseconds of each call."""
    taken = []
    with opened(task) as (dispatcher, _):
        start = time.monotonic()
        for number in range(int(task.rates[0] * task.seconds)):
            time.sleep(max(0.0, start + number / task.rates[0] - time.monotonic()))
            began = time.perf_counter()
            dispatcher.emit("bench", f"type.{number % task.endpoints}", task.payload)
            taken.append((time.perf_counter() - began) * 1e3)
    return taken


def batched_emits(task: Task, count: Any) -> Figures:
    """Emit in batches of 100 from one thread."""
    with opened(task) as (dispatcher, _):
        meter, end, emitted = Meter(task.dsn), time.monotonic() + task.seconds, 0
        while time.monotonic() < end:
            dispatcher.emit_many([("bench", f"type.{number % 10}", task.payload) for number in range(100)])
            emitted += 100
        return meter.read(emitted)


def _by_hand(one: Place) -> str:
    return f"{one.prefix}by_hand" if one.kind == "postgresql" else "by_hand"


def _insert(one: Place) -> str:
    return f"INSERT INTO {_by_hand(one)} VALUES ({'?' if one.kind == 'sqlite' else '%s'})"


def _figures(task: Task, meter: Meter, taken: list[float]) -> Figures:
    parts = {f"p{part * 100:.0f}": percentile(taken, part) for part in (0.5, 0.99)}
    return {**meter.read(len(taken)), **parts, "count": len(taken)}


# From threads.


def _from_threads(task: Task, dispatcher: Dispatcher, one: Place, callers: int, way: str) -> Figures:
    taken: list[float] = []
    with _calling(task, dispatcher, one, callers, way) as call:
        call(0)
        meter, end = Meter(task.dsn), time.monotonic() + task.seconds

        def repeat(number: int) -> None:
            taken.append(_timed(call, number))
            while time.monotonic() < end:
                taken.append(_timed(call, number))

        threads = [threading.Thread(target=repeat, args=(number,)) for number in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        figures = _figures(task, meter, taken)
    return {**figures, "count": len(taken) + 1}


def _timed(call: Call, number: int) -> float:
    began = time.perf_counter()
    call(number)
    return (time.perf_counter() - began) * 1e3


@contextmanager
def _calling(task: Task, dispatcher: Dispatcher, one: Place, callers: int, way: str) -> Iterator[Call]:
    payload, body, insert = task.payload, task.body.decode(), _insert(one)
    if way == "own":
        yield lambda number: dispatcher.emit("bench", f"type.{number % 10}", payload) and None
        return
    with ExitStack() as stack:
        free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(min(callers, HOST_CONNECTIONS[one.kind])):
            free.put(stack.enter_context(closing(_connect(one))))

        def call(number: int) -> None:
            connection = free.get()
            if one.kind == "sqlite":
                connection.execute("BEGIN IMMEDIATE")
            if way == "host":
                dispatcher.emit("bench", f"type.{number % 10}", payload, connection=connection)
            else:
                connection.execute(insert, (body,))
            connection.commit()
            free.put(connection)

        yield call


def _connect(one: Place) -> Any:
    if one.kind == "sqlite":
        connection = sqlite3.connect(one.target, isolation_level=None, timeout=60, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        return connection
    import psycopg

    return psycopg.connect(one.target)


# From tasks.


def _from_tasks(task: Task, dispatcher: Dispatcher, one: Place, callers: int, way: str) -> Figures:
    async def main() -> Figures:
        taken: list[float] = []
        async with _acalling(task, dispatcher, one, callers, way) as call:
            await call(0)
            meter, end = Meter(task.dsn), time.monotonic() + task.seconds

            async def repeat(number: int) -> None:
                taken.append(await _atimed(call, number))
                while time.monotonic() < end:
                    taken.append(await _atimed(call, number))

            await asyncio.gather(*map(repeat, range(callers)))
            figures = _figures(task, meter, taken)
        return {**figures, "count": len(taken) + 1}

    return asyncio.run(main())


async def _atimed(call: ACall, number: int) -> float:
    began = time.perf_counter()
    await call(number)
    return (time.perf_counter() - began) * 1e3


@asynccontextmanager
async def _acalling(task: Task, dispatcher: Dispatcher, one: Place, callers: int, way: str) -> AsyncIterator[ACall]:
    payload, body, insert = task.payload, task.body.decode(), _insert(one)
    if way == "own":

        async def emit(number: int) -> None:
            await dispatcher.aemit("bench", f"type.{number % 10}", payload)

        yield emit
        return
    async with AsyncExitStack() as stack:
        free: asyncio.Queue[Any] = asyncio.Queue()
        for _ in range(min(callers, HOST_CONNECTIONS[one.kind])):
            free.put_nowait(await stack.enter_async_context(_aconnect(one)))

        async def call(number: int) -> None:
            connection = await free.get()
            if one.kind == "sqlite":
                await connection.execute("BEGIN IMMEDIATE")
            if way == "host":
                await dispatcher.aemit("bench", f"type.{number % 10}", payload, connection=connection)
            else:
                await connection.execute(insert, (body,))
            await connection.commit()
            free.put_nowait(connection)

        yield call


@asynccontextmanager
async def _aconnect(one: Place) -> AsyncIterator[Any]:
    if one.kind == "sqlite":
        import aiosqlite

        async with aiosqlite.connect(one.target, isolation_level=None, timeout=60) as connection:
            await connection.execute("PRAGMA synchronous = FULL")
            yield connection
        return
    import psycopg

    async with await psycopg.AsyncConnection.connect(one.target) as connection:
        yield connection
