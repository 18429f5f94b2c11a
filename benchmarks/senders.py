"""Send in a fresh process each time: the durable pipeline, and what it is compared with."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import resource
import sqlite3
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen
from receiver import wait_for

from unihooks import Dispatcher, EventSubscription, Secret, TargetPolicy, Webhook
from unihooks.stores import SQLiteStore

T = TypeVar("T")

ENDPOINTS = 10
IN_FLIGHT = 64
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PAYLOAD = {"id": 7, "text": "x" * 960, "tags": ["one", "two"]}
BODY = json.dumps(PAYLOAD, separators=(",", ":")).encode()
_AHEAD = 2_000
_BATCH = 100


@frozen(kw_only=True)
class Task:
    """Say what a sender has to do: `count` deliveries after `warm` others, or events at a rate per second."""

    port: int
    authority: str
    uvloop: bool = False
    fan_out: int = 1
    count: int = 0
    warm: int = 0
    rate: float = 0.0

    @property
    def urls(self) -> list[str]:
        """Return the endpoints."""
        return [f"https://127.0.0.1:{self.port}/{number}" for number in range(ENDPOINTS)]

    @property
    def trust(self) -> ssl.SSLContext:
        """Return a context that trusts the receiver's authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.authority)
        return context


def run(sender: Callable[[Task, Any], Any], task: Task, count: Any = None) -> Any:
    """Run a sender in a process of its own; return what it returns."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, sender, task, count))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError as error:
        raise RuntimeError(f"{sender.__name__} failed; see above") from error
    finally:
        process.join()


def _main(pipe: Connection, sender: Callable[[Task, Any], Any], task: Task, count: Any) -> None:
    if not task.uvloop:
        sys.modules["uvloop"] = None  # type: ignore[assignment] # as if it were not installed
    pipe.send(sender(task, count))


class Meter:
    """Measure the seconds, and the CPU seconds of this process, since its making."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()
        self._threads = _cpu_of_threads()

    def read(self, per: int) -> dict[str, float]:
        """Return the rate per second, the CPU microseconds of each, and the process's peak memory in MiB."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"rate": per / wall, "cpu": cpu / per * 1e6, "rss": peak}

    def read_threads(self, per: int) -> dict[str, float]:
        """Return the CPU microseconds of each in the worker's event loop, in the store's writer, and in the host."""
        used = {name: (cpu - self._threads.get(name, 0.0)) / per * 1e6 for name, cpu in _cpu_of_threads().items()}
        return {"loop": used["unihooks-worker"], "writer": used["unihooks-sqlite-writer"], "host": used["MainThread"]}


def _cpu_of_threads() -> dict[str, float]:
    threads = [(one.name, one.ident) for one in threading.enumerate()]
    return {name: time.clock_gettime(time.pthread_getcpuclockid(ident)) for name, ident in threads if ident}


# The durable pipeline.


def durable(task: Task, count: Any) -> dict[str, float]:
    """Emit, plan, sign, send and log on SQLite with full durability, in one process."""
    with tempfile.TemporaryDirectory(prefix="unihooks-bench-") as folder:
        path = Path(folder) / "webhooks.db"
        with opened(task, path) as dispatcher:
            with dispatcher.running(concurrency=IN_FLIGHT):
                _emit(dispatcher, task, task.warm, 0, count)
                wait_for(count, task.warm)
                meter = Meter()
                _emit(dispatcher, task, task.count, task.warm, count)
                wait_for(count, task.warm + task.count)
                threads = meter.read_threads(task.count)
            figures = meter.read(task.count)
        return {**figures, **threads, **_log(path)}


@contextmanager
def opened(task: Task, path: Path) -> Iterator[Dispatcher]:
    """Give a dispatcher whose webhooks, one per endpoint, want all events or those of their own type."""
    targets = TargetPolicy(allow=["127.0.0.0/8"])
    with Dispatcher(SQLiteStore(path), targets=targets, ssl_context=task.trust) as dispatcher:
        for number, url in enumerate(task.urls):
            wanted = EventSubscription("bench", "*" if task.fan_out > 1 else f"type.{number}")
            webhook = Webhook(name=url, endpoints=[url], subscriptions=[wanted], secrets=[Secret(SECRET)])
            added = dispatcher.webhooks.add(webhook)
            dispatcher.webhooks.activate(added.id)
        yield dispatcher


def _emit(dispatcher: Dispatcher, task: Task, deliveries: int, before: int, count: Any) -> None:
    events = deliveries // task.fan_out
    for emitted in range(0, events, _BATCH):
        # A little ahead of the worker, as a busy host is.
        while before + emitted * task.fan_out - count.value > _AHEAD:
            time.sleep(0.002)
        batch = range(emitted, min(events, emitted + _BATCH))
        dispatcher.emit_many([("bench", f"type.{number % ENDPOINTS}", PAYLOAD) for number in batch])


def _log(path: Path) -> dict[str, float]:
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute("""
            SELECT (SELECT count(*) FROM unihooks_events WHERE planned_at IS NOT NULL),
                (SELECT count(*) FROM unihooks_deliveries WHERE state = 'delivered'),
                (SELECT count(*) FROM unihooks_deliveries),
                (SELECT count(*) FROM unihooks_attempts WHERE status_code = 204)
        """).fetchone()
    return dict(zip(("events", "delivered", "deliveries", "attempts"), row, strict=True))


# The references: nothing is kept, signed or logged.


def bare_aiohttp(task: Task, count: Any) -> dict[str, float]:
    """Post the ready bytes with one aiohttp session."""

    async def main() -> dict[str, float]:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=IN_FLIGHT, ssl=task.trust)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def post(url: str) -> None:
                async with session.post(url, data=BODY, headers={"content-type": "application/json"}) as response:
                    await response.read()

            return await _post_all(task, post)

    return run_loop(task, main)


def shared_httpx(task: Task, count: Any) -> dict[str, float]:
    """Post with one `httpx.AsyncClient` of default limits."""

    async def main() -> dict[str, float]:
        import httpx

        async with httpx.AsyncClient(verify=task.trust, timeout=60) as client:

            async def post(url: str) -> None:
                await client.post(url, content=BODY, headers={"content-type": "application/json"})

            return await _post_all(task, post)

    return run_loop(task, main)


async def _post_all(task: Task, post: Callable[[str], Any]) -> dict[str, float]:
    await _post_many(task, post, task.warm)
    meter = Meter()
    await _post_many(task, post, task.count)
    return meter.read(task.count)


async def _post_many(task: Task, post: Callable[[str], Any], how_many: int) -> None:
    urls = task.urls
    numbers = iter(range(how_many))

    async def poster() -> None:
        for number in numbers:
            await post(urls[number % ENDPOINTS])

    await asyncio.gather(*(poster() for _ in range(IN_FLIGHT)))


def run_loop(task: Task, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function in the kind of loop that the task wants."""
    factory = None
    if task.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())
