from __future__ import annotations

import asyncio

import pytest
from waiting import SECONDS

from unihooks._delivery.work_state import Next, WorkState


@pytest.fixture
def state():
    return WorkState()


def test_it_rests_until_something_happens(state):
    assert state.rests
    state.changed()
    assert not state.rests
    assert state.take_next() is Next.LOOK
    assert state.rests


def test_a_change_while_work_is_taken_counts_for_the_next_time(state):
    state.changed()
    state.take_next()
    state.emitted()
    assert state.take_next() is Next.PLAN
    assert state.take_next() is Next.REST


def test_an_emit_of_this_process_is_planned_first_whatever_else_happens(state):
    state.changed()
    state.emitted()
    state.changed()
    assert state.take_next() is Next.PLAN


def test_one_wake_up_is_under_way_at_a_time(state):
    assert [state.begin_waking(), state.begin_waking()] == [True, False]
    state.emitted()
    assert state.begin_waking()


def test_it_knows_when_the_first_delivery_is_due(state):
    for at in (5, 7, 3, 4):
        state.due_by(at)
    assert state.next_due == 3


async def test_a_waiter_continues_after_progress_even_at_rest(state):
    waiting = asyncio.create_task(state.wait(60))
    await asyncio.sleep(0)
    state.moved()
    await asyncio.wait_for(waiting, SECONDS)
    assert state.rests


async def test_a_waiter_continues_when_something_happens(state):
    waiting = asyncio.create_task(state.wait(60))
    await asyncio.sleep(0)
    assert not waiting.done()
    state.changed()
    await asyncio.wait_for(waiting, SECONDS)
    assert state.take_next() is Next.LOOK
    await state.wait(0.001)
    assert state.rests


def test_more_is_scheduled_once_for_each_turn(state):
    assert [state.schedule(), state.schedule()] == [True, False]
    state.begin_turn()
    assert state.schedule()
    assert state.may_start


def test_once_it_has_ended_nothing_starts_or_is_scheduled(state):
    state.schedule()
    state.end()
    state.begin_turn()
    assert not state.may_start
    assert not state.schedule()
