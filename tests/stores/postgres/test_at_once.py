"""Emitting, planning and recording in one process take one round trip each, unless others have changed something."""

from __future__ import annotations

import pytest
from attrs import evolve
from postgres_scene import add_webhook, emit, make_event, plan

from unihooks import DeliveryState
from unihooks._model.health import HealthState
from unihooks.abc import AttemptRow, Capacity, Lease, Result, Window
from unihooks.exceptions import StoreError
from unihooks.stores.postgres.database import PostgresDatabase
from unihooks.stores.sql import recording

pytestmark = pytest.mark.postgres


@pytest.fixture
def store(new_store):
    store = new_store()
    add_webhook(store)
    # Its first plan reads the subscribers; from then on, events of this process are kept in memory for it.
    emit(store)
    plan(store, capacity=10)
    return store


@pytest.fixture
def answers(monkeypatch):
    """The result of each attempt to do everything in one round trip."""
    answers, whole = [], PostgresDatabase.at_once

    def noting(self, calls, **options):
        done = whole(self, calls, **options)
        answers.append(done is not None)
        return done

    monkeypatch.setattr(PostgresDatabase, "at_once", noting)
    return answers


def other(store):
    return evolve(make_event(store), event_type="other")


def delivered(claimed):
    attempt = AttemptRow(1, "https://a.example.com/", 1, 2_000, 204, None, "[]", "[]", b"", ())
    return Result(claimed, attempt, DeliveryState.DELIVERED)


def test_events_emitted_here_are_planned_and_recorded_in_one_round_trip(store, answers):
    emit(store, make_event(store), make_event(store))
    planned = plan(store, capacity=10)
    assert (planned.events, planned.deliveries, len(planned.claimed), planned.more) == (2, 2, 2, False)
    assert store.record([delivered(one) for one in planned.claimed]).accepted == {one.id for one in planned.claimed}
    assert answers == [True, True]
    assert not store.work().new_events


def test_events_planned_by_others_are_not_planned_again(store, new_store, answers):
    emit(store)
    assert plan(new_store(), capacity=10).events == 1
    assert plan(store, capacity=10).events == 0
    assert answers == [False]


def test_a_configuration_that_has_changed_is_read_again(store, new_store, answers):
    add_webhook(new_store())
    emit(store)
    assert plan(store, capacity=10).deliveries == 2
    assert answers == [False]
    emit(store)
    assert plan(store, capacity=10).deliveries == 2
    assert answers == [False, True]


def test_a_cache_from_before_a_change_is_not_current_because_another_one_is(store, new_store, answers):
    emit(store, other(store))
    plan(store, capacity=10)
    add_webhook(new_store())
    emit(store, other(store))
    plan(store, capacity=10)
    del answers[:]
    # Subscribers of the first kind were read before the change, those of the other kind after it.
    emit(store, make_event(store), other(store))
    assert plan(store, capacity=10).deliveries == 4
    assert answers == [False]


def test_an_event_for_more_endpoints_than_are_allowed_is_planned_in_order(store, answers):
    add_webhook(store, endpoints=3)
    for expected in ([False], []):
        del answers[:]
        emit(store)
        planned = store.plan(Lease(token=1, seconds=30), Capacity(10, 10), 10, 2)
        assert planned.deliveries == 2
        assert answers == expected


def test_an_event_that_cannot_be_planned_is_set_aside_as_always(store, answers, monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError("a bug")

    for module in ("planning", "matching"):
        monkeypatch.setattr(f"unihooks.stores.sql.{module}.plan_event", broken)
    emit(store)
    for _ in range(5):
        assert plan(store, capacity=10).events == 0
    assert not store.work().new_events
    assert answers == []


def test_locked_events_are_left_unplanned(store, answers):
    emit(store)
    held = store._database.write
    assert (
        held(lambda tx: (tx.fetch("find_new_events", after="", tenants=9, limit=9), plan(store, capacity=10))[1]).events
        == 0
    )
    assert plan(store, capacity=10).events == 1
    assert answers == [False]


def test_results_of_released_deliveries_are_not_recorded_in_one_round_trip(store, answers):
    emit(store, make_event(store), make_event(store))
    kept, lost = plan(store, capacity=10).claimed
    store.release([lost])
    assert store.record([delivered(lost), delivered(kept)]).accepted == {kept.id}
    assert answers == [True, False]
    assert store.list_attempts(lost.tenant, lost.id, Window(limit=9)) == []


def test_a_delivery_is_recorded_even_if_the_health_cannot_be_judged(store, answers, monkeypatch):
    def fail(*_, **__):
        raise StoreError("the disk is full")

    emit(store, make_event(store), make_event(store), make_event(store))
    failed, good, last = plan(store, capacity=10).claimed
    store.record([evolve(delivered(failed), state=DeliveryState.FAILED)])
    answers.clear()
    with monkeypatch.context() as broken:
        broken.setattr(recording, "judge_unwell", fail)
        assert store.record([delivered(good)]).accepted == {good.id}
    [change] = store.record([delivered(last)]).changed_health
    assert change.after is HealthState.DEGRADED
    assert answers == [True, True]
