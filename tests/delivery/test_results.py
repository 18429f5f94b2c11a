from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from unihooks import HeaderSet, Secret
from unihooks._delivery.results import ResultBatcher, gathering, redacted_response, shown_headers
from unihooks._message.redaction import LONGEST
from unihooks._message.requests import Destination, prepare
from unihooks.abc import Recorded
from unihooks.exceptions import StoreError
from unihooks.transport import MAX_BODY_BYTES, MAX_HEADER_BYTES, Exchange


class Number(int):
    """An attempt whose result is a number."""

    claimed = SimpleNamespace(sequence=None)

    def result(self):
        return int(self)


class Notebook:
    """What the batcher needs of a store."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.batches = []

    def record(self, results, breaker=None):
        if self.errors:
            raise self.errors.pop()
        self.batches.append(list(results))
        return Recorded(accepted=results)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("unihooks._delivery.pacing._STORE_PATIENCE_SECONDS", 0.001)


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


@pytest.mark.parametrize("took, waits", [(0.001, 0.02), (0.03, 0.03), (5.0, 0.04)])
def test_a_store_that_takes_long_gets_larger_batches(took, waits):
    assert gathering(took) == waits


async def test_a_full_batch_does_not_wait(monkeypatch):
    monkeypatch.setattr("unihooks._delivery.results.gathering", lambda _: 60)
    notebook = Notebook()
    await recording(notebook, list(range(256)))
    assert notebook.batches == [list(range(256))]


async def test_a_hurried_recorder_does_not_wait(monkeypatch):
    monkeypatch.setattr("unihooks._delivery.results.gathering", lambda _: 60)
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

    def record(self, results, breaker=None):
        if self.bad in results and self.times:
            self.times -= 1
            raise StoreError("this one cannot be stored")
        return super().record(results)


async def test_one_result_that_cannot_be_stored_holds_up_no_other():
    notebook = Picky(2, times=7)
    await recording(notebook, [1, 2, 3])
    assert notebook.batches == [[1], [3], [2]]


async def test_an_unexpected_error_of_the_store_is_survived():
    notebook = Notebook(RuntimeError("bug"))
    assert await recording(notebook, [1]) == [[1]]


class Ordered(Number):
    """An attempt of an ordered webhook's delivery."""

    claimed = SimpleNamespace(sequence=1)


async def test_a_result_that_others_of_its_subject_wait_for_is_recorded_at_once(monkeypatch):
    async def offload(function, *args):
        return function(*args)

    told = asyncio.Queue()
    recorder = ResultBatcher(Notebook(), offload, lambda batch, _: told.put_nowait(batch))
    running = asyncio.create_task(recorder.run())
    recorder.add(Number(1))
    assert await asyncio.wait_for(told.get(), 5) == [1]
    # A result has just been recorded, so further ones would be collected.
    monkeypatch.setattr("unihooks._delivery.results.gathering", lambda _: 60)
    recorder._quiet_at += 60
    recorder.add(Ordered(2))
    assert await asyncio.wait_for(told.get(), 5) == [2]
    running.cancel()


async def test_a_failing_callback_cannot_end_the_recording(caplog):
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


@pytest.fixture
def prepared():
    """Return a destination with a header that its receiver echoes."""
    destination = Destination(
        endpoint_id="ep_1",
        webhook_id="wh_1",
        tenant="acme",
        url="https://example.com/",
        headers=HeaderSet({"Authorization": "Bearer tok_9f8e7d6c5b4a"}),
        secrets=(Secret("whsec_" + "Q" * 43 + "="),),
        open=True,
        config_version=1,
    )
    return prepare(destination, 0)


@pytest.mark.parametrize("shown", range(4, 16))
def test_secret_cut_at_the_end_of_a_stored_response_is_not_shown(prepared, shown):
    echo = b"tok_9f8e7d6c5b4a"[:shown]
    kept = Exchange(status_code=200, body=b"x" * (MAX_BODY_BYTES - shown) + echo, duration=0.1)
    broken = Exchange(status_code=200, body=b"you sent " + echo, warnings=("the answer broke off",), duration=0.1)
    long = Exchange(status_code=200, headers=[(b"x-a", b"-" * (MAX_HEADER_BYTES - 3 - shown) + echo)], duration=0.1)
    assert redacted_response(prepared, kept)[1] == b"x" * (MAX_BODY_BYTES - shown) + b"***"
    assert redacted_response(prepared, broken)[1] == b"you sent ***"
    assert redacted_response(prepared, long)[0].endswith('-***"]]')


def test_answer_without_secrets_is_kept_as_it_came(prepared):
    headers = [(b"server", b"nginx"), (b"x-echo", b"TOK_9F8E7D6C5B4A")]
    for _ in range(2):
        answer = Exchange(status_code=200, headers=headers[:1], body=b"tok_9f8e", duration=0.1)
        assert redacted_response(prepared, answer) == ('[["server", "nginx"]]', b"tok_9f8e")
    echoed = Exchange(status_code=200, headers=headers, duration=0.1)
    assert redacted_response(prepared, echoed)[0] == '[["server", "nginx"], ["x-echo", "***"]]'


def test_response_as_long_as_the_limit_counts_as_truncated():
    assert LONGEST == MAX_BODY_BYTES
