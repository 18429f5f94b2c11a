from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from unihooks._delivery.results import ResultBatcher, shown_headers
from unihooks.abc import Recorded
from unihooks.exceptions import StoreError


class Number(int):
    """An attempt whose result is a number."""

    def result(self):
        return int(self)


class Notebook:
    """What the batcher needs of a store."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.batches = []

    def record(self, results):
        if self.errors:
            raise self.errors.pop()
        self.batches.append(list(results))
        return Recorded(accepted=results)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("unihooks._delivery.results._PATIENCE_SECONDS", 0.001)


async def recording(notebook, results, *, hurry=False):
    """Record results; return the recorder and what was told after each batch."""

    async def offload(function, *args):
        return function(*args)

    told, done = [], asyncio.Event()

    def on_recorded(batch, _recorded):
        told.append(list(batch))
        if recorder.unrecorded == 0:
            done.set()

    recorder = ResultBatcher(notebook, offload, on_recorded)
    running = asyncio.create_task(recorder.run())
    for result in results:
        recorder.add(result if isinstance(result, Number) else Number(result))
    if hurry:
        recorder.hurry()
    await asyncio.wait_for(done.wait(), 5)
    running.cancel()
    await asyncio.wait([running])
    return told


async def test_results_that_come_together_are_stored_together():
    notebook = Notebook()
    assert await recording(notebook, [1, 2, 3]) == [[1, 2, 3]] == notebook.batches


async def test_a_full_batch_does_not_wait(monkeypatch):
    monkeypatch.setattr("unihooks._delivery.results._GATHER_SECONDS", 60)
    notebook = Notebook()
    await recording(notebook, list(range(256)))
    assert notebook.batches == [list(range(256))]


async def test_a_hurried_recorder_does_not_wait(monkeypatch):
    monkeypatch.setattr("unihooks._delivery.results._GATHER_SECONDS", 60)
    notebook = Notebook()
    await recording(notebook, [1], hurry=True)
    assert notebook.batches == [[1]]


async def test_nothing_is_dropped_when_the_store_cannot_be_written(caplog):
    notebook = Notebook(StoreError("the disk is full"), StoreError("the disk is full"))
    assert await recording(notebook, [1, 2]) == [[1, 2]] == notebook.batches
    assert "results cannot be recorded" in caplog.text


class Untellable(Number):
    """An attempt whose result cannot be made."""

    claimed = SimpleNamespace(id="dlv_1")

    def result(self):
        raise RuntimeError("bug")


async def test_an_attempt_whose_result_cannot_be_made_is_left_to_its_lease(caplog):
    notebook = Notebook()
    assert await recording(notebook, [1, Untellable(2), 3]) == [[1, 3]] == notebook.batches
    assert "the result of delivery dlv_1 cannot be made" in caplog.text


class Picky(Notebook):
    """A store that refuses, for some time, every batch that holds one certain result."""

    def __init__(self, bad, times):
        super().__init__()
        self.bad, self.times = bad, times

    def record(self, results):
        if self.bad in results and self.times:
            self.times -= 1
            raise StoreError("this one cannot be stored")
        return super().record(results)


async def test_one_result_that_cannot_be_stored_holds_up_no_other():
    notebook = Picky(2, times=7)
    await recording(notebook, [1, 2, 3])
    assert notebook.batches == [[1], [3], [2]]


async def test_what_the_store_raises_beside_its_own_errors_is_survived():
    notebook = Notebook(RuntimeError("bug"))
    assert await recording(notebook, [1]) == [[1]]


async def test_whoever_is_told_cannot_end_the_recording(caplog):
    async def offload(function, *args):
        return function(*args)

    def raise_first(batch, _recorded):
        told.put_nowait(batch)
        if batch == [1]:
            raise RuntimeError("bug")

    told = asyncio.Queue()
    recorder = ResultBatcher(Notebook(), offload, raise_first)
    running = asyncio.create_task(recorder.run())
    for number in (1, 2):
        recorder.add(Number(number))
        assert await asyncio.wait_for(told.get(), 5) == [number]
    running.cancel()
    assert "the results are recorded, but what follows from them failed" in caplog.text


def test_response_headers_are_shown_as_they_came():
    assert shown_headers([]) == "[]"
    assert json.loads(shown_headers([(b"X-A", b'caf\xe9 "q"'), (b"X-A", b"2")])) == [
        ["X-A", 'caf\xe9 "q"'],
        ["X-A", "2"],
    ]
