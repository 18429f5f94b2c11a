"""Measure the time from emit to receipt, beside a durable insert and a post by hand."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from statistics import median
from typing import Any

from attrs import frozen
from databases import Place, place
from deliveries import NAMES
from durable import emit_one, opened, work_beside
from receiver import Receiver, checked, wait_for
from tables import Row, Table, against, percentile
from tasks import SECRET, Task, run, run_loop

RATES = (10.0, 100.0, 1_000.0)
_CONNECTIONS = 8
_LIMITS = {("sqlite", "same process"): 3.0, ("postgresql", "same process"): 5.0}
_LIMIT_APART = 15.0
_LIMIT_P99 = 3.0
_LIMIT_P99_LIGHT = 2.5

Began = dict[str, tuple[float, float]]


@frozen(kw_only=True)
class Size:
    """How long to emit at each rate."""

    rounds: int = 3
    seconds: float = 2.0


SMALL = Size(rounds=1, seconds=0.3)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    senders = {"same process": (together, SECRET), "separate worker": (apart, SECRET), "by hand": (by_hand, None)}
    with Receiver() as receiver:
        for kind in kinds:
            task = Task(address=receiver.address, kind=kind, dsn=dsn, rates=RATES, seconds=size.seconds, uvloop=True)
            waits: dict[str, list[dict[float, list[float]]]] = {name: [] for name in senders}
            for _ in range(size.rounds):
                for name, (sender, secret) in senders.items():
                    waits[name].append(_waits(table, receiver, task, sender, secret))
            for name in ("same process", "separate worker"):
                for rate in RATES:
                    _show(table, kind, name, rate, waits)


def _waits(
    table: Table, receiver: Receiver, task: Task, sender: Callable[..., Any], secret: str | None
) -> dict[float, list[float]]:
    """Return the milliseconds until each receipt, by rate."""
    began: Began = run(sender, task, receiver.count)
    expected = sum(int(rate * task.seconds) for rate in task.rates) + task.endpoints
    report = checked(table, receiver, task.body, sender.__name__, expected, secret=secret, ids=began)
    waits: dict[float, list[float]] = {rate: [] for rate in (0.0, *task.rates)}
    for id_, (rate, at) in began.items():
        waits[rate].append((report.arrivals[id_] - at) * 1e3)
    return waits


def _show(table: Table, kind: str, name: str, rate: float, waits: dict[str, list[dict[float, list[float]]]]) -> None:
    for part in (0.5, 0.99):
        mine, by_hand = ([percentile(one[rate], part) for one in waits[which]] for which in (name, "by hand"))
        limit = None
        if part == 0.99 and name == "same process":
            limit = _LIMIT_P99_LIGHT if rate == 100 else _LIMIT_P99
        elif part == 0.5 and rate == 100:
            limit = _LIMITS.get((kind, name), _LIMIT_APART)
        what, note = f"emit to receipt at {rate:,.0f}/s, {name}, p{part * 100:.0f}", f"by hand {median(by_hand):.1f} ms"
        common: dict[str, Any] = {"limit": limit, "runs": mine, "note": note}
        if part == 0.99:
            table.add(against(what, NAMES[kind], mine, by_hand, **common))
        else:
            table.add(Row(what=what, where=NAMES[kind], value=median(mine), **common))


# Senders: each returns the rate and the moment of each event, by its id.


def together(task: Task, count: Any) -> Began:
    """Emit beside a worker in the same process."""
    with opened(task) as (dispatcher, _), dispatcher.running():
        return _emit_all(task, count, lambda number: emit_one(dispatcher, task, number))


def apart(task: Task, count: Any) -> Began:
    """Emit beside a worker in another process."""
    with opened(task) as (dispatcher, one), work_beside(task, one, count):
        return _emit_all(task, count, lambda number: emit_one(dispatcher, task, number))


def _emit_all(task: Task, count: Any, emit: Callable[[int], str]) -> Began:
    began: Began = {emit(number): (0.0, time.monotonic()) for number in range(task.endpoints)}
    wait_for(count, len(began))
    for rate in task.rates:
        for number in beats(rate, task.seconds):
            now = time.monotonic()
            began[emit(number)] = (rate, now)
        wait_for(count, len(began))
    return began


def beats(rate: float, seconds: float) -> Iterator[int]:
    """Yield numbers at a steady rate."""
    start = time.monotonic()
    for number in range(int(rate * seconds)):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        yield number


# By hand.


def by_hand(task: Task, count: Any) -> Began:
    """Insert a row durably, then post with aiohttp: the least that a host can do."""
    began: Began = {}

    async def main(one: Place) -> None:
        async with AsyncExitStack() as stack:
            post = await posting(stack, task, one)

            async def send(number: int, rate: float) -> None:
                id_ = f"{rate}-{number}"
                began[id_] = (rate, time.monotonic())
                await post(id_, number)

            await asyncio.gather(*(send(number, 0.0) for number in range(task.endpoints)))
            for rate in task.rates:
                await at_rate(rate, rate, task.seconds, send)

    with place(task.kind, task.dsn) as one:
        run_loop(task, lambda: main(one))
    return began


async def at_rate(rate: float, kept: float, seconds: float, send: Callable[[int, float], Any]) -> None:
    """Call `send` with numbers at a steady rate, and with the rate under which each is kept; wait for all."""
    start, tasks = time.monotonic(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(send(number, kept)))
    await asyncio.gather(*tasks)


async def posting(stack: AsyncExitStack, task: Task, one: Place, *, pooled: bool = False) -> Callable[[str, int], Any]:
    """Return a function that inserts a row durably and then posts it, over connections as long as the stack lives."""
    import aiohttp

    insert, body = await _inserting(stack, one, pooled=pooled), task.body
    connector = aiohttp.TCPConnector(ssl=task.trust)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

    async def post(id_: str, number: int) -> None:
        await insert(body)
        headers = {"content-type": "application/json", "webhook-id": id_}
        async with session.post(task.urls[number % task.endpoints], data=body, headers=headers) as response:
            await response.read()

    return post


async def _inserting(stack: AsyncExitStack, one: Place, *, pooled: bool) -> Callable[[bytes], Any]:
    if one.kind == "sqlite":
        connection = stack.enter_context(closing(sqlite3.connect(one.target, isolation_level=None)))
        connection.executescript("PRAGMA synchronous = FULL; CREATE TABLE by_hand (body BLOB)")

        async def insert(body: bytes) -> None:
            connection.execute("INSERT INTO by_hand VALUES (?)", (body,))

        return insert
    import psycopg

    one.run(f"CREATE TABLE {one.prefix}by_hand (body BYTEA)")
    free: asyncio.Queue[Any] = asyncio.Queue()
    # Prepared statements stay in a connection to the server, and a pooler gives each transaction another one.
    options: dict[str, Any] = {"prepare_threshold": None} if pooled else {}
    for _ in range(_CONNECTIONS):
        opening = await psycopg.AsyncConnection.connect(one.target, autocommit=True, **options)
        free.put_nowait(await stack.enter_async_context(opening))

    async def insert_one(body: bytes) -> None:
        connection = await free.get()
        await connection.execute(f"INSERT INTO {one.prefix}by_hand VALUES (%s)", (body,))
        free.put_nowait(connection)

    return insert_one
