from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest
from attrs import define, field

from unihooks._contract.planning import NewEvent
from unihooks._delivery import emit_batching
from unihooks._delivery.emit_batching import EmitBatcher
from unihooks.exceptions import StoreError

pytestmark = pytest.mark.anyio


@define(slots=False)
class Submissions:
    """A stand-in for the store that records what it gets and returns the id of each event."""

    emit_deadline = 10.0
    calls: list[list[NewEvent]] = field(factory=list)
    error: Exception | None = None
    held: Future[list[object]] | None = None

    def submit_events(self, events, per_minute=None):
        self.calls.append(list(events))
        if self.held is not None:
            return self.held
        future = Future()
        if self.error is not None:
            future.set_exception(self.error)
        else:
            future.set_result([one.id for one in events])
        return future


def event(number, key=None):
    return NewEvent(f"evt_{number}", "acme", "shop", "paid", b"{}", 0, key)


async def test_events_of_one_turn_are_submitted_together_and_each_gets_its_own_outcome():
    store = Submissions()
    gathering = EmitBatcher(store)
    assert await asyncio.gather(*[gathering.submit(event(number)) for number in range(3)]) == [
        "evt_0",
        "evt_1",
        "evt_2",
    ]
    assert await gathering.submit(event(3)) == "evt_3"
    assert [[one.id for one in call] for call in store.calls] == [["evt_0", "evt_1", "evt_2"], ["evt_3"]]


async def test_no_submission_is_larger_than_the_bound():
    store = Submissions()
    gathering = EmitBatcher(store)
    await asyncio.gather(*[gathering.submit(event(number)) for number in range(emit_batching._MOST + 1)])
    assert [len(call) for call in store.calls] == [emit_batching._MOST, 1]


async def test_an_event_with_a_key_holds_up_no_other():
    store = Submissions()
    gathering = EmitBatcher(store)
    await asyncio.gather(gathering.submit(event(1)), gathering.submit(event(2, "key")), gathering.submit(event(3)))
    assert sorted([one.id for one in call] for call in store.calls) == [["evt_1", "evt_3"], ["evt_2"]]


async def test_a_caller_that_is_cancelled_leaves_the_others_alone():
    store = Submissions(held=Future())
    gathering = EmitBatcher(store)
    gone, stays = (asyncio.ensure_future(gathering.submit(event(number))) for number in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    assert [len(call) for call in store.calls] == [2]
    store.held.set_result(["evt_0", "evt_1"])
    assert await stays == "evt_1"
    assert gone.cancelled()


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_error_of_the_store_reaches_all(at_once):
    error = StoreError("the database cannot be used")
    store = Submissions(error=error)
    if at_once:
        store.submit_events = lambda events, per_minute: (_ for _ in ()).throw(error)
    gathering = EmitBatcher(store)
    outcomes = await asyncio.gather(*[gathering.submit(event(number)) for number in range(2)], return_exceptions=True)
    assert outcomes == [error, error]
    assert isinstance(await _failure(gathering), StoreError)


async def test_an_interrupted_submission_leaves_no_caller_waiting(monkeypatch):
    class Enough(BaseException):
        pass

    def interrupted(*_):
        raise Enough

    reported = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_exception_handler", reported.append)
    store = Submissions()
    store.submit_events = interrupted
    waiting = [EmitBatcher(store).submit(event(number)) for number in range(2)]
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)
    assert {type(one) for one in outcomes} == {StoreError}
    assert "interrupted by Enough(); it is not known whether this was stored" in str(outcomes[0])
    assert isinstance(reported[0]["exception"], Enough)


async def _failure(gathering):
    with pytest.raises(StoreError) as caught:
        await gathering.submit(event(9))
    return caught.value


@pytest.mark.parametrize("key", [None, "key"])
async def test_nobody_waits_beyond_the_stores_deadline(key):
    store = Submissions(held=Future())
    store.emit_deadline = 0.05
    with pytest.raises(StoreError, match=r"not confirmed within 0\.05 s .* may have been stored or not") as caught:
        await asyncio.wait_for(EmitBatcher(store).submit(event(1, key)), 20)
    assert caught.value.name == "emit_deadline"
    if key is None:
        # Nobody waits for a later result.
        store.held.set_result(["evt_1"])
