from __future__ import annotations

import asyncio

import pytest

from unihooks._delivery.shared_reads import SharedReads


class Source:
    """A source for look-ups that counts the calls, and returns when it is released."""

    def __init__(self):
        self.calls = []
        self.answers = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def load(self, keys):
        self.calls.append(list(keys))
        await self.may_answer.wait()
        if isinstance(self.answers, Exception):
            raise self.answers
        return {key: self.answers[key] for key in keys if key in self.answers}


@pytest.fixture
def source():
    return Source()


async def test_keys_requested_at_the_same_time_are_loaded_together(source):
    source.answers = {"a": 1, "b": 2}
    reads = SharedReads(source.load)
    assert await asyncio.gather(*map(reads.find, ["a", "b", "a", "c"])) == [1, 2, 1, None]
    assert source.calls == [["a", "b", "c"]]


async def test_keys_requested_meanwhile_are_loaded_by_the_next_call(source):
    source.may_answer.clear()
    reads = SharedReads(source.load)
    first = asyncio.create_task(reads.find("a"))
    while not source.calls:  # noqa: ASYNC110 - it is a task that has to get so far
        await asyncio.sleep(0)
    later = [asyncio.create_task(reads.find(key)) for key in ("a", "b")]
    await asyncio.sleep(0)
    source.answers = {"a": 1, "b": 2}
    source.may_answer.set()
    assert [await first, *[await one for one in later]] == [1, 1, 2]
    assert source.calls == [["a"], ["a", "b"]]


async def test_an_error_of_one_key_is_raised_to_its_waiters(source):
    source.answers = {"a": KeyError("a"), "b": 2}
    reads = SharedReads(source.load)
    found = await asyncio.gather(reads.find("a"), reads.find("b"), return_exceptions=True)
    assert isinstance(found[0], KeyError)
    assert found[1] == 2


async def test_an_error_of_the_load_reaches_all_and_the_next_call_is_made(source):
    source.answers = OSError("gone")
    reads = SharedReads(source.load)
    found = await asyncio.gather(reads.find("a"), reads.find("b"), return_exceptions=True)
    assert [str(one) for one in found] == ["gone", "gone"]
    source.answers = {"a": 1}
    assert await reads.find("a") == 1


async def test_a_call_takes_a_limited_number_of_keys(source):
    reads = SharedReads(source.load)
    await asyncio.gather(*map(reads.find, range(40)))
    assert [len(call) for call in source.calls] == [16, 16, 8]


async def test_a_cancelled_waiter_ends_it_for_nobody_else(source):
    source.may_answer.clear()
    source.answers = {"a": 1}
    reads = SharedReads(source.load)
    first, second = (asyncio.create_task(reads.find("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.may_answer.set()
    assert await second == 1
