"""Show where the CPU of a delivery goes: thread by thread, step by step.

A profiler that traces every call would make code with many small calls look several times as expensive as it is. So a
few functions, each of which is a step, are measured by the CPU clock of their thread; the cost of measuring is
determined first and subtracted. The rest of a thread is everything that has no name here.
"""

from __future__ import annotations

import sqlite3
import ssl
import threading
from asyncio import events, selector_events
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from time import thread_time
from typing import Any

import durable
from attrs import evolve, frozen
from receiver import Receiver, checked
from tables import Row, Table
from tasks import SECRET, Meter, Task, run

from unihooks._delivery.endpoint_queues import EndpointQueues
from unihooks._delivery.engine import Engine
from unihooks._delivery.results import Attempted
from unihooks._delivery.sending import Sender
from unihooks._message.signing import Signer
from unihooks.stores.sql import recording as _recording
from unihooks.stores.sql.claiming import Claimer
from unihooks.stores.sql.planning import Planner
from unihooks.stores.sqlite import database as _sqlite_database
from unihooks.stores.sqlite.writer import Writer
from unihooks.transport._connections import Connection
from unihooks.transport._parser import ResponseParser
from unihooks.transport._pool import Pool
from unihooks.transport._tls import TLSConnection

# A step is measured without the steps inside it.
_LOOP: tuple[tuple[Any, str, str], ...] = (
    (events.Handle, "_run", "coroutines, and all that has no line here"),
    (selector_events._SelectorSocketTransport, "_read_ready__get_buffer", "receive (system call)"),  # noqa: SLF001
    (Sender, "_sign", "build the request"),
    (Signer, "sign", "sign"),
    (ssl.SSLObject, "write", "encrypt"),
    (Connection, "_write", "send (system call)"),
    (TLSConnection, "buffer_updated", "take what was received"),
    (ssl.SSLObject, "read", "decrypt"),
    (ResponseParser, "feed", "parse the response"),
    (Pool, "take", "lend connections"),
    (Pool, "put", "lend connections"),
    (EndpointQueues, "add", "queue by endpoint"),
    (EndpointQueues, "next", "queue by endpoint"),
    (EndpointQueues, "done", "queue by endpoint"),
    (Attempted, "result", "make the log's row"),
    (Engine, "_on_recorded", "take note of what was recorded"),
)
_STORE: tuple[tuple[Any, str, str], ...] = (
    (Writer, "_insert", "emit: Python"),
    (Planner, "_plan", "plan: Python"),
    (Claimer, "_claim", "claim: Python"),
    (_recording, "record", "record: Python"),
)
_STATEMENTS = {
    "INSERT INTO main.unihooks_events": "emit: insert events",
    "INSERT INTO main.unihooks_deliveries": "plan: insert deliveries",
    "INSERT INTO main.unihooks_attempts": "record: insert attempts",
    "WITH done (tenant, id, token, number)": "record: move deliveries on",
    "WITH news (endpoint_id": "record: keep the health of lanes",
    "WITH news": "record: move deliveries on",
    "WITH taken": "claim: lease deliveries",
    "DELETE FROM main.unihooks_new_events": "plan: take events out of the queue",
    "COMMIT": "commit: write and sync pages",
}
_OTHER = "other statements"


@frozen(kw_only=True)
class Size:
    """How much to send, and how often."""

    rounds: int = 5
    count: int = 6_000
    warm: int = 1_000


SMALL = Size(rounds=1, count=400, warm=100)


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    with Receiver() as receiver:
        for fan_out in (1, 10):
            task = Task(address=receiver.address, fan_out=fan_out, count=size.count, warm=size.warm)
            for uvloop in (False, True):
                _measure_one(table, receiver, evolve(task, uvloop=uvloop), size)


def _measure_one(table: Table, receiver: Receiver, task: Task, size: Size) -> None:
    plain, steps = [], []
    where = f"fan-out {task.fan_out}{', uvloop' if task.uvloop else ''}"
    for _ in range(size.rounds):
        plain.append(run(durable.durable, task, receiver.count))
        checked(table, receiver, task.body, where, task.warm + task.count, secret=SECRET)
        steps.append(run(by_steps, task, receiver.count))
        checked(table, receiver, task.body, where, task.warm + task.count, secret=SECRET)
    for thread in ("host", "store", "loop"):
        whole = median(one[thread] for one in plain)
        table.add(Row(what=f"{thread} thread", where=where, value=whole, unit="us"))
        names = {name for one in steps for name in one[thread]}
        mine = {name: median(one[thread].get(name, 0.0) for one in steps) for name in names}
        mine[_rest(thread)] = whole - sum(mine.values())
        for name, cost in sorted(mine.items(), key=lambda item: -item[1]):
            if cost >= 0.1:
                table.add(Row(what=f"- {name}", where=where, value=cost, unit="us", note=f"{cost / whole:.0%}"))


def _rest(thread: str) -> str:
    return {"host": "emit: check, serialise, wait", "store": "queue and threads", "loop": "event loop"}[thread]


def by_steps(task: Task, count: Any) -> dict[str, dict[str, float]]:
    """Do what `durable` does; return the CPU microseconds of each step for each delivery, by thread."""
    watches = {"loop": Watch(), "store": Watch(), "host": Watch()}
    for owner, name, step in _LOOP:
        setattr(owner, name, watches["loop"].around(getattr(owner, name), step))
    for owner, name, step in _STORE:
        setattr(owner, name, watches["store"].around(getattr(owner, name), step))
    _measure_statements(watches["store"])
    _forget_the_warming_up(list(watches.values()))
    durable.durable(task, count)
    per = task.count / 1e6
    return {thread: {step: cost / per for step, cost in watch.own.items()} for thread, watch in watches.items()}


def _forget_the_warming_up(watches: list[Watch]) -> None:
    class Restarting(Meter):
        def __init__(self, dsn: str = "") -> None:
            for watch in watches:
                watch.own.clear()
            super().__init__(dsn)

    durable.Meter = Restarting


def _measure_statements(watch: Watch) -> None:
    def named(statement: str) -> str:
        text = statement.lstrip()
        return next((step for start, step in _STATEMENTS.items() if text.startswith(start)), _OTHER)

    class Measured(sqlite3.Connection):
        def execute(self, statement: str, *parameters: Any) -> Any:
            if threading.current_thread().name != "unihooks-sqlite-writer":
                return super().execute(statement, *parameters)
            return watch.around(super().execute, named(statement))(statement, *parameters)

    connect = sqlite3.connect
    _sqlite_database.sqlite3.connect = lambda *args, **options: connect(*args, factory=Measured, **options)


class Watch:
    """The CPU time of the steps of one thread, each without the steps inside it."""

    def __init__(self) -> None:
        self.own: Counter[str] = Counter()
        self._inside = 0.0
        self._within = self._around = 0.0
        self._calibrate()

    def around(self, function: Callable[..., Any], step: str) -> Callable[..., Any]:
        """Return the function, measured."""

        def measured(*args: Any, **options: Any) -> Any:
            outside, self._inside = self._inside, 0.0
            began = thread_time()
            try:
                return function(*args, **options)
            finally:
                took = thread_time() - began
                self.own[step] += took - self._inside - self._within
                self._inside = outside + took + self._around

        return measured

    def _calibrate(self) -> None:
        # Measuring an empty step shows the cost of measuring, inside and outside of the step.
        nothing = self.around(lambda: None, "nothing")
        began = thread_time()
        for _ in range(10_000):
            nothing()
        whole = thread_time() - began
        self._within = self.own.pop("nothing") / 10_000
        self._around = whole / 10_000 - self._within
        self._inside = 0.0
