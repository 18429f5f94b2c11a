"""Describe what a sender has to do, run it in a separate process, and measure it."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import resource
import ssl
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any, Self, TypeVar

from attrs import frozen
from databases import server_cpu
from receiver import Address

T = TypeVar("T")

IN_FLIGHT = 64
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@frozen(kw_only=True)
class Task:
    """What a sender has to do: `count` deliveries after `warm` others, or `seconds` at each of `rates` per second.

    `mode` is what the receiver does with a connection: it may `keep` it, close it and `resume` its session on the
    next one, or close it and give no ticket (`fresh`). `source` is where another version of the library is. `away`
    is how the last of several workers reaches the database. So many `stores` are shared out among the `processes`, and
    where these are to be `settled`, each knows of all others of its store before anything is measured.
    """

    address: Address
    kind: str = "sqlite"
    dsn: str = ""
    uvloop: bool = False
    mode: str = "keep"
    endpoints: int = 10
    fan_out: int = 1
    kilobytes: int = 1
    mapped: bool = False
    count: int = 0
    warm: int = 0
    rates: tuple[float, ...] = ()
    seconds: float = 0.0
    store: str = ""
    processes: int = 1
    stores: int = 1
    ill: int = 0
    away: str = ""
    settled: bool = True
    source: str = ""

    @property
    def urls(self) -> list[str]:
        """Return the endpoints."""
        port = self.address.ticketless if self.mode == "fresh" else self.address.port
        path = "keep" if self.mode == "keep" else "close"
        return [f"https://127.0.0.1:{port}/{path}/{number}" for number in range(self.endpoints)]

    @property
    def trust(self) -> ssl.SSLContext:
        """Return a context that trusts the receiver's authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.address.authority:
            context.load_verify_locations(cadata=self.address.authority)
        return context

    @property
    def payload(self) -> dict[str, Any]:
        """Return the payload."""
        return {"id": 7, "text": "x" * (1_000 * self.kilobytes - 40), "tags": ["one", "two"]}

    @property
    def body(self) -> bytes:
        """Return the body that must arrive."""
        payload = self.payload
        if self.mapped:
            payload = {"id": payload["id"], "body": payload["text"]}
        return json.dumps(payload, separators=(",", ":")).encode()


def run(sender: Callable[[Task, Any], Any], task: Task, count: Any = None) -> Any:
    """Run a sender in a separate process; return its result."""
    with Running(sender, task, count) as running:
        return running.result()


class Running:
    """A sender in a separate process, which runs while others do."""

    def __init__(self, sender: Callable[[Task, Any], Any], task: Task, count: Any = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = sender.__name__
        self._pipe, self._theirs = context.Pipe()
        self._process = context.Process(target=_main, args=(self._theirs, sender, task, count))
        self._sources = [task.source] if task.source else []

    def __enter__(self) -> Self:
        # The new process looks for modules where this one does when it starts.
        sys.path[:0] = self._sources
        self._process.start()
        del sys.path[: len(self._sources)]
        self._theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.join()

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def stop(self) -> None:
        """Send SIGTERM, as a supervisor does."""
        self._process.terminate()

    def is_working(self) -> bool:
        """Wait for the result a little; say whether it is still to come."""
        return not self._pipe.poll(0.2)

    def result(self) -> Any:
        """Wait for the sender's result."""
        try:
            return self._pipe.recv()
        except EOFError as error:
            raise RuntimeError(f"{self._name} failed; see above") from error


def _main(pipe: Connection, sender: Callable[[Task, Any], Any], task: Task, count: Any) -> None:
    if not task.uvloop:
        sys.modules["uvloop"] = None  # type: ignore[assignment] # as if it were not installed
    pipe.send(sender(task, count))


class Meter:
    """The seconds, and the CPU seconds of this process and of the database, since it was made."""

    def __init__(self, dsn: str = "") -> None:
        self._dsn = dsn
        self._database = server_cpu(dsn)
        self._wall = time.perf_counter()
        self._cpu = time.process_time()
        self._threads = _cpu_of_threads()

    def read(self, per: int) -> dict[str, float]:
        """Return the rate per second, the CPU microseconds per delivery, and the peak memory in MiB."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        database = server_cpu(self._dsn) - self._database
        return {"rate": per / wall, "cpu": cpu / per * 1e6, "db": database / per * 1e6, "rss": peak}

    def read_threads(self, per: int) -> dict[str, float]:
        """Return the CPU microseconds per delivery of the worker's event loop, the host, and the store's threads."""
        used = {ident: cpu - self._threads.get(ident, ("", 0.0))[1] for ident, (_, cpu) in _cpu_of_threads().items()}
        names = {ident: name for ident, (name, _) in _cpu_of_threads().items()}
        parts = {"loop": 0.0, "host": 0.0, "store": 0.0}
        for ident, cpu in used.items():
            parts[_PARTS.get(names.get(ident, ""), "store")] += cpu / per * 1e6
        return parts


_PARTS = {"unihooks-worker": "loop", "MainThread": "host"}


def _cpu_of_threads() -> dict[int, tuple[str, float]]:
    threads = [(one.name, one.ident) for one in threading.enumerate()]
    return {ident: (name, time.clock_gettime(time.pthread_getcpuclockid(ident))) for name, ident in threads if ident}


def run_loop(task: Task, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function in the task's kind of event loop."""
    factory = None
    if task.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())
