"""Emit at a steady pace and measure the cost: with the library, by hand, and doing nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from attrs import evolve, field, frozen
from databases import Place, place
from durable import emit_one, opened, work_beside
from latency import at_rate, beats, posting
from receiver import wait_for
from tasks import Task, run_loop
from usage import Used, Watched, written_by

from unihooks import Dispatcher

# The work after an event, above all its recording, ends within this time.
_SETTLE_SECONDS = 0.15
_WARM_SECONDS = 0.5
_QUIET_SECONDS = 3.0
_FIRSTS = 4
_PATIENCE_SECONDS = 10.0


@frozen(kw_only=True)
class LightTask(Task):
    """A task at light load, and the processes of the server to watch meanwhile."""

    postmaster: int = 0
    pooler: int = 0

    def watched(self, *others: int) -> Watched:
        """Return this process, some others, and the server's."""
        own = Watched(postmaster=self.postmaster, pooler=self.pooler)
        return evolve(own, ours=[*own.ours, *others])


@frozen
class Light:
    """When each event began, by its id and rate; and what an event took at each rate."""

    began: dict[str, tuple[float, float]] = field(factory=dict)
    each: dict[float, Used] = field(factory=dict)


@frozen(kw_only=True)
class Idle:
    """What a worker at rest takes each second, the bytes that are written then, and how long first events take."""

    used: Used
    upkeep: Used = field(factory=Used)
    written: float
    firsts: Sequence[float]


def together(task: LightTask, count: Any) -> Light:
    """Emit beside a worker in the same process."""
    with opened(task) as (dispatcher, _), dispatcher.running():
        return _at_rates(task, count, task.watched(), lambda number: emit_one(dispatcher, task, number))


def apart(task: LightTask, count: Any) -> Light:
    """Emit beside a worker in another process."""
    with opened(task) as (dispatcher, one), work_beside(task, one, count) as worker:
        return _at_rates(task, count, task.watched(worker), lambda number: emit_one(dispatcher, task, number))


def paced(task: LightTask, count: Any) -> Light:
    """Only keep the pace."""
    return _at_rates(evolve(task, endpoints=0), count, Watched(), str, seen=False)


def idle(task: LightTask, count: Any) -> Idle:
    """Watch a worker process that has delivered a little and has nothing more to do; then emit to it now and then."""
    with opened(task) as (dispatcher, one), work_beside(task, one, count) as worker:
        for number in range(task.endpoints):
            emit_one(dispatcher, task, number)
        wait_for(count, task.endpoints)
        time.sleep(_QUIET_SECONDS)
        written = one.written() + written_by(worker)
        used = each_second(evolve(task.watched(), ours=[worker]), task.seconds)
        written = one.written() + written_by(worker) - written
        firsts = [_first(dispatcher, task, count, number) for number in range(_FIRSTS)]
        return Idle(used=used, written=written / task.seconds, firsts=firsts)


def _first(dispatcher: Dispatcher, task: LightTask, count: Any, number: int) -> float:
    if number:
        time.sleep(_QUIET_SECONDS)
    expected, began = count.value + 1, time.monotonic()
    emit_one(dispatcher, task, number)
    while count.value < expected and time.monotonic() < began + _PATIENCE_SECONDS:
        time.sleep(0.0005)
    return time.monotonic() - began


def each_second(watched: Watched, seconds: float) -> Used:
    """Return what processes take each second, without doing anything."""
    began, before = time.monotonic(), watched.used()
    time.sleep(seconds)
    return (watched.used() - before).each(time.monotonic() - began)


def _at_rates(task: LightTask, count: Any, watched: Watched, emit: Callable[[int], str], *, seen: bool = True) -> Light:
    light = Light()

    def beat(rate: float, kept: float, seconds: float) -> None:
        for number in beats(rate, seconds):
            now = time.monotonic()
            light.began[emit(number)] = (kept, now)
        if seen:
            wait_for(count, len(light.began))
        time.sleep(_SETTLE_SECONDS)

    light.began.update({emit(number): (0.0, 0.0) for number in range(task.endpoints)})
    for rate in task.rates:
        beat(rate, 0.0, _WARM_SECONDS)
        before = watched.used()
        beat(rate, rate, task.seconds)
        light.each[rate] = (watched.used() - before).each(int(rate * task.seconds))
    return light


# By hand, in an event loop.


def by_hand(task: LightTask, count: Any) -> Light:
    """Insert a row durably, then post with aiohttp."""
    light = Light()

    async def main(one: Place) -> None:
        async with AsyncExitStack() as stack:
            await _send_at_rates(task, light, await posting(stack, task, one, pooled=bool(task.pooler)))

    with place(task.kind, task.dsn) as one:
        run_loop(task, lambda: main(one))
    return light


def paced_by_loop(task: LightTask, count: Any) -> Light:
    """Only keep the pace, with an event loop."""
    light = Light()

    async def nothing(id_: str, number: int) -> None:
        """Do nothing."""

    run_loop(task, lambda: _send_at_rates(task, light, nothing))
    return light


async def _send_at_rates(task: LightTask, light: Light, send: Callable[[str, int], Any]) -> None:
    watched = task.watched()

    async def one(number: int, kept: float) -> None:
        id_ = f"by-hand-{len(light.began)}"
        light.began[id_] = (kept, time.monotonic())
        await send(id_, number)

    async def beat(rate: float, kept: float, seconds: float) -> None:
        await at_rate(rate, kept, seconds, one)
        await asyncio.sleep(_SETTLE_SECONDS)

    await asyncio.gather(*(one(number, 0.0) for number in range(task.endpoints)))
    for rate in task.rates:
        await beat(rate, 0.0, _WARM_SECONDS)
        before = watched.used()
        await beat(rate, rate, task.seconds)
        light.each[rate] = (watched.used() - before).each(int(rate * task.seconds))


SENDERS: dict[str, Callable[[LightTask, Any], Light]] = {
    "same process": together,
    "separate worker": apart,
    "by hand": by_hand,
}
PACERS: dict[str, Callable[[LightTask, Any], Light]] = {
    "same process": paced,
    "separate worker": paced,
    "by hand": paced_by_loop,
}
